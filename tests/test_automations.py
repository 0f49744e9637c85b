"""Automations of a whole engine: who enters, waits, moves, leaves, whatever is in flight, killed, dropped or merged."""

import json
from contextlib import suppress
from uuid import UUID

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine import MemoryStore
from engine.definitions.declared.segments import Segment
from engine.errors import Broken
from engine.model.fact import FactKind
from engine.model.scenarios import MAX_INSIDE, decode_scenarios
from engine.model.segments import decode_segments
from engine.pipeline import chain
from engine.pipeline.stage import Drop, Keep
from engine.store.keys import fact_key, split_outbox_key, timer_key
from engine.store.layout import decode_outbox
from engine.store.port import Db, Put
from tests.automations import (
    DAY,
    HOUR,
    MINUTE,
    action,
    add,
    automation,
    defined,
    end,
    has_event,
    holding,
    hook,
    if_,
    in_segment,
    of_person,
    remove,
    split,
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
    gauges,
    later,
    letters,
    point_of,
    quiet,
    statistics,
    take,
    taken,
    until,
)

START = HandClock().now_ms()

CART = automation(
    wait("w", HOUR, "ask", name="An hour"),
    if_("ask", in_segment("vip"), "call", "bye"),
    hook("call", color="red"),
    end("bye"),
    id="7",
    name="Forgotten cart",
    trigger=has_event("$basket_view"),
    exits=[("3", has_event("$transaction_confirmed"))],
)


def fact(store, point, kind=FactKind.SCENARIOS):
    return store.get(Db.FACTS, fact_key(1, UUID(point).bytes, kind))


def inside(store, point):
    return decode_scenarios(fact(store, point))


def segments(store, point, now_ms=START):
    return decode_segments(fact(store, point, FactKind.SEGMENTS), now_ms)


def outbox(store):
    return [(split_outbox_key(key).id, decode_outbox(value)) for key, value in rows(store, Db.OUTBOX)]


def scenario_activities(engine, point):
    found = [json.loads(shown) for shown in reversed(engine.reader.activities(1, point, limit=1000))]
    return [one for one in found if one["$type"].startswith("USER_SCENARIO")]


def counted(engine, prefix):
    counters = engine.reader.counters()[1]
    return {name: number for name, number in counters.items() if name.startswith(prefix)}


async def test_8_1_a_matching_activity_makes_the_person_enter_and_the_wait_goes_on_in_time():
    store, clock = MemoryStore(), HandClock()
    with holding(CART):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$basket_view"))
            assert told(engine, point) == ["start w", "enter w"]
            assert timers(store) == [(START + HOUR, "7")]
            place = inside(store, point)["7"]
            assert (place.node, place.started_ms, place.entered_ms, place.due_ms) == ("w", START, START, START + HOUR)
            await later(engine, clock, HOUR - 1)
            assert told(engine, point)[2:] == []
            await later(engine, clock, 1)
            assert told(engine, point)[2:] == ["exit w", "enter ask", "exit ask", "enter bye", "exit bye", "stop bye"]
            assert (timers(store), inside(store, point)) == ([], {})
            totals = statistics(engine)
            assert (totals["events_received"], totals["events_stored"]) == (1, 1), "moves were not received"
            assert counted(engine, "scenario_") == {
                "scenario_entries.7": 1,
                "scenario_exits.7": 1,
                "scenario_moves.7": 3,
            }


async def test_8_1_who_is_inside_does_not_enter_again_until_out():
    store, clock = MemoryStore(), HandClock()
    with holding(CART):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$basket_view"))
            await later(engine, clock, MINUTE)
            await take(engine, touch("$basket_view"))
            assert told(engine, point) == ["start w", "enter w"]
            assert timers(store) == [(START + HOUR, "7")]
            await later(engine, clock, HOUR)
            await later(engine, clock, MINUTE)
            await take(engine, touch("$basket_view"))
            assert told(engine, point)[-2:] == ["start w", "enter w"]
            assert len(timers(store)) == 1


