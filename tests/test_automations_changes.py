"""Automations that are paused, gone or poisoned; bounds, operators, and segments that events name."""

from uuid import UUID

from msgspec import structs

from engine import MemoryStore
from engine.definitions.declared.segments import Segment
from engine.model.fact import FactKind
from engine.model.scenarios import MAX_INSIDE
from engine.store.keys import fact_key, timer_key
from engine.store.port import Db, Put
from tests.automations import (
    CART,
    HOUR,
    MINUTE,
    START,
    automation,
    counted,
    defined,
    end,
    fact,
    holding,
    in_segment,
    inside,
    scenario_activities,
    segments,
    timers,
    told,
    touch,
    wait,
)
from tests.engines import (
    HandClock,
    engine_on,
    gauges,
    later,
    letters,
    quiet,
    take,
    taken,
    until,
)


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


class Poisoned:
    """A condition that raises for one person."""

    event_names = None

    def __init__(self, point):
        self.point = point

    def match(self, document):
        if document.user_point == self.point:
            raise RuntimeError("poison")


async def test_who_cannot_be_moved_leaves_as_a_dead_letter_and_stops_nobody():
    store, clock = MemoryStore(), HandClock()
    with holding(CART) as held:
        async with engine_on(store, clock) as engine:
            bad = await taken(engine, touch("$basket_view"))
            damaged = await taken(engine, touch("$basket_view", user="vec:2"))
            good = await taken(engine, touch("$basket_view", user="vec:3"))
            held.program.scenarios._compiled.storylines["7"].conditions["ask"] = Poisoned(bad)
            store._tables[Db.FACTS].set(fact_key(1, UUID(damaged).bytes, FactKind.SCENARIOS), b"\xff")
            await later(engine, clock, HOUR)
            assert letters(engine) == [("move_failed", "automations")] * 2
            assert timers(store) == []
            assert inside(store, bad) == inside(store, good) == {}
            assert told(engine, good)[-1] == "stop bye"
            assert fact(store, damaged) == b"\xff", "what cannot be read is left as it is"


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
