"""Choices, profiles, touches and conversions of a whole engine: what is stored with an activity, and what without."""

import json
import re
from contextlib import asynccontextmanager, suppress
from itertools import count
from uuid import UUID

import pytest

from engine import MemoryStore, Selector
from engine.errors import Broken
from engine.model.fact import FactKind
from engine.store.keys import fact_key
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import (
    GAP_MS,
    GatedStore,
    HandClock,
    MortalStore,
    check_books,
    dump,
    engine_on,
    later,
    letters,
    point_of,
    quiet,
    statistics,
    take,
    taken,
)
from tests.model.test_tcf import BITFIELD, NOTHING

START = HandClock().now_ms()

DEFINITIONS = """
[[datamart]]
id = 1

[[datamart.channel]]
id = "1"
kind = "SITE"
processings = ["ads"]

[[datamart.channel]]
id = "2"
kind = "SITE"

[[datamart.processing]]
id = "ads"
token = "px1"
tcf_vendor = 2
tcf_purposes = [1, 2]

[[datamart.goal]]
id = "5"
technical_name = "sale"
query = 'SELECT @count{} FROM UserEvent WHERE name = "$transaction_confirmed"'
default_goal_value = 10.5
post_view_window_ms = 86400000

[[datamart.goal]]
id = "6"

[[datamart.campaign]]
id = "14"
technical_name = "SPRING"
name = "Spring"

[[datamart.campaign.sub_campaign]]
id = "87"
technical_name = "STRATEGY-1"
"""


def event(at, name="seen", /, **said):
    properties = {("$" + key[1:] if key.startswith("_") else key): value for key, value in said.items()}
    return {"$event_name": name, "$ts": START + at, "$properties": properties}


def choose(accepted, at, /, **said):
    return event(at, "$set_user_choice", _processing_token="px1", _choice_acceptance_value=accepted, **said)


def profile(at, account="u", /, **said):
    return event(at, "$set_user_profile_properties", _user_account_id=account, **said)


def visit(*events, user="a", site="1", status="CLOSED_SESSION", also=None, **fields):
    base = {"$type": "SITE_VISIT", "$session_status": status, "$site_id": site, "$user_agent_id": user}
    base["$ts"] = events[0]["$ts"]
    if also:
        base["$user_identifiers"] = [{"$type": "USER_AGENT", "$user_agent_id": also}]
    return dump(base | {f"${name}": value for name, value in fields.items()} | {"$events": list(events)})


def touch(*events, user="a", type="DISPLAY_AD"):
    base = {"$type": type, "$session_status": "NO_SESSION", "$user_agent_id": user, "$ts": events[0]["$ts"]}
    return dump(base | {"$events": list(events)})


def shown(engine, point):
    """Stored activities, oldest first."""
    return [json.loads(one) for one in reversed(engine.reader.activities(1, point, limit=1000))]


def conversions(engine, point):
    return [
        one["$properties"]
        for it in shown(engine, point)
        for one in it["$events"]
        if one["$event_name"] == "$conversion"
    ]


def said(engine, point):
    """The newest choice about each processing."""
    return {one["$processing_id"]: one["$choice_acceptance_value"] for one in engine.reader.choices(1, point)}


def counters(engine, *names):
    totals = engine.reader.counters()[1]
    return {name: totals.get(name, 0) for name in names}


@asynccontextmanager
async def defined_engine(store=None, clock=None):
    """An engine on a store, with the definitions above."""
    async with engine_on(store if store is not None else MemoryStore(), clock) as engine:
        await engine.apply(DEFINITIONS)
        yield engine


BUY = "$transaction_confirmed"


async def test_9_3_a_choice_in_the_activity_itself_counts_for_it():
    async with defined_engine() as engine:
        point = await taken(engine, visit(event(1), choose(True, 5)))
        assert len(shown(engine, point)) == 1
        await take(engine, visit(event(9)))
        assert len(shown(engine, point)) == 2
        await take(engine, visit(event(10), choose(False, 11)))
        await take(engine, visit(event(12)))
        assert len(shown(engine, point)) == 2
        totals = statistics(engine)
        assert (totals["events_stored"], totals["events_dropped"]) == (3, 3)
        assert counters(engine, "events_dropped.choice_refused", "dropped_by_processing.ads") == {
            "events_dropped.choice_refused": 3,
            "dropped_by_processing.ads": 2,
        }


