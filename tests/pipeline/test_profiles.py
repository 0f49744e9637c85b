"""Profiles out of `$set_user_profile_properties` events (mediarithmics 4.6 and 10)."""

import pytest

from engine.model.event import event_from
from engine.model.fact import FactKind
from engine.model.profiles import MAX_PROFILE_BYTES, MAX_PROFILES, profiles_as_values
from engine.pipeline.profiles import EVENT, build, moved
from tests.pipeline.people import NOON, OTHER, USER, Known, activity, closed, defined, event, through
from tests.session.build import dump

STEP = build(defined(default_compartment="7"))


def set_profile(at=0, /, **said):
    return event(at, EVENT, **said)


def profiles(known, user_point=USER):
    """By account, the fields of each profile that are the sender's."""
    found = profiles_as_values(known.facts.get((1, user_point, FactKind.PROFILES)))
    own = ("$compartment_id", "$user_account_id", "$creation_ts", "$last_modified_ts")
    return {
        f"{one.get('$compartment_id')}:{one.get('$user_account_id')}": {k: v for k, v in one.items() if k not in own}
        for one in found
    }


def test_4_6_an_event_makes_and_changes_a_profile():
    known = Known()
    made = activity(set_profile(1, _user_account_id="u", _compartment_id="2", name="Ann", n=1), event(2))
    verdict = through(STEP, known, made)
    assert verdict.activity is made, "the event stays visible"
    through(STEP, known, activity(set_profile(5, _user_account_id="u", _compartment_id="2", n=2)))
    assert profiles(known) == {"2:u": {"name": "Ann", "n": 2}}
    (shown,) = profiles_as_values(known.facts[1, USER, FactKind.PROFILES])
    assert (shown["$creation_ts"], shown["$last_modified_ts"]) == (NOON + 1, NOON + 5)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, {"a": {"y": 2}, "b": 1}),
        ({"_force_replace": True}, {"a": {"y": 2}}),
        ({"_force_replace": "true"}, {"a": {"y": 2}}),
        ({"_force_replace": False}, {"a": {"y": 2}, "b": 1}),
        ({"_merge_objects": True}, {"a": {"x": 1, "y": 2}, "b": 1}),
        ({"_merge_objects": "1"}, {"a": {"x": 1, "y": 2}, "b": 1}),
        ({"_force_replace": True, "_merge_objects": True}, {"a": {"y": 2}}),
    ],
)
def test_10_how_an_event_is_put_in(how, expected):
    known = Known()
    through(STEP, known, activity(set_profile(1, _user_account_id="u", a={"x": 1}, b=1)))
    through(STEP, known, activity(set_profile(2, _user_account_id="u", a={"y": 2}, **how)))
    assert profiles(known) == {"7:u": expected}


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ({"_user_account_id": "u", "_compartment_id": "2"}, {"$compartment_id": "2", "$user_account_id": "u"}),
        ({"_user_account_id": "u"}, {"$compartment_id": "7", "$user_account_id": "u"}),
        ({"_user_account_id": 5, "_compartment_id": 2}, {"$compartment_id": "2", "$user_account_id": "5"}),
        ({"_email_hash": "AB"}, {"$email_hash": "ab"}),
        ({"_email_hash": {"$hash": "AB"}}, {"$email_hash": "ab"}),
        ({"_user_agent_id": "vec:1"}, {"$user_agent_id": "vec:1"}),
        ({"_user_account_id": "u", "_user_agent_id": "x"}, {"$compartment_id": "7", "$user_account_id": "u"}),
    ],
)
def test_10_whose_profile_it_is(owner, expected):
    known = Known()
    through(STEP, known, activity(set_profile(0, **owner, a=1)))
    (shown,) = profiles_as_values(known.facts[1, USER, FactKind.PROFILES])
    assert shown == {**expected, "a": 1, "$creation_ts": NOON, "$last_modified_ts": NOON}


