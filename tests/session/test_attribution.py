"""Where an origin comes from (decisions 19 and 20)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from engine.model.origin import ORIGIN_FIELDS
from engine.model.wire import Fields, decode_fields
from engine.session.attribution import PARAMETERS, PROPERTIES, XTOR_CHANNELS, origin_of

REFERRER = "https://www.google.fr/search?q=a"
REFERRAL = {"$channel": "referral", "$source": "www.google.fr", "$referral_path": REFERRER}


def fields(value: dict[str, object]) -> Fields:
    return {key: Raw(json.dumps(inner).encode()) for key, inner in value.items()}


def found(
    *, sent: dict[str, object] | None = None, url: str = "", referrer: str = "", **properties: object
) -> dict[str, object] | None:
    """The origin's fields in plain JSON."""
    origin = origin_of(None if sent is None else fields(sent), fields(properties), url, referrer)
    return None if origin is None else json.loads(origin.body)


def test_order_of_sources():
    """Decision 19: `$origin` sent, predefined properties, Google parameters, xtor, referrer; the first alone counts."""
    sources: list[tuple[dict[str, object], dict[str, object]]] = [
        ({"sent": {"$channel": "api"}}, {"$channel": "api"}),
        ({"$source": "property"}, {"$source": "property"}),
        ({"url": "https://shop.test/?utm_source=google&xtor=AD-1"}, {"$source": "google"}),
        ({"url": "https://shop.test/?xtor=AD-1"}, {"$channel": "display", "$source": "AD", "$campaign_id": "1"}),
        ({"referrer": REFERRER}, REFERRAL),
    ]
    for index, (_, expected) in enumerate(sources):
        given_all: dict[str, object] = {}
        for more, _ in reversed(sources[index:]):
            given_all |= more
        assert found(**given_all) == expected
    assert found() is None


def test_a_source_that_yields_nothing_is_passed_over():
    """Decision 19: the first that yields *anything*."""
    assert found(sent={}, referrer=REFERRER) == REFERRAL
    assert found(sent={"$channel": None, "$ts": 5}, referrer=REFERRER) == REFERRAL
    assert found(referrer=REFERRER, **{"$channel": "", "$keywords": None}) == REFERRAL
    assert found(referrer=REFERRER, url="https://shop.test/?utm_source=&xtor=&page=2") == REFERRAL
    assert found(referrer=REFERRER, url="https://shop.test/?xtor=AD") == REFERRAL


def test_sent_origin_keeps_custom_fields():
    """Decision 19 and 37: what the sender wrote comes back, custom fields and number text included."""
    origin = origin_of(decode_fields(b'{"$channel":"x","mine":{"a":1.50},"$ts":5,"$gclid":null}'), {}, "", "")
    assert origin is not None
    assert origin.body == b'{"$channel":"x","mine":{"a":1.50}}'


@pytest.mark.parametrize(("field", "names"), PROPERTIES)
def test_predefined_properties(field: str, names: tuple[str, ...]):
    """Decision 19, table 2.6: the short and the long form of each property."""
    assert field in ORIGIN_FIELDS
    for name in names:
        assert found(**{name: "x"}) == {field: "x"}


def test_predefined_properties_together():
    """Table 2.6, the example of 4.4, with custom properties beside."""
    assert found(**{"$catn": "SPRING", "$scatn": "STRATEGY-1", "$crtn": "BANNER-A", "$url": 5, "mine": 1}) == {
        "$campaign_technical_name": "SPRING",
        "$sub_campaign_technical_name": "STRATEGY-1",
        "$creative_technical_name": "BANNER-A",
    }
    assert found(**{"$caid": 8782, "$campaign_id": "12"}) == {"$campaign_id": "12"}


@pytest.mark.parametrize("value", [True, 5, 1.5, [], {}, ["a"], {"a": 1}, None, ""])
def test_a_property_of_the_wrong_type_is_absent(value: object):
    """Decision 19: nothing raises, and what is no text says nothing; ids may be numbers."""
    assert found(**{"$channel": value, "$keywords": value}) is None
    expected = {"$campaign_id": value} if value in (5, 1.5) and value is not True else None
    assert found(**{"$caid": value}) == expected


def test_google_parameters():
    """Table 2.3, its example: form-decoded, so that `+` is a space."""
    url = "https://shop.test/?utm_medium=email&utm_source=loyalty&utm_campaign=back%20to+school"
    assert found(url=url + "&utm_content=tpl1&utm_term=sport+shoes&gclid=abc") == {
        "$channel": "email",
        "$source": "loyalty",
        "$campaign_name": "back to school",
        "$creative_name": "tpl1",
        "$keywords": "sport shoes",
        "$gclid": "abc",
    }


