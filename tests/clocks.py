"""A clock for tests: engine time that follows Trio's, so that `MockClock` drives the engine too."""

from typing import Final

import trio

START_MS: Final = 1_700_000_000_000
"""Engine time at which tests start, unless they say otherwise: 14 November 2023, on a whole second."""


class TrioClock:
    """Engine and wall time are `start_ms` plus the Trio time gone by since the clock was first looked at.

    Args:
        start_ms: the time of that first look, ms since the epoch.
    """

    def __init__(self, start_ms: int = START_MS) -> None:
        self._start_ms = start_ms
        self._origin_s: float | None = None  # Trio's time exists only inside `trio.run`; fixtures are built outside.

    def now_ms(self) -> int:
        # Rounded before it is cut, so that a deadline of 0.3 s is not 299 ms.
        return self._start_ms + int(round((trio.current_time() - self._origin()) * 1000, 3))

    def wall_ms(self) -> int:
        try:
            return self.now_ms()
        except RuntimeError:  # Readers ask in a thread, where there is no Trio time.
            return trio.from_thread.run_sync(self.now_ms)

    async def sleep_until_ms(self, due_ms: int) -> None:
        await trio.sleep_until(self._origin() + (due_ms - self._start_ms) / 1000)

    def _origin(self) -> float:
        if self._origin_s is None:
            self._origin_s = trio.current_time()
        return self._origin_s
