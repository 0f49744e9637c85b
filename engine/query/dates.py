"""Times in queries: dates, moments, and relative ones such as `now-7d/d`, all UTC (mediarithmics 7.5).

A time stands for a span: `2024-03-01` for a day, `now-7d/d` for the day seven days ago, `2024-03-01T10:00:00Z` for one
millisecond. `=` asks whether something lies in the span, `<` before it, `>` behind it, `<=` and `>=` also in it. So
`date = "now-7d/d"` means that day, and `date >= "now-7d/d"` from its beginning on.

The calendar is arithmetic on whole numbers: no year is too far away.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

DAY_MS: Final = 86_400_000
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "H": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
UNITS: Final = "s, m, h, d, w, M or y"
_STEP: Final = re.compile(r"([+-])([0-9]{1,9})([smhHdwMy])|/([smhHdwMy])")
_NOW: Final = re.compile(r"now((?:[+-][0-9]{1,9}[smhHdwMy]|/[smhHdwMy]){0,20})", re.ASCII)
_DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?", re.ASCII)
_DIGITS: Final = re.compile(r"-?[0-9]{5,18}", re.ASCII)
MAX_TIME_CHARS: Final = 64

Span = tuple[int, int]
"""First and last millisecond since the epoch."""


def span_of(text: str) -> Span | Callable[[int], Span] | None:
    """What a time in a query stands for: a span, or for a relative one a function of now, ms; None for no time."""
    if len(text) > MAX_TIME_CHARS + 200:
        return None
    if found := _NOW.fullmatch(text):
        steps = _STEP.findall(found[1])
        return lambda now_ms: _relative(now_ms, steps)
    if found := _DATE.fullmatch(text):
        return _date_span(int(found[1]), found[2], found[3])
    at_ms = moment_ms(text)
    return None if at_ms is None else (at_ms, at_ms)


def moment_ms(text: str) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 moment or date (UTC unless it says), or of digits; else None."""
    if len(text) > MAX_TIME_CHARS:
        return None
    if _DIGITS.fullmatch(text):
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    try:
        since = aware - _EPOCH
    except OverflowError:
        return None
    return since.days * DAY_MS + since.seconds * 1000 + since.microseconds // 1000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _relative(now_ms: int, steps: "list[tuple[str, str, str, str]]") -> Span:
    at_ms, width = now_ms, ""
    for sign, number, unit, rounded in steps:
        if rounded:
            at_ms, width = floor_ms(at_ms, rounded), rounded
        else:
            at_ms, width = plus(at_ms, int(sign + number), unit), ""
    return (at_ms, plus(at_ms, 1, width) - 1) if width else (at_ms, at_ms)


def floor_ms(at_ms: int, unit: str) -> int:
    """The beginning of the second, minute, hour, day, week (Monday), month or year that a time is in."""
    if unit == "w":
        # The epoch was a Thursday.
        return at_ms - (at_ms + 3 * DAY_MS) % (7 * DAY_MS)
    if unit in _UNITS_MS:
        return at_ms - at_ms % _UNITS_MS[unit]
    year, month, _ = _civil(at_ms // DAY_MS)
    return _days(year, month if unit == "M" else 1, 1) * DAY_MS


def plus(at_ms: int, number: int, unit: str) -> int:
    """A time so many units later. A month later than the 31st is the last day of that month."""
    if unit in _UNITS_MS:
        return at_ms + number * _UNITS_MS[unit]
    days, in_day_ms = divmod(at_ms, DAY_MS)
    year, month, day = _civil(days)
    months = year * 12 + month - 1 + number * (1 if unit == "M" else 12)
    year, month = months // 12, months % 12 + 1
    return _days(year, month, min(day, month_days(year, month))) * DAY_MS + in_day_ms


def _date_span(year: int, month: str, day: str) -> Span | None:
    if month and not 1 <= int(month) <= 12:
        return None
    if day and not 1 <= int(day) <= month_days(year, int(month)):
        return None
    start_ms = _days(year, int(month or 1), int(day or 1)) * DAY_MS
    return start_ms, plus(start_ms, 1, "d" if day else "M" if month else "y") - 1


def month_days(year: int, month: int) -> int:
    """How many days a month has."""
    return _days(year + month // 12, month % 12 + 1, 1) - _days(year, month, 1)


def _days(year: int, month: int, day: int) -> int:
    """Days from the epoch to a date of the Gregorian calendar."""
    # Years begin in March here, so that the leap day is a year's last.
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days from the epoch."""
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1
