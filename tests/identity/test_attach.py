"""Whom an item counts for (decisions 2 and 3), against a union-find that knows nothing of records and rows."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallerError
from engine.identity.attach import NoUserIdentifier, Resolution, resolve
from engine.identity.limits import Barrier
from engine.identity.placeholders import Placeholders
from engine.identity.points import PointView
from engine.model.identifiers import Identifier, account, agent, first_user_point, raw_email, strongest
from engine.model.identity_rules import HyperPointLimits

PLACEHOLDERS = Placeholders()
DAY_MS = 24 * 60 * 60 * 1000
NO_LIMITS = HyperPointLimits(
    max_agents=10_000, max_accounts=10_000, max_emails=10_000, max_merges=10_000, max_identifiers=10_000
)
TIGHT = HyperPointLimits(max_agents=2, max_accounts=1, max_emails=1, max_merges=1, max_identifiers=5)
DATAMART = 1


class People:
    """The rows a store would hold, and the journal's sequence."""

    def __init__(self, limits: HyperPointLimits = NO_LIMITS) -> None:
        self.limits = limits
        self.owner: dict[Identifier, bytes] = {}
        self.points: dict[bytes, PointView] = {}
        self.alias: dict[bytes, bytes] = {}
        self.sequence = 0
        self.now_ms = 1_700_000_000_000

    def known(self, identifier: Identifier) -> PointView | None:
        owner = self.owner.get(identifier)
        return None if owner is None else self.points[self.alias.get(owner, owner)]

    def arrive(self, *identifiers: Identifier) -> Resolution:
        self.sequence += 1
        found = resolve(
            identifiers,
            datamart=DATAMART,
            now_ms=self.now_ms,
            sequence=self.sequence,
            known=self.known,
            limits=self.limits,
            placeholders=PLACEHOLDERS,
        )
        for one in found.linked:
            assert one not in self.owner
            self.owner[one] = found.user_point
        self.sequence += len(found.absorbed)
        for gone in found.absorbed:
            del self.points[gone]
        self.alias |= dict.fromkeys(found.aliases, found.user_point)
        if found.changes:
            self.points[found.user_point] = found.point
        return found


def a(number: int) -> Identifier:
    return account("1", f"user-{number}")


def m(number: int) -> Identifier:
    return raw_email(f"{number}@example.com")


def v(number: int) -> Identifier:
    return agent(f"vec:{number + 1}")


def test_an_unknown_person_gets_the_point_of_the_strongest_identifier():
    found = People().arrive(v(1), m(1), a(1), a(2))
    assert found.is_new
    assert UUID(bytes=found.user_point) == first_user_point(DATAMART, a(1))
    assert found.linked == (a(1), a(2), m(1), v(1))
    assert found.point.first_sequence == 1
    assert found.point.identifiers == 4


def test_a_known_person_changes_nothing():
    people = People()
    people.arrive(v(1), a(1))
    found = people.arrive(v(1), a(1))
    assert not found.changes
    assert not found.is_new
    assert found.point == people.points[found.user_point]


def test_an_unknown_identifier_attaches_to_the_known_point_however_strong_it_is():
    people = People()
    first = people.arrive(v(1))
    found = people.arrive(v(1), a(1))
    assert found.user_point == first.user_point
    assert found.linked == (a(1),)
    assert not found.is_new
    assert found.point.identifiers == 2
    assert found.point.first_sequence == 1


def test_known_points_merge_and_the_earlier_survives():
    people = People()
    early, late = people.arrive(v(1)), people.arrive(a(1))
    found = people.arrive(a(1), v(1))
    assert found.user_point == early.user_point
    assert found.absorbed == (late.user_point,)
    assert found.point.merges_ms == (people.now_ms,)
    assert people.arrive(a(1)).user_point == early.user_point


