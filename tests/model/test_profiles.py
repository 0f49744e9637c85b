"""Profiles: replace, merge and deep merge, in any order, within bounds (mediarithmics 10)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, structs

from engine.errors import CallerError
from engine.model.identifiers import account, agent, email_hash
from engine.model.profiles import (
    MAX_PROFILE_BYTES,
    MAX_PROFILES,
    Update,
    bounded,
    combine,
    decode_profiles,
    encode_profiles,
    profile_as_json,
    profiles_as_values,
    updated,
)
from engine.model.wire import decode_fields
from tests.session.build import dump

OWNER = account("1", "u")


def update(ts_ms, fields, *, replaces=False, deep=False, owner=OWNER):
    body = fields if isinstance(fields, bytes) else dump(fields)
    return Update(owner, ts_ms, decode_fields(body), replaces, deep)


def after(*updates):
    profile = None
    for one in updates:
        profile = updated(profile, one)
    return profile


def said(profile):
    """The profile's own fields, decoded."""
    shown = json.loads(profile_as_json(profile))
    return {key: value for key, value in shown.items() if not key.startswith("$")}


OLD = {"name": "Ann", "address": {"city": "Paris", "geo": {"lat": 1}}, "tags": [1]}
NEW = {"address": {"zip": "75", "geo": {"lon": 2}}, "tags": [2], "age": 7}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"replaces": True}, NEW),
        ({"replaces": True, "deep": True}, NEW),
        ({}, {"name": "Ann", **NEW}),
        (
            {"deep": True},
            {
                "name": "Ann",
                "address": {"city": "Paris", "geo": {"lat": 1, "lon": 2}, "zip": "75"},
                "tags": [2],
                "age": 7,
            },
        ),
    ],
    ids=["force_replace", "force_replace with merge_objects", "merge", "merge_objects"],
)
def test_10_what_an_update_makes_of_a_profile(how, expected):
    assert said(after(update(1, OLD), update(2, NEW, **how))) == expected


@pytest.mark.parametrize("how", [{}, {"deep": True}, {"replaces": True}])
def test_10_the_first_update_makes_the_profile(how):
    profile = after(update(5, OLD, **how))
    assert said(profile) == OLD
    assert (profile.created_ms, profile.modified_ms) == (5, 5)


def test_number_text_and_key_order_are_kept():
    body = b'{"z":1.10,"a":12345678901234567890123,"m":{"y":1e2,"b":null}}'
    shown = profile_as_json(after(update(1, body), update(2, b'{"m":{"c":0.50}}', deep=True)))
    assert shown == (
        b'{"$compartment_id":"1","$user_account_id":"u","z":1.10,"a":12345678901234567890123,'
        b'"m":{"y":1e2,"b":null,"c":0.50},"$creation_ts":1,"$last_modified_ts":2}'
    )


@pytest.mark.parametrize(
    ("owner", "shown"),
    [
        (account("2", "x"), {"$compartment_id": "2", "$user_account_id": "x"}),
        (email_hash("AB"), {"$email_hash": "ab"}),
        (agent("vec:1"), {"$user_agent_id": "vec:1"}),
    ],
)
def test_10_whose_profile_it_is(owner, shown):
    profile = after(update(1, {"a": 1}, owner=owner))
    found = profiles_as_values(encode_profiles({profile.owner: profile}))
    assert found == [{**shown, "a": 1, "$creation_ts": 1, "$last_modified_ts": 1}]
    assert profiles_as_values(None) == []


def test_a_late_update_changes_nothing_that_was_said_later_and_fills_in_the_rest():
    late = after(update(5, {"a": 5, "o": {"x": 5}}), update(3, {"a": 3, "b": 3, "o": {"x": 3, "y": 3}}))
    assert said(late) == {"a": 5, "b": 3, "o": {"x": 5}}
    deep = after(update(5, {"o": {"x": 5}}), update(3, {"o": {"x": 3, "y": 3}}, deep=True))
    assert said(deep) == {"o": {"x": 5, "y": 3}}
    assert (late.created_ms, late.modified_ms) == (3, 5)


def test_what_was_replaced_stays_away():
    replaced = after(update(1, {"a": 1}), update(5, {"b": 5}, replaces=True))
    assert said(updated(replaced, update(3, {"c": 3}))) == {"b": 5}
    assert said(updated(replaced, update(3, {"c": 3}, replaces=True))) == {"b": 5}
    assert said(updated(replaced, update(6, {"c": 6}))) == {"b": 5, "c": 6}
    assert said(updated(after(update(6, {"c": 6}), update(1, {"a": 1})), update(5, {}, replaces=True))) == {"c": 6}


UPDATES = st.lists(
    st.builds(
        update,
        st.integers(0, 99),
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 9) | st.just({"x": 1}), max_size=3),
        replaces=st.booleans(),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.ts_ms,
)


@given(UPDATES, st.randoms(use_true_random=False))
def test_the_same_updates_in_any_order_leave_the_same(updates, random):
    shuffled = list(updates)
    random.shuffle(shuffled)
    one, other = after(*updates), after(*shuffled)
    assert said(one) == said(other)
    assert (one.created_ms, one.modified_ms, one.replaced_ms) == (
        other.created_ms,
        other.modified_ms,
        other.replaced_ms,
    )
    in_order = after(*sorted(updates, key=lambda each: each.ts_ms))
    assert said(one) == said(in_order), "as if they had come in their order"
    half = len(updates) // 2
    if half:
        both = combine(*({OWNER_KEY: after(*part)} for part in (updates[:half], updates[half:])))
        assert said(both.profiles[OWNER_KEY]) == said(in_order), "also where two people turn out to be one"


OWNER_KEY = (1, "1", "u")


@given(UPDATES, UPDATES)
def test_they_come_back_as_they_were(some, others):
    found = {OWNER_KEY: after(*some)}
    assert decode_profiles(encode_profiles(found)) == found
    assert decode_profiles(None) == {}
    both = combine(found, {OWNER_KEY: after(*others)})
    assert combine(both.profiles, {OWNER_KEY: after(*others)}) == both, "again the same changes nothing"


@pytest.mark.parametrize("damaged", [b"", b"\x07", b"\x01", b"\x01\xc1", b"\x01\x91\x01"])
def test_what_is_damaged_is_refused(damaged):
    with pytest.raises(ValueError, match="profiles"):
        decode_profiles(damaged)


def test_profiles_are_bounded():
    many = [after(update(number, {}, owner=account("1", str(number)))) for number in range(MAX_PROFILES + 3)]
    assert [one.modified_ms for one in bounded(many).values()] == list(range(3, MAX_PROFILES + 3))
    one, other = (after(update(at, {name: "x" * (MAX_PROFILE_BYTES - 9)})) for at, name in ((1, "a"), (2, "b")))
    assert combine({OWNER_KEY: one}, {OWNER_KEY: other}) == ({OWNER_KEY: other}, 0, 1), "too large: the later one"
    assert combine({it.owner: it for it in many[:20]}, {it.owner: it for it in many[20:]})[1:] == (3, 0)
    assert structs.replace(one).size_bytes == MAX_PROFILE_BYTES - 9 + len('a""')


def test_objects_too_deep_to_merge_are_an_error():
    nested = b'{"o":' * 5000 + b"1" + b"}" * 5000
    deep = Update(OWNER, 1, {"o": Raw(nested)}, merges_objects=True)
    with pytest.raises((CallerError, RecursionError)):
        after(deep, structs.replace(deep, ts_ms=2))
