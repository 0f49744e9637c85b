"""Goals: what an activity reaches, what is counted, and what led there (decision 29; mediarithmics 7.1 to 7.4)."""

from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.definitions.declared.goals import Goal
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.fact import FactKind
from engine.model.touches import decode_touches
from engine.pipeline.conversions import CONVERSION, build, moved
from engine.pipeline.stage import keep
from engine.query.condition import Match
from tests.pipeline.people import NOON, OTHER, USER, Known, activity, closed, defined, event, properties, through

DAY = 24 * 3600 * 1000
ORIGIN = {"$channel": "email", "$campaign_id": 7}


class Named:
    """A condition: the first event of this name; `*` is any activity, whatever its events."""

    def __init__(self, name):
        self.name = name
        self.event_names = None if name == "*" else frozenset((name,))
        self.asked = 0

    def match(self, document):
        self.asked += 1
        if self.name == "*":
            return Match(1.0)
        names = [one["$event_name"] for one in document.events]
        return Match(1.0, names.index(self.name)) if self.name in names else None


def compiled(query, path):
    if query == "bad":
        raise CallerError("row 1, column 1: no query", code="bad_definition", path=path)
    return Named(query)


def step(*goals):
    return build(defined(goals=goals), compiled)


def goal(id="5", query="buy", **fields):
    return Goal(id=id, query=query, **fields)


def shown(verdict):
    """Events as (name, ms after noon)."""
    return [(one.name, one.ts_ms - NOON) for one in verdict.activity.events]


def conversions(verdict):
    return [properties(one) for one in verdict.activity.events if one.name == CONVERSION]


def test_29_a_match_appends_a_conversion_at_the_matching_events_time():
    made = activity(event(1), event(2, "buy"), event(2, "other"), event(3), key=9)
    verdict = through(step(goal(technical_name="sale", value=49.9)), Known(), made)
    assert shown(verdict) == [("e", 1), ("buy", 2), (CONVERSION, 2), ("other", 2), ("e", 3)]
    assert conversions(verdict) == [
        {
            "$goal_id": 5,
            "$goal_technical_name": "sale",
            "$conversion_id": str(uuid5(UUID(int=9), "5")),
            "$conversion_value": 49.9,
        }
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"id": "12"}, {"$goal_id": 12}),
        ({"id": "012"}, {"$goal_id": "012"}),
        ({"id": "checkout"}, {"$goal_id": "checkout"}),
        ({"id": "1", "value": 10.0}, {"$goal_id": 1, "$conversion_value": 10}),
        ({"id": "1", "value": 0.0}, {"$goal_id": 1, "$conversion_value": 0}),
        ({"id": "1", "technical_name": "t"}, {"$goal_id": 1, "$goal_technical_name": "t"}),
    ],
)
def test_7_3_the_properties_of_a_conversion(fields, expected):
    (found,) = conversions(through(step(goal(**fields)), Known(), activity(event(0, "buy"))))
    del found["$conversion_id"]
    assert found == expected


def test_29_once_for_each_goal_and_activity():
    made = activity(event(1, "buy"), event(2, "buy"), event(3, "see"))
    verdict = through(step(goal("1"), goal("2"), goal("3", "see"), goal("4", "no")), Known(), made)
    assert [one["$goal_id"] for one in conversions(verdict)] == [1, 2, 3]
    assert [name for name, _ in shown(verdict)] == ["buy", CONVERSION, CONVERSION, "buy", "see", CONVERSION]


def test_7_1_only_active_goals_count():
    known = Known(explains=True)
    made = activity(event(1, "buy"), event(2, CONVERSION, _goal_id=5))
    verdict = through(step(goal(status="PAUSED")), known, made)
    assert (verdict.activity, known.counts) == (made, {})
    assert known.told() == [("goal 5", "skipped")]


