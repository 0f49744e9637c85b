"""Automations whatever is in flight, dropped, merged, or killed between any two steps."""

import json
from contextlib import suppress
from uuid import UUID

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from engine import MemoryStore
from engine.errors import Broken
from engine.model.fact import FactKind
from engine.model.scenarios import decode_scenarios
from engine.pipeline import chain
from engine.pipeline.stage import Drop, Keep
from engine.store.keys import timer_key
from engine.store.port import Db
from tests.automations import (
    CART,
    DAY,
    HOUR,
    MINUTE,
    START,
    action,
    add,
    automation,
    end,
    gated,
    has_event,
    holding,
    hook,
    inside,
    outbox,
    scenario_activities,
    segments,
    timers,
    told,
    touch,
    wait,
)
from tests.contract.harness import rows
from tests.engines import (
    GatedStore,
    HandClock,
    MortalStore,
    check_books,
    engine_on,
    later,
    quiet,
    statistics,
    take,
    taken,
)


async def test_two_activities_in_flight_enter_once():
    store = GatedStore()
    with holding(CART):
        async with engine_on(store) as engine:
            point = await gated(engine, store, *[touch("$basket_view") for _ in range(3)])
            assert told(engine, point) == ["start w", "enter w"]
            assert len(timers(store)) == 1
            point = await gated(
                engine, store, touch("$transaction_confirmed"), touch("$basket_view"), touch("$basket_view")
            )
            # All at the same millisecond: only of one passage is the order kept.
            assert sorted(told(engine, point)) == sorted(2 * ["start w", "enter w"] + ["exit w", "stop w by 3"])
            assert len(timers(store)) == 1


async def test_a_move_is_in_line_with_the_activities():
    """A wait is over while an exit is on its way: whatever was first in the chain is first."""
    store, clock = GatedStore(), HandClock()
    with holding(CART):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$basket_view"))
            store.gate.clear()
            engine.accept([touch("$transaction_confirmed")])
            await trio.testing.wait_all_tasks_blocked()
            clock.pass_ms(HOUR)
            await trio.testing.wait_all_tasks_blocked()
            store.gate.set()
            await quiet(engine)
            assert told(engine, point)[2:] == ["exit w", "stop w by 3"]
            assert (timers(store), outbox(store)) == ([], [])


def refuses(closed, activity, context):
    return Drop("no_consent") if any(b'"drop"' in event.body for event in activity.events) else Keep(activity)


@pytest.mark.parametrize("in_flight", [True, False])
async def test_decision_34_a_dropped_activity_enters_nothing_and_lets_nobody_out(monkeypatch, in_flight):
    monkeypatch.setattr(chain, "BUILDERS", (*chain.BUILDERS, ("refusals", lambda definitions: refuses)))
    store = GatedStore()
    items = [
        touch("$basket_view", "drop"),
        touch("$basket_view"),
        touch("$transaction_confirmed", "drop"),
        touch("$basket_view"),
    ]
    with holding(CART):
        async with engine_on(store) as engine:
            if in_flight:
                point = await gated(engine, store, *items)
            else:
                point, *_ = [await taken(engine, one) for one in items]
            assert told(engine, point) == ["start w", "enter w"]
            assert len(timers(store)) == 1
            activity = json.loads(engine.reader.activities(1, point, limit=1000)[-1])
            assert "drop" not in str(activity["$events"])


async def test_an_equal_activity_again_enters_nothing():
    key = str(UUID(int=1))
    with holding(automation(end("a"))):
        async with engine_on(MemoryStore()) as engine:
            point = await taken(engine, touch("start", ts=START, key=key))
            await take(engine, touch("start", ts=START, key=key))
            assert told(engine, point) == ["start a", "enter a", "exit a", "stop a"]
            assert statistics(engine)["events_duplicate"] == 1


@pytest.mark.parametrize("in_flight", [True, False])
async def test_two_people_who_are_one_and_both_inside(in_flight):
    other = automation(wait("o", DAY), id="8", trigger=has_event("other"))
    store, clock = GatedStore(), HandClock()
    with holding(CART, other):
        async with engine_on(store, clock) as engine:
            await take(engine, touch("$basket_view", user="vec:1"))
            clock.pass_ms(MINUTE)
            await take(engine, touch("$basket_view", "other", user="vec:2"))
            assert len(timers(store)) == 3
            both = [touch("seen", user="vec:1", also="vec:2"), touch("$basket_view", user="vec:2")]
            if in_flight:
                point = await gated(engine, store, *both)
            else:
                point, *_ = [await taken(engine, one) for one in both]
            assert [one.due_ms for one in inside(store, point).values()] == [START + HOUR, START + MINUTE + DAY]
            assert timers(store) == [(START + HOUR, "7"), (START + MINUTE + DAY, "8")], "with the survivor now"
            assert len(rows(store, Db.FACTS)) == 1
            assert told(engine, point, "7").count("stop w") == 1, "the passage that began later has ended"
            await later(engine, clock, DAY)
            assert told(engine, point, "7")[-1] == "stop bye"
            assert told(engine, point, "8")[-1] == "stop o"
            assert timers(store) == []


