"""Rows come back as they were; what is of another format, or damaged, is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.identifiers import Identifier, IdentifierKind, account
from engine.store import layout
from engine.store.layout import DeadLetter, IdentifierRow, Link, SeenRow, UserPointRow, follow
from tests.contract.builders import absorb, point, put_point

ROWS = {
    "user point": (
        layout.encode_user_point,
        layout.decode_user_point,
        UserPointRow(
            first_sequence=7,
            alias_of=point(2),
            aliases=(point(3), point(4)),
            links=(Link(1, "shop", "42", "", 5), Link(2, "", "ab" * 32, "Ann@example.org", 6)),
            merges=(8, 9),
        ),
    ),
    "identifier": (layout.encode_identifier, layout.decode_identifier, IdentifierRow(point(1), 2**60, 3)),
    "seen": (layout.encode_seen, layout.decode_seen, SeenRow(12, b"\0digest")),
    "dead letter": (
        layout.encode_dead_letter,
        layout.decode_dead_letter,
        DeadLetter(1, "stage_error", "create", "a-user", b"\xff not even text", "ValueError: é", 3, ("id",), (1, 2)),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_comes_back_as_it_was(name):
    encode, decode, row = ROWS[name]
    stored = encode(row)
    assert stored[0] == layout.FORMAT
    assert decode(stored) == row


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("harm", [lambda data: b"", lambda data: b"\x09" + data[1:], lambda data: data[:-1]])
def test_what_is_of_another_format_or_damaged_is_refused(name, harm):
    encode, decode, row = ROWS[name]
    with pytest.raises(ValueError, match=type(row).__name__):
        decode(harm(encode(row)))


def test_a_link_is_an_identifier_with_a_date():
    one = account("shop", "42")
    assert Link(one.kind, one.namespace, one.value, one.email, 5).identifier() == one
    assert isinstance(Link(3, "", "agent", "", 5).identifier(), Identifier)
    assert Link(3, "", "agent", "", 5).identifier().kind is IdentifierKind.AGENT


@given(st.binary(), st.none() | st.integers(1, 2**63 - 1))
def test_an_activity_is_its_json_behind_the_time_it_expires(value, expires_ms):
    stored = layout.encode_activity(value, expires_ms)
    assert layout.activity_value(stored) == value
    assert layout.activity_expires_ms(stored) == expires_ms
    assert stored.endswith(value)


@pytest.mark.parametrize("stored", [b"", b"\x01short", b'{"$ts":1}'])
def test_what_is_no_stored_activity_is_refused(stored):
    with pytest.raises(ValueError):
        layout.activity_value(stored)
    with pytest.raises(ValueError):
        layout.activity_expires_ms(stored)


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_come_back(number):
    assert layout.decode_number(layout.encode_number(number)) == number


def test_a_row_that_is_not_there_counts_nothing():
    assert layout.decode_number(None) == 0


def getter(*operations):
    stored = {(one.db, one.key): one.value for one in operations}
    return lambda db, key: stored.get((db, key))


def test_who_is_unknown_is_who_they_are():
    assert follow(getter(), 1, point(1)) == (point(1), None)


def test_a_chain_of_aliases_is_followed_to_its_end():
    get = getter(*absorb(point(2), point(1)), put_point(point(2), alias_of=point(3)), put_point(point(3)))
    survivor, row = follow(get, 1, point(1))
    assert survivor == point(3)
    assert row is not None
    assert row.alias_of is None


def test_aliases_are_those_of_their_datamart():
    assert follow(getter(put_point(point(1), alias_of=point(2), datamart=2)), 1, point(1)) == (point(1), None)


def test_aliases_in_a_circle_are_an_error_and_no_endless_loop():
    get = getter(put_point(point(1), alias_of=point(2)), put_point(point(2), alias_of=point(1)))
    with pytest.raises(ValueError, match="circle"):
        follow(get, 1, point(1))
