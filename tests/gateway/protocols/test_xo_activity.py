"""The mapping of XO activities: names, items, identities and times by table, and that all that was sent stays."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import CallerError, ChannelSettings
from gateway.collect.protocols.xo.activity import item_of
from gateway.collect.protocols.xo.mapping import folded, kind_of

SITE = ChannelSettings(datamart=1, kind="SITE", id="7")
APP = ChannelSettings(datamart=1, kind="MOBILE_APPLICATION", id="8")
SESSION = {"identities": {"sessionid": "s1"}}


def activity(**more: Any) -> dict[str, Any]:
    return {"action": "view", "target": {"product": "p1"}, "user": SESSION, **more}


def item(channel: ChannelSettings = SITE, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(item_of(json.dumps(activity(**more)).encode(), channel, {}))
    return found


def event(**more: Any) -> dict[str, Any]:
    (found,) = item(**more)["$events"]
    return found  # type: ignore[no-any-return]


def fault(sent: bytes | dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(CallerError) as caught:
        item_of(sent if isinstance(sent, bytes) else json.dumps(sent).encode(), SITE, {})
    assert str(caught.value)
    return caught.value.code, caught.value.path


@pytest.mark.parametrize(
    ("action", "target", "source", "name"),
    [
        ("view", {"product": "p"}, None, "$item_view"),
        ("View", {"Product": "p"}, None, "$item_view"),
        ("view", {"product": "p", "page": "/x"}, "r1", "$item_view"),
        ("view", {"category": "shoes"}, None, "$item_list_view"),
        ("view", {"facet": "brand", "brand": "Dior"}, None, "$item_list_view"),
        ("view", {"search": "red shoes"}, None, "$item_list_view"),
        ("view", {"list": "sale"}, None, "$item_list_view"),
        ("view", {"pathToPage": "shoes/red"}, "r1", "$item_list_view"),
        ("view", {"page": "shoes/red"}, "r1", "$item_list_view"),
        ("view", {"page": "about"}, None, "view"),
        ("view", {"page": "about"}, "", "view"),
        ("view", {"pathToPage": "about"}, None, "view"),
        ("view", {"cart": "c1"}, None, "$basket_view"),
        ("view", {"basket": "c1"}, None, "$basket_view"),
        ("view", {}, None, "view"),
        ("view", {"video": "v"}, None, "view"),
        ("click", {"product": "p"}, None, "click"),
        ("add-to-cart", {"product": "p"}, None, "add-to-cart"),
        ("addToBasket", {"product": "p"}, None, "addToBasket"),
        ("remove-from-cart", {"product": "p"}, None, "remove-from-cart"),
        ("purchase", {"product": "p"}, None, "$transaction_confirmed"),
        ("Purchase", {}, None, "$transaction_confirmed"),
        ("buy", {"product": "p"}, None, "$transaction_confirmed"),
        ("wish", {"product": "p"}, None, "wish"),
        ("$item_view", {}, None, "$item_view"),
    ],
)
def test_the_name_of_an_event(action: str, target: dict[str, str], source: str | None, name: str):
    found = event(action=action, target=target, sourceId=source)
    assert found["$event_name"] == name
    assert found["$properties"]["action"] == action
    assert found["$properties"]["target"] == target


@pytest.mark.parametrize("action", ["purchase", "buy", "view", "add-to-cart"])
def test_what_is_taken_back_did_not_happen(action: str):
    found = event(action=action, opposite=True)
    assert (found["$event_name"], found["$properties"]["opposite"]) == (action, True)
    assert event(action="purchase", opposite=False)["$event_name"] == "$transaction_confirmed"
    assert event(action="purchase", opposite=None)["$event_name"] == "$transaction_confirmed"


@pytest.mark.parametrize(
    "action",
    ["view", "purchase", "buy", "add-to-cart", "addToCart", "add_to_basket", "addToBasket", "remove-from-cart"],
)
def test_what_an_action_on_a_product_is_about(action: str):
    metadata = {"price": 3250, "quantity": 2, "currency": "EUR", "orderId": "o1"}
    properties = event(action=action, metadata=metadata)["$properties"]
    assert properties["$items"] == [{"$id": "p1", "$price": 32.5, "$qty": 2}]
    assert properties["metadata"] == metadata


@pytest.mark.parametrize("more", [{"action": "click"}, {"action": "wish"}, {"target": {"page": "p"}}, {"target": {}}])
def test_what_is_about_no_product_has_no_items(more: dict[str, Any]):
    assert "$items" not in event(metadata={"price": 3250}, **more)["$properties"]


@pytest.mark.parametrize(
    ("cents", "price"),
    [
        *((b"3250", b"32.5"), (b"1999", b"19.99"), (b"100", b"1"), (b"5", b"0.05"), (b"0", b"0"), (b"-250", b"-2.5")),
        *((b"12.5", b"0.125"), (b"1e3", b"10"), (b'"3250"', b"32.5"), (b"100000000000", b"1000000000")),
        *((b"1999.99", b"19.9999"), (b"99999999999999", b"999999999999.99")),
    ],
)
def test_cents_become_units_exactly_and_stay_as_they_were(cents: bytes, price: bytes):
    sent = b'{"action":"buy","target":{"product":"p"},"user":{"identities":{"sessionid":"s"}},"metadata":{"price":%s}}'
    found = item_of(sent % cents, SITE, {})
    assert b'"$items":[{"$id":"p","$price":%s}]' % price in found
    assert b'"metadata":{"price":%s}' % cents in found


@pytest.mark.parametrize(
    "price", ["true", "null", '"12,50"', '""', "[1]", '"1e99"', "1e99", "1e-99", '"NaN"', "9" * 25, '"٣"']
)
def test_what_is_no_price_is_none(price: str):
    sent = b'{"action":"buy","target":{"product":"p"},"user":{"identities":{"sessionid":"s"}},"metadata":{"price":%s}}'
    assert b'"$items":[{"$id":"p"}]' in item_of(sent % price.encode(), SITE, {})


@given(st.integers(-(10**15), 10**15))
def test_a_price_in_units_is_a_hundredth(cents: int):
    (found,) = event(action="buy", metadata={"price": cents})["$properties"]["$items"]
    assert round(found["$price"] * 100) == cents


def test_an_item_of_the_senders_own_stays():
    sent = activity(action="buy") | {"$items": [{"$id": "mine"}]}
    assert json.loads(item_of(json.dumps(sent).encode(), SITE, {}))["$events"][0]["$properties"]["$items"] == [
        {"$id": "mine"}
    ]


AGENT = {"$type": "USER_AGENT", "$user_agent_id": "x"}
ACCOUNT = {"$type": "USER_ACCOUNT", "$user_account_id": "x"}
HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "value", "identifier"),
    [
        ("sessionid", "x", AGENT),
        ("sessionId", "x", AGENT),
        ("session_id", "x", AGENT),
        ("ecommerceid", "x", ACCOUNT),
        ("ecommerceId", "x", ACCOUNT),
        ("eCommerceId", "x", ACCOUNT),
        ("customerId", "x", ACCOUNT),
        ("loyaltyCard", "x", {**ACCOUNT, "$compartment_id": "loyaltycard"}),
        ("loyaltycard", "x", {**ACCOUNT, "$compartment_id": "loyaltycard"}),
        ("userId", "x", {**ACCOUNT, "$compartment_id": "userid"}),
        ("customerId", 42, {**ACCOUNT, "$user_account_id": "42"}),
        ("email", " Ada@Example.org ", {"$type": "USER_EMAIL", "$email": " Ada@Example.org "}),
        ("email", HEX, {"$type": "USER_EMAIL", "$hash": HEX}),
        ("emailHash", HEX[:32], {"$type": "USER_EMAIL", "$hash": HEX[:32]}),
        ("email", "n/a", None),
        ("email", "x@" + "y" * 300, None),
        ("email", None, None),
        ("ecommerceId", "", None),
        ("loyaltyCard", None, None),
    ],
)
def test_who_an_identity_is(name: str, value: object, identifier: dict[str, str] | None):
    found = item(user={"identities": {name: value, "sessionid": "s"}})["$user_identifiers"]
    session = {"$type": "USER_AGENT", "$user_agent_id": "s"}
    if name == "sessionid":
        assert found == [session]
    else:
        assert found == [one for one in (identifier, session) if one is not None]


def test_numbers_of_two_registers_are_not_the_same_people():
    found = item(user={"identities": {"ecommerceId": "1", "loyalty": "1", "club": "1"}})["$user_identifiers"]
    assert len({one.get("$compartment_id", "") for one in found}) == 3


@pytest.mark.parametrize(
    ("channel", "kind", "field"), [(SITE, "SITE_VISIT", "$site_id"), (APP, "APP_VISIT", "$app_id")]
)
def test_the_channel_says_the_type(channel: ChannelSettings, kind: str, field: str):
    found = item(channel)
    assert (found["$type"], found["$session_status"], found[field]) == (kind, "IN_SESSION", channel.id)
    assert {"$site_id", "$app_id"} & found.keys() == {field}


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("2020-05-06T07:08:09.123Z", 1588748889123),
        ("2020-05-06T07:08:09Z", 1588748889000),
        ("2020-05-06t09:08:09+02:00", 1588748889000),
        ("2020-05-06T07:08:09.123999z", 1588748889123),
        ("2020-05-06T07:08:09", 1588748889000),
        (" 2020-05-06T07:08:09Z ", 1588748889000),
        ("2020-05-06", 1588723200000),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_the_time_of_an_event(text: str, ts_ms: int):
    found = event(timestamp=text)
    assert found["$ts"] == ts_ms
    assert found["$properties"]["timestamp"] == text


@pytest.mark.parametrize("more", [{}, {"timestamp": None}])
def test_without_a_time_it_is_the_arrival(more: dict[str, Any]):
    assert "$ts" not in event(**more)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), st.integers(-23 * 60, 23 * 60))
def test_any_time_is_read_to_the_millisecond(moment: datetime, offset_minutes: int):
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    expected = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert event(timestamp=aware.isoformat())["$ts"] == expected


@pytest.mark.parametrize(
    ("sent", "code", "path"),
    [
        (b"", "bad_json", "$"),
        (b"{", "bad_json", "$"),
        (b'{"action":"\xff"}', "bad_json", "$"),
        (b'{"a":' * 100_000, "nesting_too_deep", "$"),
        (b"1", "bad_field", "$"),
        (b"[]", "bad_field", "$"),
        ({}, "bad_field", "$"),
        (activity(action=""), "bad_field", "$.action"),
        (activity(action=1), "bad_field", "$.action"),
        (activity(action="x" * 256), "bad_field", "$.action"),
        (activity(target=None), "bad_field", "$.target"),
        (activity(target="p1"), "bad_field", "$.target"),
        (activity(target={"product": {"id": 1}}), "bad_field", "$.target.product"),
        (activity(user={}), "bad_field", "$.user"),
        (activity(user={"identities": []}), "bad_field", "$.user.identities"),
        (activity(user={"identities": {}}), "no_user_identifier", "$.user.identities"),
        (activity(user={"identities": {"sessionid": None, "email": "n/a"}}), "no_user_identifier", "$.user.identities"),
        (activity(user={"identities": {"sessionid": ["x"]}}), "bad_field", "$.user.identities.sessionid"),
        (activity(user={"identities": {"sessionid": True}}), "bad_field", "$.user.identities.sessionid"),
        (activity(metadata=[1]), "bad_field", "$.metadata"),
        (activity(opposite="yes"), "bad_field", "$.opposite"),
        (activity(timestamp=1588748889), "bad_field", "$.timestamp"),
        (activity(timestamp="yesterday"), "bad_field", "$.timestamp"),
        (activity(timestamp=""), "bad_field", "$.timestamp"),
        (activity(timestamp="1969-12-31T23:59:59Z"), "bad_field", "$.timestamp"),
        (activity(timestamp="0001-01-01T00:00:00+23:00"), "bad_field", "$.timestamp"),
    ],
)
def test_a_fault_and_where_it_is(sent: bytes | dict[str, Any], code: str, path: str):
    assert fault(sent) == (code, path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["action", "target", "user", "sourceId", "metadata", "segments", "timestamp", "opposite", "$items", "$url", "x"]
)


@given(
    st.dictionaries(st.text(max_size=8), JSON, max_size=4),
    st.dictionaries(st.sampled_from(["price", "quantity", "currency", "x"]), JSON, max_size=4),
    st.dictionaries(st.sampled_from(["segments", "traits"]), JSON, max_size=2),
)
def test_everything_sent_stays_as_it_was(extra: dict[str, Any], metadata: dict[str, Any], of_user: dict[str, Any]):
    sent = extra | activity(metadata=metadata, segments=["mobile"], sourceId="r1", user=SESSION | of_user)
    found = json.loads(item_of(json.dumps(sent).encode(), SITE, {}))
    properties = found["$events"][0]["$properties"]
    assert {name: properties[name] for name in sent} == sent
    assert properties.keys() - sent.keys() <= {"$items"}


def test_numbers_keep_their_text():
    user = b'{"identities":{"sessionid":"s"},"traits":{"a":1.50}}'
    sent = b'{"action":"view","target":{"product":"p"},"user":%s,"m":1e2}' % user
    found = item_of(sent, SITE, {})
    assert b'"traits":{"a":1.50}' in found
    assert b'"m":1e2' in found


@given(st.dictionaries(NAMES, JSON, max_size=6).map(lambda odd: activity() | odd) | JSON | st.binary(max_size=40))
def test_anything_is_an_item_or_a_fault_with_its_place(sent: Any):
    data = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    try:
        found = json.loads(item_of(data, SITE, {}))
    except CallerError as error:
        found = {"$user_identifiers": error.path.startswith("$") and error.code}
    assert found["$user_identifiers"]


def test_names_are_folded():
    assert {folded(name) for name in ("add-to-cart", "addToCart", "ADD_TO_CART", "Add to Cart")} == {"addtocart"}
    assert (kind_of("SessionId"), kind_of("other-id")) == ("agent", "other")
