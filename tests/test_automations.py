"""Automations of a whole engine: who enters, waits, moves and leaves (mediarithmics 8, row by row)."""

import json
from uuid import UUID

import pytest
from msgspec import structs

from engine import MemoryStore
from engine.definitions.declared.segments import Segment
from tests.automations import (
    CART,
    DAY,
    HOUR,
    MINUTE,
    START,
    action,
    add,
    automation,
    counted,
    end,
    has_event,
    holding,
    hook,
    if_,
    in_segment,
    inside,
    of_person,
    outbox,
    remove,
    scenario_activities,
    segments,
    split,
    timers,
    told,
    touch,
    wait,
)
from tests.engines import (
    HandClock,
    engine_on,
    later,
    quiet,
    statistics,
    take,
    taken,
)


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