async def test_8_1_the_query_binds_all_conditions_to_the_same_event_and_runs_on_closed_sessions_too():
    red = automation(end("a"), trigger=has_event("seen", color="red"))
    with holding(red):
        async with engine_on(MemoryStore()) as engine:
            point = await taken(engine, touch("seen", "other", color="blue"))
            assert told(engine, point) == []
            base = {"$type": "SITE_VISIT", "$session_status": "IN_SESSION", "$site_id": "1", "$user_agent_id": "vec:1"}
            visit = base | {"$events": [{"$event_name": "seen", "$properties": {"color": "red"}}]}
            await take(engine, json.dumps(visit).encode())
            assert told(engine, point) == [], "a session is looked at when it is closed"
            await engine.close_sessions()
            await quiet(engine)
            assert told(engine, point) == ["start a", "enter a", "exit a", "stop a"]


async def test_8_2_only_active_automations_let_people_in():
    for status in ("NEW", "PAUSED"):
        with holding(automation(end("a"), status=status)):
            async with engine_on(MemoryStore()) as engine:
                assert told(engine, await taken(engine, touch("start"))) == []


async def test_8_2_segments_are_joined_and_left_and_end_when_they_are_due():
    nodes = add("a", "vip", "b"), add("b", "short", "c", expires_ms=HOUR), add("c", "own", "d"), remove("d", "gone")
    late = automation(remove("x", "vip"), id="8", trigger=has_event("stop"))
    listed = (Segment(id="vip"), Segment(id="short"), Segment(id="own", expires_ms=2 * HOUR), Segment(id="gone"))
    store, clock = MemoryStore(), HandClock()
    with holding(automation(*nodes), late, segments=listed):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("start"))
            found = segments(store, point)
            assert {name: one.expires_ms for name, one in found.items()} == {
                "vip": None,
                "short": START + HOUR,
                "own": START + 2 * HOUR,
            }
            assert segments(store, point, START + HOUR).keys() == {"vip", "own"}
            await later(engine, clock, MINUTE)
            await take(engine, touch("start"))
            assert segments(store, point)["short"] == structs.replace(found["short"], expires_ms=START + HOUR + MINUTE)
            await take(engine, touch("stop"))
            assert segments(store, point).keys() == {"short", "own"}


async def test_8_2_if_sees_the_activity_and_what_the_nodes_before_it_did():
    asked = if_("seen", has_event("start", color="red"), "yes", "no")
    line = automation(
        asked, add("yes", "vip", "in"), if_("in", in_segment("vip"), "good", "bad"), end("good"), end("bad"), end("no")
    )
    with holding(line):
        async with engine_on(MemoryStore()) as engine:
            red = await taken(engine, touch("start", color="red"))
            assert told(engine, red)[-1] == "stop good"
            blue = await taken(engine, touch("start", user="vec:2", color="blue"))
            assert told(engine, blue)[-1] == "stop no"


@pytest.mark.parametrize(
    ("query", "way"),
    [
        (has_event("$basket_view", color="red"), "yes"),
        (has_event("$basket_view", color="blue"), "no"),
        (in_segment("vip"), "yes"),
        (of_person("scenarios", "scenario_id", "7"), "yes"),
        (of_person("scenarios", "scenario_id", "8"), "no"),
        (of_person("devices", "$user_agent_id", "vec:1"), "yes"),
        (of_person("devices", "$user_agent_id", "vec:2"), "yes"),
        (of_person("devices", "$user_agent_id", "vec:3"), "no"),
        (of_person("accounts", "$user_account_id", "me"), "yes"),
        (of_person("emails", "$hash", "ab"), "no"),
    ],
)
async def test_8_2_if_after_a_wait_sees_the_person_as_of_now_and_the_activity_that_led_in(query, way):
    line = automation(
        wait("w", HOUR, "q"), if_("q", query, "yes", "no"), end("yes"), end("no"), trigger=has_event("$basket_view")
    )
    other = automation(add("x", "vip"), id="9", trigger=has_event("join"))
    store, clock = MemoryStore(), HandClock()
    with holding(line, other):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$basket_view", color="red"))
            account = {"$type": "USER_ACCOUNT", "$user_account_id": "me"}
            more = json.loads(touch("join", also="vec:2"))
            more["$user_identifiers"].append(account)
            await take(engine, json.dumps(more).encode())
            await later(engine, clock, HOUR)
            assert told(engine, point, "7")[-1] == f"stop {way}"