async def test_segments_of_two_people_who_are_one():
    joins = automation(add("x", "vip"), id="8", trigger=has_event("join"))
    store = MemoryStore()
    with holding(joins):
        async with engine_on(store) as engine:
            await take(engine, touch("seen", user="vec:1"))
            await take(engine, touch("join", user="vec:2"))
            point = await taken(engine, touch("seen", user="vec:1", also="vec:2"))
            assert segments(store, point).keys() == {"vip"}
            assert len(rows(store, Db.FACTS)) == 1


async def test_a_restart_in_the_middle_and_a_long_sleep():
    store, clock = MemoryStore(), HandClock()
    with holding(CART):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$basket_view"))
        clock.pass_ms(3 * DAY)
        async with engine_on(store := store.reopen(), clock) as engine:
            await quiet(engine)
            assert told(engine, point)[-1] == "stop bye"
            assert scenario_activities(engine, point)[-1]["$ts"] == START + 3 * DAY
            assert timers(store) == []


LONG = automation(
    wait("a", HOUR, "b"),
    add("b", "vip", "c"),
    hook("c", "d"),
    wait("d", HOUR, "e"),
    action("e", "f"),
    wait("f", HOUR, "a"),
    exits=[("3", has_event("out"))],
)

SCRIPT = [
    ("start", "vec:1", None, 0),
    ("start", "vec:2", None, HOUR + MINUTE),
    ("out", "vec:1", None, 0),
    ("start", "vec:1", None, HOUR),
    ("seen", "vec:1", "vec:2", 2 * HOUR),
    ("start", "vec:2", None, 3 * HOUR),
]


async def lives(script, *, die_after=None, unheard=False):
    """Do a script in as many lives as it takes; gives commits and all that is stored in the end."""
    store, clock = MortalStore(), HandClock()
    if die_after is not None:
        store.die_after(die_after, unheard=unheard)
    done = 0
    with holding(LONG):
        while True:
            with suppress(Broken):
                async with engine_on(store, clock) as engine:
                    await engine.wait_recovered()
                    await quiet(engine)
                    for number, (name, user, also, passes) in enumerate(script[done:], done):
                        item = json.loads(touch(name, user=user, also=also, ts=START + number))
                        item["$events"][0]["$event_id"] = str(number)
                        await engine.accept([json.dumps(item).encode()]).durable()
                        await quiet(engine)
                        done += 1
                        clock.pass_ms(passes)
                        await quiet(engine)
                    check_books(engine)
                    tables = Db.FACTS, Db.TIMERS, Db.OUTBOX
                    # A crash between a time and what is done then makes the moves of it later, by no time at all here.
                    activities = sorted(value for _, value in rows(store, Db.ACTIVITIES))
                    return store.commits, (activities, *(rows(store, db) for db in tables))
            store = store.reopen()


@pytest.mark.slow
async def test_a_crash_at_any_commit_is_no_crash():
    commits, expected = await lives(SCRIPT)
    assert len(expected[2]) == 1
    assert len(expected[3]) >= 5
    for die_after in range(commits + 1):
        for unheard in (False, True):
            assert (await lives(SCRIPT, die_after=die_after, unheard=unheard))[1] == expected, (die_after, unheard)


EVENTS = st.tuples(
    st.sampled_from(["start", "start", "out", "seen"]),
    st.sampled_from(["vec:1", "vec:2"]),
    st.sampled_from([None, None, None, "vec:2"]),
    st.sampled_from([0, MINUTE, HOUR, 2 * HOUR + MINUTE]),
)


@pytest.mark.slow
@given(st.lists(EVENTS, min_size=1, max_size=6), st.integers(0, 20), st.booleans())
async def test_a_crash_changes_nothing_and_facts_and_timers_agree(script, die_after, unheard):
    _, expected = await lives(script)
    assert (await lives(script, die_after=die_after, unheard=unheard))[1] == expected
    waiting = [
        timer_key(one.due_ms, 1, key[4:20], one.scenario)
        for key, value in expected[1]
        if key[20] == FactKind.SCENARIOS
        for one in decode_scenarios(value).values()
    ]
    assert sorted(waiting) == [key for key, _ in expected[2]]