@pytest.mark.parametrize(
    "said",
    [{}, {"_user_account_id": ""}, {"_user_account_id": None}, {"_user_account_id": [1]}, {"_compartment_id": "1"}],
)
def test_4_6_an_event_that_names_nobody_is_counted(said):
    known = Known(explains=True)
    made = activity(set_profile(0, **said, a=1))
    verdict = through(STEP, known, made)
    assert verdict.activity is made
    assert (known.counts, known.facts) == ({"profiles_refused.no_owner": 1}, {})
    assert known.told() == [("profiles", "refused")]


def test_a_profile_too_large_stays_as_it_was_and_is_counted():
    known = Known()
    through(STEP, known, activity(set_profile(1, _user_account_id="u", a="x" * (MAX_PROFILE_BYTES - 9))))
    assert known.counts == {}
    through(STEP, known, activity(set_profile(2, _user_account_id="u", b="y" * 20)))
    assert known.counts == {"profiles_refused.too_large": 1}
    assert profiles(known)["7:u"].keys() == {"a"}
    through(STEP, known, activity(set_profile(3, _user_account_id="u", b="y" * 20, _force_replace=True)))
    assert profiles(known)["7:u"].keys() == {"b"}


def test_one_profile_more_than_a_person_may_have_is_counted():
    known = Known()
    through(STEP, known, activity(*(set_profile(0, _user_account_id=str(one)) for one in range(MAX_PROFILES + 2))))
    assert known.counts == {"profiles_refused.too_many": 2}
    through(STEP, known, activity(set_profile(1, _user_account_id="0", a=1)))
    assert profiles(known)["7:0"] == {"a": 1}


def test_the_same_again_changes_nothing():
    known = Known()
    made = activity(set_profile(1, _user_account_id="u", a=1))
    assert through(STEP, known, made).effects != ()
    assert through(STEP, known, made).effects == ()


def test_late_events_fill_in():
    known = Known()
    through(STEP, known, activity(set_profile(5, _user_account_id="u", a=5)))
    through(STEP, known, activity(set_profile(3, _user_account_id="u", a=3, b=3)))
    assert profiles(known) == {"7:u": {"a": 5, "b": 3}}


def test_a_merge_moves_profiles():
    known, others = Known(), Known()
    through(STEP, known, activity(set_profile(1, _user_account_id="u", a=1)))
    through(
        STEP, others, activity(set_profile(2, _user_account_id="u", a=2), set_profile(2, _user_account_id="v", c=1))
    )
    known.facts[1, OTHER, FactKind.PROFILES] = others.facts[1, USER, FactKind.PROFILES]
    part = activity(set_profile(3, _user_account_id="w"))
    assert len(through(STEP, known, part, absorbed=OTHER).effects) == 1, "a part that the merge itself has cut off"
    known.expect(moved(closed(absorbed=OTHER), known))
    assert profiles(known) == {"7:u": {"a": 2}, "7:v": {"c": 1}, "7:w": {}}
    assert known.facts[1, OTHER, FactKind.PROFILES] is None
    assert moved(closed(absorbed=OTHER), known) == ()


def test_values_come_back_as_they_were_sent():
    known = Known()
    body = (
        b'{"$ts":1,"$event_name":"%s","$properties":{"$user_account_id":"u","z":1.10,"a":{"y":1e3}}}' % EVENT.encode()
    )
    through(STEP, known, activity(event_from(body)))
    stored = known.facts[1, USER, FactKind.PROFILES]
    assert b"1.10" in stored
    assert b'{"y":1e3}' in stored


def test_segment_traits_are_fields():
    known = Known()
    traits = {"$user_account_id": "u", "$compartment_id": "1", "email": "a@b.test", "plan": "pro"}
    body = dump({"$ts": NOON, "$event_name": EVENT, "$properties": traits})
    through(STEP, known, activity(event_from(body)))
    assert profiles(known)["1:u"] == {"email": "a@b.test", "plan": "pro"}


def test_without_such_events_nothing_happens():
    known = Known(explains=True)
    made = activity(event())
    verdict = through(STEP, known, made)
    assert (verdict.activity, verdict.effects, known.notes) == (made, (), [])