async def test_8_2_a_split_takes_the_same_way_every_time():
    line = automation(split("half", "a", "b"), end("a"), end("b"))
    clock = HandClock()
    with holding(line):
        async with engine_on(MemoryStore(), clock) as engine:
            ways = {}
            for again in range(2):
                clock.pass_ms(MINUTE)
                for number in range(1, 21):
                    point = await taken(engine, touch("start", user=f"vec:{number}"))
                    stopped = told(engine, point)[-1]
                    assert ways.setdefault(number, stopped) == stopped, again
            assert set(ways.values()) == {"stop a", "stop b"}


async def test_8_2_a_custom_action_is_called_with_its_body():
    store = MemoryStore()
    with holding(automation(action("5", custom_action_id="1402"))):
        async with engine_on(store) as engine:
            point = await taken(engine, touch("start"))
            ((_, request),) = outbox(store)
            assert (request.destination, request.path) == ("plugin", "/v1/scenario_custom_actions")
            assert json.loads(request.body) == {
                "user_point_id": point,
                "custom_action_id": "1402",
                "datamart_id": "1",
                "node_id": "5",
                "scenario_id": "7",
            }
            assert told(engine, point)[-1] == "stop 5", "the person moves on without an answer"


@pytest.mark.parametrize("waits", [False, True])
async def test_8_2_a_webhook_says_who_where_and_why(waits):
    nodes = (wait("w", HOUR, "5"), hook("5", color="red")) if waits else (hook("5", color="red"),)
    store, clock = MemoryStore(), HandClock()
    with holding(automation(*nodes, name="Hello")):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$page_view", "start", cart="12"))
            if waits:
                await later(engine, clock, HOUR)
            ((_, request),) = outbox(store)
            body = json.loads(request.body)
            assert (request.destination, request.path) == ("crm", "")
            events = body.pop("activity")["$events"]
            assert [(one["$event_name"], one["$properties"]) for one in events] == [("start", {"cart": "12"})]
            assert UUID(body.pop("execution_id"))
            assert body == {
                "datamart_id": "1",
                "user_point_id": point,
                "user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": "vec:1"}],
                "scenario_id": "7",
                "scenario_name": "Hello",
                "node_id": "5",
                "node_name": "5",
                "ts": START + (HOUR if waits else 0),
                "payload": {"color": "red"},
            }


async def test_8_3_activities_say_where_the_person_is():
    clock = HandClock()
    with holding(CART):
        async with engine_on(MemoryStore(), clock) as engine:
            point = await taken(engine, touch("$basket_view"))
            start, enter = scenario_activities(engine, point)
            assert start["$type"] == "USER_SCENARIO_START"
            assert (start["$session_status"], start["$events"], start["$ts"]) == ("NO_SESSION", [], START)
            assert enter["$type"] == "USER_SCENARIO_NODE_ENTER"
            assert enter["$scenario_id"] == 7, "a number, where it is one"
            assert (enter["$scenario_name"], enter["$node_id"], enter["$node_name"]) == (
                "Forgotten cart",
                "w",
                "An hour",
            )
            assert (enter["$previous_node_id"], enter["$previous_node_name"]) == (None, "None")
            await later(engine, clock, HOUR)
            left, entered, *_ = scenario_activities(engine, point)[2:]
            assert (left["$type"], entered["$type"]) == ("USER_SCENARIO_NODE_EXIT", "USER_SCENARIO_NODE_ENTER")
            assert left["$ts"] == entered["$ts"] == START + HOUR, "moving on is both, at the same time"
            assert (left["$node_id"], left["$previous_node_id"]) == ("w", None)
            assert (entered["$node_id"], entered["$previous_node_id"], entered["$previous_node_name"]) == (
                "ask",
                "w",
                "An hour",
            )
            assert "$matched_exit_condition_id" not in scenario_activities(engine, point)[-1]


async def test_8_3_at_equal_times_start_is_first_and_stop_last():
    nodes = [add(str(number), "vip", str(number + 1)) for number in range(1, 40)]
    with holding(automation(*nodes, end("40"))):
        async with engine_on(MemoryStore()) as engine:
            point = await taken(engine, touch("start"))
            steps = told(engine, point)
            assert steps[:3] == ["start 1", "enter 1", "exit 1"]
            assert steps[-2:] == ["exit 40", "stop 40"]
            assert [one for one in steps if one.startswith("enter")] == [f"enter {number}" for number in range(1, 41)]


