"""May an activity be kept, and what choices does it bring (decisions 33 to 35; mediarithmics 9.1 to 9.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definitions.declared.processings import Processing
from engine.errors import CallerError
from engine.model.channel import ChannelSettings
from engine.model.choices import MAX_FIELDS_BYTES, choices_as_values, decode_choice
from engine.model.fact import FactKind
from engine.pipeline.stage import Drop, Keep
from engine.pipeline.user_choices import build, moved
from tests.model.test_tcf import BITFIELD, NOTHING, RESTRICTED
from tests.pipeline.people import NOON, OTHER, USER, Known, activity, closed, defined, event, through

PUBLIC = "PUBLIC_INTEREST_OR_EXERCISE_OF_OFFICIAL_AUTHORITY"
APP = ChannelSettings(datamart=1, kind="MOBILE_APPLICATION", id="1")


def step(*processings, of=None):
    """The step where site 1 is subject to all of these processings, or to those named."""
    ids = tuple(one.id for one in processings) if of is None else of
    return build(defined(processings=processings, processings_of={"site:1": ids}))


def processing(basis="CONSENT", id="p", **fields):
    return Processing(id=id, legal_basis=basis, **fields)


def choose(value=None, at=0, /, **said):
    fields = {"_processing_id": "p"} if not any(key.startswith("_processing") for key in said) else {}
    return event(
        at, "$set_user_choice", **fields, **({} if value is None else {"_choice_acceptance_value": value}), **said
    )


def outcome(verdict):
    return "keep" if isinstance(verdict, Keep) else verdict.reason


def choices(known, user_point=USER):
    """By processing: whether it was accepted, and when, in ms after noon."""
    found = choices_as_values(known.facts.get((1, user_point, FactKind.CHOICES)))
    return {one["$processing_id"]: (one["$choice_acceptance_value"], one["$choice_ts"] - NOON) for one in found}


def history(known):
    found = [decode_choice(row) for row in known.history.values()]
    return sorted((one.ts_ms - NOON, one.processing, one.accepted) for one in found)


@pytest.mark.parametrize(
    ("basis", "choice", "expected"),
    [
        ("CONSENT", True, "keep"),
        ("CONSENT", False, "choice_refused"),
        ("CONSENT", None, "consent_missing"),
        ("LEGITIMATE_INTEREST", True, "keep"),
        ("LEGITIMATE_INTEREST", False, "choice_refused"),
        ("LEGITIMATE_INTEREST", None, "keep"),
        (PUBLIC, True, "keep"),
        (PUBLIC, False, "choice_refused"),
        (PUBLIC, None, "keep"),
        ("CONTRACTUAL_PERFORMANCE", True, "keep"),
        ("CONTRACTUAL_PERFORMANCE", False, "keep"),
        ("CONTRACTUAL_PERFORMANCE", None, "keep"),
        ("LEGAL_OBLIGATION", True, "keep"),
        ("LEGAL_OBLIGATION", False, "keep"),
        ("LEGAL_OBLIGATION", None, "keep"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_9_3_each_legal_basis(basis, choice, expected, together):
    known, of = Known(), step(processing(basis))
    told = [choose(choice, 1)] if choice is not None else []
    if told and not together:
        through(of, known, activity(*told))
        told = []
    assert outcome(through(of, known, activity(*told, event(5), key=2))) == expected


def test_9_3_a_channel_without_processings_keeps():
    of = build(defined(processings=(processing(),), processings_of={"app:1": ("p",)}))
    assert outcome(through(of, Known(), activity(event()))) == "keep"
    assert outcome(through(of, Known(), activity(event()), channel=APP)) == "consent_missing"
    assert outcome(through(build(defined()), Known(), activity(event()))) == "keep"


def test_9_3_what_has_no_channel_is_subject_to_none():
    assert outcome(through(step(processing()), Known(), activity(event(), type="EMAIL"), channel=None)) == "keep"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (True, True, "keep"),
        (True, False, "choice_refused"),
        (False, True, "choice_refused"),
        (True, None, "keep"),
        (None, True, "consent_missing"),
        (None, False, "consent_missing"),
    ],
)
def test_33_all_processings_must_allow(first, second, expected):
    known = Known()
    of = step(processing(), processing("LEGITIMATE_INTEREST", "q"))
    told = [choose(value, 0, _processing_id=name) for name, value in (("p", first), ("q", second)) if value is not None]
    assert outcome(through(of, known, activity(*told))) == expected
    decided = {"choice_refused": {"p", "q"}, "consent_missing": {"p"}}.get(expected, set())
    assert {name.rpartition(".")[2] for name in known.counts} <= decided
    assert sum(known.counts.values()) == bool(decided), "which processing decided is counted"


def test_33_a_choice_is_stored_even_when_the_activity_is_not():
    known = Known()
    verdict = through(step(processing()), known, activity(event(), choose(False, 3)))
    assert isinstance(verdict, Drop)
    assert choices(known) == {"p": (False, 3)}
    assert history(known) == [(3, "p", False)]


def test_33_the_choices_of_the_activity_apply_first():
    known, of = Known(), step(processing())
    assert outcome(through(of, known, activity(event(0), choose(True, 5)))) == "keep", "also to what was before it"
    assert outcome(through(of, known, activity(event(6), choose(False, 9), key=2))) == "choice_refused"


def test_33_the_newest_choice_wins_whenever_it_comes_in():
    known, of = Known(), step(processing())
    through(of, known, activity(choose(True, 9)))
    assert outcome(through(of, known, activity(choose(False, 5), key=2))) == "keep"
    assert choices(known) == {"p": (True, 9)}
    assert history(known) == [(5, "p", False), (9, "p", True)], "an audit sees both"
    both = activity(choose(False, 20), choose(True, 15), key=3)
    assert outcome(through(of, known, both)) == "choice_refused"


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=6), st.data())
def test_33_the_same_choices_in_any_order_and_grouping_leave_the_same(told, data):
    of = step(processing())

    def left(some):
        known = Known()
        cut = data.draw(st.integers(0, len(some)))
        for number, part in enumerate((some[:cut], some[cut:])):
            through(of, known, activity(*(choose(value, at) for at, value in part), at=0, key=number))
        return known

    one, other = left(told), left(data.draw(st.permutations(told)))
    assert one.facts == other.facts
    at, accepted = max(told, key=lambda each: (each[0], not each[1]))
    assert choices(one) == {"p": (accepted, at)}


def test_the_same_choice_again_changes_nothing():
    known, of = Known(), step(processing())
    made = activity(choose(True, 3, mine=1), event())
    through(of, known, made)
    before = dict(known.facts), dict(known.history)
    assert through(of, known, made).effects == ()
    assert (known.facts, known.history) == before


NAMED = processing(token="px1", technical_name="ads", id="77")


@pytest.mark.parametrize(
    "said",
    [
        {"_processing_token": "px1"},
        {"_processing_id": "77"},
        {"_processing_id": 77},
        {"_processing_id": "ads"},
        {"_processing_technical_name": "ads"},
    ],
)
def test_9_2_how_a_processing_is_named(said):
    known = Known()
    through(step(NAMED), known, activity(choose(True, 1, **said)))
    assert choices(known) == {"77": (True, 1)}


@pytest.mark.parametrize(("said", "expected"), [(True, True), ("true", True), (1, True), (False, False), ("0", False)])
def test_9_2_what_is_a_value(said, expected):
    known = Known()
    through(step(processing()), known, activity(choose(said)))
    assert choices(known) == {"p": (expected, 0)}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (choose(True, 0, _processing_id="other"), "unknown_processing"),
        (choose(True, 0, _processing_token="p"), "unknown_processing"),
        (event(0, "$set_user_choice"), "unknown_processing"),
        (event(0, "$set_user_choice", _processing_id=[1]), "unknown_processing"),
        (choose(), "no_value"),
        (choose("maybe"), "no_value"),
        (choose({"a": 1}), "no_value"),
    ],
)
def test_9_2_what_is_no_choice_is_counted_and_the_activity_goes_on(told, reason):
    known = Known(explains=True)
    made = activity(told)
    verdict = through(step(processing("LEGITIMATE_INTEREST")), known, made)
    assert (verdict.activity, known.facts, known.history) == (made, {}, {})
    assert known.counts == {f"choices_refused.{reason}": 1}
    assert known.notes[0].outcome == "failed"
    assert known.notes[0].detail.startswith(reason)


@pytest.mark.parametrize(
    ("said", "at", "counts"),
    [
        ({}, 50, {}),
        ({"_choice_ts": None}, 50, {}),
        ({"_choice_ts": NOON + 20}, 20, {}),
        ({"_choice_ts": str(NOON + 20)}, 20, {}),
        ({"_choice_ts": 0}, -NOON, {}),
        ({"_choice_ts": NOON + 10**12}, 50, {}),  # No choice is made after the event that tells it.
        ({"_choice_ts": "soon"}, 50, {"choices_bad_time": 1}),
        ({"_choice_ts": -5}, 50, {"choices_bad_time": 1}),
        ({"_choice_ts": 10**30}, 50, {"choices_bad_time": 1}),
    ],
)
def test_9_2_when_a_choice_was_made(said, at, counts):
    known = Known()
    through(step(processing()), known, activity(choose(True, 50, **said)))
    assert (choices(known), known.counts) == ({"p": (True, at)}, counts)


def test_9_1_all_else_is_kept_with_the_choice():
    known = Known()
    told = choose(True, 5, _choice_source_token="cmp", _choice_source_id="3", mine={"n": 1.5})
    through(step(processing()), known, activity(told, channel_field="$site_id", channel_id="1"))
    assert choices_as_values(known.facts[1, USER, FactKind.CHOICES]) == [
        {
            "$processing_id": "p",
            "$choice_ts": NOON + 5,
            "$choice_acceptance_value": True,
            "$creation_ts": NOON + 5,
            "$channel_id": "1",
            "$choice_source_token": "cmp",
            "$choice_source_id": "3",
            "mine": {"n": 1.5},
        }
    ]


def test_fields_too_large_to_keep_are_left_out_and_counted():
    known = Known()
    through(step(processing()), known, activity(choose(True, 0, big="x" * MAX_FIELDS_BYTES, small=1)))
    (shown,) = choices_as_values(known.facts[1, USER, FactKind.CHOICES])
    assert shown["small"] == 1
    assert "big" not in shown
    assert known.counts == {"choices_fields_left_out": 1}


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


def test_9_2_a_value_beside_the_string_counts_for_the_processing_it_names():
    known = Known()
    told = choose(False, 5, _processing_id="p", _euconsent_v2_tcstring=BITFIELD)
    through(step(CONSENT, INTEREST, of=()), known, activity(told))
    assert choices(known) == {"p": (False, 5), "i": (True, 5)}


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


def test_35_page_views_leave_and_a_visit_without_events_is_kept():
    of = step(processing("LEGAL_OBLIGATION"))
    made = activity(event(0, "$page_view"), event(1, "page_view"), choose(True, 2), event(3, "$page_view"))
    verdict = through(of, Known(), made)
    assert [one.name for one in verdict.activity.events] == ["page_view", "$set_user_choice"]
    assert through(of, Known(), activity(event(0, "$page_view"))).activity.events == []
    assert through(build(defined()), Known(), activity(event(0, "$page_view"))).activity.events == []


def test_a_merge_moves_choices_the_newest_of_each():
    known, others, of = Known(), Known(), step(processing(), processing(id="q", basis="LEGAL_OBLIGATION"), of=("p",))
    through(of, known, activity(choose(True, 1), choose(True, 1, _processing_id="q")))
    through(of, others, activity(choose(False, 2)))
    known.facts[1, OTHER, FactKind.CHOICES] = others.facts[1, USER, FactKind.CHOICES]
    part = through(of, known, activity(event(3), key=3), absorbed=OTHER)
    assert outcome(part) == "choice_refused", "a part that the merge itself has cut off"
    known.expect(moved(closed(absorbed=OTHER), known))
    assert choices(known) == {"p": (False, 2), "q": (True, 1)}
    assert known.facts[1, OTHER, FactKind.CHOICES] is None
    assert moved(closed(absorbed=OTHER), known) == ()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"processings": (processing(), processing())}, "processings[1].id"),
        ({"processings": (processing(token="t"), processing(id="q", token="t"))}, "processings[1].token"),
        (
            {"processings": (processing(technical_name="t"), processing(id="q", technical_name="t"))},
            "processings[1].technical_name",
        ),
        ({"processings": (processing(tcf_purposes=(1,)),)}, "processings[0].tcf_purposes"),
        ({"processings": (processing("LEGAL_OBLIGATION", tcf_vendor=1),)}, "processings[0].tcf_vendor"),
        (
            {"processings": (processing("LEGITIMATE_INTEREST", tcf_vendor=1, tcf_purposes=(2, 3)),)},
            "processings[0].tcf_purposes",
        ),
        ({"processings_of": {"site:1": ("x",)}}, "processings_of[site:1][0]"),
    ],
)
def test_definitions_that_cannot_work_are_refused(fields, path):
    with pytest.raises(CallerError) as fault:
        build(defined(**fields))
    assert (fault.value.code, fault.value.path) == ("bad_definition", path)


def test_it_says_what_decided():
    known = Known(explains=True)
    of = step(processing(), processing("LEGITIMATE_INTEREST", "q"))
    through(of, known, activity(choose(True), choose(False, 0, _processing_id="q")))
    assert known.told() == [
        ("processing p", "accepted"),
        ("processing q", "refused"),
        ("processing p", "allowed"),
        ("processing q", "refused"),
    ]


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
    from engine.model.event import event_from
    from tests.session.build import dump

    known = Known()
    told = event_from(dump({"$ts": NOON, "$event_name": "$set_user_choice", "$properties": said}))
    made = activity(told)
    verdict = through(step(CONSENT, of=()), known, made)
    assert verdict.activity is made
    not_applying = bytes(dump(said.get("gdpr"))) in (b"0", b'"0"', b"false", b'"false"')
    assert known.facts or known.counts or not_applying