def test_several_points_merge_at_once():
    people = People()
    points = [people.arrive(one).user_point for one in (v(1), v(2), m(1), a(1))]
    found = people.arrive(a(1), a(2), m(1), v(1), v(2))
    assert found.user_point == points[0]
    assert found.absorbed == tuple(points[1:])
    assert found.linked == (a(2),)
    assert len(found.point.merges_ms) == 3


def test_a_merge_of_merged_points_flattens_the_aliases():
    people = People()
    first = people.arrive(v(0)).user_point
    second, third = people.arrive(v(1)).user_point, people.arrive(v(2)).user_point
    people.arrive(v(1), v(2))
    found = people.arrive(v(2), v(0))
    assert found.absorbed == (second,)
    assert found.aliases == (second, third)
    assert people.arrive(v(2)).user_point == first


def test_an_item_without_a_usable_identifier_is_refused():
    people = People()
    with pytest.raises(NoUserIdentifier) as bare:
        people.arrive()
    assert (bare.value.code, bare.value.placeholders) == ("no_user_identifier", 0)
    with pytest.raises(NoUserIdentifier) as masked:
        people.arrive(agent("vec:0"), account("1", "guest"))
    assert masked.value.placeholders == 2
    assert isinstance(masked.value, CallerError)


def test_placeholders_link_nobody():
    people = People()
    one = people.arrive(v(1), account("1", "null"))
    other = people.arrive(v(2), account("1", "NULL"))
    assert one.user_point != other.user_point
    assert one.placeholders == other.placeholders == 1
    assert one.linked == (v(1),)


def test_at_a_limit_the_item_counts_for_its_unknown_strongest_identifier():
    """A shared tablet: the next account does not attach to it, and is a person of its own."""
    people = People(HyperPointLimits())
    tablet = people.arrive(v(0)).user_point
    for number in range(4):
        assert people.arrive(a(number), v(0)).user_point == tablet
    found = people.arrive(a(4), v(0))
    assert UUID(bytes=found.user_point) == first_user_point(DATAMART, a(4))
    assert found.is_new
    assert found.linked == (a(4),)
    assert [(one.identifier, one.barrier) for one in found.left_out] == [(v(0), Barrier.ACCOUNTS)]
    again = people.arrive(v(0), a(4))
    assert again.user_point == found.user_point
    assert [(one.identifier, one.barrier) for one in again.left_out] == [(v(0), Barrier.ACCOUNTS)]
    people.now_ms += 8 * DAY_MS
    assert people.arrive(v(0), a(4)).absorbed == (found.user_point,), "the window has passed"


def test_what_a_limit_bars_does_not_bar_the_rest():
    people = People(HyperPointLimits(max_accounts=1))
    people.arrive(a(1), v(1))
    found = people.arrive(a(1), a(2), m(2), v(1))
    assert found.linked == (m(2),)
    assert [(one.identifier, one.barrier) for one in found.left_out] == [(a(2), Barrier.ACCOUNTS)]
    assert people.arrive(a(2)).is_new


def test_a_barred_merge_leaves_both_points_as_they_were():
    people = People(HyperPointLimits(max_accounts=1))
    one, other = people.arrive(a(1), v(1)), people.arrive(a(2), m(2), v(2))
    before = dict(people.points)
    found = people.arrive(v(1), m(2), a(2))
    assert found.user_point == other.user_point
    assert not found.changes
    assert [(left.identifier, left.barrier) for left in found.left_out] == [(v(1), Barrier.ACCOUNTS)]
    assert people.points == before
    assert people.arrive(v(1)).user_point == one.user_point


IDENTIFIERS = st.sampled_from([make(number) for make in (a, m, v) for number in range(4)])
NOBODY = st.sampled_from([account("1", "guest"), agent("vec:0"), raw_email("null")])
ITEMS = st.lists(st.lists(IDENTIFIERS | NOBODY, min_size=1, max_size=5, unique=True), max_size=25)


