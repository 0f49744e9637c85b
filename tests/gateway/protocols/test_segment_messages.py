"""What each kind of message becomes, as tables."""

import json
import tomllib
from importlib.resources import files
from typing import Any

import pytest
from msgspec import Raw

from engine import ChannelSettings
from gateway.collect.protocols.segment.auth import Source
from gateway.collect.protocols.segment.batch import read_batch, with_defaults
from gateway.collect.protocols.segment.messages import Refused, item_of, read_message
from gateway.collect.protocols.segment.properties import CAMPAIGN, ORIGIN_PROPERTIES
from gateway.collect.protocols.segment.values import encoded, object_of

SITE = Source(ChannelSettings(datamart=1, kind="SITE", id="7", token="s"), "c9")
APP = Source(ChannelSettings(datamart=1, kind="MOBILE_APPLICATION", id="8", token="a"), "c9")

ACCOUNT = {"$type": "USER_ACCOUNT", "$user_account_id": "u1"}
AGENT = {"$type": "USER_AGENT", "$user_agent_id": "a1"}
EMAIL = {"$type": "USER_EMAIL", "$email": "Ann@B.test"}


def item(message: dict[str, Any] | bytes, source: Source = SITE, kind: str = "", **defaults: Any) -> dict[str, Any]:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    given_by_batch = {name: encoded(value) for name, value in defaults.items()}
    read = read_message(Raw(data), kind=kind, defaults=given_by_batch, max_bytes=32 * 1024)
    return json.loads(item_of(read, source, ts_ms=read.ts_ms, place=lambda fields, context: {}))


def events(message: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return item({"userId": "u1", **message}, **more)["$events"]


def event(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    (found,) = events(message, **more)
    return found


# ---- the item --------------------------------------------------------------------------------------------------------


def test_a_message_is_one_event_of_an_open_session_on_the_write_keys_channel():
    message = {
        "type": "track",
        "userId": "u1",
        "anonymousId": None,
        "event": "Signed Up",
        "properties": {"plan": "pro"},
        "timestamp": "2026-11-21T19:21:29.837+00:00",
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
        "integrations": {},
        "messageId": "m1",
        "sentAt": "2026-11-21T19:21:30Z",
        "writeKey": "s",
    }
    assert item(message) == {
        "$type": "SITE_VISIT",
        "$session_status": "IN_SESSION",
        "$site_id": "7",
        "$user_identifiers": [ACCOUNT],
        "$events": [
            {
                "$ts": 1795288889837,
                "$event_name": "Signed Up",
                "$event_id": "m1",
                "$properties": {"plan": "pro", "context": message["context"]},
            }
        ],
    }


def test_the_key_of_an_application_makes_visits_of_it():
    made = item({"type": "screen", "anonymousId": "a1", "name": "Start"}, APP)
    assert (made["$type"], made["$app_id"], made["$user_identifiers"]) == ("APP_VISIT", "8", [AGENT])
    assert "$site_id" not in made


def test_a_message_without_a_time_or_id_leaves_both_to_the_engine():
    assert event({"type": "track", "event": "x"}) == {"$event_name": "x", "$properties": {}}


@pytest.mark.parametrize(
    ("message", "identifiers"),
    [
        ({"userId": "u1", "anonymousId": "a1"}, [ACCOUNT, AGENT]),
        ({"userId": None, "anonymousId": "a1"}, [AGENT]),
        ({"userId": "", "anonymousId": "a1"}, [AGENT]),
        ({"userId": 42}, [{"$type": "USER_ACCOUNT", "$user_account_id": "42"}]),
        ({"userId": "u1", "context": {"traits": {"email": "Ann@B.test"}}}, [ACCOUNT, EMAIL]),
        # The traits of a track are nobody's: Segment has none there.
        ({"userId": "u1", "traits": {"email": "Ann@B.test"}}, [ACCOUNT]),
        ({"userId": "u1", "type": "identify", "traits": {"email": "Ann@B.test"}}, [ACCOUNT, EMAIL]),
        ({"userId": "u1", "type": "identify", "context": {"traits": {"email": "Ann@B.test"}}}, [ACCOUNT, EMAIL]),
        ({"userId": "u1", "type": "group", "groupId": "g", "traits": {"email": "info@group.test"}}, [ACCOUNT]),
        ({"userId": "u1", "type": "identify", "traits": {"email": "n/a"}}, [ACCOUNT]),
        ({"userId": "u1", "type": "identify", "traits": {"email": 5}}, [ACCOUNT]),
        (
            {"userId": "u1", "type": "alias", "previousId": "old"},
            [
                ACCOUNT,
                {"$type": "USER_ACCOUNT", "$user_account_id": "old"},
                {"$type": "USER_AGENT", "$user_agent_id": "old"},
            ],
        ),
        ({"userId": "u1", "type": "alias", "anonymousId": "a1", "previousId": "a1"}, [ACCOUNT, AGENT]),
        # The browser library says so of somebody who has a name already.
        ({"userId": "u1", "type": "alias", "anonymousId": "a1", "previousId": "u1"}, [ACCOUNT, AGENT]),
        (
            {
                "userId": "u1",
                "type": "merge",
                "mergeProperties": [
                    {"type": "email", "value": "Ann@B.test"},
                    {"type": "mobile", "value": "+1"},
                    {"type": "anonymous_id", "value": "a1"},
                    5,
                ],
            },
            [ACCOUNT, EMAIL, AGENT],
        ),
    ],
)
def test_ids_become_identifiers(message: dict[str, Any], identifiers: list[dict[str, str]]):
    assert item({"type": "track", "event": "x", **message})["$user_identifiers"] == identifiers


# ---- kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("Order Completed", "$transaction_confirmed"),
        ("order completed", "$transaction_confirmed"),
        ("Product Viewed", "$item_view"),
        ("Product List Viewed", "$item_list_view"),
        ("Cart Viewed", "$basket_view"),
        ("Application Opened", "$app_open"),
    ],
)
def test_a_track_that_means_a_predefined_event_has_its_name(sent: str, name: str):
    found = event({"type": "track", "event": sent})
    assert (found["$event_name"], found["$properties"]["event"]) == (name, sent)


