"""What a client sends, field by field: what is read, what is refused and where it says so."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallerError
from engine.model.channel import ChannelSettings, channel_key
from engine.model.identifiers import account, agent, email_hash
from engine.model.limits import MAX_EVENTS_PER_ITEM, MAX_IDENTIFIERS
from engine.model.sent import identifiers_in, parse_unique_key, sent_decoder
from engine.model.wire import decode

HEAD = {"$type": "TOUCH", "$session_status": "NO_SESSION"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def sent(**fields):
    return decode(sent_decoder, json.dumps({**HEAD, **fields}).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("$type", "VISIT"),
        ("$type", None),
        ("$session_status", "SESSION_SNAPSHOT"),
        ("$session_status", ""),
        ("$ts", -1),
        ("$ts", 10**30),
        ("$ts", "1700000000000"),
        ("$ts", 1.5),
        ("$ts", True),
        ("$ttl", -1),
        ("$ttl", 2**40 + 1),
        ("$session_duration", -1),
        ("$session_duration", 10**30),
        ("$session_duration", 10**4000),
        ("$events", None),
        ("$events", {}),
        ("$events", "[]"),
        ("$origin", []),
        ("$origin", "mail"),
        ("$location", 1),
        ("$unique_key", 5),
        ("$site_id", []),
        ("$site_id", 1.0),
        ("$app_id", True),
        ("$user_agent_id", {}),
        ("$user_identifiers", {}),
        ("$email_hash", "abc"),
    ],
)
def test_a_field_of_the_wrong_type_or_range_is_named(field, value):
    with pytest.raises(CallerError) as caught:
        sent(**{field: value})
    assert (caught.value.code, caught.value.path) == ("bad_field", f"$.{field}")


@pytest.mark.parametrize("field", HEAD)
def test_what_is_required_is_named(field):
    text = json.dumps({name: value for name, value in HEAD.items() if name != field}).encode()
    with pytest.raises(CallerError, match=f"`\\{field}`") as caught:
        decode(sent_decoder, text)
    assert caught.value.code == "bad_field"


def test_lists_are_bounded():
    assert len(sent(**{"$events": [{"$event_name": "x"}] * MAX_EVENTS_PER_ITEM}).events) == MAX_EVENTS_PER_ITEM
    for field, most, one in (
        ("$events", MAX_EVENTS_PER_ITEM, {"$event_name": "x"}),
        ("$user_identifiers", MAX_IDENTIFIERS, {"$type": "USER_AGENT", "$user_agent_id": "a"}),
    ):
        with pytest.raises(CallerError) as caught:
            sent(**{field: [one] * (most + 1)})
        assert caught.value.path == f"$.{field}"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"$site_id": "1"}, "site:1"),
        ({"$site_id": 1}, "site:1"),
        ({"$app_id": "7"}, "app:7"),
        ({"$app_id": 0}, "app:0"),
        ({"$site_id": "", "$app_id": "7"}, "app:7"),
        ({"$site_id": None}, ""),
        ({}, ""),
    ],
)
def test_the_channel_of_an_item(fields, key):
    assert sent(**fields).channel_key() == key


@pytest.mark.parametrize(
    ("kind", "key", "activity_type", "field"),
    [("SITE", "site:3", "SITE_VISIT", "$site_id"), ("MOBILE_APPLICATION", "app:3", "APP_VISIT", "$app_id")],
)
def test_a_channel_and_what_its_sessions_are(kind, key, activity_type, field):
    channel = ChannelSettings(datamart=1, kind=kind, id="3")
    assert (channel.key, channel.activity_type, channel.id_field) == (key, activity_type, field)
    assert channel_key(kind, "3") == key


@given(st.lists(TEXT, max_size=3), TEXT, TEXT, TEXT)
def test_both_ways_to_send_identifiers_are_merged_each_once(listed, rooted, compartment, hashed):
    fields = {
        "$user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": one} for one in listed if one],
        "$user_agent_id": rooted,
        "$user_account_id": rooted,
        "$compartment_id": compartment.replace("\0", ""),
        "$email_hash": {"$hash": hashed},
    }
    found = sent(**fields).identifiers("main")
    expected = [agent(one) for one in listed if one]
    if rooted:
        expected += [account(fields["$compartment_id"] or "main", rooted), agent(rooted)]
    if hashed:
        expected.append(email_hash(hashed))
    assert {one.key() for one in found} == {one.key() for one in expected}
    assert len(found) == len({one.key() for one in found})
    assert identifiers_in(json.dumps({**HEAD, **fields}).encode(), "main") == found


@pytest.mark.parametrize(("text", "key"), [(None, None), ("", None), (str(UUID(int=5)), UUID(int=5))])
def test_a_unique_key_of_the_sender(text, key):
    assert parse_unique_key(text) == key


def test_a_unique_key_that_is_no_uuid_is_refused():
    with pytest.raises(CallerError) as caught:
        parse_unique_key("5")
    assert (caught.value.code, caught.value.path) == ("bad_field", "$.$unique_key")
