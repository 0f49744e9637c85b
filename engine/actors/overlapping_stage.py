"""The shell around a step that waits for something outside: calls overlap, results leave in order per user point.

    read ─▶ the user's line, in order ─▶ call … call … call ─▶ done at the head of its line: ready ─▶ send

A user's later envelope may be done before an earlier one; it then waits in the user's line. Other users pass. As with
the plain actor, what is in hand lives in the object, and nothing is taken out of the chain on the way.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

from engine.actors.stage_actor import (
    ENVELOPES_PER_PASS,
    Counting,
    Inbox,
    Outbox,
    passes_untouched,
    receive_lists,
)
from engine.pipeline.stage import Envelope, Verdict

CALLS: Final = 64
"""Default of overlapping calls of a step that waits: at 100 ms a call, 640 activities a second."""

HELD: Final = 1024
"""Default of envelopes an overlapping actor holds in all, so that a slow call of one user does not stop the others."""


@dataclass(slots=True, eq=False)
class _Place:
    """An envelope's place in the line of its user point."""

    envelope: Envelope
    is_done: bool = False


class OverlappingStageActor(Counting):
    """Runs a step that waits: calls overlap, results leave in order per user point.

    A user's later envelope may be done before an earlier one; it then waits in the user's line. Other users pass.

    Args:
        name: of the step.
        step: called with every envelope that is still to be stored. What it raises makes that one a dead letter.
        inbox, outbox: the chain before and behind; the end of the one is passed on to the other.
        calls: most calls at a time.
        held: most envelopes in hand beyond the list that is being read. When one user's slow call keeps so many
            of them waiting, the chain waits too.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[Envelope], Awaitable[Verdict]],
        inbox: Inbox,
        outbox: Outbox,
        *,
        calls: int = CALLS,
        held: int = HELD,
    ) -> None:
        super().__init__(name, inbox)
        self._step = step
        self._outbox = outbox
        self._max_calls = calls
        self._max_held = held
        self._unread: deque[Envelope] = deque()
        # By user point, in the order in which they came and will leave.
        self._lines: dict[tuple[int, bytes], deque[_Place]] = {}
        self._in_lines = 0
        self._ready: list[Envelope] = []
        self._calls = 0
        self._is_over = False  # Everything is read and has left its line.
        self._freed = trio.lowlevel.ParkingLot()  # The reader: a call has ended, or a list was sent.
        self._filled = trio.lowlevel.ParkingLot()  # The sender: something is ready, or all is over.

    async def run(self) -> None:
        """Work until the inbox ends. May be called again after it raised or was cancelled: nothing is lost.

        A call that was interrupted is made again.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send)
            for line in self._lines.values():
                for place in line:
                    if not place.is_done:
                        self._call(place, nursery)
            await self._read(nursery)
        self._outbox.close()

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            while self._unread:
                await self._room()
                self._begin(self._unread.popleft(), nursery)
            try:
                self._unread.extend(await receive_lists(self._inbox))
            except trio.EndOfChannel:
                break
            self._received += len(self._unread)
        while self._lines:
            await self._freed.park()
        self._is_over = True
        self._filled.unpark()

    async def _room(self) -> None:
        while self._calls >= self._max_calls or self._in_lines + len(self._ready) >= self._max_held:
            await self._freed.park()

    def _begin(self, envelope: Envelope, nursery: trio.Nursery) -> None:
        key = (envelope.closed.datamart, envelope.closed.user_point)
        place = _Place(envelope, is_done=passes_untouched(envelope))
        self._lines.setdefault(key, deque()).append(place)
        self._in_lines += 1
        if place.is_done:
            self._release(key)
        else:
            self._call(place, nursery)

    def _call(self, place: _Place, nursery: trio.Nursery) -> None:
        self._calls += 1
        nursery.start_soon(self._decide, place, name=self.name)

    async def _decide(self, place: _Place) -> None:
        try:
            try:
                verdict = await self._step(place.envelope)
            except Exception as error:
                verdict = self.failed(error)
            self.settle(place.envelope, verdict)
            place.is_done = True
            self._release((place.envelope.closed.datamart, place.envelope.closed.user_point))
        finally:
            self._calls -= 1
            self._freed.unpark()

    def _release(self, key: tuple[int, bytes]) -> None:
        """Let those at the head of a line go that are done."""
        line = self._lines[key]
        while line and line[0].is_done:
            self._ready.append(line.popleft().envelope)
            self._in_lines -= 1
        if not line:
            del self._lines[key]
        if self._ready:
            self._filled.unpark()

    async def _send(self) -> None:
        while True:
            while not self._ready:
                if self._is_over:
                    return
                await self._filled.park()
            sending = self._ready[:ENVELOPES_PER_PASS]
            await self._outbox.send(sending)
            del self._ready[: len(sending)]
            self._sent += len(sending)
            self._freed.unpark()
