"""When a destination is left alone."""

import pytest

from engine.actors.outbox.breaker import Breaker


def breaker(failures=3, pause_s=30, max_pause_s=300):
    return Breaker(failures=failures, pause_s=pause_s, max_pause_s=max_pause_s)


def test_failures_in_a_row_open_it_and_others_do_not():
    one = breaker()
    for at_s in range(20):
        assert not one.failed(at_s, 0)
        assert not one.failed(at_s, 0)
        one.succeeded()
    assert (one.is_open, one.wait_s(20), one.calls(8)) == (False, 0, 8)
    assert [one.failed(20, 0.999) for _ in range(3)] == [False, False, True]
    assert one.is_open
    assert one.wait_s(20) == pytest.approx(30, rel=0.01)


def test_one_call_tries_it_and_each_that_fails_doubles_the_pause():
    one = breaker(max_pause_s=100)
    now_s, waits = 0.0, []
    for _ in range(3):
        one.failed(now_s, 0.999999)
    for _ in range(5):
        wait_s = one.wait_s(now_s)
        waits.append(round(wait_s))
        now_s += wait_s
        assert (one.wait_s(now_s), one.calls(8)) == (0, 1)
        assert not one.failed(now_s, 0.999999), "it was open already"
    assert waits == [30, 60, 100, 100, 100]
    one.succeeded()
    assert (one.is_open, one.wait_s(now_s), one.calls(8)) == (False, 0, 8)


def test_calls_that_began_before_tell_nothing_new():
    one = breaker()
    for _ in range(3):
        one.failed(0, 0.5)
    wait_s = one.wait_s(0)
    for _ in range(7):
        assert not one.failed(1, 0.5)
    assert one.wait_s(0) == wait_s


def test_the_pause_is_shorter_by_chance_and_never_by_more_than_a_quarter():
    waits = []
    for draw in (0, 0.5, 0.999):
        one = breaker()
        for _ in range(3):
            one.failed(0, draw)
        waits.append(one.wait_s(0))
    assert waits == sorted(waits)
    assert (min(waits), max(waits)) == (22.5, pytest.approx(30, rel=0.01))


def test_a_destination_that_asked_for_it_is_held_and_not_dead():
    one = breaker()
    one.hold(50)
    one.hold(20)
    assert (one.wait_s(0), one.wait_s(49), one.wait_s(50), one.is_open, one.calls(8)) == (50, 1, 0, False, 8)


def test_a_destination_that_is_dead_for_years():
    one = breaker()
    now_s = 0.0
    for _ in range(2000):
        one.failed(now_s, 0.999)
        now_s += one.wait_s(now_s)
    assert one.is_open