def test_29_a_query_that_speaks_of_no_event_is_met_at_the_latest_one():
    verdict = through(step(goal(query="*")), Known(), activity(event(3), event(1), event(3, "last"), event(2)))
    assert shown(verdict) == [("e", 3), ("e", 1), ("last", 3), (CONVERSION, 3), ("e", 2)]
    empty = through(step(goal(query="*")), Known(), activity(at=4))
    assert shown(empty) == [(CONVERSION, 4)]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["buy", "see", "e"])), max_size=8))
def test_29_events_in_order_stay_in_order(told):
    made = activity(*(event(at, name) for at, name in sorted(told)), at=0)
    verdict = through(step(goal("1"), goal("2", "see"), goal("3", "*")), Known(), made)
    times = [at for _, at in shown(verdict)]
    assert times == sorted(times)
    assert [one for one in verdict.activity.events if one.name != CONVERSION] == made.events


def test_29_processed_again_it_is_the_same_and_counts_nothing():
    known = Known()
    of = step(goal(value=2.0))
    visit = activity(event(1, "buy"), origin=ORIGIN)
    first = through(of, known, visit)
    through(of, known, activity(event(0, "$ad_click"), type="DISPLAY_AD", key=2))
    before = dict(known.facts)
    again = through(of, known, visit)
    assert again.activity.encode() == first.activity.encode()
    assert (again.effects, known.facts) == ((), before)
    assert known.counts == {"conversions.5": 1, "conversions_value_cents.5": 200}


def test_29_what_carries_its_conversion_already_gets_no_other():
    known = Known()
    of = step(goal(), goal("6", ""))
    first = through(of, known, activity(event(1, "buy"), origin=ORIGIN))
    read_back = structs.replace(first.activity)
    again = through(of, known, read_back)
    assert again.activity.events == first.activity.events
    assert known.counts == {"conversions.5": 1}, "read back and sent again it is the same conversion"
    sent = through(of, Known(), activity(event(1, "buy"), event(1, CONVERSION, _goal_id="5")))
    assert len(conversions(sent)) == 1


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ({"_goal_id": 6}, {"conversions.6": 1, "conversions_value_cents.6": 150}),
        ({"_goal_id": "6"}, {"conversions.6": 1, "conversions_value_cents.6": 150}),
        ({"_goal_technical_name": "six"}, {"conversions.6": 1, "conversions_value_cents.6": 150}),
        ({"_goal_id": 6, "_conversion_value": 2}, {"conversions.6": 1, "conversions_value_cents.6": 200}),
        ({"_goal_id": 6, "_conversion_value": "2.555"}, {"conversions.6": 1, "conversions_value_cents.6": 256}),
        ({"_goal_id": 6, "_conversion_value": 0}, {"conversions.6": 1}),
        ({"_goal_id": 6, "_conversion_value": "much"}, {"conversions.6": 1, "conversions_value_cents.6": 150}),
        ({"_goal_id": 6, "_conversion_value": 1e300}, {"conversions.6": 1, "conversions_value_cents.6": 10**12}),
        ({"_goal_id": 6, "_conversion_value": "-1e300"}, {"conversions.6": 1, "conversions_value_cents.6": -(10**12)}),
        ({"_goal_id": 6, "_conversion_value": "1.2E+1"}, {"conversions.6": 1, "conversions_value_cents.6": 1200}),
        ({"_goal_id": 99}, {"conversions.unknown": 1}),
        ({"_goal_id": 99, "_goal_technical_name": "six"}, {"conversions.unknown": 1}),
        ({}, {}),
        ({"_goal_id": [6]}, {}),
    ],
)
def test_7_1_a_conversion_that_was_sent_counts_as_it_is(said, counts):
    known = Known()
    made = activity(event(1, CONVERSION, **said), type="TOUCH")
    verdict = through(step(goal("6", "", technical_name="six", value=1.5)), known, made)
    assert verdict.activity.events == made.events
    assert known.counts == counts


