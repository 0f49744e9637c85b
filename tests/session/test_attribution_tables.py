"""The tables of the platform's origin, row by row, written out here once more (mediarithmics 2.2 to 2.6)."""

import json

import pytest
from msgspec import Raw

from engine.session.attribution import origin_of

SITE = "https://shop.test/landing"


def found(*, url="", referrer="", **properties):
    origin = origin_of(
        None, {name: Raw(json.dumps(value).encode()) for name, value in properties.items()}, url, referrer
    )
    return None if origin is None else json.loads(origin.body)


def test_2_2_referrer_only():
    assert found(url=SITE, referrer="https://www.google.fr/") == {
        "$channel": "referral",
        "$source": "www.google.fr",
        "$referral_path": "https://www.google.fr/",
    }


def test_2_2_no_origin_at_all():
    assert found(url=SITE) is None


@pytest.mark.parametrize(
    ("parameter", "sent", "field", "value"),
    [
        ("utm_medium", "email", "$channel", "email"),
        ("$channel", "email", "$channel", "email"),
        ("utm_source", "base+loyalty+program", "$source", "base loyalty program"),
        ("utm_campaign", "back%20to%20school", "$campaign_name", "back to school"),
        ("utm_content", "template+1", "$creative_name", "template 1"),
        ("utm_term", "sport+shoes", "$keywords", "sport shoes"),
        ("$keywords", "sport+shoes", "$keywords", "sport shoes"),
        ("gclid", "Cj0KCQ", "$gclid", "Cj0KCQ"),
    ],
)
def test_2_3_google_parameters(parameter, sent, field, value):
    assert found(url=f"{SITE}?{parameter}={sent}") == {field: value}


@pytest.mark.parametrize(
    ("xtor", "expected"),
    [
        ("EPR-14234", {"$channel": "email", "$source": "EPR", "$campaign_id": "14234"}),
        ("AD-7880", {"$channel": "display", "$source": "AD", "$campaign_id": "7880"}),
    ],
)
def test_2_4_xtor(xtor, expected):
    assert found(url=f"{SITE}?xtor={xtor}") == found(url=f"{SITE}#xtor={xtor}") == expected


@pytest.mark.parametrize(
    ("prefix", "channel"),
    [
        ("AD", "display"),
        ("AL", "affiliation"),
        ("EPR", "email"),
        ("EREC", "email"),
        ("ES", "email"),
        ("SEC", "cpc"),
        ("RSS", "rss"),
        ("PUB", "self-promotion"),
        ("INT", "self-promotion"),
        ("CS1", "CS1"),
        ("CS12", "CS12"),
        ("OTHER", None),
    ],
)
def test_2_5_xtor_source_to_channel(prefix, channel):
    expected = {"$source": prefix, "$campaign_id": "1"} | ({"$channel": channel} if channel else {})
    assert found(url=f"{SITE}?xtor={prefix}-1") == expected


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("$channel", ["$channel"]),
        ("$source", ["$source"]),
        ("$campaign_name", ["$campaign_name"]),
        ("$campaign_technical_name", ["$catn", "$campaign_technical_name"]),
        ("$campaign_id", ["$caid", "$campaign_id"]),
        ("$sub_campaign_technical_name", ["$scatn", "$sub_campaign_technical_name"]),
        ("$sub_campaign_id", ["$scaid", "$sub_campaign_id"]),
        ("$creative_name", ["$creative_name"]),
        ("$creative_technical_name", ["$crtn", "$creative_technical_name"]),
        ("$creative_id", ["$crid", "$creative_id"]),
        ("$keywords", ["$keywords"]),
        ("$social_network", ["$social_network"]),
        ("$referral_path", ["$referral_path"]),
        ("$log_id", ["$log_id"]),
        ("$gclid", ["$gclid"]),
    ],
)
def test_2_6_event_properties(field, names):
    for name in names:
        assert found(**{name: "value"}) == {field: "value"}
