"""What a session holds of a record."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.model.channel import ChannelSettings
from engine.model.record import RecordKind
from engine.session.member import item_member, member_of
from tests.session.build import NOON, dump, event_of, record_of, root_of, settings

SHOP = settings()
GOOGLE = {"$url": "https://shop.test/", "$referrer": "https://www.google.fr/a"}


def origin_json(body: bytes) -> object:
    return json.loads(body)


def test_place_bytes_and_version_come_from_the_record():
    record = record_of(7, NOON, arrival_ms=NOON + 5, version=1, weight=3)
    member = member_of(record, SHOP)
    assert (member.ts_ms, member.sequence, member.arrival_ms, member.weight) == (NOON, 7, NOON + 5, 3)
    assert (member.root, member.event, member.channel_version, member.process) == (record.root, record.event, 1, True)
    assert member.origin is None
    assert member.referrer == ""


def test_foreign_referrer():
    """Decisions 6b and 19: its registrable domain, and an origin by its host."""
    member = member_of(record_of(1, NOON, **GOOGLE), SHOP)
    assert member.referrer == "google.fr"
    assert member.origin is not None
    assert origin_json(member.origin.body) == {
        "$channel": "referral",
        "$source": "www.google.fr",
        "$referral_path": "https://www.google.fr/a",
    }


def test_own_referrer():
    """Decisions 6 and 19: never the site's own."""
    member = member_of(record_of(1, NOON, **{"$referrer": "https://www.shop.test/a"}), SHOP)
    assert (member.referrer, member.origin) == ("", None)


def test_a_campaign_with_a_foreign_referrer_has_both():
    """Decision 6b looks at the referrer even where something before it in decision 19 gave the origin."""
    member = member_of(record_of(1, NOON, **GOOGLE | {"$url": "https://shop.test/?utm_source=x"}), SHOP)
    assert member.referrer == "google.fr"
    assert member.origin is not None
    assert origin_json(member.origin.body) == {"$source": "x"}


def test_origin_sent_with_the_item():
    """Decision 19: `$origin` sent by API comes first, for each event of the item."""
    member = member_of(record_of(1, NOON, root=root_of(**{"$origin": {"$channel": "api", "mine": 1}}), **GOOGLE), SHOP)
    assert member.origin is not None
    assert origin_json(member.origin.body) == {"$channel": "api", "mine": 1}


@pytest.mark.parametrize("value", [None, 5, True, [], {}, ["https://a.test"], {"$url": 1}, "", "-"])
def test_odd_addresses_count_as_absent(value: object):
    """Wrongly typed `$url` and `$referrer` never raise."""
    member = member_of(record_of(1, NOON, **{"$url": value, "$referrer": value}), SHOP)
    assert (member.referrer, member.origin) == ("", None)


@pytest.mark.parametrize("properties", ["null", "{}", "[]", "5", '"x"'])
def test_odd_properties_count_as_absent(properties: str):
    event = b'{"$ts":1,"$event_name":"e","$properties":' + properties.encode() + b"}"
    member = member_of(record_of(1, NOON, event=event), SHOP)
    assert (member.referrer, member.origin) == ("", None)
    assert member_of(record_of(1, NOON, event=b'{"$ts":1,"$event_name":"e"}'), SHOP).origin is None


def test_what_is_equal_is_held_once():
    """Root fields and origins are most of a session's bytes."""
    root = root_of(**{"$origin": {"$channel": "api"}})
    first = member_of(record_of(1, NOON, root=root), SHOP)
    second = member_of(record_of(2, NOON, root=bytes(bytearray(root))), SHOP, first)
    assert second.root is first.root
    assert second.origin is first.origin
    third = member_of(record_of(3, NOON), SHOP, second)
    assert (third.root, third.origin) == (root_of(), None)


def test_item_origin_is_that_of_the_first_event_that_has_one():
    """Decisions 12 and 21: events in the order sent; a sent `$origin` before them all."""
    events = dump(
        [
            json.loads(event_of(NOON + 3)),
            json.loads(event_of(NOON + 2, **{"$source": "first"})),
            json.loads(event_of(NOON + 1, **{"$source": "second"})),
        ]
    )
    record = record_of(1, NOON, kind=RecordKind.ITEM, event=events)
    member = item_member(record, SHOP)
    assert member.event == events
    assert member.origin is not None
    assert origin_json(member.origin.body) == {"$source": "first"}
    sent = record_of(1, NOON, kind=RecordKind.ITEM, event=events, root=root_of(**{"$origin": {"$gclid": "g"}}))
    member = item_member(sent, SHOP)
    assert member.origin is not None
    assert origin_json(member.origin.body) == {"$gclid": "g"}


def test_item_without_channel_events_or_origin():
    """Decision 12: a touch may name no channel; own is then the event's own address."""
    empty = record_of(1, NOON, kind=RecordKind.ITEM, channel="", event=b"[]", root=root_of(**{"$origin": None}))
    assert item_member(empty, None).origin is None
    events = b"[" + event_of(NOON, **{"$url": "https://a.test/", "$referrer": "https://www.a.test/"}) + b"]"
    assert item_member(record_of(1, NOON, kind=RecordKind.ITEM, channel="", event=events), None).origin is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


addresses = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "https://", "http://", "HTTPS://", "//", "http:///"]),
    st.sampled_from(["", "shop.test", "www.shop.test", "a.other.test:80", "other.test"]),
    st.sampled_from(["", "/", "/a/", "\\b/"]),
    st.sampled_from(["", "?", "?utm_source=x", "#xtor=AD-1"]),
)


@given(
    st.dictionaries(st.sampled_from(["$url", "$referrer", "$channel", "$caid", "x"]), addresses | json_values),
    st.sampled_from([{}, {"$origin": None}, {"$origin": {"$channel": "api"}}]),
    st.sampled_from([SHOP, structs.replace(SHOP, domain="", aliases=())]),
)
def test_beside_a_like_one_it_is_what_it_is_alone(
    properties: dict[str, object], origin: dict[str, object], channel: ChannelSettings
):
    root = root_of(**origin)
    like = member_of(record_of(1, NOON, root=root), channel)
    record = record_of(2, NOON, root=root, **properties)
    assert member_of(record, channel, like) == member_of(record, channel)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["$url", "$referrer", "$channel", "$caid", "x"]), json_values))
def test_no_property_raises(properties: dict[str, object]):
    member_of(record_of(1, NOON, **properties), SHOP)
    item_member(record_of(1, NOON, kind=RecordKind.ITEM, event=b"[" + event_of(NOON, **properties) + b"]"), None)