@pytest.mark.parametrize("sent", ["Signed Up", "Application Installed", "Application Updated", "$page_view"])
def test_any_other_track_keeps_its_name(sent: str):
    found = event({"type": "track", "event": sent})
    assert (found["$event_name"], found["$properties"]) == (sent, {})


def test_products_are_items_as_well():
    products = [
        {"product_id": "p1", "sku": "s1", "price": "9.90", "quantity": 2, "brand": "B", "name": "N", "category": "C"},
        {"sku": "s2", "price": None},
        5,
    ]
    properties = event({"type": "track", "event": "Order Completed", "properties": {"products": products}})[
        "$properties"
    ]
    assert properties["products"] == products
    assert properties["$items"] == [
        {"$id": "p1", "$qty": 2, "$price": "9.90", "$brand": "B", "$name": "N", "$category1": "C"},
        {"$id": "s2"},
    ]


def test_an_event_about_one_product_is_its_item():
    sent = {"product_id": "p1", "price": 9.9, "url": "https://shop.test/p1"}
    found = event({"type": "track", "event": "Product Viewed", "properties": sent})["$properties"]
    assert found == {**sent, "$items": [{"$id": "p1", "$price": 9.9}], "event": "Product Viewed"}


def test_items_of_the_sender_stay():
    sent = {"products": [{"sku": "a"}], "$items": [{"$id": "own"}]}
    assert event({"type": "track", "event": "Order Completed", "properties": sent})["$properties"]["$items"] == [
        {"$id": "own"}
    ]


def test_an_opened_application_says_its_versions():
    context = {"app": {"version": "1.2"}, "os": {"name": "iOS", "version": "17"}, "library": {"version": "4"}}
    properties = event({"type": "track", "event": "Application Opened", "context": context}, source=APP)["$properties"]
    assert {name: properties[name] for name in ("$app_version", "$os_version", "$sdk_version")} == {
        "$app_version": "1.2",
        "$os_version": "17",
        "$sdk_version": "4",
    }


