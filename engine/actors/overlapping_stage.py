"""The shell around a step that may wait for something outside: calls overlap, results leave in order per user point.

    read ─▶ decided at once, nobody of the user waits ─────────────────────────▶ ready ─▶ send
       └──▶ the user's line, in order ─▶ call … call … ─▶ done at its head ─────▶ ┘

A user's later envelope may be done before an earlier one; it then waits in the user's line. Other users pass. What is
about two user points (a merge, or an activity that tells who somebody is, too) stands in the lines of both, and leaves
from the head of both: a merge that passed an activity of the absorbed one would be undone by it in the store. What is
decided at once costs no task and no wait: an activity of a channel without such a step goes through as in the plain
actor. Where so many are in hand that there is no room, some of those that wait are decided early (`relieve`): slow
calls must not stop those that need none. As in the plain actor, what is in hand lives in the object, and nothing is
taken out of the chain on the way.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

from engine.actors.stage_actor import (
    ENVELOPES_PER_PASS,
    ENVELOPES_PER_STEP,
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

UserKey = tuple[int, bytes]


@dataclass(slots=True, eq=False)
class _Place:
    """An envelope's place in the lines of its user points."""

    envelope: Envelope
    keys: tuple[UserKey, ...]
    is_done: bool = False


class OverlappingStageActor(Counting):
    """Runs a step that may wait: calls overlap, results leave in order per user point.

    Args:
        name: of the step.
        step: called with every envelope that is still to be stored; gives its verdict, or what is to be awaited for
            it. What either raises makes that one a dead letter.
        inbox, outbox: the chain before and behind; the end of the one is passed on to the other.
        calls: most calls at a time.
        held: most envelopes in hand beyond the list that is being read.
        relieve: called when those that wait leave no room: decides one of them early, if any can be. The chain waits
            only where none can, or where what is behind takes nothing.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[Envelope], Verdict | Awaitable[Verdict]],
        inbox: Inbox,
        outbox: Outbox,
        *,
        calls: int = CALLS,
        held: int = HELD,
        relieve: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name, inbox)
        self._step = step
        self._outbox = outbox
        self._max_calls = calls
        self._max_held = held
        self._relieve = relieve
        self._unread: deque[Envelope] = deque()
        # By user point, in the order in which they came and will leave.
        self._lines: dict[UserKey, deque[_Place]] = {}
        self._in_lines = 0
        self._ready: list[Envelope] = []
        self._sending = False  # The sender has some of them in hand.
        self._calls = 0
        self._is_over = False  # Everything is read and has left its line.
        self._freed = trio.lowlevel.ParkingLot()  # The reader: a call has ended, or a list was sent.
        self._filled = trio.lowlevel.ParkingLot()  # The sender: something is ready, or all is over.

    async def run(self) -> None:
        """Work until the inbox ends. May be called again after it raised or was cancelled: nothing is lost.

        A call that was interrupted is made again.
        """
        self._sending = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send)
            # Once each, though some stand in several lines.
            for place in {id(place): place for line in self._lines.values() for place in line}.values():
                if not place.is_done:
                    self._start(place, nursery)
            for key in list(self._lines):
                self._release(key)
            await self._read(nursery)
        self._outbox.close()

    async def again(self, envelope: Envelope) -> None:
        """Take an envelope through the step beside what goes through the actor."""
        if passes_untouched(envelope):
            return
        try:
            verdict = self._step(envelope)
            if not isinstance(verdict, Verdict):
                verdict = await verdict
        except Exception as error:
            verdict = self.failed(error)
        self.settle(envelope, verdict)

    @property
    def waiting(self) -> int:
        """Envelopes that wait for a call, their own or one ahead of theirs."""
        return self._in_lines

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            begun = 0
            while self._unread:
                await self._room()
                self._begin(self._unread.popleft(), nursery)
                begun += 1
                if begun % ENVELOPES_PER_STEP == 0:
                    await trio.lowlevel.checkpoint()
            self._pass_on()
            # What is ready waits for the chain ahead, and the chain behind for that. Calls go on meanwhile.
            while self._ready:
                await self._freed.park()
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
            self._filled.unpark()
            # What is ready leaves by itself.
            if self._in_lines > len(self._ready):
                self._relieve()
            await self._freed.park()

    def _begin(self, envelope: Envelope, nursery: trio.Nursery) -> None:
        keys = _keys(envelope)
        waits = None if passes_untouched(envelope) else self._decide_at_once(envelope)
        if waits is None and not any(key in self._lines for key in keys):
            self._ready.append(envelope)
            return
        place = _Place(envelope, keys, is_done=waits is None)
        for key in keys:
            self._lines.setdefault(key, deque()).append(place)
        self._in_lines += 1
        if waits is not None:
            self._call(place, waits, nursery)

    def _start(self, place: _Place, nursery: trio.Nursery) -> None:
        """Begin again what was interrupted."""
        waits = self._decide_at_once(place.envelope)
        if waits is None:
            place.is_done = True
        else:
            self._call(place, waits, nursery)

    def _decide_at_once(self, envelope: Envelope) -> Awaitable[Verdict] | None:
        """None where that could be done."""
        try:
            verdict = self._step(envelope)
        except Exception as error:
            verdict = self.failed(error)
        if not isinstance(verdict, Verdict) and isinstance(verdict, Awaitable):
            return verdict
        self.settle(envelope, verdict)
        return None

    def _pass_on(self) -> None:
        """Send what is ready without waking anybody, where there is room and nobody is at it."""
        if not self._ready:
            return
        if not self._sending:
            sending = self._ready[:ENVELOPES_PER_PASS]
            try:
                self._outbox.send_nowait(sending)
            except trio.WouldBlock:
                pass
            else:
                del self._ready[: len(sending)]
                self._sent += len(sending)
        if self._ready:
            self._filled.unpark()

    def _call(self, place: _Place, waits: Awaitable[Verdict], nursery: trio.Nursery) -> None:
        self._calls += 1
        nursery.start_soon(self._decide, place, waits, name=self.name)

    async def _decide(self, place: _Place, waits: Awaitable[Verdict]) -> None:
        try:
            try:
                verdict = await waits
            except Exception as error:
                verdict = self.failed(error)
            self.settle(place.envelope, verdict)
            place.is_done = True
            for key in place.keys:
                self._release(key)
        finally:
            self._calls -= 1
            self._freed.unpark()

    def _release(self, key: UserKey) -> None:
        """Let those at the head of a line go that are done, and then those that have waited for them in other lines."""
        keys = [key]
        while keys:
            line = self._lines.get(keys[-1])
            place = line[0] if line else None
            if place is None or not place.is_done or any(self._lines[one][0] is not place for one in place.keys):
                keys.pop()
                continue
            for one in place.keys:
                self._lines[one].popleft()
                if not self._lines[one]:
                    del self._lines[one]
            self._ready.append(place.envelope)
            self._in_lines -= 1
            keys += [one for one in place.keys if one != keys[-1]]
        if self._ready:
            self._filled.unpark()

    async def _send(self) -> None:
        while True:
            while not self._ready:
                if self._is_over:
                    return
                await self._filled.park()
            sending = self._ready[:ENVELOPES_PER_PASS]
            self._sending = True
            await self._outbox.send(sending)
            self._sending = False
            del self._ready[: len(sending)]
            self._sent += len(sending)
            self._freed.unpark()


def _keys(envelope: Envelope) -> tuple[UserKey, ...]:
    """Whom an envelope is about: nearly always one user point."""
    closed, view = envelope.closed, envelope.view
    if view is closed and not closed.absorbed:
        return ((closed.datamart, closed.user_point),)
    points = dict.fromkeys((closed.user_point, closed.absorbed, view.user_point, view.absorbed))
    return tuple([(closed.datamart, point) for point in points if point])
