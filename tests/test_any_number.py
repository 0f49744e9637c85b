"""Any number that JSON can write, at any place, harms nothing and comes back as it was sent (decision 37)."""

import json

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import MemoryStore
from tests.engines import HandClock, dump, engine_on, letters, quiet

SAMPLES = "tests.actors.analysts.samples"
START_MS = HandClock().now_ms()
AUTOMATION = {
    "id": "7",
    "trigger": 'events { name = "buy" } AND NOT profiles { plan = "none" }',
    "begin": "i",
    "node": [
        {"type": "IF_NODE", "id": "i", "query": 'profiles { plan = "x" }', "next": "s"},
        {"type": "ADD_TO_SEGMENT_NODE", "id": "s", "segment": "vip"},
    ],
}


def defined(*, fast: bool) -> dict:
    """A goal, a trigger, a node and an analyzer that look at whatever comes."""
    return {
        "datamart": [
            {
                "id": 1,
                "channel": [{"id": "1", "analyzers": ["a"]}],
                "analyzer": [{"id": "a", "callable": f"{SAMPLES}:renaming", "fast": fast}],
                "goal": [{"id": "g", "query": 'events { name = "buy" }'}],
                "segment": [{"id": "vip"}],
                "automation": [AUTOMATION],
            }
        ]
    }


def sent(name: str, number: str, **fields: object) -> bytes:
    """An activity with the number at many places."""
    properties = {"x": "@", "deep": [{"y": ["@", "text"]}], **fields}
    one = {"$event_name": name, "$ts": START_MS, "$properties": properties, "own": "@"}
    root = {"$type": "SITE_VISIT", "$session_status": "NO_SESSION", "$site_id": "1", "$user_agent_id": "vec:1"}
    return dump({**root, "custom": {"z": "@"}, "$events": [one]}).replace(b'"@"', number.encode())


async def check(number: str, *, fast: bool = True) -> None:
    async with engine_on(MemoryStore(), max_activity_chars=100_000) as engine:
        await engine.apply(defined(fast=fast))
        await engine.wait_recovered()
        profile = {"$user_agent_id": "vec:1", "plan": "x"}
        items = (
            sent("$set_user_profile_properties", number, **profile),
            sent("buy", number),
            sent("page HP", number),
        )
        for item in items:
            receipt = engine.accept([item])
            await receipt.durable()
            await quiet(engine)
        assert letters(engine) == []
        shown = engine.reader.activities(1, receipt.results[0].user_point, limit=10)
        sent_ones = []
        for text in shown:
            found = json.loads(text, parse_int=str, parse_float=str)
            own = [one for one in found["$events"] if "own" in one]
            sent_ones += own
            if own:  # The others tell of segments that were entered.
                assert (found["custom"], found["processed_by"]) == ({"z": number}, "nobody")
        assert {one["$event_name"] for one in sent_ones} == {"$set_user_profile_properties", "buy", "hello"}
        for event in sent_ones:
            assert event["own"] == event["$properties"]["x"] == number
            assert event["$properties"]["deep"] == [{"y": [number, "text"]}]
        assert engine.reader.counters()[1]["conversions.g"] == 1
        activities = await engine.query("SELECT @count{} FROM UserActivity")
        assert activities.result["count"] == len(shown)
        person = 'SELECT @count{} FROM UserPoint WHERE profiles { plan = "x" } AND segments { id = "vip" }'
        assert (await engine.query(person)).result["count"] == 1
        whole = await engine.query('events { name = "buy" }')
        assert (len(whole.rows), whole.unreadable) == (1, 0)
        assert dump(whole.rows)


@pytest.mark.parametrize("number", ["1e400", "1" * 4301, "-" + "9" * 400, "1e-400"])
async def test_numbers_that_no_float_holds(number):
    await check(number)


@pytest.mark.slow
async def test_in_the_process_of_an_analyzer_too():
    await check("1e400", fast=False)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_any_number(number):
    trio.run(check, number)
