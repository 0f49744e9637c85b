"""Root fields of a session: merging and measuring (decisions 10, 15, 16)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, ValidationError, convert

from engine.model.activity import measure
from engine.model.record import RecordKind
from engine.pipeline.create import create
from engine.session.closed import Member
from engine.session.root import IDENTIFIER_FIELDS, MAX_COMPARTMENT_CHARS, Meter, ceiling_chars, merge_roots
from engine.settings import DatamartSettings
from tests.session.build import NOON, Feed, dump, event_of, root_of
from tests.session.sizes import closed_of, stored_chars


def member_with(root: dict[str, object], ts_ms: int = NOON, **properties: object) -> Member:
    return Member(
        ts_ms=ts_ms,
        sequence=ts_ms - NOON,
        arrival_ms=ts_ms,
        weight=1,
        process=True,
        root=dump(root),
        event=event_of(ts_ms, **properties),
        origin=None,
        referrer="",
        channel_version=1,
    )


def merged(*roots: dict[str, object]) -> str:
    fields = merge_roots([member_with(root, NOON + index) for index, root in enumerate(roots)])
    return json.dumps({key: json.loads(bytes(value)) for key, value in fields.items()})


def test_the_last_wins_and_keys_stay_where_they_were():
    """Decision 10: per key, in order."""
    assert merged({"a": 1, "b": 1}, {"c": 2, "a": 3}, {"b": 4}) == '{"a": 3, "b": 4, "c": 2}'


def test_documented_nulls_say_nothing_and_custom_nulls_are_values():
    """Decision 37: stored JSON writes absent documented fields as null, so a null among them is no value."""
    assert merged({"$location": {"$city": "Ü"}, "a": 1}, {"$location": None, "a": None, "$other": None}) == (
        '{"$location": {"$city": "\\u00dc"}, "a": null, "$other": null}'
    )


def test_unique_key_and_events_are_not_of_a_session():
    """Decision 13: `$unique_key` is ignored on the items of a session."""
    assert merged({"$unique_key": "x", "$events": [], "a": 1}) == '{"a": 1}'


values = (
    st.none()
    | st.integers()
    | st.text(max_size=5)
    | st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3))
)
texts = st.sampled_from(["a", "b", "ü" * 9, "İ", 'quo"te', "0" * 40])
elements = st.one_of(
    st.builds(lambda text: {"$type": "USER_AGENT", "$user_agent_id": text}, texts | st.integers(0, 9)),
    st.builds(lambda text: {"$type": "USER_ACCOUNT", "$user_account_id": text}, texts),
    st.builds(lambda text: {"$type": "USER_ACCOUNT", "$user_account_id": text, "$compartment_id": text}, texts),
    st.builds(lambda text: {"$type": "USER_EMAIL", "$email": text}, texts),
    st.builds(lambda text: {"$type": "USER_EMAIL", "$hash": text}, texts),
    st.builds(lambda text, email: {"$type": "USER_EMAIL", "$hash": text, "$email": email}, texts, texts),
)
named = st.fixed_dictionaries(
    {},
    optional={
        "$user_agent_id": texts | st.none() | st.integers(0, 9),
        "$user_account_id": texts,
        "$compartment_id": texts | st.none(),
        "$email_hash": st.builds(lambda text: {"$email": text}, texts) | st.builds(lambda text: {"$hash": text}, texts),
        "$user_identifiers": st.lists(elements, max_size=3),
    },
)
customs = st.dictionaries(
    st.sampled_from(["a", "ü", 'quo"te', "$origin", "$topics", "$unique_key", "$x"]), values, max_size=5
)
roots = st.builds(lambda fields, names: {**fields, **names}, customs, named)


def expected_chars(members: list[Member]) -> int:
    """Equal root fields as they were sent; of several the identifiers of all, as they are stored at the longest."""
    fields = merge_roots(members)
    if len({member.root for member in members}) > 1:
        for name in IDENTIFIER_FIELDS:
            fields.pop(name, None)
        identifiers = create(closed_of(members), "c" * MAX_COMPARTMENT_CHARS).identifiers
        if identifiers:
            fields["$user_identifiers"] = Raw(dump([one.as_json() for one in identifiers]))
    return measure(fields, [member.event for member in members])


@pytest.mark.slow
@given(st.lists(st.tuples(roots, st.dictionaries(st.text(max_size=3), values, max_size=3)), min_size=1, max_size=6))
def test_the_meter_measures_what_the_model_measures(members: list[tuple[dict[str, object], dict[str, object]]]):
    """Decision 15: member by member the same as the whole at once, never above the ceiling, and what is stored."""
    built = [member_with(root, NOON + index, **properties) for index, (root, properties) in enumerate(members)]
    meter = Meter()
    ceiling, root = len('{"$events":[]}'), b""
    for index, member in enumerate(built):
        ceiling += ceiling_chars(member, root)
        root = member.root
        expected = expected_chars(built[: index + 1])
        assert meter.chars_with(member) == expected <= ceiling
        meter.add(member)
    assert Meter(built[:-1]).chars_with(built[-1]) == expected


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.lists(st.tuples(named, st.integers(0, 40), st.integers(0, 5)), min_size=2, max_size=30),
    st.sampled_from([0, 7]),
    st.sampled_from([400, 700, 1500]),
    st.sampled_from(["1", "main", "c" * 64]),
    st.sampled_from([RecordKind.EVENT, RecordKind.LIVE]),
)
def test_no_stored_session_of_several_events_is_above_the_limit(
    events: list[tuple[dict[str, object], int, int]], grace_ms: int, limit: int, compartment: str, kind: RecordKind
):
    """Decision 16, measured on what is stored. A single event, or what one item said alone, was measured when sent."""
    feed = Feed(max_activity_chars=limit, grace_ms=grace_ms)
    left = [
        part
        for names, length, ts in events
        for part in feed.closed(ts, arrival=0, kind=kind, root=root_of(**names), text="x" * length)
    ]
    left += feed.visitor.expire(NOON + 10**9)
    assert sum(len(part.members) for part in left) == len(events)
    for part in left:
        members = part.members
        if len({member.root for member in members}) > 1:
            assert stored_chars(part, compartment) <= limit
        elif len(members) > 1:
            assert measure(merge_roots(members), [member.event for member in members]) <= limit


def test_the_longest_default_compartment():
    """The fold does not know it, and counts the longest that the settings allow."""
    convert({"id": 1, "default_compartment": "c" * MAX_COMPARTMENT_CHARS}, DatamartSettings)
    with pytest.raises(ValidationError):
        convert({"id": 1, "default_compartment": "c" * (MAX_COMPARTMENT_CHARS + 1)}, DatamartSettings)


def test_an_item_full_of_identifiers_is_measured():
    """The fold must not raise on what was accepted: one account, named once with and once without its compartment."""
    full = [{"$type": "USER_AGENT", "$user_agent_id": str(number)} for number in range(31)]
    full.append({"$type": "USER_ACCOUNT", "$user_account_id": "u", "$compartment_id": "main"})
    members = [
        member_with({"$user_identifiers": full, "$user_account_id": "u"}),
        member_with({"$user_account_id": "u"}, NOON + 1),
    ]
    assert stored_chars(closed_of(members)) <= Meter(members[:1]).chars_with(members[1])
    assert len(create(closed_of(members), "another").identifiers) == 33