async def test_34_a_dropped_activity_stores_its_choice_and_nothing_else():
    store = MemoryStore()
    async with defined_engine(store) as engine:
        before = {db: rows(store, db) for db in (Db.ACTIVITIES, Db.FACTS, Db.HISTORY)}
        events = event(1, BUY), profile(2, name="Ann"), choose(False, 3), event(4, "$ad_click")
        point = await taken(engine, visit(*events, origin={"$channel": "email"}))
        assert shown(engine, point) == []
        assert rows(store, Db.ACTIVITIES) == before[Db.ACTIVITIES]
        (kept,) = {*rows(store, Db.FACTS)} - {*before[Db.FACTS]}
        assert kept[0] == fact_key(1, UUID(point).bytes, FactKind.CHOICES)
        assert len(rows(store, Db.HISTORY)) == len(before[Db.HISTORY]) + 1
        assert (engine.reader.profiles(1, point), said(engine, point)) == ([], {"ads": False})
        assert counters(engine, "conversions.5") == {"conversions.5": 0}
        assert letters(engine) == []


async def test_without_consent_nothing_is_kept():
    async with defined_engine() as engine:
        point = await taken(engine, visit(event(1)))
        assert (shown(engine, point), said(engine, point)) == ([], {})
        assert counters(engine, "events_dropped.consent_missing") == {"events_dropped.consent_missing": 1}
        await take(engine, visit(event(2), site="2"), touch(event(3, "$ad_view")))
        assert len(shown(engine, point)) == 2, "another site, and what has no channel, are subject to nothing"


async def test_what_is_known_outlives_the_engine_and_its_history_is_there():
    store = MemoryStore()
    async with defined_engine(store) as engine:
        point = await taken(engine, visit(choose(True, 1, mine=1), profile(2, name="Ann", n=1)))
        await take(engine, touch(event(3, "$ad_click", _catn="SPRING", _scatn="STRATEGY-1")))
    async with defined_engine(store.reopen()) as engine:
        await take(engine, visit(choose(False, 5)), visit(choose(True, 9), event(9, BUY)))
        history = engine.reader.choice_history(1, point)
        assert [(one["$choice_ts"] - START, one["$choice_acceptance_value"]) for one in history] == [
            (9, True),
            (5, False),
            (1, True),
        ]
        assert history[2]["mine"] == 1
        assert engine.reader.choice_history(1, point, limit=1) == history[:1]
        (found,) = engine.reader.profiles(1, point)
        assert json.loads(found)["name"] == "Ann"
        (conversion,) = conversions(engine, point)
        assert conversion["$attribution"]["$type"] == "DISPLAY_AD"
        assert conversion["$attribution"]["$origin"] == {
            "$campaign_technical_name": "SPRING",
            "$sub_campaign_technical_name": "STRATEGY-1",
            "$campaign_id": 14,
            "$campaign_name": "Spring",
            "$sub_campaign_id": 87,
        }


async def test_2_6_the_origin_of_a_touch_is_completed_and_cuts_no_session():
    clock = HandClock()
    async with defined_engine(clock=clock) as engine:
        first = event(1, _catn="SPRING")
        point = await taken(engine, visit(first, site="2", status="IN_SESSION"))
        await take(engine, visit(event(2, _catn="SPRING"), site="2", status="IN_SESSION"))
        await later(engine, clock, GAP_MS + 2000)
        (found,) = shown(engine, point)
        assert (found["$origin"]["$campaign_id"], found["$origin"]["$campaign_name"]) == (14, "Spring")


async def test_29_a_session_converts_once_and_an_equal_activity_has_no_effects():
    store = MemoryStore()
    async with defined_engine(store) as engine:
        item = visit(event(1, BUY), event(2, BUY), site="2", unique_key=str(UUID(int=7)))
        point = await taken(engine, item)
        before = rows(store, Db.ACTIVITIES), rows(store, Db.FACTS)
        await take(engine, item)
        assert (rows(store, Db.ACTIVITIES), rows(store, Db.FACTS)) == before
        (found,) = conversions(engine, point)
        assert (found["$goal_id"], found["$goal_technical_name"], found["$conversion_value"]) == (5, "sale", 10.5)
        changed = visit(event(1, BUY), event(2, BUY), event(3), site="2", unique_key=str(UUID(int=7)))
        await take(engine, changed)
        assert counters(engine, "conversions.5", "conversions_value_cents.5") == {
            "conversions.5": 1,
            "conversions_value_cents.5": 1050,
        }, "also a replaced activity counts once"


async def test_7_1_a_pixels_conversion_counts():
    async with defined_engine() as engine:
        point = await taken(engine, touch(event(1, "$conversion", _goal_id="6"), type="TOUCH"))
        assert conversions(engine, point) == [{"$goal_id": "6"}]
        assert counters(engine, "conversions.6") == {"conversions.6": 1}


