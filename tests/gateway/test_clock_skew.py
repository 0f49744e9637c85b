"""Clocks of devices: when a batch's times are corrected, and by how much (decision 9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.clock_skew import MINUTE_MS, corrected, correction_ms

NOW = 1_700_000_000_000
HOUR = 60 * MINUTE_MS


@pytest.mark.parametrize(
    ("times", "sent_at", "expected"),
    [
        ([NOW], None, 0),
        ([NOW + 2 * HOUR], None, 0),
        ([NOW - 10], NOW, 0),
        ([NOW - 10], NOW + 5 * MINUTE_MS, 0),
        ([NOW - 10], NOW + 5 * MINUTE_MS + 1, -5),
        ([NOW + 2 * HOUR - 10], NOW + 2 * HOUR, -120),
        ([NOW + 2 * HOUR - 10], NOW + 2 * HOUR + 49_999, -120),
        ([NOW + 2 * HOUR - 10], NOW + 2 * HOUR - 50, -120),
        ([NOW - 26 * HOUR], NOW - 25 * HOUR, 0),  # It waited in a queue.
        ([NOW + 3 * HOUR], NOW, -180),  # The clock was set between the event and the sending.
        ([NOW + 49_999], NOW, 0),
        ([NOW - HOUR], NOW - 2 * HOUR, 0),  # So it was, but nothing lies in the future.
        ([NOW - 10], 0, 0),  # A device that does not know what year it is.
        ([], NOW + HOUR, -60),
        ([None], NOW + HOUR, -60),
    ],
)
def test_when_and_by_how_much(times, sent_at, expected):
    assert correction_ms(times, sent_at, NOW) == expected * MINUTE_MS


TIMES = st.none() | st.integers(0, 2 * NOW)


@given(st.lists(TIMES), TIMES, st.integers(0, 2 * NOW))
def test_distances_and_order_stay(times, sent_at, arrival):
    found = corrected(times, sent_at, arrival)
    by_ms = correction_ms(times, sent_at, arrival)
    assert by_ms <= 0
    assert by_ms % MINUTE_MS == 0
    assert found == [None if one is None else max(0, one + by_ms) for one in times]


@given(st.lists(TIMES, min_size=1), st.integers(0, 2 * NOW), st.integers(0, 2 * NOW))
def test_what_was_corrected_is_at_most_a_minute_ahead(times, sent_at, arrival):
    if correction_ms(times, sent_at, arrival):
        assert all(one is None or one < arrival + MINUTE_MS for one in corrected(times, sent_at, arrival))


@given(st.lists(st.integers(0, NOW)), st.integers(0, NOW))
def test_the_past_is_left_alone(times, sent_at):
    assert corrected(times, sent_at, NOW) == times