@pytest.mark.parametrize(
    "said",
    [
        *('"nan"', '"inf"', '"-Infinity"', '"1e999"', '"1_0"', '"١٢"', '" 7"', '"7."', '"+7"', '"07"', '"0x7"', '""'),
        *("1e400", "-1e400", "1" * 5000, "true", "[7]", "null"),
    ],
)
def test_7_3_what_is_no_finite_number_in_the_form_of_json_says_no_value(said):
    known = Known()
    sent = event(1, CONVERSION, _goal_id=6, _conversion_value="said")
    made = activity(structs.replace(sent, body=sent.body.replace(b'"said"', said.encode())), type="TOUCH")
    through(step(goal("6", "", value=1.5)), known, made)
    assert known.counts == {"conversions.6": 1, "conversions_value_cents.6": 150}


def test_7_1_each_conversion_that_was_sent_counts():
    known = Known()
    made = activity(event(1, CONVERSION, _goal_id=6), event(1, CONVERSION, _goal_id=6), type="TOUCH")
    through(step(goal("6", "")), known, made)
    through(step(goal("6", "")), known, made)
    assert known.counts == {"conversions.6": 2}


CLICK = activity(event(-2000, "$ad_click"), type="DISPLAY_AD", key=50, origin=ORIGIN)
VIEW = activity(event(-1000, "$email_view"), type="EMAIL", key=51)
VISIT = activity(event(-3000), key=52, origin={"$channel": "referral"})


def attributed(*before, made=None, **windows):
    """The attribution of a conversion at noon, after these activities."""
    known, of = Known(), step(goal(**windows), goal("6", "", **windows))
    for one in before:
        through(of, known, one)
    verdict = through(of, known, made or activity(event(0, "buy"), key=60))
    return conversions(verdict)[0].get("$attribution")


def test_7_4_the_last_touch_is_recorded_on_the_conversion():
    assert attributed(VISIT, CLICK) == {
        "$attribution_type": "DIRECT",
        "$kind": "click",
        "$touch_ts": NOON - 2000,
        "$ts": NOON - 2000,
        "$unique_key": str(UUID(int=50)),
        "$type": "DISPLAY_AD",
        "$origin": ORIGIN,
    }


@pytest.mark.parametrize(
    ("before", "windows", "expected"),
    [
        ([CLICK, VIEW], {}, 50),
        ([VIEW], {}, None),  # A view window is 0 unless it is given.
        ([VIEW], {"post_view_window_ms": 1000}, 51),
        ([VIEW], {"post_view_window_ms": 999}, None),
        ([CLICK, VIEW], {"post_view_window_ms": DAY}, 50),  # A click beats a later view.
        ([CLICK, VIEW], {"post_view_window_ms": DAY, "post_click_window_ms": 1999}, 51),
        ([CLICK], {"post_click_window_ms": 0}, None),
        ([VISIT, CLICK], {}, 50),
        ([CLICK, VISIT], {}, 50),  # Whichever order they came in.
        ([VISIT], {}, 52),
        ([], {}, None),
    ],
)
def test_7_4_within_the_windows_of_the_goal(before, windows, expected):
    found = attributed(*before, **windows)
    assert (found and UUID(found["$unique_key"]).int) == expected


def test_7_4_what_happens_after_a_conversion_counts_for_nothing():
    late = activity(event(1, "$ad_click"), type="DISPLAY_AD", key=53)
    assert attributed(late) is None
    assert UUID(attributed(CLICK, late)["$unique_key"]).int == 50


def test_7_4_the_origin_of_the_visit_itself_is_its_last_touch():
    made = activity(event(-10), event(0, "buy"), key=60, origin={"$channel": "cpc"})
    found = attributed(CLICK, made=made)
    assert (UUID(found["$unique_key"]).int, found["$ts"], found["$origin"]) == (60, NOON - 10, {"$channel": "cpc"})


