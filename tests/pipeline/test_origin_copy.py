"""PROPERTY_TO_ORIGIN_COPY: 5.4 and decision 24."""

import json

import pytest

from tests.pipeline.rules import (
    activity,
    copy,
    counts,
    defined,
    event,
    fault_of,
    notes_of,
    page,
    run,
    url_match,
    verdict_on,
)

URL = "https://shop.test/p?partner=A+B%21&empty=&partner=C#x?partner=D"


def origin(rules, *events, **fields):
    found = run(rules, *events, **fields).origin
    return None if found is None else json.loads(found)


@pytest.mark.parametrize(
    ("row", "rule", "found"),
    [
        ("the event's URL", copy("page"), URL),
        ("a parameter of the URL, form-decoded, the first", copy("$source", "partner"), "A B!"),
        ("not one of the fragment", copy("$source", "x"), None),
        ("an empty parameter is no value", copy("$source", "empty"), None),
        ("a parameter that is not there", copy("$source", "Partner"), None),
        ("its referrer", copy("$referral_path", source="REFERRER"), "https://r.test/?from=here"),
        ("a parameter of the referrer", copy("$source", "from", "REFERRER"), "here"),
        ("any event property", copy("$campaign_name", "text", "EVENT_PROPERTY"), "spring"),
        ("a number stays one", copy("$campaign_id", "number", "EVENT_PROPERTY"), 1.50),
        ("a custom destination takes any JSON", copy("mine", "list", "EVENT_PROPERTY"), [1, {"a": None}]),
        ("a documented one text and numbers", copy("$source", "list", "EVENT_PROPERTY"), None),
        ("null is no value", copy("mine", "null", "EVENT_PROPERTY"), None),
        ("an empty text is no value", copy("mine", "nothing", "EVENT_PROPERTY"), None),
        ("the address as a property", copy("mine", "$url", "EVENT_PROPERTY"), URL),
    ],
)
def test_5_4_and_decision_24(row, rule, found):
    said = {"text": "spring", "number": 1.50, "list": [1, {"a": None}], "null": None, "nothing": ""}
    after = origin(defined(rule), page(URL, referrer="https://r.test/?from=here", **said))
    assert after == (None if found is None else {rule["destination"]: found}), row


def test_decision_24_events_in_order_the_first_value_found_stays():
    rules = defined(copy("$source", "s", "EVENT_PROPERTY"))
    events = event("a", 5), event("b", 4, s=""), event("c", 3, s="first"), event("d", 2, s="second")
    assert origin(rules, *events) == {"$source": "first"}


def test_what_attribution_has_found_gives_way_and_the_rest_of_it_stays():
    rules = defined(copy("$source", "s", "EVENT_PROPERTY"))
    before = b'{"$channel":"cpc","$source":"was","custom":1.0}'
    assert run(rules, event(s="is"), origin=before).origin == b'{"$channel":"cpc","$source":"is","custom":1.0}'
    assert run(rules, event(), origin=before).origin is before


def test_decision_22_a_later_rule_sees_what_an_earlier_one_made_and_has_the_last_word():
    rules = defined(
        url_match("shop.test/:v", "made", v=":v"),
        copy("mine", "v", "EVENT_PROPERTY"),
        copy("mine", "w", "EVENT_PROPERTY"),
    )
    assert origin(rules, page("https://shop.test/1")) == {"mine": "1"}
    assert origin(rules, page("https://shop.test/1"), event(w="2")) == {"mine": "2"}


def test_number_text_is_kept():
    assert run(defined(copy("mine", "n", "EVENT_PROPERTY")), event(n=1e30)).origin == b'{"mine":1e+30}'


@pytest.mark.parametrize(
    ("rule", "field"),
    [(copy("$ts"), "destination"), (copy("mine", "", "EVENT_PROPERTY"), "property_name")],
)
def test_a_rule_that_cannot_work_is_refused_with_its_place(rule, field):
    assert fault_of(rule) == ("bad_definition", f"event_rules[0].{field}")


def test_notes_and_counters():
    rules = defined(copy("mine", "n", "EVENT_PROPERTY"), copy("$source", "p"))
    assert notes_of(rules, event("x", n=1)) == [
        ("0", "matched", "mine is 1 of x"),
        ("1", "skipped", "no event has a parameter p in a $url"),
    ]
    assert counts(verdict_on(rules, activity(event(n=1)))) == {
        "events_step.EVENT_RULES": 1,
        "event_rules_matched.PROPERTY_TO_ORIGIN_COPY": 1,
    }
