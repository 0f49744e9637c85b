"""Identities: who an item is from, as of all items before it, taken or not, stored or not (decisions 1 to 3)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actors import identities as module
from engine.actors.identities import Identities, Overlay
from engine.identity.attach import NoUserIdentifier
from engine.identity.placeholders import Placeholders
from engine.model.identifiers import account, agent, email_hash, first_user_point
from engine.model.identity_rules import HyperPointLimits
from engine.store import reads
from engine.store.memory import MemoryStore

NOW = 1_700_000_000_000
LIMITS = HyperPointLimits()


class Here:
    """Identities on a store; `take` is a request that is taken, committed when asked to."""

    def __init__(self, store=None, limits=LIMITS):
        self.store = store or MemoryStore()
        self.identities = Identities(self.store, limits, Placeholders())
        self.sequence = 0
        self.waiting = []

    def attach(self, *identifiers, draft=None, datamart=1):
        self.sequence += 1
        draft = Overlay() if draft is None else draft
        return self.identities.attach(draft, identifiers, datamart=datamart, now_ms=NOW, sequence=self.sequence)

    def take(self, *identifiers, commit=True):
        draft = Overlay()
        found, operations = self.attach(*identifiers, draft=draft)
        self.identities.keep(draft)
        self.waiting.append((draft, operations))
        if commit:
            self.commit()
        return found.user_point

    def commit(self):
        for draft, operations in self.waiting:
            self.store.commit(operations)
            self.identities.committed(draft)
        self.waiting = []

    def restarted(self):
        return Here(self.store)

    def point(self, identifier):
        return reads.find_user_point(self.store, 1, identifier)


@pytest.fixture
def here():
    return Here()


A, B, C = agent("a"), agent("b"), agent("c")
ANN, BOB = account("1", "ann"), account("1", "bob")


@pytest.mark.parametrize("commit", [True, False])
def test_a_new_person_is_known_to_the_next_request(here, commit):
    point = here.take(A, commit=commit)
    assert point == first_user_point(1, A).bytes
    found, operations = here.attach(A)
    assert (found.user_point, found.absorbed, operations) == (point, (), [])


@pytest.mark.parametrize("commit", [True, False])
def test_an_unknown_identifier_attaches_to_the_known_one(here, commit):
    point = here.take(A, commit=commit)
    assert here.take(A, ANN, commit=commit) == point
    assert here.take(ANN) == point
    assert here.restarted().take(ANN) == point


@pytest.mark.parametrize("commit", [True, False])
def test_two_known_points_merge_and_the_one_named_first_survives(here, commit):
    first, second = here.take(A, commit=commit), here.take(B, commit=commit)
    found, _ = here.attach(A, B)
    assert (found.user_point, found.absorbed) == (first, (second,))
    assert ("user_points_merged", 1) in found.counts
    here.take(B, A, commit=commit)
    assert here.take(B, commit=commit) == here.take(A) == first
    assert here.restarted().take(B) == first


def test_what_a_point_has_become_is_known_as_soon_as_the_merge_is_taken(here):
    first, second = here.take(A), here.take(B)
    here.take(A, B, commit=False)
    assert here.identities.survivor(1, second) == here.identities.survivor(1, first) == first
    assert here.identities.survivor(1, bytes(16)) == bytes(16)
    here.commit()
    assert here.identities.survivor(1, second) == first


def test_a_chain_of_merges_leads_to_its_end_in_one_step(here):
    points = [here.take(one, commit=False) for one in (A, B, C)]
    here.take(B, C, commit=False)
    here.take(A, B, commit=False)
    assert here.take(C, commit=False) == points[0]
    here.commit()
    assert [here.restarted().take(one) for one in (A, B, C)] == [points[0]] * 3
    assert reads.family(here.store, 1, points[2]) == (points[0], points[1], points[2])


def test_within_one_request_later_items_see_what_earlier_ones_did(here):
    draft = Overlay()
    first, _ = here.attach(A, draft=draft)
    second, _ = here.attach(B, draft=draft)
    merged, _ = here.attach(A, B, draft=draft)
    after, operations = here.attach(B, draft=draft)
    assert merged.absorbed == (second.user_point,)
    assert (after.user_point, operations) == (first.user_point, [])
    assert here.attach(C, B, draft=draft)[0].user_point == first.user_point


def test_a_request_that_is_not_taken_leaves_no_trace(here):
    here.take(A)
    second = here.take(B)
    draft = Overlay()
    here.attach(A, B, draft=draft)
    here.attach(B, C, draft=draft)
    here.attach(C, draft=draft)
    # Refused for want of room: what its items saw of each other must not have been remembered.
    assert here.take(B) == second
    assert here.take(C) == first_user_point(1, C).bytes


def test_a_link_is_not_remembered_longer_than_its_point(here):
    here.take(A)
    here.take(B)
    for one in (A, B):
        here.attach(one, one)  # Read from the store, and remembered.
    here.take(A, B)
    assert here.attach(B)[0].user_point == here.attach(A)[0].user_point == first_user_point(1, A).bytes


@pytest.mark.parametrize("identifiers", [(), (agent("null"),), (agent("0000"), account("1", "guest"))])
def test_who_names_nobody_is_refused_with_a_count_of_placeholders(here, identifiers):
    with pytest.raises(NoUserIdentifier) as caught:
        here.attach(*identifiers)
    assert (caught.value.code, caught.value.placeholders) == ("no_user_identifier", len(identifiers))


def test_placeholders_are_counted_and_link_nothing(here):
    found, _ = here.attach(A, agent("null"))
    assert found.counts == (("identifiers_placeholder", 1),)
    assert here.take(A, account("1", "anonymous")) != here.take(B, account("1", "anonymous"))


def test_identifiers_beyond_the_limits_are_left_out_and_counted():
    here = Here(limits=HyperPointLimits(max_agents=1))
    point = here.take(ANN, A)
    found, operations = here.attach(ANN, B)
    assert (found.user_point, found.counts, operations) == (point, (("identifiers_left_out.agents", 1),), [])


def test_datamarts_do_not_know_each_others_people(here):
    point = here.take(A)
    found, _ = here.attach(A, datamart=2)
    assert found.user_point == first_user_point(2, A).bytes != point


def test_the_memory_for_links_is_bounded_and_forgetting_changes_nothing(here, monkeypatch):
    monkeypatch.setattr(module, "CACHE_LINKS", 10)
    points = [here.take(agent(f"v{number}")) for number in range(40)]
    for _ in range(2):
        assert [here.take(agent(f"v{number}")) for number in range(40)] == points
    assert len(here.identities._cache) <= 10


NAMES = [A, B, C, ANN, BOB, email_hash("e")]
REQUESTS = st.lists(
    st.tuples(
        st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True), min_size=1, max_size=3),
        st.sampled_from(["taken", "taken", "refused"]),
        st.booleans(),
    ),
    max_size=15,
)


@pytest.mark.slow
@settings(max_examples=200)
@given(REQUESTS)
def test_memory_changes_no_answer(requests):
    """With requests refused and commits late, each item gets the user point that a store read afresh would give."""
    here = Here()
    plain = Here()
    for items, fate, commit in requests:
        if fate == "refused":
            draft = Overlay()
            for identifiers in items:
                here.attach(*identifiers, draft=draft)
            here.sequence = plain.sequence
            continue
        draft = Overlay()
        for identifiers in items:
            found, operations = here.attach(*identifiers, draft=draft)
            fresh = Here(plain.store)
            fresh.sequence = plain.sequence
            expected, expected_operations = fresh.attach(*identifiers)
            plain.store.commit(expected_operations)
            plain.sequence = fresh.sequence
            assert (found, operations) == (expected, expected_operations)
            here.waiting.append((Overlay(), operations))
        here.waiting[-1] = (draft, here.waiting[-1][1])
        here.identities.keep(draft)
        if commit:
            here.commit()
    here.commit()
    assert here.identities._pending.links == here.identities._pending.points == {}
    for one in NAMES:
        assert here.point(one) == plain.point(one)


def attach_to(here, point, *identifiers, commit=True):
    """A rule has found more identifiers of a person."""
    here.sequence += 1
    draft = Overlay()
    attached, operations = here.identities.attach_to(
        draft, point, identifiers, datamart=1, now_ms=NOW, sequence=here.sequence
    )
    here.identities.keep(draft)
    here.waiting.append((draft, operations))
    if commit:
        here.commit()
    return attached


def test_further_identifiers_link_to_the_person_and_merge_with_another(here):
    one, other = here.take(agent("a")), here.take(account("1", "me"))
    assert attach_to(here, one, email_hash("e")).absorbed == ()
    assert here.point(email_hash("e")) == one
    attached = attach_to(here, one, account("1", "me"), agent("b"))
    assert (attached.user_point, attached.absorbed) == (one, (other,))
    assert {here.point(found) for found in (agent("a"), agent("b"), account("1", "me"))} == {one}
    assert dict(attached.counts) == {"user_points_merged": 1}
    assert attach_to(here, other, agent("c")).user_point == one, "of an alias, they are the survivor's"


def test_who_was_first_survives_also_where_the_activity_is_the_others(here):
    first, second = here.take(account("1", "me")), here.take(agent("a"))
    meeting = here.identities.meeting(1, second, [account("1", "me")], NOW)
    assert meeting == (first, second)
    attach_to(here, second, account("1", "me"), commit=False)
    assert here.identities.meeting(1, second, [account("1", "me")], NOW) == meeting, (
        "it is the same while it is on its way"
    )
    here.commit()
    assert here.identities.meeting(1, second, [account("1", "me")], NOW) == meeting


@pytest.mark.parametrize("commit", [True, False])
def test_the_one_that_was_absorbed_is_told_for_as_long_as_somebody_asks(here, commit):
    first, second = here.take(agent("a")), here.take(account("1", "me"))
    assert here.identities.meeting(1, first, [account("1", "me")], NOW) == (first, second)
    attach_to(here, first, account("1", "me"), commit=commit)
    assert here.identities.meeting(1, first, [account("1", "me")], NOW) == (first, second)
    assert here.identities.meeting(1, first, [agent("new")], NOW) == (first, b"")


def test_to_ask_who_would_meet_changes_nothing_and_a_point_that_is_gone_meets_nobody(here):
    point = here.take(agent("a"))
    before = here.store.page("identifiers"), here.store.page("user_points")
    assert here.identities.meeting(1, point, [account("1", "new"), email_hash("e")], NOW) == (point, b"")
    assert here.identities.meeting(1, bytes(16), [agent("a")], NOW) == (bytes(16), b"")
    assert attach_to(here, bytes(16), agent("b")).absorbed == ()
    assert (here.store.page("identifiers"), here.store.page("user_points")) == before


def test_limits_and_placeholders_keep_further_identifiers_off_the_person():
    here = Here(limits=HyperPointLimits(max_accounts=1))
    point = here.take(account("1", "me"))
    other = here.take(account("1", "you"))
    attached = attach_to(here, point, account("1", "you"), account("1", "they"), agent("null"))
    assert (attached.user_point, attached.absorbed) == (point, ())
    assert dict(attached.counts)["identifiers_placeholder"] == 1
    assert here.point(account("1", "you")) == other
    assert here.point(account("1", "they")) is None
    assert here.identities.meeting(1, point, [account("1", "you")], NOW) == (point, b"")
