"""May an activity be kept, and what choices does it bring (decisions 33 to 35; mediarithmics 9.1 to 9.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallerError
from engine.model.channel import ChannelSettings
from engine.model.choices import MAX_CHOICES, MAX_FIELDS_BYTES, choices_as_values
from engine.model.fact import FactKind
from engine.pipeline.stage import Drop
from engine.pipeline.user_choices import build, moved
from tests.pipeline.choosing import choices, choose, history, outcome, processing, step
from tests.pipeline.people import NOON, OTHER, USER, Known, activity, closed, defined, event, through

PUBLIC = "PUBLIC_INTEREST_OR_EXERCISE_OF_OFFICIAL_AUTHORITY"
APP = ChannelSettings(datamart=1, kind="MOBILE_APPLICATION", id="1")


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


def test_choices_beyond_the_bound_are_counted():
    known = Known()
    many = [processing("LEGAL_OBLIGATION", f"p{number}") for number in range(MAX_CHOICES + 2)]
    of = step(*many, of=())
    through(of, known, activity(*(choose(True, at, _processing_id=one.id) for at, one in enumerate(many[:-1]))))
    through(of, known, activity(choose(True, 9999, _processing_id=many[-1].id), key=2))
    assert known.counts == {"choices_left_out": 2}
    assert len(known.history) == MAX_CHOICES + 2


def test_33_what_is_dropped_keeps_its_choices_to_itself():
    """Whom its identifiers would attach it to is another person until then: their choices are not this one's."""
    known, others, of = Known(), Known(), step(processing(), processing(id="q"))
    through(of, others, activity(choose(False, 2), choose(True, 2, _processing_id="q")))
    known.facts[1, OTHER, FactKind.CHOICES] = others.facts[1, USER, FactKind.CHOICES]
    part = activity(choose(False, 3, _processing_id="q"))
    assert outcome(through(of, known, part, absorbed=OTHER)) == "choice_refused"
    assert choices(known) == {"q": (False, 3)}


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
