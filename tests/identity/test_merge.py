"""A merge keeps all that was known of both, and aliases stay one step long (decision 3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.identity.merge import merge
from engine.identity.points import Link, PointView
from engine.model.identifiers import agent


def view(number: int, *, links: int = 0, merges: tuple[int, ...] = (), absorbed: tuple[bytes, ...] = ()) -> PointView:
    return PointView(
        user_point=number.to_bytes(16, "big"),
        first_sequence=number,
        identifiers=links,
        links=tuple(Link(agent(f"{number}-{index}"), 100 * index) for index in range(links)),
        merges_ms=merges,
        absorbed=absorbed,
    )


def test_the_lower_first_sequence_survives_whatever_the_order():
    early, late = view(3, links=2, merges=(50,)), view(7, links=1, absorbed=(b"a", b"b"))
    merged = merge(late, early, now_ms=90)
    assert merged == merge(early, late, now_ms=90)
    assert merged.point.user_point == early.user_point
    assert merged.point.first_sequence == 3
    assert merged.point.identifiers == 3
    assert set(merged.point.links) == {*early.links, *late.links}
    assert merged.point.merges_ms == (50, 90)
    assert merged.absorbed == late.user_point
    assert merged.aliases == (late.user_point, b"a", b"b")
    assert merged.point.absorbed == merged.aliases


def test_equal_sequences_are_decided_by_the_id():
    one = PointView(b"1" * 16, 5)
    other = PointView(b"2" * 16, 5)
    assert merge(other, one, now_ms=0).point.user_point == b"1" * 16


def test_a_point_does_not_merge_with_itself():
    with pytest.raises(ValueError):
        merge(view(1), view(1), now_ms=0)


def test_old_times_may_be_forgotten():
    point = view(1, links=4, merges=(10, 200, 300)).forgetting(200)
    assert point.identifiers == 4
    assert [link.linked_ms for link in point.links] == [200, 300]
    assert point.merges_ms == (200, 300)


@pytest.mark.slow
@given(st.permutations(range(1, 8)), st.data())
def test_aliases_are_one_step_from_their_survivor(order, data):
    """Whatever merges with whatever, each absorbed point's alias row names the point that is still alive."""
    alive = {number: view(number, links=1) for number in order}
    alias: dict[bytes, bytes] = {}
    while len(alive) > 1:
        one = data.draw(st.sampled_from(sorted(alive)))
        other = data.draw(st.sampled_from(sorted(set(alive) - {one})))
        merged = merge(alive.pop(one), alive.pop(other), now_ms=0)
        alive[merged.point.first_sequence] = merged.point
        alias |= dict.fromkeys(merged.aliases, merged.point.user_point)
        living = {point.user_point for point in alive.values()}
        assert set(alias.values()) <= living
        assert not set(alias) & living
    (last,) = alive.values()
    assert last.first_sequence == 1
    assert sorted(last.absorbed) == sorted(alias)
    assert last.identifiers == 7
