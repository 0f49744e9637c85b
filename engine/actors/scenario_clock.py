"""The one task that has waiting scenarios go on (decision 31).

Who waits in a scenario is a row of TIMERS, not a task: a million of them cost no memory and outlive a restart. This
task looks at the first rows. Where one is due it sends an envelope into the chain, as if it had left a visitor: the
move is in line with the person's activities, sees what is ahead of it, and is committed, with the next timer, by the
store actor. As moves settle it looks at further rows, so somebody whose move has to wait, behind an analyzer that is
slow, holds up nobody else's. What is in flight is bounded, and a crash at any moment leaves a row or its move, never
both and never neither.

    rows   paused paused due due due due later …
                         └ `_after`       └ sleep until this is due, or an earlier one is set

Rows of automations that stand still are passed over and stay: `_after` is behind them. When definitions change, all is
looked at from the start again. Reading is bounded and inline: a slice is a page of small rows at the front of their
database (some 50 µs) and, of each that is due, two point reads.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio
from msgspec import Struct

from engine.clock import Clock
from engine.model.fact import FactKind
from engine.model.scenarios import Cause, decode_scenarios
from engine.pipeline.stage import Envelope, Program, SetTimer
from engine.session.closed import Closed, Move, Source
from engine.store.keys import TimerKey, activity_key, fact_key, split_timer_key, timer_key
from engine.store.layout import activity_expires_ms, activity_value, follow
from engine.store.port import Db, Store

SLICE: Final = 200
"""Most moves in flight: one commit's worth, some 10 ms of the chain. What senders send goes in between."""

DEFINITIONS_S: Final = 1.0
"""How often it is asked whether definitions have changed, where that matters: as late as a timer may be."""


class ClockStatistics(Struct, frozen=True):
    """How far the moves are.

    Attributes:
        in_flight, max_in_flight: moves in the chain, and the bound.
        lag_ms: how long the first of them, or the next one, has been due; 0 when none is.
        moved: moves settled since the start.
        passed_over: rows that stand still since the last look from the start: paused, or set aside.
    """

    in_flight: int
    max_in_flight: int
    lag_ms: int
    moved: int
    passed_over: int


