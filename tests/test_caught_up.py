"""Whoever moves the engine's clock can wait until all that was due by it has happened: a replay does."""

import json

import pytest

from engine import MemoryStore
from tests.definitions.files import small
from tests.engines import HandClock, check_books, engine_on, point_of, take, touch, visit

HOUR = 3_600_000
AUTOMATION = {
    "id": "7",
    "trigger": 'events { name = "seen" }',
    "begin": "w",
    "node": [
        {"id": "w", "type": "WAIT_NODE", "delay_ms": HOUR, "next": "add"},
        {"id": "add", "type": "ADD_TO_SEGMENT_NODE", "segment": "vip"},
    ],
}


async def test_when_it_has_caught_up_what_was_due_is_stored():
    clock = HandClock()
    async with engine_on(MemoryStore(), clock) as engine:
        await engine.apply(small(segment=[{"id": "vip"}], automation=[AUTOMATION]))
        assert engine.has_automations(1)
        assert not engine.has_automations(2)
        point = point_of(await take(engine, visit(1)))

        def kinds():
            return [json.loads(one)["$type"] for one in reversed(engine.reader.activities(1, point))]

        clock.pass_ms(HOUR)
        await engine.caught_up()
        assert kinds()[:2] == ["SITE_VISIT", "USER_SCENARIO_START"], "the session has closed, and led in"
        assert "USER_SCENARIO_STOP" not in kinds()
        clock.pass_ms(HOUR)
        await engine.caught_up()
        assert kinds()[-1] == "USER_SCENARIO_STOP", "the wait is over"
        check_books(engine)
        await engine.caught_up()


@pytest.mark.slow
async def test_it_waits_for_all_who_are_due_and_not_only_for_those_on_their_way():
    clock, people = HandClock(), 700
    async with engine_on(MemoryStore(), clock) as engine:
        await engine.apply(small(segment=[{"id": "vip"}], automation=[AUTOMATION]))
        await take(engine, *(touch(number, user=f"u{number}") for number in range(people)))
        clock.pass_ms(HOUR)
        await engine.caught_up()
        assert engine.reader.counters()[1]["scenario_exits.7"] == people
