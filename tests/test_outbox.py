"""Requests that activities ask for, through a whole engine: committed with their activity, sent afterwards."""

import hashlib
import json
from contextlib import suppress

import pytest
import trio
from msgspec import structs

from engine import MemoryStore, Settings
from engine.definitions.declared.destinations import Destination
from engine.errors import Broken
from engine.pipeline import chain
from engine.pipeline.stage import Drop, Keep, Send
from engine.settings import OutboxSettings
from engine.start import Definitions
from engine.store.layout import decode_outbox
from engine.store.port import Db
from tests.actors.outbox.server import response, serving
from tests.contract.harness import rows
from tests.engines import (
    HandClock,
    MortalStore,
    check_books,
    engine_on,
    gauges,
    letters,
    point_of,
    statistics,
    take,
    touch,
    until,
)

SETTINGS = structs.replace(Settings(), outbox=OutboxSettings(drain_s=0.2))


def number_of(activity):
    return int(bytes(activity.events[0].properties()["n"]))


def webhook(closed, activity, context):
    """A step that asks for a request with each activity; number 13 is dropped, and 14 asks for nothing."""
    number = number_of(activity)
    body = b'{"n":%d}' % number
    send = Send(closed.datamart, "hook", hashlib.md5(body).digest(), context.now_ms, "", body)
    if number == 13:
        return Drop("unlucky")
    return Keep(activity, () if number == 14 else (send,))


@pytest.fixture
def asked_for(monkeypatch):
    """Each activity asks for a webhook."""
    steps = tuple((name, lambda defined: webhook) for name, _ in chain.BUILDERS[:1])
    monkeypatch.setattr(chain, "BUILDERS", (*steps, *chain.BUILDERS[1:]))


@pytest.fixture
def declare(monkeypatch):
    def declare(url, **fields):
        found = Destination(id="hook", url=url, **fields)
        monkeypatch.setattr(Definitions, "destination", lambda self, datamart, one: found if one == "hook" else None)

    return declare


def outbox_of(store):
    return rows(store, Db.OUTBOX)


def attempts(store):
    return [decode_outbox(row).attempts for _, row in outbox_of(store)]


async def test_what_an_activity_asks_for_is_sent_once_it_is_stored(asked_for, declare):
    store = MemoryStore()
    async with serving() as server:
        declare(server.url)
        async with engine_on(store, settings=SETTINGS) as engine:
            await take(engine, *(touch(number) for number in (1, 2, 13, 14)))
            await until(lambda: not outbox_of(store))
            await take(engine, touch(3))
            await until(lambda: len(server.received) == 3 and not outbox_of(store))
            check_books(engine)
            assert statistics(engine)["events_dropped"] == 1
            text = engine.metrics().decode()
    assert sorted(one.body for one in server.received) == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    assert 'sojourn_outbox_sent_total{datamart="1"} 3.0' in text
    assert 'sojourn_outbox_sent_by_reason_total{datamart="1",reason="hook"} 3.0' in text
    assert 'sojourn_outbox_waiting{datamart="1"} 0.0' in text


async def test_what_fails_waits_and_is_seen_and_what_is_refused_is_a_dead_letter(asked_for, declare):
    store, clock = MemoryStore(), HandClock()
    status = 500
    async with serving(lambda request: response(status)) as server:
        declare(server.url)
        async with engine_on(store, clock, SETTINGS) as engine:
            await take(engine, touch(1))
            await until(lambda: server.received and attempts(store) == [1])
            found = gauges(engine)
            assert found["outbox_destinations"] == found["outbox_rows_of_destination"] == 1
            assert found["outbox_destination_paused.1/hook"] == 0
            assert 'sojourn_outbox_waiting_by_reason{datamart="1",reason="hook"} 1.0' in engine.metrics().decode()
            status = 422
            clock.pass_ms(10_000)
            await until(lambda: not outbox_of(store))
            assert letters(engine) == [("outbox_refused", "outbox")]
            assert engine.reader.dead_letters()[0].payload == b'{"n":1}'
            check_books(engine)


async def test_rows_say_whose_they_are(asked_for):
    """Decision 41: an erasure must find them."""
    store = MemoryStore()
    async with engine_on(store, settings=SETTINGS) as engine:
        receipt = await take(engine, touch(1))
        ((_, value),) = outbox_of(store)
        row = decode_outbox(value)
    assert str(row.user_point.hex()) == receipt.results[0].user_point.replace("-", "")
    assert row.sequence > 0


async def test_a_stop_ends_what_never_answers_and_the_next_start_sends_it_again(asked_for, declare):
    store = MemoryStore()
    async with serving(lambda request: None) as server:
        declare(server.url)
        async with engine_on(store, settings=SETTINGS) as engine:
            await take(engine, touch(1))
            await until(lambda: server.received)
        assert engine.drained
        assert len(outbox_of(store)) == 1
        server.answer = None
        async with engine_on(store.reopen(), settings=SETTINGS) as engine:
            await until(lambda: not outbox_of(store))
    first, again = server.received
    assert first.body == again.body
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"]


@pytest.mark.slow
@pytest.mark.parametrize("unheard", [False, True])
async def test_killed_at_any_commit_each_request_is_sent_at_least_once(asked_for, declare, unheard):
    async with serving() as server:
        declare(server.url)
        for commits in range(1, 10):
            store = MortalStore()
            server.received.clear()
            for _ in range(4):
                store.die_after(commits, unheard=unheard)
                with suppress(Broken, ExceptionGroup):
                    async with engine_on(store, settings=SETTINGS) as engine:
                        engine.accept([touch(number, 1_699_999_000_000 + number) for number in (1, 2, 3)])
                        await trio.sleep(0.03)
                store = store.reopen()
            store.left = None
            async with engine_on(store, settings=SETTINGS) as engine:
                await engine.accept([touch(number, 1_699_999_000_000 + number) for number in (1, 2, 3)]).durable()
                await until(lambda: not rows(store, Db.JOURNAL) and not outbox_of(store))  # noqa: B023
                check_books(engine)
            assert {one.body for one in server.received} == {b'{"n":1}', b'{"n":2}', b'{"n":3}'}


async def test_an_automations_webhook_reaches_its_destination_and_definitions_change_at_run_time():
    """Declared, triggered, committed, sent; first to a destination that is not there any more."""
    definitions = """
[[datamart]]
id = 1
[[datamart.destination]]
id = "crm"
url = "URL"
secret = "open sesame"
[[datamart.automation]]
id = "a1"
trigger = "events { name = \\"seen\\" }"
begin = "call"
[[datamart.automation.node]]
id = "call"
type = "WEBHOOK_NODE"
destination = "crm"
payload = { color = "red" }
"""
    store = MemoryStore()
    async with serving() as server, serving() as gone, engine_on(store, settings=SETTINGS) as engine:
        await engine.apply(definitions.replace("URL", gone.url + "/old"))
        gone.answer = lambda request: response(404)
        point = point_of(await take(engine, touch(1)))
        await until(lambda: gone.received and attempts(store) == [1])
        await engine.apply(definitions.replace("URL", server.url + "/hook"))
        engine_clock = engine.explainer._clock._clock
        engine_clock.pass_ms(10_000)
        await until(lambda: server.received and not outbox_of(store))
        check_books(engine)
    (sent,) = server.received
    assert sent.headers["idempotency-key"] == gone.received[0].headers["idempotency-key"]
    assert sent.headers["webhook-signature"].startswith("v1,")
    told = json.loads(sent.body)
    assert (told["user_point_id"], told["scenario_id"], told["payload"]) == (point, "a1", {"color": "red"})