def test_a_page_stays_as_an_event_and_serves_the_rules_that_read_addresses():
    page = {"url": "https://shop.test/a", "referrer": "https://r.test/", "title": "A"}
    address = {"$url": page["url"], "$referrer": page["referrer"]}
    message = {"type": "page", "name": "Home", "category": "Shop", "properties": {"title": "A"}, "messageId": "m"}
    view, kept = events({**message, "context": {"page": page}, "timestamp": "2026-11-21T00:00:00Z"})
    assert view == {
        "$ts": 1795219200000,
        "$event_name": "$page_view",
        "$event_id": "m$page_view",
        "$properties": address,
    }
    assert (kept["$event_name"], kept["$event_id"], kept["$ts"]) == ("page", "m", 1795219200000)
    assert kept["$properties"] == {
        "title": "A",
        **address,
        "name": "Home",
        "category": "Shop",
        "context": {"page": page},
    }


def test_a_page_without_an_address_is_one_event():
    assert [one["$event_name"] for one in events({"type": "page", "name": "Home"})] == ["page"]


def test_a_page_of_a_server_may_have_its_address_in_its_properties():
    properties = {"url": "https://shop.test/a", "referrer": "https://r.test/"}
    view, _ = events({"type": "page", "properties": properties})
    assert view["$properties"] == {"$url": properties["url"], "$referrer": properties["referrer"]}
    # Of anything else, `url` may be that of a product.
    assert "$url" not in event({"type": "track", "event": "x", "properties": properties})["$properties"]


def test_identify_of_a_user_is_a_profile_update():
    found = event(
        {
            "type": "identify",
            "traits": {"plan": "pro", "$compartment_id": "of somebody else"},
            "context": {"traits": {"plan": "free", "age": 5}, "ip": ""},
        }
    )
    assert found["$event_name"] == "$set_user_profile_properties"
    assert found["$properties"] == {"$user_account_id": "u1", "$compartment_id": "c9", "plan": "pro", "age": 5}
    assert found["context"]["traits"] == {"plan": "free", "age": 5}


def test_identify_of_somebody_anonymous_is_an_event():
    (found,) = item({"type": "identify", "anonymousId": "a1", "traits": {"plan": "pro"}})["$events"]
    assert (found["$event_name"], found["$properties"]) == ("identify", {"traits": {"plan": "pro"}})


@pytest.mark.parametrize(
    ("message", "properties"),
    [
        (
            {"type": "screen", "name": "Start", "category": None, "properties": {"a": 1}},
            {"a": 1, "name": "Start"},
        ),
        ({"type": "group", "groupId": "g", "traits": {"n": 1}}, {"groupId": "g", "traits": {"n": 1}}),
        ({"type": "alias", "previousId": "old"}, {"previousId": "old"}),
        (
            {"type": "merge", "mergeProperties": [{"type": "email", "value": "a@b.c"}]},
            {"mergeProperties": [{"type": "email", "value": "a@b.c"}]},
        ),
    ],
)
def test_other_kinds_are_custom_events(message: dict[str, Any], properties: dict[str, Any]):
    found = event(message)
    assert (found["$event_name"], found["$properties"]) == (message["type"], properties)


def test_the_type_of_the_path_holds():
    assert event({"userId": "u1", "event": "x", "type": "page"}, kind="track")["$event_name"] == "x"


def test_what_properties_hold_already_stands_beside_them():
    found = event(
        {"type": "track", "event": "Cart Viewed", "properties": {"context": 1, "event": 2}, "context": {"a": 1}}
    )
    assert found["$properties"] == {"context": 1, "event": 2}
    assert (found["context"], found["event"]) == ({"a": 1}, "Cart Viewed")


def test_what_is_not_known_is_kept_beside_the_properties_and_cannot_pass_for_ours():
    found = event(
        {"type": "track", "event": "x", "channel": "server", "integrations": {"All": True}, "$ts": 1, "$properties": {}}
    )
    assert found == {"$event_name": "x", "$properties": {}, "channel": "server", "integrations": {"All": True}}


# ---- origin ----------------------------------------------------------------------------------------------------------

AD = {"name": "spring", "source": "news", "medium": "email", "term": "t", "content": "c", "id": "9"}
AS_PROPERTIES = {
    "$channel": "email",
    "$source": "news",
    "$campaign_name": "spring",
    "$keywords": "t",
    "$creative_name": "c",
}


