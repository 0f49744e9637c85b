"""The shells around the steps of the chain: a task, a queue in front, a queue behind.

What travels is a list of envelopes. An actor takes all lists that are queued, up to a bound, and passes one list on:
seven hops a *list* instead of seven hops an activity. Nothing is taken out of the chain on the way: an envelope that
has its verdict, or that only saves a state, passes untouched, since the store step removes its journal records.

What an actor has in hand lives in its object. Started again after a failure it goes on where it was.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

from engine.pipeline.stage import Dead, Drop, Envelope, Keep, Verdict
from engine.session.closed import Source

LISTS_PER_PASS: Final = 64
"""Lists taken at a time: by then the hop is paid for."""

ENVELOPES_PER_PASS: Final = 512
"""No further list is taken beyond it, so that what follows need not wait for all that is queued here."""

ENVELOPES_PER_STEP: Final = 64
"""Envelopes between two checkpoints. At 300 µs for the largest activity, 20 ms."""

Inbox = trio.MemoryReceiveChannel[list[Envelope]]
Outbox = trio.MemorySendChannel[list[Envelope]]


@dataclass(frozen=True, slots=True)
class StageStatistics:
    """What went through a step.

    Attributes:
        received, sent: envelopes.
        dropped, dead: envelopes that got this verdict here.
        errors: of the dead, those for which the step raised.
        queued_lists, max_queued_lists: in front of the actor, and the bound.
    """

    name: str
    received: int
    sent: int
    dropped: int
    dead: int
    errors: int
    queued_lists: int
    max_queued_lists: float

    @property
    def in_hand(self) -> int:
        """Envelopes received and not yet sent."""
        return self.received - self.sent


async def receive_lists(inbox: Inbox) -> list[Envelope]:
    """Wait for a list, then take with it what else is queued, within the bounds of a pass, as one list in order.

    Raises:
        trio.EndOfChannel: nobody sends any more, and nothing is queued.
    """
    taken = list(await inbox.receive())
    for _ in range(LISTS_PER_PASS - 1):
        if len(taken) >= ENVELOPES_PER_PASS:
            break
        try:
            taken += inbox.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            break
    return taken


class Counting:
    """What both kinds of actors count, and what a verdict does to an envelope."""

    def __init__(self, name: str, inbox: Inbox) -> None:
        self.name = name
        self._inbox = inbox
        self._received = 0
        self._sent = 0
        self._dropped = 0
        self._dead = 0
        self._errors = 0

    def statistics(self) -> StageStatistics:
        queue = self._inbox.statistics()
        return StageStatistics(
            name=self.name,
            received=self._received,
            sent=self._sent,
            dropped=self._dropped,
            dead=self._dead,
            errors=self._errors,
            queued_lists=queue.current_buffer_used + queue.tasks_waiting_send,
            max_queued_lists=queue.max_buffer_size,
        )

    @property
    def waiting(self) -> int:
        """Envelopes that wait for somebody outside, or behind one that does."""
        return 0

    async def again(self, envelope: Envelope) -> None:
        """Take an envelope through the step beside what goes through the actor."""
        raise NotImplementedError

    def failed(self, error: Exception) -> Dead:
        """The verdict on an envelope for which the step raised."""
        self._errors += 1
        return Dead("stage_error", repr(error))

    def settle(self, envelope: Envelope, verdict: Verdict | Awaitable[Verdict]) -> None:
        """Write the verdict into the envelope. What is not stored keeps no effects but its drop's (decision 34)."""
        match verdict:
            case Keep():
                envelope.activity = verdict.activity
                envelope.effects += verdict.effects
                return
            case Drop():
                envelope.effects = verdict.effects
                envelope.verdict = verdict
                self._dropped += 1
            case Dead():
                envelope.effects = ()
                envelope.verdict = verdict
                self._dead += 1
            case _:
                return self.settle(envelope, self.failed(TypeError(f"no verdict: {verdict!r}")))
        envelope.stage = self.name


def passes_untouched(envelope: Envelope) -> bool:
    """Whether no step is to look at it: it has its verdict, only saves a state, or moves somebody in a scenario."""
    return envelope.verdict is not None or envelope.closed.source in (Source.STATE, Source.MOVE)


class StageActor(Counting):
    """Runs a step that waits for nothing.

    Args:
        name: of the step.
        step: called with every envelope that is still to be stored. What it raises makes that one a dead letter, and so
            does anything but a verdict.
        inbox, outbox: the chain before and behind; the end of the one is passed on to the other.
        merge: called with every envelope that has no activity and tells of a merge (decision 3).
        move: called with every envelope that moves somebody in a scenario (decision 31).
    """

    def __init__(
        self,
        name: str,
        step: Callable[[Envelope], Verdict | Awaitable[Verdict]],
        inbox: Inbox,
        outbox: Outbox,
        merge: Callable[[Envelope], None] | None = None,
        move: Callable[[Envelope], None] | None = None,
    ) -> None:
        super().__init__(name, inbox)
        self._step = step
        self._merge = merge
        self._move = move
        self._outbox = outbox
        self._hand: list[Envelope] = []
        self._done = 0  # How many of them have been through the step.

    async def run(self) -> None:
        """Work until the inbox ends. May be called again after it raised or was cancelled: nothing is lost."""
        while True:
            if not self._hand:
                try:
                    self._hand = await receive_lists(self._inbox)
                except trio.EndOfChannel:
                    self._outbox.close()
                    return
                self._received += len(self._hand)
            await self._work()
            await self._outbox.send(self._hand)
            self._sent += len(self._hand)
            self._hand, self._done = [], 0

    async def _work(self) -> None:
        while self._done < len(self._hand):
            for envelope in self._hand[self._done : self._done + ENVELOPES_PER_STEP]:
                self._done += 1
                self.look(envelope)
            if self._done < len(self._hand):
                await trio.lowlevel.checkpoint()

    async def again(self, envelope: Envelope) -> None:
        """`look`, beside what goes through the actor."""
        self.look(envelope)

    def look(self, envelope: Envelope) -> None:
        """Do with one envelope what this stage does."""
        if not passes_untouched(envelope):
            try:
                verdict = self._step(envelope)
            except Exception as error:
                verdict = self.failed(error)
            self.settle(envelope, verdict)
        elif self._merge is not None and envelope.verdict is None and envelope.closed.absorbed:
            try:
                self._merge(envelope)
            except Exception as error:  # The merge itself must go on: its record leaves the journal.
                self.failed(error)
        elif self._move is not None and envelope.verdict is None and envelope.closed.move is not None:
            self._move(envelope)
