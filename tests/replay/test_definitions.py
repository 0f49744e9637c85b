"""A replay with everything defined: waits follow the log's clock, and a second replay adds nothing (decision 31)."""

import json
import random
from collections import Counter

import pytest
import trio

from engine import load_settings, open_engine, open_reader
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import until
from tests.faults.receiver import receiving
from tests.replay.replays import replay, write

T0 = 1_600_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
USERS = 20


def definitions(port):
    nodes = [
        {"id": "wait", "type": "WAIT_NODE", "delay_ms": HOUR, "next": "tell"},
        {"id": "tell", "type": "WEBHOOK_NODE", "destination": "crm", "next": "later"},
        {"id": "later", "type": "WAIT_NODE", "delay_ms": 30 * 24 * HOUR, "next": "add"},
        {"id": "add", "type": "ADD_TO_SEGMENT_NODE", "segment": "vip"},
    ]
    gone = {"id": "gone", "query": 'events { name = "quit" }'}
    automation = {"id": "7", "trigger": 'events { name = "buy" }', "begin": "wait", "node": nodes}
    datamart = {
        "id": 1,
        "goal": [{"id": "sale", "query": 'events { name = "buy" }', "default_goal_value": 2}],
        "segment": [{"id": "vip"}],
        "destination": [{"id": "crm", "url": f"http://127.0.0.1:{port}/"}],
        "automation": [automation | {"exit_condition": [gone]}],
    }
    return {"datamart": [datamart]}


def line(ts_ms, user, name):
    event = {"$ts": ts_ms, "$event_name": name, "$properties": {}}
    item = {"$type": "SITE_VISIT", "$session_status": "IN_SESSION", "$site_id": "1", "$ts": ts_ms}
    return json.dumps({**item, "$user_agent_id": f"u{user}", "$events": [event]}).encode()


def first_hours():
    """Everybody buys."""
    return [line(T0 + user * MINUTE, user, "buy") for user in range(USERS)]


def the_day_after():
    """Every fifth quits at once; somebody else keeps the log's clock going, beyond all waits of an hour."""
    found = [(T0 + 30 * MINUTE, user, "quit") for user in range(0, USERS, 5)]
    found += [(T0 + 24 * HOUR + minute * MINUTE, 99, "see") for minute in range(0, 10 * 60, 5)]
    return [line(*one) for one in found]


def everything(data):
    """What is stored, without what an outbox and a second look at the same lines change."""
    with open_reader(data) as reader:
        store = reader._store
        tables = {db: rows(store, db) for db in (Db.ACTIVITIES, Db.FACTS, Db.TIMERS, Db.HISTORY, Db.DEAD_LETTERS)}
        counters = dict(reader.counters()[1])
    passing = ("outbox_", "events_received", "events_duplicate", "events_step")
    return tables, {name: count for name, count in counters.items() if not name.startswith(passing)}


@pytest.mark.slow
def test_waits_follow_the_log_and_a_second_replay_adds_nothing(tmp_path):
    data = tmp_path / "data"
    first, second = write(tmp_path / "1.ndjson", first_hours()), write(tmp_path / "2.ndjson", the_day_after())

    async def apply(port):
        async with open_engine(load_settings(None, {}, {"storage.data_dir": str(data)})) as engine:
            await engine.apply(definitions(port))

    async def serve_until_sent():
        async with open_engine(load_settings(None, {}, {"storage.data_dir": str(data)})) as engine:
            await until(lambda: not engine.reader._store.page(Db.OUTBOX, limit=1))

    with receiving(random.Random(1), (200,)) as receiver:
        trio.run(apply, receiver.port)
        reports = [replay(data, first)]
        tables, counters = everything(data)
        assert len(tables[Db.TIMERS]) == counters["scenario_entries.7"] == USERS, "the log is over before the waits"
        reports.append(replay(data, second))
        tables, counters = everything(data)
        again = replay(data, first, second)
        assert (again.events, again.duplicates) == (0, sum(one.events for one in reports))
        assert everything(data) == (tables, counters)
        # What a replay has no time to send waits for the next start.
        trio.run(serve_until_sent)
    activities = [json.loads(value[9:]) for _, value in tables[Db.ACTIVITIES]]
    kinds = Counter(one["$type"] for one in activities)
    gone = USERS // 5
    assert (kinds["USER_SCENARIO_START"], kinds["USER_SCENARIO_STOP"]) == (USERS, gone)
    assert (counters["scenario_entries.7"], counters["scenario_exits.7"]) == (USERS, gone)
    assert kinds["USER_SCENARIO_NODE_ENTER"] == counters["scenario_moves.7"]
    assert counters["conversions.sale"] == USERS
    assert counters["conversions_value_cents.sale"] == USERS * 200
    conversions = [
        event for one in activities for event in one.get("$events", ()) if event["$event_name"] == "$conversion"
    ]
    assert len(conversions) == USERS
    times = {what: [one["$ts"] for one in activities if one["$type"] == what] for what in kinds}
    assert all(T0 <= one <= T0 + USERS * MINUTE for one in times["USER_SCENARIO_START"]), "by the log's clock"
    told = [one["$ts"] for one in activities if one["$type"].endswith("NODE_ENTER") and one["$node_id"] == "tell"]
    assert len(told) >= USERS - gone
    assert all(T0 + HOUR <= one <= T0 + 34 * HOUR for one in told)
    assert len(tables[Db.TIMERS]) == USERS - gone, "the next wait is over when no line is any more"
    assert len(receiver.bodies) == len(told)
    assert {len(set(bodies)) for bodies in receiver.bodies.values()} == {1}
    assert tables[Db.DEAD_LETTERS] == []


@pytest.mark.slow
def test_within_one_log_each_wait_is_as_long_as_it_is_in_service(tmp_path):
    """The clock does not run ahead of what happens by it; lines are five minutes apart."""
    data = tmp_path / "data"
    lines = [(T0 + user * 20 * MINUTE, user, "buy") for user in range(USERS)]
    lines += [(T0 + (user * 20 + 50) * MINUTE, user, "quit") for user in range(0, USERS, 5)]
    lines += [(T0 + minute * MINUTE, 99, "see") for minute in range(0, 12 * 60, 5)]
    file = write(tmp_path / "log.ndjson", [line(*one) for one in sorted(lines)])

    async def apply():
        async with open_engine(load_settings(None, {}, {"storage.data_dir": str(data)})) as engine:
            await engine.apply(definitions(9))

    trio.run(apply)
    replay(data, file)
    tables, _ = everything(data)
    activities = [json.loads(value[9:]) for _, value in tables[Db.ACTIVITIES]]
    started = sorted(one["$ts"] for one in activities if one["$type"] == "USER_SCENARIO_START")
    told = sorted(one["$ts"] for one in activities if one["$type"].endswith("NODE_ENTER") and one["$node_id"] == "tell")
    assert len(started) == USERS
    # A session closes after half an hour of silence and a minute of grace, at the next line.
    for user, at_ms in enumerate(started):
        assert 31 * MINUTE <= at_ms - (T0 + user * 20 * MINUTE) <= 41 * MINUTE
    assert len(told) == USERS - USERS // 5, "who quit within the wait is told nothing"
    stayed = [at_ms for user, at_ms in enumerate(started) if user % 5]
    assert all(HOUR <= at_ms - begun <= HOUR + 5 * MINUTE for begun, at_ms in zip(stayed, told, strict=True))
