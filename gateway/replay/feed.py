"""One line after the other into the engine, in the log's own time, as fast as the engine takes them.

The clock goes first, then the line: what falls due before it is due when it arrives. Nothing is lost on the way. Where
the engine refuses because a bound is reached, the same line is tried again; where it refuses the line for good, the
line becomes a dead letter. What an interruption leaves out is what comes behind the last line that was taken: its
records are written in the order of the lines.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import trio

from engine import Engine, EventClock, Idempotency, Original, Overloaded, Receipt, SojournError, Unavailable

STAGE: Final = "replay"
STEP: Final = "DOCUMENT_IMPORT"
UNREADABLE_LINE: Final = "unreadable_line"
LINE_TOO_LONG: Final = "line_too_long"
NO_EVENT_TIME: Final = "no_event_time"

SYNC_EVERY: Final = 256
"""Lines between two looks at the disk. The writer is then at most two such groups behind."""

YIELD_EVERY: Final = 32
"""Lines between two checkpoints: half of a user's mailbox, which the same user's lines would otherwise fill."""

STEP_MS: Final = 1000
"""Of the log's time: how far the clock may be ahead of scenarios. A timer's resolution in service, too."""

PATIENCE_S: Final = 60.0
"""How long one line is tried again. Who waits for a bound that only later lines would lift waits for ever."""

_FIRST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.25


class ReplayStalled(SojournError):
    """The engine took no line for `PATIENCE_S`; everything before it is kept, and a repeated replay goes on there."""

    code = "replay_stalled"


@dataclass
class Counts:
    """What became of the lines of this replay.

    Attributes:
        lines: all that were read, blank ones too.
        events: accepted.
        duplicates: known from before, with the lines refused before.
        left_out: by reason (static, crawler).
        refused: kept as dead letters, by reason.
        users: user points that events were accepted for.
        is_behind: an event was accepted while the log's clock was behind what the store had already.
    """

    lines: int = 0
    events: int = 0
    duplicates: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    users: set[str] = field(default_factory=set)
    is_behind: bool = False


class Feeder:
    """Gives items to the engine and counts what becomes of them.

    Args:
        engine: running on `clock`.
        clock: engine time.
        datamart: whose the items are.
        max_future_ms: how far ahead of the wall clock the log may move it (decision 9). A line that is from later
            still has a broken time: it is refused, and does not take everybody else's time with it.
        last_arrival_ms: arrival of the store's newest record. No arrival is before it, whatever the log's clock says.
    """

    def __init__(
        self, engine: Engine, clock: EventClock, *, datamart: int, max_future_ms: int, last_arrival_ms: int = 0
    ) -> None:
        self.counts = Counts()
        self._engine = engine
        self._clock = clock
        self._datamart = datamart
        self._max_future_ms = max_future_ms
        self._last_arrival_ms = last_arrival_ms
        self._begun = False
        self._caught_up_ms = 0
        self._submitted = 0
        self._newest: Receipt | None = None
        self._older: Receipt | None = None

    async def send(self, item: bytes, *, ts_ms: int | None, line: bytes, line_id: str, has_events: bool = True) -> None:
        """Send one activity.

        Args:
            item: its JSON. Its events have ids.
            ts_ms: where it moves the clock to; None when it names no time, which is then the clock's.
            line: what to keep if it is refused.
            line_id: id of the line: by it the dead letter, and an item without events, is known again.
            has_events: see `line_id`.

        Raises:
            ReplayStalled, Closing, Broken: see there.
        """
        if ts_ms is not None and ts_ms <= self._clock.wall_ms() + self._max_future_ms:
            await self._advance(ts_ms)
            self._begun = True
        elif ts_ms is None and not self._begun:
            # The clock stands at 1970, and nobody has been there.
            await self.refuse(line, reason=NO_EVENT_TIME, line_id=line_id)
            return
        known_by = None if has_events else Idempotency(f"{STAGE}:{line_id}", sha256(item).digest())
        originals = [Original(line, STAGE, line_id)]
        receipt = await self._submit(
            lambda: self._engine.accept(
                [item], datamart=self._datamart, idempotency=known_by, step=STEP, originals=originals
            )
        )
        (result,) = receipt.results
        if result.status == "accepted":
            self.counts.events += result.events
            # Not with duplicates: a repeated replay begins behind what it stored.
            self.counts.is_behind |= self._clock.now_ms() < self._last_arrival_ms
            if result.user_point is not None:
                self.counts.users.add(result.user_point)
        elif result.status == "duplicate":
            self.counts.duplicates += result.events
        else:
            self.counts.refused[result.error.code if result.error else "refused"] += 1

    async def _advance(self, ts_ms: int) -> None:
        """Move the clock; where people wait in scenarios, not before all has happened that was due by then."""
        if ts_ms >= self._caught_up_ms + STEP_MS and self._engine.has_automations(self._datamart):
            self._clock.advance(ts_ms)
            # A store that is full holds all of it up; the line itself then says so.
            with trio.move_on_after(PATIENCE_S):
                await self._engine.caught_up()
            self._caught_up_ms = ts_ms
        self._clock.advance(ts_ms)

    async def refuse(self, line: bytes, *, reason: str, line_id: str) -> None:
        """Keep a line as a dead letter, once.

        Raises:
            ReplayStalled, Closing, Broken: see there.
        """
        receipt = await self._submit(
            lambda: self._engine.reject(line, reason=reason, stage=STAGE, datamart=self._datamart, event_id=line_id)
        )
        if receipt.results[0].status == "duplicate":
            self.counts.duplicates += 1
        else:
            self.counts.refused[reason] += 1

    async def settle(self) -> None:
        """Return when everything sent is on disk.

        Raises:
            Unavailable: the store is full, and what was sent last may not be stored.
        """
        if self._newest is not None:
            await self._newest.durable()

    async def _submit(self, call: Callable[[], Receipt]) -> Receipt:
        receipt = await self._take(call)
        self._newest = receipt
        self._submitted += 1
        if self._submitted % SYNC_EVERY == 0:
            await self._sync()
        elif self._submitted % YIELD_EVERY == 0:
            await trio.lowlevel.checkpoint()
        return receipt

    async def _take(self, call: Callable[[], Receipt]) -> Receipt:
        give_up_at = trio.current_time() + PATIENCE_S
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return call()
            except (Overloaded, Unavailable) as error:
                if trio.current_time() >= give_up_at:
                    raise ReplayStalled(f"the engine has taken no line for {PATIENCE_S:.0f} s: {error}") from error
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _sync(self) -> None:
        """Wait for the group before this one, so that the disk and the parser work at the same time."""
        older, self._older = self._older, self._newest
        if older is not None:
            # Unavailable: the writer tries the same batch until there is room, and takes nothing new before. The next
            # line hears it, and waits.
            with suppress(Unavailable):
                await older.durable()
        await trio.lowlevel.checkpoint()
