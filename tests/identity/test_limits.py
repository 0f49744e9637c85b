"""The limits against hyper points: what is at a limit may stay, what would pass it may not come (mediarithmics 13)."""

import pytest

from engine.identity.limits import Barrier, link_barrier, merge_barrier
from engine.identity.points import PointView
from engine.model.identifiers import Identifier, account, agent, raw_email
from engine.model.identity_rules import HyperPointLimits

LIMITS = HyperPointLimits()
DAY_MS = 24 * 60 * 60 * 1000
NOW_MS = 100 * DAY_MS


def point(number: int, *identifiers: Identifier, at_ms: int = NOW_MS, merges: tuple[int, ...] = ()) -> PointView:
    view = PointView(number.to_bytes(16, "big"), number, merges_ms=merges)
    for one in identifiers:
        view = view.linked(one, at_ms)
    return view


def barrier(view: PointView, identifier: Identifier) -> Barrier | None:
    return link_barrier(view, identifier, now_ms=NOW_MS, limits=LIMITS)


def merging(one: PointView, other: PointView) -> Barrier | None:
    assert merge_barrier(one, other, now_ms=NOW_MS, limits=LIMITS) == merge_barrier(
        other, one, now_ms=NOW_MS, limits=LIMITS
    )
    return merge_barrier(one, other, now_ms=NOW_MS, limits=LIMITS)


def test_the_figures_are_the_platforms():
    assert (LIMITS.max_agents, LIMITS.agent_window_ms) == (10, 2 * DAY_MS)
    assert (LIMITS.max_accounts, LIMITS.max_emails, LIMITS.account_window_ms) == (4, 4, 7 * DAY_MS)
    assert (LIMITS.max_merges, LIMITS.merge_window_ms) == (8, 14 * DAY_MS)
    assert LIMITS.max_identifiers == 100
    assert LIMITS.longest_window_ms == 14 * DAY_MS


@pytest.mark.parametrize(
    ("make", "most", "window_ms", "expected"),
    [
        (lambda n: account(str(n % 2), f"{n}"), 4, 7 * DAY_MS, Barrier.ACCOUNTS),
        (lambda n: raw_email(f"{n}@example.com"), 4, 7 * DAY_MS, Barrier.EMAILS),
        (lambda n: agent(f"net:9:{n + 1}"), 10, 2 * DAY_MS, Barrier.AGENTS),
        (lambda n: agent(f"bare-{n}"), 10, 2 * DAY_MS, Barrier.AGENTS),
    ],
)
def test_a_window_is_full_at_its_limit_and_empties_with_time(make, most, window_ms, expected):
    below = point(1, *(make(n) for n in range(most - 1)))
    full = point(1, *(make(n) for n in range(most)))
    assert barrier(below, make(most)) is None
    assert barrier(full, make(most)) is expected
    assert barrier(point(1, *(make(n) for n in range(most)), at_ms=NOW_MS - window_ms + 1), make(most)) is expected
    assert barrier(point(1, *(make(n) for n in range(most)), at_ms=NOW_MS - window_ms), make(most)) is None


def test_kinds_and_registries_are_counted_apart():
    full = point(1, *(agent(f"net:9:{n + 1}") for n in range(10)), *(account("1", f"{n + 1}") for n in range(4)))
    assert barrier(full, agent("net:8:1")) is None
    assert barrier(full, agent("vec:1")) is None
    assert barrier(full, raw_email("a@example.com")) is None


def test_identifiers_are_counted_for_ever():
    old = point(1, *(agent(f"{n + 1}") for n in range(100)), at_ms=0).forgetting(NOW_MS)
    assert old.links == ()
    assert barrier(old, account("1", "7")) is Barrier.IDENTIFIERS
    assert merging(old, point(2, account("1", "7"))) is Barrier.IDENTIFIERS


def test_a_merge_is_barred_by_what_both_hold_together():
    three = point(1, *(account("1", f"{n + 1}") for n in range(3)))
    assert merging(three, point(2, account("1", "8"))) is None
    assert merging(three, point(2, account("1", "8"), account("1", "9"))) is Barrier.ACCOUNTS
    assert merging(three, point(2, account("1", "8"), account("1", "9"), at_ms=0)) is None


def test_the_ninth_merge_in_the_window_is_barred():
    lately = tuple(NOW_MS - day * DAY_MS for day in range(4))
    assert merging(point(1, merges=lately), point(2, merges=lately[:3])) is None
    assert merging(point(1, merges=lately), point(2, merges=lately)) is Barrier.MERGES
    assert merging(point(1, merges=lately), point(2, merges=(*lately[:3], NOW_MS - 14 * DAY_MS))) is None
