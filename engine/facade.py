"""The running engine as a program sees it: take items in, read activities back, ask how it is."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import trio
from msgspec import Struct

from engine.actors.gather import Gathered, Gatherer, Listening
from engine.actors.intake import Intake
from engine.actors.plugin_desk import PluginDesk
from engine.actors.receipt import Idempotency, Original, Receipt
from engine.actors.recovery import Recovery
from engine.actors.router import Router
from engine.actors.scenario_clock import ScenarioClock
from engine.actors.user_actor import UserKey
from engine.applying import Applier
from engine.errors import Overloaded, SojournError, Unavailable
from engine.explain import Explainer
from engine.live import Definitions
from engine.lookups import Lookups
from engine.model.activity import public
from engine.model.wire import decode_fields
from engine.observe import Metrics
from engine.pipeline.create import create, session_snapshot
from engine.reader import STATISTICS, Reader
from engine.selector import Filters, ts_of
from engine.stored_query import QueryAnswer, answer

CLOSE_SLICE = 500
"""Requests to close in one transaction: a step of a few milliseconds, then others have their turn."""

RETRY_S = 0.05
"""Pause before work that the engine gave itself is tried again at a bound."""

CATCH_UP_S = 0.001
"""Between two looks at what is on its way: about a commit."""

TIMER_PASSES = 8
"""Passes of the loop in which a timer that is due has its sessions close: the reaper wakes, actors apply, the chain has
them. One that needs more is late by a step of the clock, nothing else."""

RECOVERY_WAIT_S = 10.0
"""How long a live read waits for recovery before it says that it cannot answer."""

STEPS = ("JS_TAG", "API", "DOCUMENT_IMPORT", "EVENT_RULES", "ACTIVITY_ANALYZER", "DOCUMENT_STORE")
"""The platform's monitored steps (mediarithmics 3.3): where events came in, which rules or analyzers worked on them,
and what was stored."""

READ_TRIES = 5
"""Reads of a user point whose sessions are being stored meanwhile; each is a few milliseconds."""


class Readiness(Struct, frozen=True):
    """Whether events are taken now, and if not, why; a reason beside `ready` is of something else that is wrong."""

    ready: bool
    reason: str | None = None


class Engine(Lookups):
    """What `open_engine()` gives. All methods belong to the Trio thread.

    Attributes:
        plugins: what analyzers that are programs of their own may ask for.
        reader: everything that is stored; its methods block, so call them in a thread.
        explainer: what becomes of an activity, and why; `explain(item)` is its `item`.
        accept_for: `accept_soon` for who listens by itself: one object less a request. Takes who listens, the item, its
            datamart and the step; raises as `accept_soon` does.
        drained: after the block: whether all that had closed was stored within the budgets of a stop. What was not is
            in the journal, and the next start goes on with it.
        new_admin_token: the admin token that this start made, or None: it is shown once, only its hash is kept.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        gatherer: Gatherer,
        router: Router,
        recovery: Recovery,
        definitions: Definitions,
        applier: Applier,
        scenarios: ScenarioClock,
        plugins: PluginDesk,
        reader: Reader,
        explainer: Explainer,
        gauges: Callable[[], Mapping[str, float]],
        read_threads: int,
    ) -> None:
        self._intake = intake
        self._gatherer = gatherer
        self._router = router
        self._recovery = recovery
        super().__init__(definitions, applier)
        self._scenarios = scenarios
        self._limiter = trio.CapacityLimiter(read_threads)
        self._metrics = Metrics(self._counters, gauges)
        self.plugins = plugins
        self.reader = reader
        self.explainer = explainer
        self.explain = explainer.item
        self.accept_for: Callable[[Listening, bytes, int, str], None] = gatherer.add_for
        self.drained = False
        self.new_admin_token = definitions.new_admin_token

    def accept(
        self,
        items: Sequence[bytes],
        *,
        datamart: int = 1,
        idempotency: Idempotency | None = None,
        process: bool = True,
        step: str = "API",
        originals: Sequence[Original] | None = None,
        only_channel: str = "",
    ) -> Receipt:
        """Take the good ones of these items, all or none. Synchronous: nothing else happens in between.

        Args:
            items: each the JSON of one activity.
            datamart: whose they are.
            idempotency: key and body digest of the request, if it has a key (decision 18).
            process: False skips the steps between create and store (decision 42).
            originals: what each item was made from, where nobody is there to be told: a refused item is then kept as a
                dead letter, once, and counts as dead instead of refused.
            step: the monitoring step they come in under: `API`, `JS_TAG` or `DOCUMENT_IMPORT`.
            only_channel: key of the one channel that the sender may send for; "" for all. Other items are refused.

        Returns:
            A receipt: what became of each item. They are safe only after `await receipt.durable()`.

        Raises:
            CallerError: the datamart is unknown, or the idempotency key was used with another body.
            Overloaded, HotUser, Unavailable, Closing, Broken: nothing was taken; all but the last: try again later.
        """
        self._gatherer.flush()
        return self._intake.accept(
            items,
            datamart=datamart,
            idempotency=idempotency,
            process=process,
            step=step,
            originals=originals,
            only_channel=only_channel,
        )

    def accept_soon(self, item: bytes, *, datamart: int = 1, step: str = "API") -> Gathered:
        """`accept` of one item at the end of this pass of the loop, together with those of others: the way for a server
        whose requests bring one item each, half as costly as one `accept` for each.

        Items that come in under one step are taken in the order of the calls, also beside those of `accept`. A sender
        above a bound is refused by itself.

        Args:
            item: the JSON of one activity.
            datamart: whose it is.
            step: as in `accept`.

        Returns:
            What tells when it is on disk, or why it is not: an error that `accept` would have raised comes there.

        Raises:
            Closing: the engine stops.
        """
        return self._gatherer.add(item, datamart=datamart, step=step)

    def gathering(self) -> AbstractContextManager[None]:
        """A block, without any await, at whose end is taken what `accept_soon` was given within it: for who knows when
        a pass ends. It costs less than to wait for it."""
        return self._gatherer

    def reject(
        self, payload: bytes, *, reason: str, stage: str, datamart: int = 1, event_id: str | None = None
    ) -> Receipt:
        """Keep an input that cannot be read as a dead letter; counted as received and dead.

        Args:
            payload: the input as it was.
            reason, stage: why, and who found out; both become labels.
            datamart: whose it is.
            event_id: an id of its own: the same one again is a duplicate.

        Raises:
            Overloaded, Unavailable, Closing, Broken: nothing was taken.
        """
        self._gatherer.flush()
        return self._intake.reject(payload, reason=reason, stage=stage, datamart=datamart, event_id=event_id)

    async def close_sessions(self, datamart: int = 1, user_point: str | None = None) -> int:
        """Close open sessions and live windows, whatever their age (decision 7d). Returns when the request is durable.

        What the last run left open is closed as well: this waits until it is open again.

        Args:
            datamart: whose they are.
            user_point: of this one alone, or of whom it has become; of all that are active when None.

        Returns:
            How many user points were asked.
        """
        await self._recovery.done.wait()
        self._gatherer.flush()
        if user_point is None:
            points = [point for mart, point in self._router.active() if mart == datamart]
        else:
            point = self._intake.survivor(datamart, UUID(user_point).bytes)
            points = [point] if self._router.visitor((datamart, point)) is not None else []
        receipt: Receipt | None = None
        for start in range(0, len(points), CLOSE_SLICE):
            while True:
                try:
                    receipt = self._intake.close_sessions(datamart, points[start : start + CLOSE_SLICE])
                    break
                except Overloaded:
                    await trio.sleep(RETRY_S)
            await receipt.durable()
        return len(points)

    async def enter_scenario(self, datamart: int, user_point: str, scenario: str) -> bool:
        """Have a person enter a scenario without an activity, as for a test. Returns when that is stored.

        Args:
            datamart, user_point: who; an alias stands for whom it has become.
            scenario: id of the automation.

        Returns:
            False where the automation is not active, or the person is inside already.
        """
        await self._recovery.done.wait()
        point = self._intake.survivor(datamart, UUID(user_point).bytes)
        return await self._scenarios.enter(datamart, point, scenario)

    def has_automations(self, datamart: int) -> bool:
        """Whether anybody may wait in a scenario of a datamart."""
        return bool(self._definitions.program_of(datamart).defined.automations)

    async def caught_up(self) -> None:
        """Return when what had closed is stored, and everybody whose wait is over by the engine's clock has moved on.

        For who moves that clock: it should not be ahead of what happened by it.
        """
        await self._recovery.done.wait()
        for _ in range(TIMER_PASSES):
            await trio.lowlevel.checkpoint()
        while self._router.unstored:  # noqa: ASYNC110 - it goes down with each commit, and up meanwhile
            await trio.sleep(CATCH_UP_S)
        await self._scenarios.at_rest()

    def knows_segment(self, datamart: int, name: str) -> bool:
        """Whether a datamart has a segment of this technical name, or with this id."""
        segments = self._definitions.program_of(datamart).defined.segments
        return any(name in (one.technical_name, one.id) for one in segments)

    async def activities(
        self,
        datamart: int,
        user_point: str,
        *,
        filters: Filters | None = None,
        live: bool = False,
        limit: int = 50,
        before_ms: int | None = None,
    ) -> list[bytes]:
        """The activities of a user point, newest first, as public JSON (decision 38).

        Args:
            datamart, user_point: whose; an alias shows those of whom it became.
            filters: which of them; all when None.
            live: also what is not stored yet: open sessions as `SESSION_SNAPSHOT` (decision 11), and what has closed
                and is on its way to the store. Waits until what the last run left is open again.
            limit: at most so many.
            before_ms: only those with `$ts` before this, ms since the epoch.

        Raises:
            Unavailable: open sessions are asked for, and the journal is not read yet.
        """
        wanted = filters or Filters()

        def read() -> list[bytes]:
            return self.reader.activities(datamart, user_point, filters=wanted, limit=limit, before_ms=before_ms)

        if not live:
            return await trio.to_thread.run_sync(read, limiter=self._limiter)
        await self._wait_for_open_sessions()
        for _ in range(READ_TRIES):
            before = self._held(datamart, user_point)
            stored = await trio.to_thread.run_sync(read, limiter=self._limiter)
            if before <= self._held(datamart, user_point):
                break  # Nothing went from memory to the store meanwhile, so nothing can be in neither.
        known = {_identity(shown) for shown in stored}
        unstored = [
            shown
            for shown in self.live_activities(datamart, user_point)
            if _identity(shown) not in known and wanted.match(shown) and (before_ms is None or ts_of(shown) < before_ms)
        ]
        return sorted([*unstored, *stored], key=ts_of, reverse=True)[:limit]

    async def query(self, query: str | Mapping[str, Any], *, datamart: int = 1, limit: int = 1000) -> QueryAnswer:
        """What a query finds in all that is stored, the newest activities first (decision 30).

        Args:
            query: OTQL or JSON_OTQL, or `@name` of a query that the datamart declares.
            datamart: whose activities; its schema is what the query may speak of.
            limit: rows at most; `reader.query` streams any number of them.

        Raises:
            QueryError: the query cannot be read, or not be asked.
        """
        return await answer(self.reader.query(datamart, query), limit=limit, limiter=self._limiter)

    def live_activities(self, datamart: int, user_point: str) -> list[bytes]:
        """What is not stored yet, as public JSON: what has closed and is on its way, then what is open, as it is."""
        compartment = self._definitions.default_compartment(datamart)
        found: list[bytes] = []
        for key in self._keys(datamart, user_point):
            found += [
                (envelope.activity or create(envelope.closed, compartment)).encode()
                for envelope in self._router.leaving(key)
                if envelope.verdict is None and envelope.closed.members
            ]
            visitor = self._router.visitor(key)
            if visitor is not None:
                found += [session_snapshot(closed, compartment).encode() for closed in visitor.snapshots()]
        return [public(stored) for stored in found]

    def _keys(self, datamart: int, user_point: str) -> list[UserKey]:
        point = UUID(user_point).bytes
        members = {self._intake.survivor(datamart, point), *self.reader.family(datamart, user_point)}
        return [(datamart, member) for member in sorted(members)]

    def _held(self, datamart: int, user_point: str) -> set[int]:
        """Sequences of all that memory holds of a user point."""
        found: set[int] = set()
        for key in self._keys(datamart, user_point):
            visitor = self._router.visitor(key)
            parts = [envelope.closed for envelope in self._router.leaving(key)]
            for closed in (*parts, *(visitor.snapshots() if visitor is not None else ())):
                found.update(closed.sequences)
        return found

    async def _wait_for_open_sessions(self) -> None:
        with trio.move_on_after(RECOVERY_WAIT_S):
            await self._recovery.done.wait()
            return
        raise Unavailable("the engine is still reading its journal: open sessions cannot be shown", retry_after_s=5)

    def readiness(self) -> Readiness:
        """Whether events are taken now."""
        try:
            self._intake.check()
        except SojournError as error:
            return Readiness(False, str(error))
        aside = sum(map(len, self._definitions.holding.aside.values()))
        return Readiness(True, f"{aside} definitions are set aside: the log tells which" if aside else None)

    @property
    def recovered(self) -> bool:
        """Whether what the last run left open is open again; until then events are journaled and wait."""
        return self._recovery.statistics.finished

    async def wait_recovered(self) -> None:
        """Return when what the last run left open is open again."""
        await self._recovery.done.wait()

    def _counters(self) -> Mapping[int, Mapping[str, int]]:
        """All counters; those of the statistics stand at 0 before the first event, for whoever draws rates."""
        counted = self.reader.counters()
        zeros = dict.fromkeys((*STATISTICS, *(f"events_step.{step}" for step in STEPS)), 0)
        known = {one.id for one in self._definitions.registry.datamarts()} | counted.keys()
        found = {datamart: {**zeros, **counted.get(datamart, {})} for datamart in known}
        for counts in found.values():
            counts["events_step.DOCUMENT_STORE"] = counts["events_stored"]
        return found

    def metrics(self) -> bytes:
        """All metrics in Prometheus' text format. Reads counters from the store: call it in a thread or rarely."""
        return self._metrics.text()


def _identity(shown: bytes) -> tuple[bytes, bytes]:
    fields = decode_fields(shown)
    return bytes(fields["$ts"]), bytes(fields["$unique_key"])