async def test_8_4_an_exit_condition_takes_people_out_at_once_wherever_they_are():
    store, clock = MemoryStore(), HandClock()
    deep = automation(
        wait("a", HOUR, "b"), wait("b", HOUR, "c"), end("c"), exits=[("3", has_event("x", "y")), ("4", has_event("y"))]
    )
    with holding(deep):
        async with engine_on(store, clock) as engine:
            for passed, event, node, why in ((0, "x", "a", 3), (HOUR, "y", "b", 3)):
                point = await taken(engine, touch("start"))
                await later(engine, clock, passed)
                assert timers(store)
                await take(engine, touch(event))
                assert told(engine, point)[-2:] == [f"exit {node}", f"stop {node} by {why}"]
                assert (timers(store), inside(store, point)) == ([], {})
                await later(engine, clock, MINUTE)
            await take(engine, touch("x"))
            await later(engine, clock, DAY)
            assert told(engine, point)[-1] == "stop b by 3", "who is not inside does not leave"


async def test_8_4_first_out_then_in_on_the_same_activity():
    again = automation(wait("a", HOUR), exits=[("3", has_event("start"))])
    store, clock = MemoryStore(), HandClock()
    with holding(again):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("start"))
            first = inside(store, point)["7"].execution
            await later(engine, clock, MINUTE)
            await take(engine, touch("start"))
            assert told(engine, point)[2:] == ["exit a", "stop a by 3", "start a", "enter a"]
            assert timers(store) == [(START + HOUR + MINUTE, "7")]
            assert inside(store, point)["7"].execution != first


async def test_a_wait_keeps_to_its_windows():
    morning = wait("w", HOUR, time_window_start="09:00", time_window_end="10:00", day_window=("MONDAY",))
    store, clock = MemoryStore(), HandClock()
    with holding(automation(morning)):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("start"))
            ((due_ms, _),) = timers(store)
            assert due_ms > START + HOUR
            await later(engine, clock, due_ms - START - 1)
            assert told(engine, point)[-1] == "enter w"
            await later(engine, clock, 1)
            assert told(engine, point)[-1] == "stop w"


async def gated(engine, store, *items):
    """Take all of it while nothing is committed, so that all of it is in flight together."""
    store.gate.clear()
    receipts = []
    for one in items:
        receipts.append(engine.accept([one]))
        await trio.testing.wait_all_tasks_blocked()
    store.gate.set()
    await quiet(engine)
    check_books(engine)
    return point_of(receipts[0])


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


async def test_a_paused_automation_stands_still_and_goes_on_when_it_is_active_again():
    store, clock = MemoryStore(), HandClock()
    with holding(CART) as held:
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$basket_view"))
            await take(engine, touch("$basket_view", user="vec:2"))
            held.hold(defined(structs.replace(CART, status="PAUSED")))
            await later(engine, clock, 2 * HOUR)
            assert told(engine, point) == ["start w", "enter w"]
            assert len(timers(store)) == 2
            assert gauges(engine)["scenario_timers_standing"] == 2
            await take(engine, touch("$transaction_confirmed", user="vec:2"))
            assert len(timers(store)) == 1, "exit conditions hold"
            held.hold(defined(CART))
            await until(lambda: not timers(store))
            await quiet(engine)
            assert told(engine, point)[-1] == "stop bye"
            assert gauges(engine)["scenario_timers"] == 0


async def test_of_an_automation_that_is_gone_people_leave():
    store, clock = MemoryStore(), HandClock()
    with holding(CART) as held:
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$basket_view"))
            held.hold(defined(segments=()))
            await later(engine, clock, HOUR)
            assert told(engine, point)[-2:] == ["exit w", "stop w"]
            assert scenario_activities(engine, point)[-1]["$scenario_name"] == "7"
            assert (timers(store), inside(store, point)) == ([], {})


async def test_a_timer_that_nobody_waits_for_is_swept_away():
    store, clock = MemoryStore(), HandClock()
    with holding(CART):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$basket_view"))
            await quiet(engine)
            store.commit([Put(Db.TIMERS, timer_key(START + MINUTE, 1, UUID(point).bytes, "7"), b"")])
            store.commit([Put(Db.TIMERS, timer_key(START + MINUTE, 1, UUID(int=5).bytes, "99"), b"")])
        async with engine_on(store, clock) as engine:
            await later(engine, clock, MINUTE)
            assert timers(store) == [(START + HOUR, "7")]
            assert told(engine, point) == ["start w", "enter w"]