def test_7_4_a_pixels_conversion_is_attributed_too_and_says_it_itself_where_it_does():
    made = activity(event(0, CONVERSION, _goal_id="6", order=1), type="TOUCH")
    known, of = Known(), step(goal("6", ""))
    through(of, known, CLICK)
    (found,) = conversions(through(of, known, made))
    assert list(found) == ["$goal_id", "order", "$attribution"]
    assert UUID(found["$attribution"]["$unique_key"]).int == 50
    own = activity(event(0, CONVERSION, _goal_id="6", _attribution={"mine": 1}), type="TOUCH", key=3)
    assert conversions(through(of, known, own)) == [{"$goal_id": "6", "$attribution": {"mine": 1}}]


def test_7_4_a_touch_without_origin_says_null():
    assert attributed(VIEW, post_view_window_ms=DAY)["$origin"] is None


def test_7_4_touches_are_kept_where_a_goal_has_a_window():
    for goals, kept in [
        ([goal("6", "")], True),
        ([goal("6", "", status="PAUSED")], True),
        ([goal("6", "", post_click_window_ms=0)], False),
        ([goal("6", "", post_click_window_ms=0, post_view_window_ms=1)], True),
    ]:
        known = Known()
        through(step(*goals), known, CLICK)
        assert bool(known.facts) is kept


def test_a_merge_moves_touches():
    known, others, of = Known(), Known(), step(goal())
    through(of, others, CLICK)
    known.facts[1, OTHER, FactKind.TOUCHES] = others.facts[1, USER, FactKind.TOUCHES]
    part = through(of, known, activity(event(0, "buy"), key=60), absorbed=OTHER)
    assert UUID(conversions(part)[0]["$attribution"]["$unique_key"]).int == 50
    known.expect(moved(closed(absorbed=OTHER), known))
    assert known.facts[1, OTHER, FactKind.TOUCHES] is None
    assert len(decode_touches(known.facts[1, USER, FactKind.TOUCHES]).touches) == 1
    assert moved(closed(absorbed=OTHER), known) == ()


def test_goals_that_cannot_match_are_not_asked():
    asked = []

    def compiled_too(query, path):
        asked.append(Named(query))
        return asked[-1]

    of = build(defined(goals=(goal("1"), goal("2", "see"), goal("3", "*"))), compiled_too)
    through(of, Known(), activity(event(0, "see")))
    assert [one.asked for one in asked] == [0, 1, 1]


def test_without_goals_the_step_costs_nothing():
    assert build(defined()) is keep
    made = activity(event(1))
    verdict = through(step(goal()), Known(), made)
    assert (verdict.activity, verdict.effects) == (made, ())


def test_30_what_does_not_compile_is_refused_with_its_path():
    for status in ("ACTIVE", "PAUSED"):
        with pytest.raises(CallerError) as fault:
            step(goal("1"), goal("2", "bad", status=status))
        assert fault.value.path == "goals[1].query"
    with pytest.raises(CallerError) as fault:
        step(goal("1"), goal("1"))
    assert (fault.value.code, fault.value.path) == ("bad_definition", "goals[1].id")


def test_it_says_what_it_did():
    known = Known(explains=True)
    of = step(goal("1"), goal("2", "see"), goal("3", "*"), goal("4", "", status="PAUSED"), goal("5", ""))
    through(of, known, activity(event(0, "buy"), event(0, CONVERSION, _goal_id=5), event(0, CONVERSION, _goal_id=9)))
    assert known.told() == [
        ("goal 5", "matched"),
        ("goal 9", "skipped"),
        ("goal 4", "skipped"),
        ("goal 1", "matched"),
        ("goal 2", "skipped"),
        ("goal 3", "matched"),
        ("goal 5", "unattributed"),
        ("goal 1", "unattributed"),
        ("goal 3", "unattributed"),
    ]


@pytest.mark.parametrize("link", ["segments", "profiles", "choices", "scenarios", "accounts", "emails", "devices"])
def test_29_a_goals_query_sees_the_activity_alone(link):
    query = f'SELECT {{id}} FROM UserPoint WHERE {link} {{ id = "1" }}'
    with pytest.raises(CallerError, match=link) as refused:
        build(Defined(datamart=1, goals=(Goal(id="1", query=query),)))
    assert refused.value.path.startswith("goals[0].query")
