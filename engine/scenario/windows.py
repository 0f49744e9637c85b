"""When a wait may end: at some days of the week, between two times of day, by the clock on somebody's wall.

What counts is what that clock shows. A time that it skips in spring does not come; one that it shows twice in autumn
comes twice. A window that ends before it begins goes over midnight and belongs to the day on which it began: Friday
22:00 to 06:00 holds on Saturday at 05:00.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

MAX_DAYS: Final = 22
"""Days that are looked at. A day of the week is a week away; that it, or its hour, is skipped can happen twice."""

_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000


class Windows(Struct, frozen=True):
    """The times at which something may happen.

    Attributes:
        zone: whose clock.
        days: of the week, Monday is 0; empty for all of them.
        start_ms, end_ms: since midnight, the end exclusive; equal ones are the whole day.
    """

    zone: ZoneInfo
    days: frozenset[int] = frozenset()
    start_ms: int = 0
    end_ms: int = 0

    def hold(self, at_ms: int) -> bool:
        """Whether this is such a time."""
        shown = _shown(at_ms, self.zone)
        since_ms = _since_midnight(shown)
        day = shown.weekday()
        if self.start_ms < self.end_ms:
            inside = self.start_ms <= since_ms < self.end_ms
        elif self.start_ms > self.end_ms and since_ms < self.end_ms:
            inside, day = True, (day - 1) % 7
        else:
            inside = since_ms >= self.start_ms or self.start_ms == self.end_ms
        return inside and (not self.days or day in self.days)

    def first(self, from_ms: int) -> int:
        """The first such time at or after this one, ms since the epoch."""
        if self.hold(from_ms):
            return from_ms
        # It is not one of them, so the next begins where the clock shows the start, or where it jumps.
        for day in _days(_shown(from_ms, self.zone).date()):
            for at_ms in self._beginnings(day):
                if at_ms >= from_ms and self.hold(at_ms):
                    return at_ms
        return from_ms  # No calendar is like this; rather at a wrong time than never.

    def _beginnings(self, day: date) -> list[int]:
        start = _wall(day, self.start_ms)
        midnight = _wall(day, 0)
        found = {_ms(one.replace(tzinfo=self.zone, fold=fold)) for one in (start, midnight) for fold in (0, 1)}
        found.update(_jumps(day, self.zone))
        return sorted(found)


def _days(first: date) -> Iterator[date]:
    # Times of one day may lie in the next one by another clock, never further.
    return (first + timedelta(days=number) for number in range(-1, MAX_DAYS))


def _jumps(day: date, zone: ZoneInfo) -> list[int]:
    """When the clock jumps during a day: nearly never, and then once."""
    begin_ms = _ms(_wall(day, 0).replace(tzinfo=zone))
    end_ms = begin_ms + _DAY_MS
    if _offset(begin_ms, zone) == _offset(end_ms, zone):
        return []
    while end_ms - begin_ms > 1:
        middle_ms = (begin_ms + end_ms) // 2
        if _offset(middle_ms, zone) == _offset(end_ms, zone):
            end_ms = middle_ms
        else:
            begin_ms = middle_ms
    return [end_ms]


def _wall(day: date, since_ms: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(milliseconds=since_ms)


def _shown(at_ms: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)


def _offset(at_ms: int, zone: ZoneInfo) -> timedelta | None:
    return _shown(at_ms, zone).utcoffset()


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS


def _since_midnight(at: datetime) -> int:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond) // _MS
