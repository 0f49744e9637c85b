"""The one place that reads time.

Two times run through the engine. *Engine time* (`now_ms`) is what sessions live by: it stamps arrivals and makes
timers fire. In service it is the wall clock; in a replay it is the clock of the log, which the replay moves. *Wall
time* (`wall_ms`) is always the wall: what is kept for so and so many days, such as seen keys and expired activities,
goes by it, or replaying an old log would erase what it has just stored.

Both are milliseconds since the epoch. Neither is monotonic: whoever needs "never backwards" takes a maximum, as
arrival times do (decision 7).
"""

import heapq
import time
from itertools import count
from typing import Final, Protocol

import trio

WALL_CHECK_MS: Final = 1000
"""Longest nap before the wall clock is read again: what a clock jump can delay, and a timer's resolution anyway."""


class Clock(Protocol):
    """Tells the time and waits for it."""

    def now_ms(self) -> int:
        """Engine time, ms since the epoch."""
        ...

    def wall_ms(self) -> int:
        """Wall time, ms since the epoch."""
        ...

    async def sleep_until_ms(self, due_ms: int) -> None:
        """Return when `now_ms() >= due_ms`; at once, but for a checkpoint, when it is already so."""
        ...


def _read_wall_ms() -> int:
    return time.time_ns() // 1_000_000


class SystemClock:
    """Engine time is the wall clock."""

    def now_ms(self) -> int:
        return _read_wall_ms()

    def wall_ms(self) -> int:
        return _read_wall_ms()

    async def sleep_until_ms(self, due_ms: int) -> None:
        # Trio sleeps by a monotonic clock. One long sleep would miss a correction of the wall clock by as much.
        await trio.lowlevel.checkpoint()
        while (left_ms := due_ms - self.now_ms()) > 0:  # noqa: ASYNC110 - nobody can announce that time has passed
            await trio.sleep(min(left_ms, WALL_CHECK_MS) / 1000)


class EventClock:
    """Engine time is what `advance` was last told: the clock of a log that is being replayed.

    Args:
        start_ms: the time before the first `advance`, ms since the epoch.
    """

    __slots__ = ("_now_ms", "_order", "_sleepers")

    def __init__(self, start_ms: int = 0) -> None:
        self._now_ms = start_ms
        self._order = count()  # Events do not compare: it decides between equal times.
        self._sleepers: list[tuple[int, int, trio.Event]] = []

    def now_ms(self) -> int:
        return self._now_ms

    def wall_ms(self) -> int:
        return _read_wall_ms()

    def advance(self, now_ms: int) -> None:
        """Move the clock to `now_ms` and wake who waited for it. A time already passed moves nothing."""
        if now_ms <= self._now_ms:
            return
        self._now_ms = now_ms
        while self._sleepers and self._sleepers[0][0] <= now_ms:
            heapq.heappop(self._sleepers)[2].set()

    async def sleep_until_ms(self, due_ms: int) -> None:
        if due_ms <= self._now_ms:
            await trio.lowlevel.checkpoint()
            return
        woken = trio.Event()
        sleeper = (due_ms, next(self._order), woken)
        heapq.heappush(self._sleepers, sleeper)
        try:
            await woken.wait()
        finally:
            if not woken.is_set():  # Cancelled. There are a handful of sleepers: finding this one costs nothing.
                self._sleepers.remove(sleeper)
                heapq.heapify(self._sleepers)
