"""What a step has changed, and what its effects would write, in words."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, structs

from engine.model.activity import Activity
from engine.model.event import event_from
from engine.model.fact import FactKind
from engine.model.identifiers import agent
from engine.model.shown import fact_as_text
from engine.model.wire import encode
from engine.pipeline.differences import Change, differences, in_words
from engine.pipeline.stage import Attach, CountUp, KeepFact, KeepHistory, Send, SetTimer, StoreBeside

POINT = UUID("11112222-3333-4444-5555-666677778888")


def event(name, **properties):
    return event_from(encode({"$ts": 5, "$event_name": name, "$properties": properties}))


def activity(*events, **fields):
    fields.setdefault("extras", {"a": Raw(b"1")})
    return Activity(ts_ms=5, unique_key=POINT, type="TOUCH", status="NO_SESSION", events=list(events), **fields)


def told(before, after):
    return [(one.how, one.what) for one in differences(before, after)]


def test_nothing_is_different_of_the_same():
    one = activity(event("a"))
    assert differences(one, one) == differences(one, activity(event("a"))) == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("ab", "axb", [("added", "event 1 x")]),
        ("axb", "ab", [("removed", "event 1 x")]),
        ("ab", "ac", [("removed", "event 1 b"), ("added", "event 1 c")]),
        ("", "ab", [("added", "event 0 a"), ("added", "event 1 b")]),
        ("ab", "", [("removed", "event 0 a"), ("removed", "event 1 b")]),
        ("aab", "aaab", [("added", "event 2 a")]),
    ],
)
def test_events_that_come_and_go(before, after, expected):
    found = told(activity(*map(event, before)), activity(*map(event, after)))
    if before == "aab":
        assert [how for how, _ in found] == ["added"]
    else:
        assert found == expected


def test_an_event_that_is_changed_is_shown_before_and_after():
    (one,) = differences(activity(event("a", x=1), event("b")), activity(event("a", x=2), event("b")))
    assert (one.what, one.how) == ("event 0 a", "changed")
    assert json.loads(one.before)["$properties"] == {"x": 1}
    assert json.loads(one.after)["$properties"] == {"x": 2}


def test_root_fields_and_each_of_the_origin():
    before = activity(origin=b'{"$source":"a","$channel":"x"}')
    after = activity(
        origin=b'{"$source":"b","$campaign_id":7,"$channel":"x"}', extras={"b": Raw(b"[1]")}, ttl_minutes=3
    )
    assert set(differences(before, after)) == {
        Change("$origin.$source", "changed", '"a"', '"b"'),
        Change("$origin.$campaign_id", "added", after="7"),
        Change("$ttl", "added", after="3"),
        Change("a", "removed", before="1"),
        Change("b", "added", after="[1]"),
    }
    assert Change("$origin.$source", "added", after='"a"') in differences(activity(), before)


def test_what_is_long_is_cut():
    (one,) = differences(activity(), activity(event("a", x="y" * 10_000)))
    assert len(one.after) == 500


names = st.lists(st.sampled_from("abc"), max_size=8)


@given(names, names)
def test_events_told_are_those_that_make_the_one_the_other(before, after):
    found = differences(activity(*map(event, before)), activity(*map(event, after)))
    left = list(before)
    for one in reversed([change for change in found if change.how == "removed"]):
        del left[int(one.what.split()[1])]
    for one in (change for change in found if change.how == "added"):
        left.insert(int(one.what.split()[1]), one.what.split()[2])
    assert left == after


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (KeepFact(1, POINT.bytes, FactKind.APPS, b"\x01\x92\x01\xa1x"), f'keep apps of user point {POINT}: [1,"x"]'),
        (KeepFact(1, POINT.bytes, FactKind.CHOICES, None), f"forget choices of user point {POINT}"),
        (KeepHistory(1, POINT.bytes, FactKind.CHOICES, 0, bytes(16), b"\x01\xc3"), "history of choices, at 1970-01-01"),
        (StoreBeside(1, POINT.bytes, activity()), "store beside it TOUCH at 1970-01-01T00:00:00.005Z"),
        (SetTimer(1, POINT.bytes, "welcome", 1000), "timer of scenario welcome to 1970-01-01T00:00:01.000Z"),
        (SetTimer(1, POINT.bytes, "welcome", None, 5), "stop the timer of scenario welcome"),
        (
            Send(1, "crm", POINT.bytes, 0, "/x", b'{"a":1}'),
            f'send to crm at /x, not before 1970-01-01T00:00:00.000Z, id {POINT}: {{"a":1}}',
        ),
        (CountUp(1, "goals.1", 2), "raise the counter goals.1 by 2"),
        (Attach(1, (agent("vec:1"),)), "vec:1"),
    ],
)
def test_what_an_effect_would_write(effect, words):
    assert words in in_words(effect)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\x01\x93\x01\xc0\xa2hi", '[1,null,"hi"]'),
        (b"\x01\xc4\x02hi", '"hi"'),
        (b"\x01\xc4\x02\x00\xff", '"00ff"'),
        (b"\x01\x81\xc4\x01a\x90", '{"a":[]}'),
        (b"\x01\xc1", "2 bytes"),
        (b"", "0 bytes"),
    ],
)
def test_a_fact_as_text(value, text):
    assert fact_as_text(value) == text


@given(st.binary())
def test_any_bytes_can_be_shown(value):
    assert isinstance(fact_as_text(value), str)


def test_an_effect_that_nobody_knows_yet_is_shown_as_it_is():
    assert "Change" in in_words(Change("a", "added"))


def test_an_activity_is_not_touched():
    before, after = activity(event("a")), activity(event("b"))
    copies = [structs.replace(one, events=list(one.events)) for one in (before, after)]
    differences(before, after)
    assert [before, after] == copies
