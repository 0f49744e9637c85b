"""Identifiers: both ways of sending one mean the same, equal ones have equal keys, and none is unbounded."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallerError
from engine.model.identifiers import (
    Identifier,
    IdentifierKind,
    SentEmailHash,
    SentIdentifier,
    account,
    agent,
    email_hash,
    first_user_point,
    has_text,
    legacy,
    normalise,
    raw_email,
    strongest,
    unique,
)
from engine.model.limits import MAX_IDENTIFIER_CHARS, MAX_IDENTIFIERS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
IDS = TEXT | st.integers(-(2**63), 2**63 - 1)
IDENTIFIERS = st.one_of(
    st.builds(account, TEXT.filter(lambda text: "\0" not in text), TEXT),
    st.builds(email_hash, TEXT),
    st.builds(agent, TEXT),
)


def sent(**fields):
    return SentIdentifier(**fields)


def test_each_type_takes_its_own_fields():
    found = normalise(
        [
            sent(type="USER_ACCOUNT", user_account_id="ann", compartment_id="9"),
            sent(type="USER_EMAIL", hash="ABC", email="Ann@shop.test"),
            sent(type="USER_AGENT", user_agent_id="vec:1"),
        ],
        "1",
    )
    assert found == [account("9", "ann"), email_hash("abc", "Ann@shop.test"), agent("vec:1")]


@given(IDS, st.none() | IDS | st.just(""))
def test_an_account_without_compartment_is_of_the_default_one(user_account_id, compartment_id):
    (found,) = normalise(
        [sent(type="USER_ACCOUNT", user_account_id=user_account_id, compartment_id=compartment_id)], "main"
    )
    assert found.value == str(user_account_id)
    assert found.namespace == (str(compartment_id) if has_text(compartment_id) else "main")


@given(st.none() | IDS, st.none() | IDS, st.none() | IDS, st.none() | TEXT)
def test_the_legacy_fields_mean_the_same_as_the_list(user_agent_id, user_account_id, compartment_id, hashed):
    listed = []
    if user_account_id is not None:
        listed.append(sent(type="USER_ACCOUNT", user_account_id=user_account_id, compartment_id=compartment_id))
    if hashed is not None:
        listed.append(sent(type="USER_EMAIL", hash=hashed))
    if user_agent_id is not None:
        listed.append(sent(type="USER_AGENT", user_agent_id=user_agent_id))
    rooted = legacy(
        user_agent_id=user_agent_id,
        user_account_id=user_account_id,
        compartment_id=compartment_id,
        hashed=None if hashed is None else SentEmailHash(hash=hashed),
        default_compartment="1",
    )
    assert rooted == normalise(listed, "1")


def test_a_raw_address_is_the_hash_of_its_trimmed_lower_case():
    hashed = hashlib.sha256(b"ann@shop.test").hexdigest()
    assert raw_email("  Ann@Shop.TEST ") == email_hash(hashed, "  Ann@Shop.TEST ")
    assert raw_email("ann@shop.test").key() == email_hash(hashed.upper()).key()
    (listed,) = normalise([sent(type="USER_EMAIL", email="ANN@shop.test")], "1")
    (rooted,) = legacy(
        user_agent_id=None,
        user_account_id=None,
        compartment_id=None,
        hashed=SentEmailHash(email="ann@shop.TEST"),
        default_compartment="1",
    )
    assert listed.key() == rooted.key() == email_hash(hashed).key()


@pytest.mark.parametrize(
    ("one", "word"),
    [
        (sent(type="USER_ACCOUNT", compartment_id="1"), "$user_account_id"),
        (sent(type="USER_ACCOUNT", user_account_id=""), "$user_account_id"),
        (sent(type="USER_EMAIL", user_agent_id="vec:1"), "$hash"),
        (sent(type="USER_AGENT", hash="abc"), "$user_agent_id"),
        (sent(type="USER_SHOE", user_agent_id="vec:1"), "USER_SHOE"),
    ],
)
def test_an_incomplete_identifier_is_the_callers_fault_with_its_place(one, word):
    with pytest.raises(CallerError) as caught:
        normalise([sent(type="USER_AGENT", user_agent_id="vec:1"), one], "1")
    assert (caught.value.code, caught.value.path) == ("bad_identifier", "$.$user_identifiers[1]")
    assert word in caught.value.message


@given(IDENTIFIERS, IDENTIFIERS)
def test_two_identifiers_have_one_key_only_when_they_are_one(one, other):
    same = (one.kind, one.namespace, one.value) == (other.kind, other.namespace, other.value)
    assert (one.key() == other.key()) is same
    assert len(one.key()) == 17


@given(IDENTIFIERS, TEXT)
def test_the_raw_address_is_no_part_of_the_identity(one, address):
    assert Identifier(one.kind, one.namespace, one.value, address).key() == one.key()


@given(st.lists(IDENTIFIERS, max_size=8))
def test_each_comes_once_in_the_order_of_its_first(found):
    kept = unique([*found, *found])
    assert [one.key() for one in kept] == list(dict.fromkeys(one.key() for one in found))


def test_the_copy_that_has_the_raw_address_is_kept():
    assert unique([email_hash("abc"), email_hash("abc", "ann@shop.test"), email_hash("abc")]) == (
        email_hash("abc", "ann@shop.test"),
    )


def test_more_identifiers_than_anybody_has_are_refused():
    most = [agent(str(number)) for number in range(MAX_IDENTIFIERS)]
    assert len(unique(most)) == MAX_IDENTIFIERS
    with pytest.raises(CallerError) as caught:
        unique([*most, agent("one more")])
    assert caught.value.code == "too_many_identifiers"


@pytest.mark.parametrize("one", [agent("a" * 513), account("1", "9" * 4000), account("c" * 513, "a"), agent("é" * 513)])
def test_a_long_identifier_is_refused_however_it_was_sent(one):
    """A number has no length that its type could bound."""
    with pytest.raises(CallerError) as caught:
        unique([one])
    assert caught.value.code == "bad_identifier"
    assert unique([agent("a" * MAX_IDENTIFIER_CHARS)])


def test_no_two_accounts_share_a_key_by_a_nul_between_their_parts():
    assert account("a\0b", "c").key() == account("a", "b\0c").key()
    with pytest.raises(CallerError) as caught:
        unique([account("a\0b", "c")])
    assert caught.value.code == "bad_identifier"
    assert unique([account("a", "b\0c")])


@given(st.lists(IDENTIFIERS, min_size=1, max_size=6))
def test_an_account_is_stronger_than_an_email_and_that_than_an_agent(found):
    best = strongest(found)
    assert best.kind == min(one.kind for one in found)
    assert best is next(one for one in found if one.kind is best.kind)


@given(IDENTIFIERS, IDENTIFIERS)
def test_a_new_person_has_the_same_user_point_wherever_the_first_identifier_comes_in(one, other):
    assert first_user_point(1, one).version == 5
    assert (first_user_point(1, one) == first_user_point(1, other)) is (one.key() == other.key())
    assert first_user_point(1, one) != first_user_point(2, one)


def test_user_points_do_not_change_with_a_new_version_of_the_program():
    assert first_user_point(1, agent("vec:1")) == UUID("6b28c809-f334-5029-a387-1dbf6a21acae")


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (account("1", "ann"), {"$type": "USER_ACCOUNT", "$compartment_id": "1", "$user_account_id": "ann"}),
        (email_hash("AB"), {"$type": "USER_EMAIL", "$hash": "ab"}),
        (email_hash("ab", "a@b"), {"$type": "USER_EMAIL", "$hash": "ab", "$email": "a@b"}),
        (agent("vec:1"), {"$type": "USER_AGENT", "$user_agent_id": "vec:1"}),
    ],
)
def test_it_is_stored_as_it_could_be_sent(one, shown):
    assert one.as_json() == shown


def test_kinds_are_part_of_keys_on_disk():
    assert [(kind.name, int(kind)) for kind in IdentifierKind] == [("ACCOUNT", 1), ("EMAIL", 2), ("AGENT", 3)]