@pytest.mark.parametrize(
    ("own", "url", "expected"),
    [
        ({}, "", AS_PROPERTIES),
        ({}, "https://s.test/?xtor=AD-5", AS_PROPERTIES),
        ({}, "https://s.test/#utm_source=x", AS_PROPERTIES),
        ({}, "https://s.test/?a=1&UTM_source=x", {}),
        ({}, "https://s.test/?gclid=x", {}),
        ({}, "https://s.test/?utm_source=", AS_PROPERTIES),
        ({"$catn": "own"}, "", {"$catn": "own"}),
    ],
)
def test_a_campaign_has_the_rank_of_googles_parameters(own: dict[str, str], url: str, expected: dict[str, str]):
    context = {"campaign": AD, "page": {"url": url}}
    found = event({"type": "track", "event": "x", "properties": own, "context": context})["$properties"]
    assert {name: value for name, value in found.items() if name in ORIGIN_PROPERTIES} == expected


def test_the_names_of_origins_are_those_that_the_engine_reads():
    tables = tomllib.loads(files("engine.session").joinpath("attribution.toml").read_text("utf-8"))
    assert {name for names in tables["properties"].values() for name in names} == ORIGIN_PROPERTIES
    assert {name for name, _ in CAMPAIGN} <= ORIGIN_PROPERTIES


# ---- batches ---------------------------------------------------------------------------------------------------------


def test_what_a_batch_says_for_all_holds_where_a_message_does_not_say_otherwise():
    defaults = {"context": {"ip": "1.2.3.4", "locale": "en"}, "integrations": {"All": False}}
    found = event({"type": "track", "event": "x", "context": {"locale": "fr"}}, **defaults)
    assert found["$properties"]["context"] == {"ip": "1.2.3.4", "locale": "fr"}
    assert found["integrations"] == {"All": False}


def test_a_batch_without_defaults_leaves_messages_as_they_are():
    fields = object_of(b'{"context": { "a":1.50 }}')
    assert with_defaults(fields, {}) is fields
    body = b'{"batch":[{"a":1}],"context":{},"integrations":null,"writeKey":"k","sentAt":"t"}'
    batch = read_batch(body)
    assert ([bytes(one) for one in batch.messages], batch.key, batch.defaults) == ([b'{"a":1}'], "k", {})


# ---- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"5", "bad_message"),
        (b"null", "bad_message"),
        (b'{"type":"track","event":"x","userId":"u","properties":[]}', "bad_message"),
        (b'{"type":"track","event":"x","userId":"u","context":"y"}', "bad_message"),
        (b'{"type":"foo","userId":"u"}', "unknown_type"),
        (b'{"userId":"u"}', "unknown_type"),
        (b'{"type":"track","event":"x"}', "no_user_id"),
        (b'{"type":"track","event":"x","userId":null,"anonymousId":null}', "no_user_id"),
        (b'{"type":"track","event":"x","userId":"","anonymousId":{}}', "no_user_id"),
        (b'{"type":"track","userId":"u"}', "missing_event"),
        (b'{"type":"track","userId":"u","event":""}', "missing_event"),
        (b'{"type":"track","userId":"u","event":7}', "missing_event"),
        (b'{"type":"alias","userId":"u"}', "missing_previous_id"),
        (b'{"type":"track","event":"x","userId":"u","timestamp":"yesterday"}', "bad_timestamp"),
        (b'{"type":"track","event":"x","userId":"u","pad":"%s"}' % (b"x" * 32768), "message_too_large"),
        (b"[" * 100_000, "bad_message"),
    ],
)
def test_a_message_that_cannot_be_taken_says_why(message: bytes, reason: str):
    with pytest.raises(Refused) as raised:
        read_message(Raw(message), kind="", defaults={}, max_bytes=32 * 1024)
    assert raised.value.reason == reason


def test_a_refusal_knows_the_message_by_its_id():
    with pytest.raises(Refused) as raised:
        read_message(Raw(b'{"messageId":"m1","type":"track"}'), kind="", defaults={}, max_bytes=32 * 1024)
    assert raised.value.id == "m1"
