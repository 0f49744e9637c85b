"""The breaker: N failures in a row, a pause, one call that finds out."""

from hypothesis import given
from hypothesis import strategies as st

from engine.actors.analysts.breaker import CLOSED, HALF_OPEN, OPEN, Breaker


def opened(at=100.0):
    breaker = Breaker(3, 30.0)
    for _ in range(3):
        assert breaker.begin(at)
        breaker.failed(at)
    return breaker


def test_it_opens_at_so_many_failures_in_a_row_and_a_success_between_begins_anew():
    breaker = Breaker(3, 30.0)
    assert [breaker.failed(0.0), breaker.failed(0.0)] == [False, False]
    breaker.succeeded()
    assert [breaker.failed(0.0) for _ in range(3)] == [False, False, True]
    assert breaker.state(0.0) == OPEN


def test_open_it_lets_nobody_through_and_after_the_pause_one():
    breaker = opened()
    assert not breaker.begin(129.9)
    assert breaker.state(130.0) == HALF_OPEN
    assert breaker.begin(130.0)
    assert not breaker.begin(130.0), "the others wait for what it finds"
    breaker.succeeded()
    assert breaker.begin(130.1)
    assert breaker.state(130.1) == CLOSED


def test_a_probe_that_fails_is_another_pause():
    breaker = opened()
    breaker.begin(130.0)
    assert breaker.failed(131.0)
    assert not breaker.begin(160.9)
    assert breaker.begin(161.0)
    assert breaker.opened == 2


def test_a_probe_that_was_cut_short_is_made_again():
    breaker = opened()
    breaker.begin(130.0)
    breaker.interrupted()
    assert breaker.begin(130.0)


def test_who_was_on_the_way_when_it_opened_does_not_make_it_longer():
    breaker = opened()
    assert not breaker.failed(125.0)
    assert breaker.begin(130.0)


@given(st.lists(st.tuples(st.sampled_from(["begin", "ok", "fail", "cut"]), st.floats(0, 40)), max_size=60))
def test_it_never_shuts_for_ever(steps):
    breaker, now = Breaker(3, 30.0), 0.0
    calls = 0
    for what, passed in steps:
        now += passed
        if what == "begin":
            calls += breaker.begin(now)
        elif calls:
            calls -= 1
            if what == "fail":
                breaker.failed(now)
            else:
                {"ok": breaker.succeeded, "cut": breaker.interrupted}[what]()
    while calls:
        calls -= 1
        breaker.failed(now)
    assert breaker.begin(now + 30.0)