async def test_who_cannot_be_moved_leaves_as_a_dead_letter_and_stops_nobody():
    class Poisoned:
        event_names = frozenset(("x",))

        def match(self, document):
            raise RuntimeError("poison")

    store, clock = MemoryStore(), HandClock()
    with holding(CART) as held:
        async with engine_on(store, clock) as engine:
            bad = await taken(engine, touch("$basket_view"))
            damaged = await taken(engine, touch("$basket_view", user="vec:2"))
            good = await taken(engine, touch("$basket_view", user="vec:3"))
            held.program.steps["automations"]._compiled.storylines["7"].conditions["ask"] = Poisoned()
            store._tables[Db.FACTS].set(fact_key(1, UUID(damaged).bytes, FactKind.SCENARIOS), b"\xff")
            held_conditions = held.program.steps["automations"]._compiled.storylines["7"].conditions
            await later(engine, clock, HOUR)
            assert letters(engine) == [("move_failed", "automations")] * 3
            assert timers(store) == []
            assert inside(store, bad) == inside(store, good) == {}
            assert "ask" in held_conditions


async def test_nobody_is_in_more_than_a_bound_of_scenarios():
    lines = [automation(wait("w", HOUR), id=str(number)) for number in range(MAX_INSIDE + 3)]
    store = MemoryStore()
    with holding(*lines):
        async with engine_on(store) as engine:
            point = await taken(engine, touch("start"))
            assert len(inside(store, point)) == len(timers(store)) == MAX_INSIDE
            assert counted(engine, "scenarios_full") == {"scenarios_full": 3}


async def test_an_operator_may_have_somebody_enter():
    store, clock = MemoryStore(), HandClock()
    with holding(CART, automation(end("z"), id="8", status="PAUSED")):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("seen"))
            assert await engine.enter_scenario(1, point, "7")
            assert not await engine.enter_scenario(1, point, "7"), "inside already"
            assert not await engine.enter_scenario(1, point, "8")
            assert not await engine.enter_scenario(1, point, "9")
            assert told(engine, point) == ["start w", "enter w"]
            await later(engine, clock, HOUR)
            assert told(engine, point)[-1] == "stop bye"


async def test_an_event_puts_into_a_segment_and_an_unknown_one_is_a_dead_letter():
    store, clock = MemoryStore(), HandClock()
    listed = (Segment(id="1", technical_name="vip"), Segment(id="2"))
    joined = automation(end("a"), trigger=in_segment("1"))
    with holding(joined, segments=listed):
        async with engine_on(store, clock) as engine:
            point = await taken(engine, touch("$add_to_segment", **{"$segtn": "vip"}))
            clock.pass_ms(MINUTE)
            await take(engine, touch("$add_to_segment", **{"$segtn": "2"}))
            assert segments(store, point).keys() == {"1", "2"}
            assert told(engine, point)[:2] == ["start a", "enter a"], "triggers see it"
            await take(engine, touch("$add_to_segment", **{"$segtn": "nobody"}))
            assert letters(engine) == [("unknown_segment", "automations")]
            await take(engine, touch("$add_to_segment", "seen", **{"$segtn": "nobody"}))
            assert counted(engine, "segments_unknown") == {"segments_unknown": 1}
            assert len(letters(engine)) == 1, "the rest of that activity is no fault"


async def test_a_large_number_of_waits_goes_on_in_slices():
    store, clock = MemoryStore(), HandClock()
    with holding(automation(wait("w", HOUR))):
        async with engine_on(store, clock) as engine:
            for number in range(10):
                items = [touch("start", user=f"vec:{1 + number}-{1 + one}") for one in range(100)]
                await engine.accept(items).durable()
            await quiet(engine)
            assert len(timers(store)) == 1000
            clock.pass_ms(HOUR)
            most = []

            def all_moved():
                most.append(gauges(engine)["scenario_moves_in_flight"])
                return not timers(store)

            await until(all_moved)
            await quiet(engine)
            assert 0 < max(most) <= gauges(engine)["scenario_moves_in_flight_max"]
            assert gauges(engine)["scenario_moves_settled"] == 1000
            assert counted(engine, "scenario_exits") == {"scenario_exits.7": 1000}
