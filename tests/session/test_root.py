"""Root fields of a session: merging and measuring (decisions 10, 15, 16)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.activity import measure
from engine.session.closed import Member
from engine.session.root import Meter, ceiling_chars, merge_roots
from tests.session.build import NOON, dump, event_of


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
roots = st.dictionaries(
    st.sampled_from(["a", "ü", 'quo"te', "$location", "$origin", "$site_id", "$unique_key", "$x"]), values, max_size=5
)


@pytest.mark.slow
@given(st.lists(st.tuples(roots, st.dictionaries(st.text(max_size=3), values, max_size=3)), min_size=1, max_size=6))
def test_the_meter_measures_what_the_model_measures(members: list[tuple[dict[str, object], dict[str, object]]]):
    """Decision 15: member by member the same as the whole at once, and never above the ceiling."""
    built = [member_with(root, NOON + index, **properties) for index, (root, properties) in enumerate(members)]
    meter = Meter()
    ceiling, root = len('{"$events":[]}'), b""
    for index, member in enumerate(built):
        ceiling += ceiling_chars(member, root)
        root = member.root
        expected = measure(merge_roots(built[: index + 1]), [one.event for one in built[: index + 1]])
        assert meter.chars_with(member) == expected <= ceiling
        meter.add(member)
    assert Meter(built[:-1]).chars_with(built[-1]) == expected
