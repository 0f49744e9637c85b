"""Times in queries: relative ones, dates and moments, all UTC; the calendar against the standard library's."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.query.dates import floor_ms, moment_ms, month_days, plus, span_of

NOW = datetime(2024, 3, 15, 13, 45, 30, 123000, tzinfo=UTC)  # A Friday.


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def day(*parts: int) -> int:
    return ms(datetime(*parts, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("now", ms(NOW), ms(NOW) + 1),
        ("now-7d", ms(NOW - timedelta(days=7)), ms(NOW - timedelta(days=7)) + 1),
        ("now+90s", ms(NOW) + 90_000, ms(NOW) + 90_001),
        ("now-15m", ms(NOW) - 900_000, ms(NOW) - 899_999),
        ("now-2h", ms(NOW) - 7_200_000, ms(NOW) - 7_199_999),
        ("now-2H", ms(NOW) - 7_200_000, ms(NOW) - 7_199_999),
        ("now-1w", ms(NOW - timedelta(days=7)), ms(NOW - timedelta(days=7)) + 1),
        ("now-1M", day(2024, 2, 15, 13, 45, 30) + 123, day(2024, 2, 15, 13, 45, 30) + 124),
        ("now-1y", day(2023, 3, 15, 13, 45, 30) + 123, day(2023, 3, 15, 13, 45, 30) + 124),
        ("now/s", day(2024, 3, 15, 13, 45, 30), day(2024, 3, 15, 13, 45, 31)),
        ("now/m", day(2024, 3, 15, 13, 45), day(2024, 3, 15, 13, 46)),
        ("now/h", day(2024, 3, 15, 13), day(2024, 3, 15, 14)),
        ("now/d", day(2024, 3, 15), day(2024, 3, 16)),
        ("now/w", day(2024, 3, 11), day(2024, 3, 18)),
        ("now/M", day(2024, 3, 1), day(2024, 4, 1)),
        ("now/y", day(2024, 1, 1), day(2025, 1, 1)),
        ("now-7d/d", day(2024, 3, 8), day(2024, 3, 9)),
        ("now-3M/M", day(2023, 12, 1), day(2024, 1, 1)),
        ("now/d-1h", day(2024, 3, 14, 23), day(2024, 3, 14, 23) + 1),
        ("now+1M-1d/d", day(2024, 4, 14), day(2024, 4, 15)),
        ("2024-02-29", day(2024, 2, 29), day(2024, 3, 1)),
        ("2024-02", day(2024, 2, 1), day(2024, 3, 1)),
        ("2024", day(2024, 1, 1), day(2025, 1, 1)),
        ("2024-02-29T10:00:00Z", day(2024, 2, 29, 10), day(2024, 2, 29, 10) + 1),
        ("2024-02-29T10:00:00+02:00", day(2024, 2, 29, 8), day(2024, 2, 29, 8) + 1),
        ("2024-02-29 10:00:00.5", day(2024, 2, 29, 10) + 500, day(2024, 2, 29, 10) + 501),
        ("1709200000000", 1709200000000, 1709200000001),
    ],
)
def test_7_5_a_time_stands_for_a_span(text: str, first: int, after: int):
    span = span_of(text)
    assert (span(ms(NOW)) if callable(span) else span) == (first, after - 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now-",
        "now-7",
        "now-d",
        "now7d",
        "now-7x",
        "now/",
        "now/x",
        "now -7d",
        "NOW",
        "2023-02-29",
        "2024-13",
        "24-01-01",
        "2024-1-1",
        "yesterday",
        "12",
        "2024-01-01T25:00",
        "0000-00-00",
        "now" + "-1d" * 21,
        "٢٠٢٤-٠١-٠١",
    ],
)
def test_what_is_no_time(text: str):
    assert span_of(text) is None


MOMENTS = st.datetimes(datetime(1600, 1, 1), datetime(2400, 12, 31))


@given(MOMENTS)
def test_the_calendar_is_the_calendar(naive: datetime):
    moment = naive.replace(tzinfo=UTC, microsecond=0)
    at_ms = ms(moment)
    assert moment_ms(moment.isoformat()) == at_ms
    midnight = moment.replace(hour=0, minute=0, second=0)
    assert floor_ms(at_ms, "d") == ms(midnight)
    assert floor_ms(at_ms, "w") == ms(midnight - timedelta(days=moment.weekday()))
    assert floor_ms(at_ms, "M") == ms(midnight.replace(day=1))
    assert floor_ms(at_ms, "y") == ms(midnight.replace(month=1, day=1))


@given(MOMENTS, st.integers(-2000, 2000))
def test_months_end_with_their_last_day(naive: datetime, months: int):
    moment = naive.replace(tzinfo=UTC, microsecond=0)
    index = moment.year * 12 + moment.month - 1 + months
    year, month = index // 12, index % 12 + 1
    if 1 <= year <= 9999:
        expected = moment.replace(year=year, month=month, day=min(moment.day, month_days(year, month)))
        assert plus(ms(moment), months, "M") == ms(expected)


@given(st.integers(-(10**15), 10**15), st.sampled_from("smhdwMy"), st.integers(-(10**9), 10**9))
def test_no_time_is_too_far_away(now_ms: int, unit: str, number: int):
    span = span_of(f"now{number:+d}{unit}/{unit}")
    assert callable(span)
    first, last = span(now_ms)
    assert first <= last
    assert floor_ms(now_ms, unit) <= now_ms < plus(floor_ms(now_ms, unit), 1, unit)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text: str):
    span = span_of(text)
    if callable(span):
        span(0)
    moment_ms(text)