class UnionFind:
    """Sets of identifiers that were named together, each with the number of the item that first named one of them."""

    def __init__(self) -> None:
        self.groups: list[tuple[int, set[Identifier]]] = []

    def join(self, number: int, together: list[Identifier]) -> None:
        met = [group for group in self.groups if group[1] & set(together)]
        self.groups = [group for group in self.groups if group not in met]
        first = min([number, *(group[0] for group in met)])
        self.groups.append((first, set(together).union(*(group[1] for group in met))))

    def group_of(self, identifier: Identifier) -> tuple[int, set[Identifier]]:
        return next(group for group in self.groups if identifier in group[1])


@pytest.mark.slow
@given(ITEMS)
def test_without_limits_people_are_the_classes_of_a_union_find(items):
    people, oracle, first_point = People(), UnionFind(), {}
    for item in items:
        usable = [one for one in item if one not in PLACEHOLDERS]
        if not usable:
            with pytest.raises(NoUserIdentifier):
                people.arrive(*item)
            continue
        number = people.sequence + 1
        oracle.join(number, usable)
        found = people.arrive(*item)
        first_point.setdefault(number, found.user_point)
        born, group = oracle.group_of(usable[0])
        assert found.user_point == first_point[born], "the point of the lowest first sequence survives"
        assert found.point.first_sequence == born
        assert found.point.identifiers == len(group)
        assert found.placeholders == len(item) - len(usable)
        assert not found.left_out
    for born, group in oracle.groups:
        assert {people.known(one).user_point for one in group} == {first_point[born]}
    assert len(people.points) == len(oracle.groups)


@pytest.mark.slow
@given(ITEMS, st.lists(st.integers(0, 3 * DAY_MS), min_size=25, max_size=25))
def test_under_limits_no_point_passes_them_and_the_item_counts_for_its_strongest(items, pauses_ms):
    people = People(TIGHT)
    for item, pause_ms in zip(items, pauses_ms[: len(items)], strict=True):
        usable = [one for one in item if one not in PLACEHOLDERS]
        if not usable:
            continue
        people.now_ms += pause_ms
        known_before = {one: people.known(one) for one in usable}
        found = people.arrive(*item)
        assert people.known(strongest(usable)).user_point == found.user_point
        attached = {one for one in usable if (view := people.known(one)) and view.user_point == found.user_point}
        assert {left.identifier for left in found.left_out} == set(usable) - attached
        for left in found.left_out:
            before = known_before[left.identifier]
            assert people.known(left.identifier) == before, "what was left out stays as it was"
        assert_within(found.point, people.now_ms)
    assert sum(point.identifiers for point in people.points.values()) == len(people.owner)


def assert_within(point: PointView, now_ms: int) -> None:
    lately: dict[object, int] = {}
    for link in point.links:
        window_ms = 2 * DAY_MS if link.identifier.value.startswith("vec:") else 7 * DAY_MS
        if link.linked_ms > now_ms - window_ms:
            lately[link.identifier.kind] = lately.get(link.identifier.kind, 0) + 1
    assert all(count <= most for count, most in zip(map(lately.get, (1, 2, 3), (0, 0, 0)), (1, 1, 2), strict=True))
    assert point.identifiers <= 5
    assert sum(merged_ms > now_ms - 14 * DAY_MS for merged_ms in point.merges_ms) <= 1


@pytest.mark.slow
@given(ITEMS)
def test_the_same_items_give_the_same_people(items):
    def history() -> tuple[object, ...]:
        people = People(TIGHT)
        seen = []
        for item in items:
            try:
                seen.append(people.arrive(*item))
            except NoUserIdentifier as refused:
                seen.append(refused.placeholders)
        return seen, people.points, people.alias

    assert history() == history()


@given(st.permutations([a(1), m(1), m(2), v(1), v(2)]))
def test_the_order_within_an_item_decides_only_among_equally_strong_ones(order):
    people = People()
    people.arrive(m(1), v(1))
    people.arrive(a(1))
    found = people.arrive(*order)
    assert UUID(bytes=found.user_point) == first_user_point(DATAMART, m(1))
    assert found.point.identifiers == 5