class ScenarioClock:
    """Sends due moves into the chain. All of it belongs to the Trio thread.

    Args:
        store: where the timers are.
        clock: engine time: timers and activities go by the same one. Under a replay it is the log's clock; who still
            waits when the log is over goes on at the next start in service, by the wall clock.
        program_of: the steps of a datamart as they are defined now.
        hand_over: sends envelopes into the chain; waits while the chain is full.
        room: awaited before each slice: timers can wait for the chain, senders cannot.
        is_set_aside: whether an automation of a datamart is kept and cannot be used at the moment: it is not gone.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        program_of: Callable[[int], Program],
        hand_over: Callable[[list[Envelope]], Awaitable[None]],
        room: Callable[[], Awaitable[None]],
        is_set_aside: Callable[[int, str], bool] = lambda datamart, scenario: False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._program_of = program_of
        self._hand_over = hand_over
        self._room = room
        self._is_set_aside = is_set_aside
        self._after: bytes | None = None  # All rows up to here stand still, are in flight, or are looked at anew.
        # By datamart, the definitions by which rows up to there were looked at, and which automations stand still.
        self._looked: dict[int, tuple[Program, dict[str, bool]]] = {}
        self._passed_over = 0
        # Moves on their way, and their rows, which are there until then: nobody is sent twice for one of them.
        self._in_flight: dict[int, Envelope] = {}
        self._rows: set[TimerKey] = set()
        self._anew: set[TimerKey] = set()  # Of those, the ones to be looked at once more when their move has settled.
        self._freed = trio.Event()  # Some have settled since the last look.
        self._entering: dict[int, trio.Event] = {}
        self._next_ms: int | None = None
        self._nap: trio.CancelScope | None = None
        self._asking = trio.lowlevel.ParkingLot()  # Who waits for a look that finds nobody due.
        self._moved = 0

    async def run(self) -> None:
        """Work until cancelled. May be called again after it raised: it looks at everything anew."""
        self._looked.clear()
        self._after = None
        # Whether these have come to the chain nobody knows. A move that is sent twice moves nobody twice.
        self._in_flight.clear()
        self._rows.clear()
        self._anew.clear()
        while True:
            while len(self._in_flight) >= SLICE:
                self._freed = trio.Event()
                await self._freed.wait()
            await self._room()
            due = self._due()
            if due:
                await self._move(due)
            elif self._next_ms is not None and self._next_ms <= self._clock.now_ms():
                await trio.lowlevel.checkpoint()  # A page of rows that stand still; the next one behind it.
            else:
                if not self._in_flight:
                    self._asking.unpark_all()
                await self._sleep()

    async def at_rest(self) -> None:
        """Return after a look that has found nobody who is due, with nobody on the way; what was due is stored then."""
        if self._nap is not None:
            self._nap.cancel(reason="somebody asks")
        await self._asking.park()

    async def enter(self, datamart: int, user_point: bytes, scenario: str) -> bool:
        """Have a person enter a scenario, as an operator may; whether that was possible.

        Args:
            datamart, user_point: who; no alias.
            scenario: id of the automation. One that is not active lets nobody in; nor does it who is inside.
        """
        closed = Closed(Source.MOVE, datamart, user_point, (), saves_state=False, move=Move(scenario, None))
        envelope = Envelope(closed)
        settled = self._entering[id(envelope)] = trio.Event()
        try:
            await self._hand_over([envelope])
            await settled.wait()
        finally:
            self._entering.pop(id(envelope), None)
        return envelope.verdict is None and bool(envelope.effects)

    def settled(self, envelopes: Sequence[Envelope]) -> None:
        """These envelopes of the chain were committed, with the timers that their effects set."""
        for envelope in envelopes:
            for effect in envelope.effects:
                if isinstance(effect, SetTimer) and effect.due_ms is not None:
                    self._set(effect, effect.due_ms)
            if envelope.closed.move is None:
                continue
            if self._in_flight.pop(id(envelope), None) is not None:
                self._moved += 1
                self._freed.set()
                self._came_back(_row(envelope.closed, envelope.closed.move))
                if self._asking and not self._in_flight and self._nap is not None:
                    self._nap.cancel(reason="all have moved, and somebody asks")
            elif id(envelope) in self._entering:
                self._entering[id(envelope)].set()

    def statistics(self) -> ClockStatistics:
        """Counts for the metrics."""
        dues = [envelope.closed.move.due_ms for envelope in self._in_flight.values() if envelope.closed.move]
        first_ms = min((due_ms for due_ms in (*dues, self._next_ms) if due_ms is not None), default=None)
        return ClockStatistics(
            in_flight=len(self._in_flight),
            max_in_flight=SLICE,
            lag_ms=max(0, self._clock.now_ms() - first_ms) if first_ms is not None else 0,
            moved=self._moved,
            passed_over=self._passed_over,
        )

    def _set(self, timer: SetTimer, due_ms: int) -> None:
        row = TimerKey(due_ms, timer.datamart, timer.user_point, timer.scenario)
        if row in self._rows:
            self._anew.add(row)
        else:
            self._look_at(row)

    def _came_back(self, row: TimerKey) -> None:
        self._rows.discard(row)
        if row in self._anew:
            self._anew.remove(row)
            self._look_at(row)

    def _look_at(self, row: TimerKey) -> None:
        if self._after is not None:
            key = timer_key(*row)
            if key <= self._after:
                self._after = key[:-1]  # Before this key and behind all smaller ones that do not begin like it.
        if self._next_ms is None or row.due_ms < self._next_ms:
            self._next_ms = row.due_ms
            if self._nap is not None:
                self._nap.cancel(reason="somebody is due earlier")

    def _due(self) -> list[TimerKey]:
        """The next rows that are due, of one page, as many as there is room for; whether more are, or when, is in
        `_next_ms`."""
        if any(self._program_of(datamart) is not program for datamart, (program, _) in self._looked.items()):
            self._looked.clear()
            self._after, self._passed_over = None, 0
            self._anew.update(self._rows)  # Their moves may know the older definitions only.
        now_ms = self._clock.now_ms()
        due: list[TimerKey] = []
        rows = self._store.page(Db.TIMERS, after=self._after, limit=SLICE)
        self._next_ms = None
        for key, _ in rows:
            timer = split_timer_key(key)
            self._next_ms = timer.due_ms
            if timer.due_ms > now_ms or len(due) + len(self._in_flight) >= SLICE:
                return due
            self._after = key
            if timer in self._rows:
                continue
            if self._stands(timer):
                self._passed_over += 1
            else:
                due.append(timer)
        if len(rows) < SLICE:
            self._next_ms = None
        return due

    def _stands(self, timer: TimerKey) -> bool:
        """Whether nobody moves in its automation now: it is not active, or set aside. When it is gone, people leave."""
        if timer.datamart not in self._looked:
            program = self._program_of(timer.datamart)
            automations = program.defined.automations
            self._looked[timer.datamart] = program, {one.id: one.status != "ACTIVE" for one in automations}
        _, stands = self._looked[timer.datamart]
        if timer.scenario not in stands:
            stands[timer.scenario] = self._is_set_aside(timer.datamart, timer.scenario)
        return stands[timer.scenario]

    async def _move(self, due: Sequence[TimerKey]) -> None:
        envelopes = [self._envelope(timer) for timer in due]
        self._in_flight.update({id(envelope): envelope for envelope in envelopes})
        self._rows.update(due)
        await self._hand_over(envelopes)

    def _envelope(self, timer: TimerKey) -> Envelope:
        execution, activity = self._led_in(timer)
        move = Move(timer.scenario, timer.due_ms, execution, activity)
        return Envelope(Closed(Source.MOVE, timer.datamart, timer.user_point, (), saves_state=False, move=move))

    def _led_in(self, timer: TimerKey) -> tuple[bytes, bytes | None]:
        """The passage that a timer is of, and the activity that led into it, where both can still be read."""
        try:
            stored = self._store.get(Db.FACTS, fact_key(timer.datamart, timer.user_point, FactKind.SCENARIOS))
            inside = decode_scenarios(stored).get(timer.scenario)
            if inside is None or inside.cause is None:
                return b"", None
            return inside.execution, self._activity(timer.datamart, inside.cause)
        except ValueError:  # Damaged: who is to be moved finds out, and says so.
            return b"", None

    def _activity(self, datamart: int, cause: Cause) -> bytes | None:
        survivor, _ = follow(self._store.get, datamart, cause.user_point)
        # It may have been on its way when its user point was absorbed, and lies under the survivor's key then.
        for point in dict.fromkeys((cause.user_point, survivor)):
            stored = self._store.get(Db.ACTIVITIES, activity_key(datamart, point, cause.ts_ms, cause.unique_key))
            if stored is not None:
                expires_ms = activity_expires_ms(stored)
                gone = expires_ms is not None and expires_ms <= self._clock.wall_ms()
                return None if gone else activity_value(stored)
        return None

    async def _sleep(self) -> None:
        """Until somebody is due. Nothing can be set between the look at the rows and falling asleep: no await."""
        deadline = trio.current_time() + DEFINITIONS_S if self._looked else float("inf")
        with trio.CancelScope(deadline=deadline) as self._nap:
            try:
                if self._next_ms is None:
                    await trio.sleep_forever()
                else:
                    await self._clock.sleep_until_ms(self._next_ms)
            finally:
                self._nap = None


def _row(closed: Closed, move: Move) -> TimerKey:
    """The row that a move is of; of one that lets somebody in, none that there is."""
    return TimerKey(move.due_ms or 0, closed.datamart, closed.user_point, move.scenario)


def after(recovered: trio.Event, clock: ScenarioClock) -> Callable[[], Awaitable[None]]:
    """What runs the clock as soon as recovery is over: what was accepted before that goes first."""
    return partial(_after, recovered, clock)


async def _after(recovered: trio.Event, clock: ScenarioClock) -> None:
    await recovered.wait()
    await clock.run()