@pytest.mark.parametrize(("field", "names"), PARAMETERS)
def test_each_parameter(field: str, names: tuple[str, ...]):
    """Table 2.3: each name alone, also encoded; `utm_*` in any case."""
    assert field in ORIGIN_FIELDS
    for name in names:
        assert found(url=f"https://shop.test/a?{name}=x#top") == {field: "x"}
        assert found(url=f"https://shop.test/a?{name.replace('$', '%24')}=x") == {field: "x"}
        upper = found(url=f"https://shop.test/a?{name.upper()}=x")
        assert upper == ({field: "x"} if name.startswith("utm_") else None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("?utm_medium=a&$channel=b", {"$channel": "a"}),
        ("?utm_medium=&$channel=b", {"$channel": "b"}),
        ("?utm_source=&utm_source=a&utm_source=b", {"$source": "a"}),
        ("?Utm_Source=a&utm_source=b", {"$source": "a"}),
        ("?a=1?utm_source=x", None),
        ("?utm_source=a%26b%3D", {"$source": "a&b="}),
        ("?utm_source=%C3%A9t%C3%A9", {"$source": "été"}),
        ("?utm_source=%FF%zz", {"$source": "\ufffd%zz"}),
        ("#utm_source=a", None),
        ("?x=1&&=&utm_source", None),
    ],
)
def test_parameters_as_people_write_them(url: str, expected: dict[str, object] | None):
    """Decision 19: the query only; of one name the first value; `utm_medium` before `$channel`."""
    assert found(url="https://shop.test/" + url) == expected


@pytest.mark.parametrize(
    ("xtor", "expected"),
    [
        ("EPR-14234", {"$channel": "email", "$source": "EPR", "$campaign_id": "14234"}),
        ("AD-7880", {"$channel": "display", "$source": "AD", "$campaign_id": "7880"}),
        ("SEC-12-GOO-[brand]", {"$channel": "cpc", "$source": "SEC", "$campaign_id": "12"}),
        ("AL-spring", {"$channel": "affiliation", "$source": "AL", "$campaign_technical_name": "spring"}),
        ("AL-[a-b]-c", {"$channel": "affiliation", "$source": "AL", "$campaign_technical_name": "[a-b]"}),
        ("CS3-7", {"$channel": "CS3", "$source": "CS3", "$campaign_id": "7"}),
        ("CS-7", {"$source": "CS", "$campaign_id": "7"}),
        ("XY-7", {"$source": "XY", "$campaign_id": "7"}),
        ("epr-1", {"$channel": "email", "$source": "epr", "$campaign_id": "1"}),
        ("AD-٣", {"$channel": "display", "$source": "AD", "$campaign_technical_name": "٣"}),
        ("AD", None),
        ("AD-", None),
        ("-7", None),
        ("-", None),
    ],
)
def test_xtor(xtor: str, expected: dict[str, object] | None):
    """Decision 20: A is the source, B the campaign, the channel by table 2.5; in the query and in the fragment."""
    assert found(url=f"https://shop.test/a?x=1&xtor={xtor}") == expected
    assert found(url=f"https://shop.test/a#xtor={xtor}") == expected
    assert found(url=f"https://shop.test/a?x=1#/route?y=2&xtor={xtor}") == expected


def test_xtor_of_the_query_before_that_of_the_fragment():
    """Decision 20: one of the two counts."""
    assert found(url="https://shop.test/?xtor=AD-1#xtor=SEC-2") == {
        "$channel": "display",
        "$source": "AD",
        "$campaign_id": "1",
    }


def test_xtor_channels_are_the_table():
    """Decision 20, table 2.5."""
    assert XTOR_CHANNELS == {
        "AD": "display",
        "AL": "affiliation",
        "EPR": "email",
        "EREC": "email",
        "ES": "email",
        "SEC": "cpc",
        "RSS": "rss",
        "PUB": "self-promotion",
        "INT": "self-promotion",
    }


def test_referrer():
    """Decision 19, example of 2.2: host with its `www.`, the whole referrer as the path."""
    assert found(referrer="https://www.google.fr/") == {
        "$channel": "referral",
        "$source": "www.google.fr",
        "$referral_path": "https://www.google.fr/",
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.slow
@given(
    st.dictionaries(st.sampled_from(sorted({name for _, names in PROPERTIES for name in names})), json_values),
    st.builds(
        "https://shop.test/{}{}{}".format, st.sampled_from(["?", "#", "?utm_source=", "?xtor="]), st.text(), st.text()
    ),
)
def test_nothing_raises(properties: dict[str, object], url: str):
    """Decision 19: total, and an origin says something."""
    encoded = {key: Raw(json.dumps(value).encode()) for key, value in properties.items()}
    origin = origin_of(None, encoded, url, "")
    assert origin is None or json.loads(origin.body)
