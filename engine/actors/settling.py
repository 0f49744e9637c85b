"""What is to be told when envelopes are settled: the router and the intake, and whoever waits for a stored activity."""

from collections.abc import Callable, Sequence

import trio

from engine.actors.facts import Facts
from engine.actors.intake import Intake
from engine.actors.outbox.service import Outbox
from engine.actors.router import Router
from engine.actors.scenario_clock import ScenarioClock
from engine.model.record import record_size_bytes
from engine.pipeline.stage import Envelope


class Settling:
    """Books what left the journal.

    Args:
        in_journal: whether a sequence is still there; a point read.
        facts: what envelopes on their way change; None for nothing.
        outbox: sends what they ask for; None where nobody does.
    """

    def __init__(
        self, in_journal: Callable[[int], bool], facts: Facts | None = None, outbox: Outbox | None = None
    ) -> None:
        self._in_journal = in_journal
        self._facts = facts
        self._outbox = outbox
        self._router: Router | None = None
        self._intake: Intake | None = None
        self._scenarios: ScenarioClock | None = None
        self._news = trio.Event()

    def follow(self, router: Router, intake: Intake, scenarios: ScenarioClock | None = None) -> None:
        """Whose numbers go down, and who hears of timers. Called once: they are built behind the chain."""
        self._router, self._intake, self._scenarios = router, intake, scenarios

    def settled(self, envelopes: Sequence[Envelope]) -> None:
        """These envelopes were committed, in one transaction."""
        if self._facts is not None:
            self._facts.settled(envelopes)
        if self._outbox is not None:
            self._outbox.settled(envelopes)
        if self._router is not None and self._intake is not None:
            self._router.settled(envelopes)
            self._intake.journal_bytes -= sum(
                record_size_bytes(member) for envelope in envelopes for member in envelope.closed.members
            )
        if self._scenarios is not None:
            self._scenarios.settled(envelopes)
        self._news.set()
        self._news = trio.Event()

    async def wait(self, sequences: tuple[int, ...]) -> None:
        """Return when none of these durable records is in the journal any more."""
        left = list(sequences)
        while left := [sequence for sequence in left if self._in_journal(sequence)]:
            await self._news.wait()
        await trio.lowlevel.checkpoint()
