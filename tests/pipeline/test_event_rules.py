"""The step: order, chains, bounds (decisions 16 and 22), and that nothing is read or changed without need."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, structs

from engine.definitions.defined import Defined
from engine.model.event import ABSENT, Event, page_reader
from engine.model.identifiers import account
from engine.pipeline import event_rules
from engine.pipeline.event_rules.rule import MAX_DEPTH
from engine.pipeline.stage import Attach, Dead, Keep, keep, made_too_large
from tests.engines import dump
from tests.pipeline.rules import (
    SITE,
    activity,
    catalog_match,
    copy,
    counts,
    defined,
    event,
    identify,
    page,
    run,
    told,
    url_match,
    verdict_on,
)

SMALL = structs.replace(SITE, max_activity_chars=500)


def test_without_rules_the_step_costs_nothing():
    assert event_rules.build(Defined(datamart=1)) is keep


def test_an_activity_that_no_rule_matches_goes_on_as_it_is():
    rules = defined(url_match("a.b/x"), copy("$source", "s"), identify(), catalog_match(), catalogs=[{"id": "c"}])
    before = activity(page("a.b/y"), event("x", n=1), origin=b'{"$source":"s"}')
    assert verdict_on(rules, before) == Keep(before)
    assert verdict_on(rules, before).activity is before


def test_a_channel_without_rules_of_its_own_has_the_datamarts():
    rules = defined(url_match("a.b/x", channel="site:2"))
    before = activity(page("a.b/x"))
    assert verdict_on(rules, before).activity is before
    assert verdict_on(rules, before, structs.replace(SITE, id="2")).activity is not before


def again(pattern="a.b/**", **fields):
    """A rule that makes a page of a page, which all rules behind it match."""
    return url_match(pattern, "$page_view", **fields)


def test_decision_22_a_rule_sees_what_earlier_ones_made_and_not_its_own():
    assert len(run(defined(again()), page("a.b/x")).events) == 2
    rules = defined(again(by="1"), again(by="2"), again(by="3"))
    made = [said.get("by") for _, said in told(run(rules, page("a.b/x")))]
    assert made == [None, "1", "2", "3", "3", "2", "3", "3"], "what was made of an event stands behind it, rule by rule"


def test_neighbours_with_one_index_do_what_single_rules_do():
    """A rule of another type between two of one keeps them apart, and changes nothing by itself."""
    pages = [again(by=str(number)) for number in range(4)]
    apart = [one for rule in pages for one in (rule, copy("$source", "nowhere"))]
    assert told(run(defined(*pages), page("a.b/x"))) == told(run(defined(*apart), page("a.b/x")))


def test_decision_22_a_chain_ends_at_depth_10():
    steps = [
        url_match(f"a.b/{number}", "$page_view", **{"$url": f"a.b/{number + 1}"}) for number in range(MAX_DEPTH + 3)
    ]
    after = run(defined(*steps), page("a.b/0"))
    assert [said["$url"] for _, said in told(after)] == [f"a.b/{number}" for number in range(MAX_DEPTH + 1)]
    assert run(defined(*reversed(steps)), page("a.b/0")).events[1:] == [after.events[1]], "each rule runs once"
    deep = [*steps, catalog_match()]
    shop = {"id": "c", "category": [{"id": str(at), "url": f"a.b/{at}"} for at in (MAX_DEPTH - 1, MAX_DEPTH)]}
    lists = [
        said["$category"] for name, said in told(run(defined(*deep, catalogs=[shop]), page("a.b/0"))) if name[1] == "i"
    ]
    assert lists == [str(MAX_DEPTH - 1)]


def test_growth_without_bound_is_not_possible():
    """Thirty rules that double the pages would make a thousand million of them."""
    verdict = verdict_on(defined(*[again() for _ in range(30)]), activity(page("a.b/x")))
    assert isinstance(verdict, Dead)
    assert verdict.reason == "activity_too_large"


def verdict_at(chars, *, wide=False):
    """On an activity in which a rule makes an event of so many characters."""
    letter = "é" if wide else "e"
    bare = len('{"$ts":1,"$event_name":"m","$properties":{"$url":"a.b/x","v":""}}')
    rules = defined(url_match("a.b/x", "m", v=letter * (chars - bare)))
    return verdict_on(rules, activity(page("a.b/x", filler="f" * 400)), SMALL)


@pytest.mark.parametrize("wide", [False, True])
def test_decision_16_an_activity_that_a_rule_made_too_large_is_dead(wide):
    around = len('{"$events":[]}')
    assert isinstance(verdict_at(500 - around, wide=wide), Keep)
    assert verdict_at(501 - around, wide=wide) == Dead("activity_too_large", "501 characters, the limit is 500")


def test_decision_16_of_what_is_derived_only_what_it_grew_by():
    origin = b'{"$source":"' + b"s" * 600 + b'"}'
    rules = defined(copy("more", "v", "EVENT_PROPERTY"))
    assert isinstance(verdict_on(rules, activity(event("e", v="x" * 100), origin=origin), SMALL), Keep)
    assert isinstance(verdict_on(rules, activity(event("e", v="x" * 300), origin=origin), SMALL), Dead)
    identities = tuple(account("1", str(number) * 100) for number in range(5))
    rules = defined(identify("v", hash_function="NO_HASH"))
    assert isinstance(verdict_on(rules, activity(event("e", v="x"), identifiers=identities), SMALL), Keep)
    assert isinstance(verdict_on(rules, activity(event("e", v="x" * 250), identifiers=identities), SMALL), Dead)


def test_what_was_large_before_and_did_not_grow_is_not_made_too_large():
    before = activity(event("e", v="x" * 400), extras={"custom": Raw(dump("y" * 60))})
    assert made_too_large(before, before, 520) is None
    assert (
        made_too_large(before, structs.replace(before, location=Raw(b'{"$city":"' + b"z" * 60 + b'"}')), 520)
        is not None
    )


def test_an_activity_without_a_channel_has_the_default_limit():
    rules = defined(url_match("a.b/x", "m", v="x" * 7900))
    assert isinstance(verdict_on(rules, activity(page("a.b/x")), None), Keep)
    rules = defined(url_match("a.b/x", "m", v="x" * 8000))
    assert isinstance(verdict_on(rules, activity(page("a.b/x")), None), Dead)


def test_events_that_match_count_once_whatever_matches():
    rules = defined(url_match("a.b/x", "m", email="me"), identify(), copy("$source", "email", "EVENT_PROPERTY"))
    verdict = verdict_on(rules, activity(page("a.b/x", email="you"), event("idle")))
    assert counts(verdict) == {
        "events_step.EVENT_RULES": 2,
        "event_rules_matched.URL_MATCH": 1,
        "event_rules_matched.USER_IDENTIFIER_INSERTION": 2,
        "event_rules_matched.PROPERTY_TO_ORIGIN_COPY": 1,
    }
    assert [one for one in verdict.effects if isinstance(one, Attach)] == [Attach(1, verdict.activity.identifiers)]


def test_a_rule_does_not_look_into_what_is_no_object():
    ends = (b"", b',"$properties":null', b',"$properties":[1]', b',"$properties":"x"', b',"$properties":{"$url":null}')
    odd = [Event(1, "$page_view", b'{"$ts":1,"$event_name":"$page_view"' + end + b"}") for end in ends]
    rules = defined(url_match("a.b/x"), copy("$source"), identify("$url"), catalog_match(), catalogs=[{"id": "c"}])
    before = activity(*odd)
    assert verdict_on(rules, before).activity is before


def test_the_reader_tells_text_from_what_is_none():
    read = page_reader(["a", "b"])
    assert read(dump({"$properties": {"b": [1.50], "$url": "u", "c": 1}})) == ("u", "", ABSENT, Raw(b"[1.5]"))
    assert read(dump({"$properties": {"a": None, "$url": 7, "$referrer": "r"}})) == ("", "r", Raw(b"null"), ABSENT)
    assert read(b"nonsense") == ("", "", ABSENT, ABSENT)


WORDS = st.sampled_from(["x", "y", "z"])
PAGES = st.builds(lambda words: "https://a.b/" + "/".join(words), st.lists(WORDS, max_size=3))
NAMES = st.sampled_from(["$page_view", "made", "other"])
RULES = st.one_of(
    st.builds(
        lambda path, tail, name, url: url_match(f"a.b/{path}{tail}", name, email=":v" if path == ":v" else "c", **url),
        st.sampled_from([":v", "x", "y", "*"]),
        st.sampled_from(["", "/**", "/x"]),
        NAMES,
        st.sampled_from([{}, {}, {"$url": "a.b/x"}, {"$url": "a.b/y/x"}, {"$url": ""}]),
    ),
    st.builds(copy, st.sampled_from(["$source", "mine"]), st.just("email"), st.just("EVENT_PROPERTY")),
    st.builds(identify, remove_source=st.booleans()),
    st.just(catalog_match(auto_match_type="PRODUCT_AND_CATEGORY")),
)
SHOP = {"id": "c", "product": [{"id": "p", "url": "a.b/x"}], "category": [{"id": "k", "url": "a.b/y"}]}
EVENTS = st.builds(event, NAMES, st.integers(1, 9), url=PAGES)


@given(st.lists(RULES, max_size=14), st.lists(EVENTS, max_size=4))
def test_chains_end_and_what_was_sent_stays_in_its_order(rules, events):
    verdict = verdict_on(defined(*rules, catalogs=[SHOP]), activity(*events), SITE)
    if isinstance(verdict, Dead):
        assert verdict.reason == "activity_too_large"
        return
    after = verdict.activity.events
    sent = iter(after)
    for one in events:
        assert any((found.ts_ms, found.name) == (one.ts_ms, one.name) for found in sent)
    assert len(dump([json.loads(one.body) for one in after])) < 4 * 8000 + 1000
    assert verdict_on(defined(*rules, catalogs=[SHOP]), activity(*events), SITE) == verdict, "a step can be repeated"


@given(st.lists(RULES.filter(lambda rule: rule["type"] == "URL_MATCH"), max_size=7), st.lists(EVENTS, max_size=3))
def test_one_index_comes_to_what_rule_after_rule_comes_to(rules, events):
    apart = [one for rule in rules for one in (rule, copy("$source", "nowhere"))]
    together = verdict_on(defined(*rules), activity(*events), SITE)
    one_by_one = verdict_on(defined(*apart), activity(*events), SITE)
    if isinstance(together, Dead):
        assert one_by_one == together
    else:
        assert told(together.activity) == told(one_by_one.activity)
        assert counts(together) == counts(one_by_one)
