"""What consent strings of TCF say of processings (mediarithmics 9.2), and that any event is a choice or counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definitions.declared.processings import Processing
from engine.model.choices import choices_as_values
from engine.model.event import event_from
from engine.model.fact import FactKind
from tests.model.test_tcf import BITFIELD, NOTHING, RESTRICTED
from tests.pipeline.choosing import choices, choose, history, outcome, processing, step
from tests.pipeline.people import NOON, USER, Known, activity, event, through
from tests.session.build import dump

CONSENT = processing(tcf_vendor=2, tcf_purposes=(1, 7))
INTEREST = processing("LEGITIMATE_INTEREST", "i", tcf_vendor=9, tcf_purposes=(7, 9))
OTHERS = processing(id="o")


def by_pixel(**said):
    return event(5, "$ad_view", **said)


@pytest.mark.parametrize(
    ("string", "expected"),
    [
        (BITFIELD, {"p": (True, 5), "i": (True, 5)}),
        (NOTHING, {"p": (False, 5), "i": (False, 5)}),
        (RESTRICTED, {"p": (True, 5), "i": (False, 5)}),
        (f" {BITFIELD} ", {"p": (True, 5), "i": (True, 5)}),
    ],
)
@pytest.mark.parametrize("way", ["pixel", "pixel with gdpr=1", "event"])
def test_9_2_what_a_consent_string_says(string, expected, way):
    known = Known()
    of = step(CONSENT, INTEREST, OTHERS, of=())
    told = {
        "pixel": by_pixel(gdpr_consent=string),
        "pixel with gdpr=1": by_pixel(gdpr="1", gdpr_consent=string),
        "event": event(5, "$set_user_choice", _euconsent_v2_tcstring=string),
    }[way]
    through(of, known, activity(told))
    assert choices(known) == expected
    shown = choices_as_values(known.facts[1, USER, FactKind.CHOICES])
    assert {one["$euconsent_v2_tcstring"] for one in shown} == {string}


@pytest.mark.parametrize(
    ("fields", "accepted"),
    [
        ({"tcf_vendor": 2}, True),
        ({"tcf_vendor": 2, "tcf_purposes": (1, 2, 7)}, True),
        ({"tcf_vendor": 2, "tcf_purposes": (1, 2, 3)}, False),
        ({"tcf_vendor": 8}, False),
        ({"tcf_vendor": 9, "tcf_purposes": (7, 9), "legal_basis": "LEGITIMATE_INTEREST"}, True),
        ({"tcf_vendor": 2, "tcf_purposes": (7,), "legal_basis": "LEGITIMATE_INTEREST"}, False),
        ({"tcf_vendor": 9, "tcf_purposes": (9,)}, False),
    ],
)
def test_9_2_consent_is_of_the_vendor_and_all_purposes(fields, accepted):
    known = Known()
    through(step(Processing(id="p", **fields), of=()), known, activity(by_pixel(gdpr_consent=BITFIELD)))
    assert choices(known) == {"p": (accepted, 5)}


@pytest.mark.parametrize(
    "told",
    [
        by_pixel(gdpr="0", gdpr_consent=BITFIELD),
        by_pixel(gdpr=0, gdpr_consent=BITFIELD),
        by_pixel(gdpr="1"),
        by_pixel(gdpr="1", gdpr_consent=""),
        by_pixel(gdpr="1", gdpr_consent="${GDPR_CONSENT_184}"),
        event(5, "$set_user_choice", gdpr=0, _euconsent_v2_tcstring=BITFIELD),
    ],
)
def test_9_2_where_the_law_does_not_apply_or_no_string_came_nothing_was_chosen(told):
    known = Known()
    made = activity(told)
    assert through(step(CONSENT, of=()), known, made).activity is made
    assert (known.facts, known.history, known.counts) == ({}, {}, {})


@pytest.mark.parametrize("string", ["x", "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA", BITFIELD[:30], "C" * 20_000, "é"])
@pytest.mark.parametrize("way", ["pixel", "event"])
def test_9_2_a_bad_string_makes_no_choice_and_is_counted(string, way):
    known = Known(explains=True)
    told = (
        by_pixel(gdpr_consent=string) if way == "pixel" else event(0, "$set_user_choice", _euconsent_v2_tcstring=string)
    )
    made = activity(told)
    assert through(step(CONSENT, of=()), known, made).activity is made
    assert (known.facts, known.counts) == ({}, {"choices_refused.bad_tcf_string": 1})
    assert known.told() == [("consent string", "failed")]


@pytest.mark.parametrize(("value", "string", "others"), [(False, BITFIELD, True), (True, NOTHING, False)])
def test_9_2_a_value_beside_the_string_counts_for_the_processing_it_names(value, string, others):
    known = Known()
    told = choose(value, 5, _processing_id="p", _euconsent_v2_tcstring=string)
    through(step(CONSENT, INTEREST, of=()), known, activity(told))
    assert choices(known) == {"p": (value, 5), "i": (others, 5)}


def test_9_2_a_processing_named_without_a_value_is_all_the_string_is_asked_about():
    known, of = Known(), step(CONSENT, INTEREST, OTHERS, of=())
    through(of, known, activity(choose(None, 5, _processing_id="i", _euconsent_v2_tcstring=BITFIELD)))
    assert choices(known) == {"i": (True, 5)}
    through(of, known, activity(choose(None, 5, _processing_id="o", _euconsent_v2_tcstring=BITFIELD)))
    assert known.counts == {"choices_refused.no_value": 1}


def test_the_same_string_with_every_hit_is_one_row_of_history():
    known, of = Known(), step(CONSENT, of=())
    hits = [event(at, "$ad_view", gdpr_consent=BITFIELD) for at in range(9)]
    through(of, known, activity(*hits[:5]))
    through(of, known, activity(*hits[5:], key=2))
    assert (choices(known), history(known)) == ({"p": (True, 8)}, [(0, "p", True)])
    through(of, known, activity(event(10, gdpr_consent=NOTHING), event(11, gdpr_consent=BITFIELD), key=3))
    assert history(known) == [(0, "p", True), (10, "p", False), (11, "p", True)], "each change of mind is one"


def test_consent_by_a_string_keeps_the_activity():
    of = step(CONSENT)
    assert outcome(through(of, Known(), activity(by_pixel(gdpr_consent=BITFIELD)))) == "keep"
    assert outcome(through(of, Known(), activity(by_pixel(gdpr_consent=NOTHING)))) == "choice_refused"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
SAID = st.sampled_from(
    ["$processing_id", "$processing_token", "$choice_acceptance_value", "$choice_ts", "$euconsent_v2_tcstring", "gdpr"]
)


@given(st.dictionaries(SAID, JSON | st.sampled_from(["p", BITFIELD, BITFIELD[:20]]), max_size=6))
def test_whatever_an_event_says_it_is_a_choice_or_counted(said):
    known = Known()
    told = event_from(dump({"$ts": NOON, "$event_name": "$set_user_choice", "$properties": said}))
    made = activity(told)
    verdict = through(step(CONSENT, of=()), known, made)
    assert verdict.activity is made
    not_applying = bytes(dump(said.get("gdpr"))) in (b"0", b'"0"', b"false", b'"false"')
    assert known.facts or known.counts or not_applying
