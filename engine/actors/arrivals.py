"""Engine time as the journal sees it: it never goes backwards (decision 7)."""

from engine.clock import Clock


class ArrivalClock:
    """A clock under which nobody hears an earlier time than anybody has heard before.

    Arrivals and timers go by the same one. Else a timer could close a session at a time which, after a jump of the
    wall clock, lies ahead of the next record's arrival, and a replay would see that record join it (decision 8).

    Args:
        clock: engine time, which may jump back.
        start_ms: the last arrival that the journal knows.
    """

    __slots__ = ("_clock", "_latest_ms")

    def __init__(self, clock: Clock, start_ms: int) -> None:
        self._clock = clock
        self._latest_ms = start_ms

    def now_ms(self) -> int:
        """The latest of all times so far."""
        self._latest_ms = max(self._latest_ms, self._clock.now_ms())
        return self._latest_ms

    def wall_ms(self) -> int:
        """The wall clock, which may jump."""
        return self._clock.wall_ms()

    async def sleep_until_ms(self, due_ms: int) -> None:
        """As `Clock.sleep_until_ms`."""
        await self._clock.sleep_until_ms(due_ms if due_ms > self._latest_ms else 0)
