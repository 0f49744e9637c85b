"""The rules alone, at their edges (decisions 5, 6, 7, 11)."""

import pytest

from engine.session.boundary import idle_at_ms, is_settled, joins, late_before_ms, live_until_ms, passes
from tests.session.build import NOON, settings

RULES = settings(gap_ms=100, grace_ms=10, live_window_ms=60)


@pytest.mark.parametrize(
    ("ts", "expected"),
    [(899, False), (900, True), (1000, True), (1500, True), (2000, True), (2100, True), (2101, False)],
)
def test_membership(ts: int, expected: bool):
    """Decision 5: `S.first − gap ≤ ts ≤ S.last + gap`, both ends included."""
    assert joins(1000, 2000, ts, 100) is expected


@pytest.mark.parametrize(("ts", "expected"), [(2110, False), (2111, True)])
def test_an_event_shows_that_the_gap_has_passed(ts: int, expected: bool):
    """Decision 7b: strictly more than gap + grace."""
    assert passes(2000, ts, RULES) is expected


def test_the_clock_is_as_strict_as_the_record():
    """Decision 7a: *more than* gap + grace past the last arrival."""
    assert idle_at_ms(2000, RULES) == 2111


def test_live_window():
    """Decision 11: at most the window from the arrival of the first."""
    assert live_until_ms(2000, RULES) == 2060


@pytest.mark.parametrize(("last", "expected"), [(1009, False), (1010, True)])
def test_settled(last: int, expected: bool):
    """Decision 6: once `S.last ≥ ts + grace`."""
    assert is_settled(1000, last, RULES) is expected
    assert is_settled(1000, 1000, settings(grace_ms=0))


@pytest.mark.parametrize(("behind", "expected"), [(-5, False), (110, False), (111, True)])
def test_late(behind: int, expected: bool):
    """Decision 7: counted late when `arrival − ts > gap + grace`."""
    assert (late_before_ms(RULES, NOON + behind) > NOON) is expected
