"""Activities: how large one is, by another computation as well, how it is stored and shown (decisions 15 and 37)."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from engine.model.activity import BASE_FIELDS, Activity, events_from, extras_of, measure, measure_event, public
from engine.model.event import event_from
from engine.model.identifiers import account, agent, email_hash
from engine.model.location import LOCATION_FIELDS
from engine.model.origin import ORIGIN_FIELDS
from engine.model.wire import decode_fields
from tests.model import texts
from tests.model.texts import Number, Object, compact

KEY = UUID(int=7)
SENT_KEYS = st.sampled_from(["$ts", "$ttl", "$topics", "$location", "$site_id", "$unknown", "é", "plain", 'q"uote'])
EVENT_KEYS = st.sampled_from(["$ts", "$event_name", "$event_id", "custom", "null"])
VALUES = texts.VALUES | st.none()
ORIGINS = st.none() | texts.objects(VALUES)
PROPERTIES = st.none() | texts.objects(VALUES)
ROOTS = st.tuples(texts.objects(VALUES, keys=SENT_KEYS), ORIGINS)
EVENTS = st.lists(st.tuples(texts.objects(VALUES, keys=EVENT_KEYS), PROPERTIES), max_size=4)


def without_nulls(members):
    return Object((key, value) for key, value in members if value is not None)


def raw_fields(members):
    return {key: Raw(compact(value).encode()) for key, value in members}


@pytest.mark.slow
@given(ROOTS, EVENTS)
def test_the_size_is_that_of_the_compact_json_without_null_fields(root, events):
    members, origin = root
    counted = Object((*members, ("$origin", origin)))
    bodies = [Object((*head, ("$properties", properties))) for head, properties in events]

    shown = [
        Object((key, without_nulls(value) if key == "$origin" else value) for key, value in without_nulls(counted))
    ][0]
    lists = [
        Object((key, without_nulls(value) if key == "$properties" else value) for key, value in without_nulls(body))
        for body in bodies
    ]
    expected = len(compact(Object((*shown, ("$events", lists)))))
    assert measure(raw_fields(counted), [compact(body).encode() for body in bodies]) == expected
    assert measure(raw_fields((*counted, ("$events", [1, 2]))), [compact(body).encode() for body in bodies]) == expected


@pytest.mark.slow
@given(texts.OBJECTS)
def test_the_size_agrees_with_python_where_there_is_no_null(members):
    """The same once more with nothing of our own but the standard library."""
    plain = json.loads(compact(members), parse_int=str, parse_float=str)
    if "null" in json.dumps(plain):
        return
    item = {"$ts": 1, "custom": plain, "$events": [{"$ts": 1, "$event_name": "é", "$properties": plain}]}
    text = json.dumps(item, separators=(",", ":"), ensure_ascii=False)
    fields = decode_fields(text.encode())
    event = json.dumps(item["$events"][0], separators=(",", ":"), ensure_ascii=False)
    assert measure(fields, [event.encode()]) == len(text)
    assert measure_event(event.encode()) == len(event)


def an_activity(**fields):
    return Activity(ts_ms=5, unique_key=KEY, type="SITE_VISIT", status="CLOSED_SESSION", **fields)


def an_event(**members):
    return event_from(compact(Object({"$ts": Number(5), "$event_name": "buy", **members}.items())).encode())


@pytest.mark.slow
@given(extras=texts.OBJECTS, location=st.none() | texts.OBJECTS, origin=st.none() | texts.OBJECTS, event=texts.OBJECTS)
def test_custom_values_at_every_level_come_back_exactly(extras, location, origin, event):
    activity = an_activity(
        extras=raw_fields(extras),
        location=None if location is None else Raw(compact(location).encode()),
        origin=None if origin is None else compact(origin).encode(),
        events=[an_event(**{"$properties": event, "$unknown": event})],
    )
    for shown in (activity.encode(), public(activity.encode())):
        found = texts.read(shown)
        assert len(dict(found)) == len(found), "a field came twice"
        assert [member for member in found if not member[0].startswith("$")] == list(extras)
        fields = dict(found)
        (one,) = fields["$events"]
        assert dict(one)["$properties"] == dict(one)["$unknown"] == event
        for name, sent in (("$location", location), ("$origin", origin)):
            if sent is None:
                assert fields.get(name) is None
            else:
                assert [member for member in fields[name] if not member[0].startswith("$")] == list(sent)


def test_absent_documented_fields_are_left_out_on_disk_and_null_when_shown():
    activity = an_activity()
    assert set(json.loads(activity.encode())) == {
        "$ts",
        "$type",
        "$session_status",
        "$user_identifiers",
        "$events",
        "$unique_key",
    }
    shown = json.loads(public(activity.encode()))
    assert list(shown) == [*BASE_FIELDS, "$site_id", "$session_duration", "$topics"]
    assert [name for name, value in shown.items() if value is None] == [
        "$ttl",
        "$user_agent_id",
        "$user_account_id",
        "$compartment_id",
        "$email_hash",
        "$origin",
        "$location",
        "$error_analyzer_id",
        "$site_id",
        "$session_duration",
        "$topics",
    ]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("SITE_VISIT", ["$site_id", "$session_duration", "$topics"]),
        ("APP_VISIT", ["$app_id", "$session_duration", "$topics"]),
        ("TOUCH", []),
    ],
)
def test_which_documented_fields_a_type_has(kind, more):
    activity = Activity(ts_ms=5, unique_key=KEY, type=kind, status="NO_SESSION", extras={"mine": Raw(b"1")})
    assert list(json.loads(public(activity.encode()))) == [*BASE_FIELDS, *more, "mine"]


def test_origin_and_location_show_their_documented_fields_first():
    activity = an_activity(origin=b'{"mine":1,"$source":"mail"}', location=Raw(b'{"mine":2,"$city":"Brest"}'))
    shown = json.loads(public(activity.encode()))
    assert list(shown["$origin"]) == [*ORIGIN_FIELDS, "mine"]
    assert (shown["$origin"]["$ts"], shown["$origin"]["$source"], shown["$origin"]["$gclid"]) == (5, "mail", None)
    assert list(shown["$location"]) == [*LOCATION_FIELDS, "mine"]
    assert (shown["$location"]["$city"], shown["$location"]["$zip_code"]) == ("Brest", None)


def test_all_that_the_engine_knows_of_an_activity_is_stored():
    activity = an_activity(
        ttl_minutes=9,
        identifiers=(account("1", "ann"), email_hash("ab", "a@b"), agent("vec:1")),
        channel_field="$site_id",
        channel_id="1",
        duration_s=3,
        error_analyzer_id="4",
    )
    found = json.loads(activity.encode())
    assert {name: found[name] for name in ("$ttl", "$site_id", "$session_duration", "$error_analyzer_id")} == {
        "$ttl": 9,
        "$site_id": "1",
        "$session_duration": 3,
        "$error_analyzer_id": "4",
    }
    assert [one["$type"] for one in found["$user_identifiers"]] == ["USER_ACCOUNT", "USER_EMAIL", "USER_AGENT"]
    assert found["$unique_key"] == str(KEY)


def test_documented_fields_are_no_extras():
    root = raw_fields([(name, None) for name in (*BASE_FIELDS, "$site_id", "$app_id", "$session_duration")])
    assert extras_of({**root, "$topics": Raw(b"1"), "$new": Raw(b"2"), "mine": Raw(b"null")}) == {
        "$topics": Raw(b"1"),
        "$new": Raw(b"2"),
        "mine": Raw(b"null"),
    }


@given(st.lists(st.integers(0, 5), max_size=8))
def test_events_of_an_item_stand_as_they_were_sent(times):
    """Decision 12, whatever their times."""
    bodies = [f'{{"$ts":{ts},"$event_name":"e","n":{place}}}' for place, ts in enumerate(times)]
    found = events_from(f"[{','.join(bodies)}]".encode())
    assert [(event.ts_ms, event.body.decode()) for event in found] == list(zip(times, bodies, strict=True))


@pytest.mark.parametrize("kind", ["SITE_VISIT", "APP_VISIT", "TOUCH"])
@given(data=st.data())
def test_an_activity_is_shown_as_what_is_stored_of_it_is(kind, data):
    name = st.sampled_from(["$topics", "$new", "mine", "é", 'q"uote'])
    activity = an_activity(
        ttl_minutes=data.draw(st.none() | st.just(0) | st.just(9)),
        identifiers=data.draw(st.sampled_from([(), (account("1", "ann"), agent("vec:1"))])),
        channel_field=data.draw(st.sampled_from(["", "$site_id", "$app_id"])),
        channel_id="1",
        duration_s=data.draw(st.none() | st.just(3)),
        error_analyzer_id=data.draw(st.none() | st.just("4")),
        origin=data.draw(st.sampled_from([None, b'{"$source":"mail","mine":1.50}'])),
        location=data.draw(st.sampled_from([None, Raw(b'{"mine":2,"$city":"Brest"}')])),
        extras=data.draw(st.dictionaries(name, st.sampled_from([Raw(b"1.50"), Raw(b"null"), Raw(b'{"a":1}')]))),
    ).replaced(type=kind)
    assert activity.show() == public(activity.encode())
