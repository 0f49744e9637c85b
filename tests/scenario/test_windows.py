"""When a wait may end: by the clock on the wall, also where it jumps."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definitions.declared.automations import Wait
from engine.errors import CallerError
from engine.scenario.moves import due_at
from engine.scenario.storyline import windows_of
from engine.scenario.windows import Windows

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PARIS, SAO_PAULO, LORD_HOWE = "Europe/Paris", "America/Sao_Paulo", "Australia/Lord_Howe"


def at(text, zone="UTC", fold=0):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def windows(start="00:00", end="00:00", *days, zone="UTC"):
    node = Wait(id="w", delay_ms=0, day_window=days, time_window_start=start, time_window_end=end, time_zone=zone)
    return windows_of(node)


def holds(moment_ms, start_ms, end_ms, days, zone):
    """The slow and obvious reading: what does the clock on the wall say?"""
    shown = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    minutes = shown.hour * 60 + shown.minute
    start, end = start_ms // MINUTE, end_ms // MINUTE
    if start == end:
        return not days or shown.weekday() in days
    if start < end:
        return start <= minutes < end and (not days or shown.weekday() in days)
    if minutes >= start:
        return not days or shown.weekday() in days
    return minutes < end and (not days or (shown.weekday() - 1) % 7 in days)


@pytest.mark.parametrize(
    ("window", "now", "due"),
    [
        (windows(), "2025-06-02T10:17:11", "2025-06-02T10:17:11"),
        (windows("09:00", "18:00"), "2025-06-02T10:17", "2025-06-02T10:17"),
        (windows("09:00", "18:00"), "2025-06-02T08:59", "2025-06-02T09:00"),
        (windows("09:00", "18:00"), "2025-06-02T18:00", "2025-06-03T09:00"),
        (windows("09:00", "18:00", "MONDAY"), "2025-06-02T19:00", "2025-06-09T09:00"),
        (windows("00:00", "00:00", "SUNDAY"), "2025-06-02T19:00", "2025-06-08T00:00"),
        (windows("22:00", "06:00"), "2025-06-02T12:00", "2025-06-02T22:00"),
        (windows("22:00", "06:00"), "2025-06-02T05:59", "2025-06-02T05:59"),
        (windows("22:00", "06:00", "FRIDAY"), "2025-06-07T05:00", "2025-06-07T05:00"),
        (windows("22:00", "06:00", "FRIDAY"), "2025-06-06T05:00", "2025-06-06T22:00"),
        (windows("22:00", "06:00", "FRIDAY"), "2025-06-07T06:00", "2025-06-13T22:00"),
    ],
)
def test_8_2_wait_day_and_time_windows(window, now, due):
    assert window.first(at(now)) == at(due)


def test_8_2_wait_delay_comes_before_the_window():
    node = Wait(id="w", delay_ms=2 * HOUR, time_window_start="09:00", time_window_end="18:00")
    assert due_at(node, windows_of(node), at("2025-06-02T15:00")) == at("2025-06-02T17:00")
    assert due_at(node, windows_of(node), at("2025-06-02T17:00")) == at("2025-06-03T09:00")


def test_a_time_that_the_clock_skips_does_not_come():
    """Paris, 30 March 2025: 02:00 is 03:00."""
    night = windows("02:15", "02:45", zone=PARIS)
    assert night.first(at("2025-03-30T00:00", PARIS)) == at("2025-03-31T02:15", PARIS)
    longer = windows("02:30", "04:00", zone=PARIS)
    assert longer.first(at("2025-03-30T00:00", PARIS)) == at("2025-03-30T03:00", PARIS)
    sundays = windows("02:15", "02:45", "SUNDAY", zone=PARIS)
    assert sundays.first(at("2025-03-29T00:00", PARIS)) == at("2025-04-06T02:15", PARIS)


def test_a_time_that_the_clock_shows_twice_comes_twice():
    """Paris, 26 October 2025: 03:00 is 02:00 again."""
    night = windows("02:15", "02:45", zone=PARIS)
    first = at("2025-10-26T02:15", PARIS)
    assert night.first(at("2025-10-26T00:00", PARIS)) == first
    assert night.first(first + 30 * MINUTE) == first + HOUR
    late = windows("02:00", "02:30", zone=PARIS)
    assert late.first(at("2025-10-26T02:40", PARIS)) == at("2025-10-26T02:00", PARIS, fold=1)


def test_a_day_that_begins_with_a_jump():
    """Sao Paulo, 4 November 2018: midnight is 01:00."""
    assert windows("00:00", "00:00", "SUNDAY", zone=SAO_PAULO).first(at("2018-11-03T12:00", SAO_PAULO)) == at(
        "2018-11-04T01:00", SAO_PAULO
    )


def test_a_zone_that_nobody_knows_is_refused():
    for zone in ("Mars/Base", "../etc/passwd", "Europe", ""):
        with pytest.raises(CallerError) as refused:
            windows_of(Wait(id="w", delay_ms=0, time_zone=zone), "automations[0].node[1]")
        assert (refused.value.code, refused.value.path) == ("bad_definition", "automations[0].node[1].time_zone")


MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minutes: minutes * MINUTE)


@pytest.mark.slow
@given(
    zone=st.sampled_from(["UTC", PARIS, SAO_PAULO, LORD_HOWE, "Asia/Kolkata", "Pacific/Apia", "America/New_York"]),
    around=st.sampled_from(
        ["2025-03-29", "2025-10-25", "2018-11-03", "2018-02-17", "2025-04-05", "2025-10-04", "2011-12-29", "2025-03-08"]
    ),
    plus=st.integers(0, 3 * 24 * 60),
    start=MINUTES,
    end=MINUTES,
    days=st.frozensets(st.integers(0, 6), max_size=3),
)
def test_the_first_time_is_the_one_that_a_slow_look_at_the_clock_finds(zone, around, plus, start, end, days):
    from_ms = at(around) + plus * MINUTE
    found = Windows(ZoneInfo(zone), days, start, end).first(from_ms)
    expected = from_ms
    while not holds(expected, start, end, days, zone):
        # Windows and jumps begin at full minutes in these zones: far away, look at every quarter of an hour less one.
        expected += MINUTE
        if expected > from_ms + 15 * DAY:
            expected = found
            break
    assert found == expected