async def test_9_2_a_pixels_consent_string_is_a_choice():
    async with defined_engine() as engine:
        point = await taken(engine, touch(event(1, "$ad_view", gdpr="1", gdpr_consent=BITFIELD)))
        assert said(engine, point) == {"ads": True}
        await take(engine, visit(event(2)))
        assert len(shown(engine, point)) == 2
        await take(engine, touch(event(3, "$ad_view", gdpr="1", gdpr_consent=NOTHING)), visit(event(4)))
        assert len(shown(engine, point)) == 3
        await take(engine, touch(event(5, "$ad_view", gdpr="1", gdpr_consent="Cbad")))
        assert counters(engine, "choices_refused.bad_tcf_string") == {"choices_refused.bad_tcf_string": 1}
        assert len(shown(engine, point)) == 4


async def test_42_what_skips_the_processing_is_stored_as_it_is():
    async with defined_engine() as engine:
        item = visit(event(1, BUY), event(2, "$page_view"), choose(False, 3), profile(4, a=1))
        point = await taken(engine, item, process=False)
        (found,) = shown(engine, point)
        assert [one["$event_name"] for one in found["$events"]][:2] == [BUY, "$page_view"]
        assert (said(engine, point), engine.reader.profiles(1, point)) == ({}, [])


async def test_a_merge_takes_choices_profiles_and_touches_along():
    async with defined_engine() as engine:
        one = await taken(engine, visit(choose(True, 1), profile(1, "u", a=1), user="a"))
        other = await taken(engine, visit(choose(False, 5), profile(5, "u", b=5), profile(5, "v"), user="b"))
        await take(
            engine,
            visit(choose(True, 6), profile(6, "w"), user="b"),
            touch(event(7, "$email_click"), user="b", type="EMAIL"),
        )
        joined = await taken(engine, visit(event(9, BUY), user="a", also="b"))
        assert joined == one
        for point in (one, other):
            assert said(engine, point) == {"ads": True}
            assert [entry["$choice_ts"] - START for entry in engine.reader.choice_history(1, point)] == [6, 5, 1]
            assert len(engine.reader.profiles(1, point)) == 2, "what was dropped with the refusal is not there"
        (found,) = conversions(engine, one)
        assert found["$attribution"]["$type"] == "EMAIL"
        assert engine.reader.choices(1, one)[0]["$choice_ts"] == START + 6


async def test_activities_in_flight_see_each_others_choices():
    store = GatedStore()
    async with defined_engine(store) as engine:
        store.gate.clear()
        receipts = [engine.accept([one]) for one in (visit(choose(True, 1)), visit(event(2)), visit(choose(False, 3)))]
        receipts.append(engine.accept([visit(event(4))]))
        store.gate.set()
        for receipt in receipts:
            await receipt.durable()
        await quiet(engine)
        check_books(engine)
        point = point_of(receipts[0])
        assert [len(one["$events"]) for one in shown(engine, point)] == [1, 1]
        assert said(engine, point) == {"ads": False}


@pytest.mark.slow
@pytest.mark.parametrize("unheard", [True, False])
async def test_killed_at_any_commit_everything_happens_once(unheard):
    items = [
        visit(choose(True, 1), event(1, BUY), profile(1, a=1)),
        touch(event(2, "$ad_click", _catn="SPRING")),
        visit(event(3, BUY)),
        visit(choose(False, 4), event(4, BUY), profile(4, a=4)),
    ]
    # Their senders send again what they heard nothing of; an event with an id is taken once.
    ids = count()
    items = [
        re.sub(rb'"\$event_name"', lambda found: b'"$event_id":"%d",%b' % (next(ids), found[0]), one) for one in items
    ]

    def state(engine):
        point = engine.reader.find_user_point(1, Selector.parse("user_agent_id=a"))
        reader = engine.reader
        profiles = [json.loads(one) for one in reader.profiles(1, point)]
        known = said(engine, point), profiles, reader.choice_history(1, point)
        return shown(engine, point), known, counters(engine, "conversions.5", "dropped_by_processing.ads")

    whole = MortalStore()
    async with defined_engine(whole) as engine:
        before = whole.commits
        for one in items:
            await take(engine, one)
        expected = without_keys(state(engine))
    assert expected[2] == {"conversions.5": 2, "dropped_by_processing.ads": 1}
    for commits in range(before, whole.commits):
        store = MortalStore()
        with suppress(Broken):
            async with defined_engine(store) as engine:
                store.die_after(commits - store.commits, unheard=unheard)
                for one in items:
                    await take(engine, one)
        store = store.reopen()
        async with defined_engine(store) as engine:
            await quiet(engine)
            for one in items:
                await take(engine, one)
            assert without_keys(state(engine)) == expected, commits


def without_keys(value):
    """Without what tells one run from another: keys of activities that their records' numbers make."""
    return json.loads(re.sub(rb'"\$(unique_key|conversion_id)":"[^"]*"', b'"$key":""', dump(value)))
