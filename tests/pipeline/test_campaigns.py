"""The campaign table completes an origin and overwrites nothing (mediarithmics 2.2 and 2.6)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definitions.declared.campaigns import Campaign, Creative, SubCampaign
from engine.errors import CallerError
from engine.pipeline.campaigns import build
from engine.pipeline.stage import keep
from engine.session.attribution import origin_of
from tests.pipeline.people import Known, activity, closed, defined, event

SPRING = Campaign(
    id="14234",
    technical_name="SPRING",
    name="Back to school",
    channel="display",
    source="partner",
    sub_campaigns=(SubCampaign(id="8782", technical_name="STRATEGY-1"), SubCampaign(id="8783", technical_name="S-2")),
    creatives=(Creative(id="5", technical_name="BANNER-A", name="Banner A"),),
)
AUTUMN = Campaign(
    id="autumn",
    technical_name="AUTUMN",
    sub_campaigns=(SubCampaign(id="0901", technical_name="S-2"),),
    creatives=(Creative(id="6", technical_name="BANNER-B"),),
)
STEP = build(defined(campaigns=(SPRING, AUTUMN)))

OF_SPRING = {
    "$campaign_id": 14234,
    "$campaign_technical_name": "SPRING",
    "$campaign_name": "Back to school",
    "$channel": "display",
    "$source": "partner",
}
OF_STRATEGY = {"$sub_campaign_technical_name": "STRATEGY-1", "$sub_campaign_id": 8782}
OF_BANNER = {"$creative_technical_name": "BANNER-A", "$creative_id": 5, "$creative_name": "Banner A"}


def completed(origin):
    made = STEP(closed(), activity(event(), origin=origin), Known()).activity
    return json.loads(made.origin)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({"$campaign_technical_name": "SPRING"}, OF_SPRING),
        ({"$campaign_id": "14234"}, {**OF_SPRING, "$campaign_id": "14234"}),
        ({"$campaign_id": 14234}, OF_SPRING),
        (
            {"$campaign_technical_name": "SPRING", "$sub_campaign_technical_name": "STRATEGY-1"},
            OF_SPRING | OF_STRATEGY,
        ),
        ({"$campaign_technical_name": "SPRING", "$creative_technical_name": "BANNER-A"}, OF_SPRING | OF_BANNER),
        ({"$campaign_technical_name": "SPRING", "$creative_id": 5}, OF_SPRING | OF_BANNER),
        ({"$campaign_technical_name": "SPRING", "$sub_campaign_id": 8782}, OF_SPRING | OF_STRATEGY),
        ({"$sub_campaign_technical_name": "STRATEGY-1"}, OF_SPRING | OF_STRATEGY),
        ({"$creative_technical_name": "BANNER-A"}, OF_SPRING | OF_BANNER),
        ({"$campaign_technical_name": "AUTUMN"}, {"$campaign_technical_name": "AUTUMN", "$campaign_id": "autumn"}),
    ],
)
def test_2_6_what_the_table_adds(origin, expected):
    assert completed(origin) == {**expected, **origin}


@pytest.mark.parametrize(
    "origin",
    [
        {"$channel": "cpc", "$source": "x"},
        {"$campaign_technical_name": "unknown"},
        {"$campaign_technical_name": "unknown", "$sub_campaign_technical_name": "STRATEGY-1"},
        {"$sub_campaign_technical_name": "S-2"},  # Two campaigns have one of that name.
        {"$campaign_name": "Back to school"},
        {"$campaign_technical_name": True},
    ],
)
def test_2_6_where_the_table_has_nothing_nothing_is_guessed(origin):
    assert completed(origin) == origin


def test_2_6_a_part_is_looked_for_in_its_campaign():
    found = completed({"$campaign_technical_name": "AUTUMN", "$sub_campaign_technical_name": "S-2"})
    assert found["$sub_campaign_id"] == "0901", "an id that is no plain number stays text"
    other = completed({"$campaign_technical_name": "AUTUMN", "$creative_technical_name": "BANNER-A"})
    assert "$creative_id" not in other


def test_2_2_what_the_sender_gave_stays():
    sent = {"$source": "mine", "$campaign_technical_name": "SPRING", "$campaign_id": 1, "$channel": "", "own": [1.10]}
    found = completed(sent)
    assert {key: found[key] for key in sent} == sent
    assert list(found)[: len(sent)] == list(sent), "what is added stands behind"
    assert found["$campaign_name"] == "Back to school"


@pytest.mark.parametrize("names", [("$catn", "$scatn", "$crtn"), ("$campaign_technical_name", "$scatn", "$crtn")])
def test_2_6_the_properties_of_a_touch_pixel(names):
    """The address of 4.4: `$catn=SPRING&$scatn=STRATEGY-1&$crtn=BANNER-A`."""
    sent = dict(zip(("$catn", "$scatn", "$crtn"), ("SPRING", "STRATEGY-1", "BANNER-A"), strict=True))
    sent[names[0]] = sent.pop("$catn")
    origin = origin_of(None, event(**{"_" + name[1:]: value for name, value in sent.items()}).properties(), "", "")
    assert completed(json.loads(origin.body)) == OF_SPRING | OF_STRATEGY | OF_BANNER


def test_2_6_the_ids_of_a_touch_pixel():
    origin = origin_of(None, event(_caid="14234", _scaid="8782", _crid="5").properties(), "", "")
    found = completed(json.loads(origin.body))
    assert found["$campaign_technical_name"] == "SPRING"
    assert (found["$sub_campaign_technical_name"], found["$creative_name"]) == ("STRATEGY-1", "Banner A")


def test_no_origin_stays_none():
    assert STEP(closed(), activity(event()), Known()).activity.origin is None


def test_without_a_table_the_step_costs_nothing():
    assert build(defined()) is keep


def test_it_says_what_it_did():
    known = Known(explains=True)
    STEP(closed(), activity(event(), origin={"$campaign_technical_name": "SPRING"}), known)
    STEP(closed(), activity(event(), origin={"$campaign_technical_name": "x"}), known)
    assert known.told() == [("campaign SPRING", "changed"), ("campaign x", "skipped")]


@pytest.mark.parametrize(
    ("campaigns", "path"),
    [
        ((SPRING, Campaign(id="2", technical_name="SPRING")), "campaigns[1].technical_name"),
        ((SPRING, Campaign(id="14234", technical_name="x")), "campaigns[1].id"),
        (
            (Campaign(id="1", technical_name="a", sub_campaigns=(SubCampaign(id="1", technical_name="x"),) * 2),),
            "campaigns[0].sub_campaigns[1].technical_name",
        ),
        (
            (Campaign(id="1", technical_name="a", creatives=(Creative(id="1", technical_name="x"),) * 2),),
            "campaigns[0].creatives[1].technical_name",
        ),
    ],
)
def test_two_of_one_name_are_refused(campaigns, path):
    with pytest.raises(CallerError) as fault:
        build(defined(campaigns=campaigns))
    assert (fault.value.code, fault.value.path) == ("bad_definition", path)


FIELDS = st.sampled_from(
    ["$campaign_technical_name", "$campaign_id", "$sub_campaign_id", "$creative_technical_name", "x"]
)


@given(st.dictionaries(FIELDS, st.sampled_from(["SPRING", "14234", "BANNER-A", "", None, 8782, True, [1]]), max_size=4))
def test_whatever_an_origin_says_it_keeps_and_twice_is_once(origin):
    found = completed(origin)
    assert {key: found[key] for key in origin} == origin
    assert completed(found) == found
