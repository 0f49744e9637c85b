"""Analyzers of a whole engine: order, isolation, crashes and stops. Plugins are asked over real sockets."""

import json
import os
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from trio.testing import MockClock

from engine import MemoryStore, Settings
from engine.actors.overlapping_stage import OverlappingStageActor
from engine.pipeline.chain import build_chain, build_program
from engine.pipeline.create import create
from engine.pipeline.stage import Answer, Envelope
from engine.settings import ActorsSettings, AnalyzersSettings
from tests.actors.analysts.plugins import FakePlugin, echo, http, listening
from tests.engines import (
    HandClock,
    check_books,
    engine_on,
    event,
    gauges,
    item,
    letters,
    numbers,
    point_of,
    statistics,
    until,
)
from tests.pipeline.analyses import SITE, analyzer, closed_of, defined

SAMPLES = "tests.actors.analysts.samples"
START = HandClock().now_ms()


def settings_with(**fields):
    base = {"analyzers": AnalyzersSettings(workers=1, retries=0), "actors": ActorsSettings(drain_chain_s=0.5)}
    return structs.replace(Settings(), **(base | fields))


def definitions(*analyzers, attached=None, **channel):
    ids = [one["id"] for one in analyzers] if attached is None else attached
    channels = [{"id": "1", "analyzers": ids} | channel, {"id": "2"}]
    return {"datamart": [{"id": 1, "channel": channels, "analyzer": list(analyzers)}]}


@asynccontextmanager
async def engine_with(*analyzers, store=None, options=None, **fields):
    async with engine_on(store or MemoryStore(), settings=options or settings_with()) as engine:
        await engine.apply(definitions(*analyzers, **fields))
        await engine.wait_recovered()
        yield engine


def visit(number, user="vec:1", site="1", **fields):
    fields = {"ts": START + number, "status": "CLOSED_SESSION"} | fields
    return item(event(number, START + number), user=user, **fields).replace(
        b'"$site_id":"1"', b'"$site_id":"%s"' % site.encode()
    )


def wished(number, wish, **fields):
    return visit(number, **fields).replace(b'"$events"', b'"wish":"%s","$events"' % wish.encode())


async def settled(engine, activities):
    """Wait until so many events are stored, dropped or dead."""
    fates = ("events_stored", "events_dropped", "events_dead")
    with trio.fail_after(20):
        await until(lambda: sum(map(statistics(engine).get, fates)) == activities)
        await until(lambda: not gauges(engine)["activities_unstored"])
    check_books(engine)


def shown(engine, point):
    return [json.loads(one) for one in reversed(engine.reader.activities(1, point, limit=1000))]


class TestOneEngine:
    async def test_rules_of_a_channel_change_for_the_next_activity(self):
        fast = {"id": "1", "callable": f"{SAMPLES}:renaming", "fast": True}
        async with engine_with(fast, attached=[]) as engine:
            point = point_of(engine.accept([visit(1)]))
            await settled(engine, 1)
            await engine.apply(definitions(fast))
            engine.accept([visit(2)])
            await settled(engine, 2)
            assert ["processed_by" in one for one in shown(engine, point)] == [False, True]

    async def test_what_cannot_be_imported_is_refused(self):
        async with engine_with() as engine:
            with pytest.raises(Exception, match="cannot import") as error:
                await engine.apply(definitions({"id": "1", "callable": "no.such:module", "fast": True}))
            assert "analyzer[0].callable" in str(error.value)

    async def test_what_it_makes_too_large_is_a_dead_letter_with_the_activity_before_it(self):
        async with engine_with({"id": "1", "callable": f"{SAMPLES}:growing", "fast": True}) as engine:
            engine.accept([visit(1)])
            await settled(engine, 1)
            assert letters(engine) == [("activity_too_large", "analyzers")]
            assert b"filling" not in engine.reader.dead_letters()[0].payload

    async def test_the_counters_of_each_fate(self):
        chain = ({"id": "1", "callable": f"{SAMPLES}:raising", "fast": True},)
        chain += ({"id": "2", "callable": f"{SAMPLES}:dropping", "fast": True},)
        async with engine_with(*chain) as engine:
            engine.accept([visit(1)])
            await settled(engine, 1)
            counters = engine.reader.counters()[1]
            assert counters["analyzer_failed.1"] == counters["analyzer_dropped.2"] == 1
            assert counters["events_dropped.analyzer"] == counters["events_step.ACTIVITY_ANALYZER"] == 1

    async def test_processing_that_is_skipped_asks_nobody(self):
        async with engine_with({"id": "1", "callable": f"{SAMPLES}:dropping", "fast": True}) as engine:
            engine.accept([visit(1)], process=False)
            await settled(engine, 1)
            assert statistics(engine)["events_stored"] == 1

    @pytest.mark.slow
    async def test_an_endless_loop_harms_its_own_activity_and_its_process_is_replaced(self):
        worker = {"id": "1", "callable": f"{SAMPLES}:by_wish", "timeout_ms": 300}
        async with engine_with(worker) as engine:
            point = point_of(engine.accept([visit(1)]))
            await settled(engine, 1)
            engine.accept([wished(2, "loop")])
            await settled(engine, 2)
            engine.accept([visit(3)])
            await settled(engine, 3)
            first, looped, third = shown(engine, point)
            assert looped["$error_analyzer_id"] == "1"
            assert first["pid"] != third["pid"]
            found = gauges(engine)
            assert (found["analyzer_1_1_workers"], found["analyzer_1_1_worker_restarts"]) == (1, 1)
            pids = first["pid"], third["pid"]
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


class TestIsolation:
    async def test_a_plugin_that_never_answers_slows_nobody_else(self):
        held = []

        async def never(asked):
            if asked["activity"].get("wish") == "never":
                held.append(asked)
                await trio.sleep_forever()
            return echo(asked)

        async with listening(FakePlugin(never)) as fake:
            dead = {"id": "1", "url": fake.url, "max_calls": 2, "timeout_ms": 60_000}
            async with engine_with(dead) as engine:
                engine.accept([wished(1, "never", user="vec:dead"), wished(2, "never", user="vec:dead2")])
                engine.accept([visit(number, user=f"vec:stuck{number}") for number in range(3, 20)])
                points = [point_of(engine.accept([visit(30 + n, user=f"vec:free{n}", site="2")])) for n in range(1, 20)]
                with trio.fail_after(30):
                    await until(lambda: statistics(engine)["events_stored"] == 19)
                assert all(len(shown(engine, point)) == 1 for point in points)
                with trio.fail_after(30):  # Who is asked first is chance: some of the others may have passed before.
                    await until(lambda: len(held) == 2)
                found = gauges(engine)
                assert found["analyzer_1_1_open_calls"] == 2
                assert found["stage_analyzers_waiting"] == found["analyzer_1_1_waiting"] + 2 <= 19

    async def test_other_users_of_the_same_plugin_pass_while_there_are_calls_left(self):
        async def sometimes(asked):
            if asked["activity"].get("wish") == "never":
                await trio.sleep_forever()
            return echo(asked)

        async with listening(FakePlugin(sometimes)) as fake:
            plugin = {"id": "1", "url": fake.url, "timeout_ms": 60_000}
            async with engine_with(plugin) as engine:
                slow = point_of(engine.accept([wished(1, "never", user="vec:slow"), visit(2, user="vec:slow")]))
                engine.accept([visit(number, user=f"vec:{number}") for number in range(3, 50)])
                with trio.fail_after(30):
                    await until(lambda: statistics(engine)["events_stored"] == 47)
                assert shown(engine, slow) == [], "a user's later activity waits for the earlier one"

    async def test_a_plugin_that_is_too_slow_fails_for_some_and_slows_nobody_else(self):
        gate = trio.Event()

        async def later(asked):
            await gate.wait()
            return echo(asked)

        options = settings_with(analyzers=AnalyzersSettings(max_waiting=40, max_waiting_each=10))
        async with listening(FakePlugin(later)) as fake:
            slow = {"id": "1", "url": fake.url, "max_calls": 2, "timeout_ms": 60_000}
            async with engine_with(slow, options=options) as engine:
                points = [point_of(engine.accept([visit(n, user=f"vec:slow{n}")])) for n in range(1, 101)]
                free = [point_of(engine.accept([visit(30 + n, user=f"vec:free{n}", site="2")])) for n in range(1, 20)]
                with trio.fail_after(30):
                    await until(lambda: all(len(shown(engine, point)) == 1 for point in free))
                found = gauges(engine)
                assert (found["analyzer_1_1_held"], found["analyzer_1_1_held_max"]) == (10, 10)
                assert (found["analyzer_1_1_breaker"], found["stage_analyzers_waiting"]) == (0, 10)
                gate.set()
                await settled(engine, 119)
                failed = [point for point in points if shown(engine, point)[0]["$error_analyzer_id"]]
                assert len(failed) == gauges(engine)["analyzer_1_1_overloaded"] == 90

    async def test_nor_do_those_who_come_again_and_again_while_they_wait(self):
        async def never(asked):
            await trio.sleep_forever()

        options = settings_with(analyzers=AnalyzersSettings(max_waiting=40, max_waiting_each=10))
        async with listening(FakePlugin(never)) as fake:
            slow = {"id": "1", "url": fake.url, "max_calls": 2, "timeout_ms": 60_000}
            async with engine_with(slow, options=options) as engine:
                receipts = [engine.accept([visit(n, user=f"vec:slow{n % 8}")]) for n in range(1, 9)]
                await until(lambda: gauges(engine)["stage_analyzers_waiting"] == 8)
                receipts += [engine.accept([visit(n, user=f"vec:slow{n % 8}")]) for n in range(9, 61)]
                free = [point_of(engine.accept([visit(90 + n, user=f"vec:free{n}", site="2")])) for n in range(1, 20)]
                with trio.fail_after(30):
                    await until(lambda: all(len(shown(engine, point)) == 1 for point in free))
                for user in range(8):
                    found = engine.reader.activities(1, point_of(receipts[user]), limit=100)
                    sent = [n for n in range(1, 61) if n % 8 == (user + 1) % 8]
                    assert [numbers(one) for one in reversed(found)] == [[n] for n in sent[: len(found)]]

    async def test_a_dead_plugin_is_left_alone_and_its_strategy_applied(self):
        fake = FakePlugin(lambda asked: http(b"", "500 Internal Server Error"))
        async with listening(fake), engine_with({"id": "1", "url": fake.url, "max_calls": 1}) as engine:
            points = [point_of(engine.accept([visit(n, user=f"vec:{n}")])) for n in range(1, 101)]
            await settled(engine, 100)
            assert len(fake.asked) == 20
            assert {shown(engine, point)[0]["$error_analyzer_id"] for point in points} == {"1"}


class TestStops:
    async def test_a_stop_with_calls_open_loses_nothing(self):
        gate = trio.Event()

        async def later(asked):
            await gate.wait()
            return echo(asked)

        store = MemoryStore()
        async with listening(FakePlugin(later)) as fake:
            plugin = {"id": "1", "url": fake.url, "timeout_ms": 60_000}
            async with engine_with(plugin, store=store) as engine:
                receipt = engine.accept([visit(number, user=f"vec:{number % 3 + 1}") for number in range(9)])
                await receipt.durable()
                await until(lambda: fake.open_now)
            assert not engine.drained
            gate.set()
            store = store.reopen()
            async with engine_on(store, settings=settings_with()) as engine:
                await engine.wait_recovered()
                await settled(engine, 9)
                for user in range(3):
                    found = engine.reader.activities(1, point_of(receipt, user), limit=100)
                    assert [numbers(one) for one in reversed(found)] == [[user], [user + 3], [user + 6]]

    async def test_a_stop_waits_for_calls_within_its_budget(self):
        async def later(asked):
            await trio.sleep(0.1)
            return echo(asked)

        async with listening(FakePlugin(later)) as fake:
            async with engine_with({"id": "1", "url": fake.url}) as engine:
                await engine.accept([visit(1)]).durable()
                await until(lambda: fake.open_now)
            assert engine.drained
            assert engine.reader.statistics()["events_stored"] == 1


class Slow:
    """An oracle whose answers take what the test says; it counts what it is asked."""

    def __init__(self, delays=()):
        self.delays = list(delays)
        self.asked = []

    def at_once(self, question):
        return None

    async def ask(self, question):
        number = len(self.asked)
        self.asked.append(json.loads(question.activity)["amount"])
        await trio.sleep(self.delays[number] if number < len(self.delays) else 0)
        return Answer("ok", question.activity[:-1] + b',"seen":%d}' % number)


def envelope_of(amount, user):
    closed = closed_of()
    member = structs.replace(closed.members[0], root=closed.members[0].root.replace(b"7.10", b"%d" % amount))
    closed = structs.replace(closed, user_point=user.to_bytes(16), sequences=(amount,), members=(member,), channel=SITE)
    return Envelope(closed, activity=create(closed, "1"))


def analyzers_step(oracle, *found):
    program = build_program(defined(*found))
    (step,) = [one for one in build_chain(lambda _: "1", program_of=lambda _: program, oracle=oracle) if one.may_wait]
    return step.run


@settings(max_examples=50)
@given(
    users=st.lists(st.integers(0, 3), max_size=25),
    delays=st.lists(st.floats(0, 5), max_size=50),
    held=st.integers(1, 30),
)
def test_results_leave_in_order_per_user_point_under_any_latency(users, delays, held):
    async def main():
        oracle = Slow(delays)
        send, inbox = trio.open_memory_channel(100)
        outbox, receive = trio.open_memory_channel(100)
        run = analyzers_step(oracle, analyzer("1"), analyzer("2"))
        actor = OverlappingStageActor("analyzers", run, inbox, outbox, calls=held, held=held)
        for number, user in enumerate(users):
            send.send_nowait([envelope_of(number, user)])
        send.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.run)
            out = [one async for envelopes in receive for one in envelopes]
        assert len(oracle.asked) == 2 * len(users)
        for user in range(4):
            expected = [number for number, whose in enumerate(users) if whose == user]
            found = [one.closed.sequences[0] for one in out if one.closed.user_point == user.to_bytes(16)]
            assert found == expected

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_nobody_is_asked_the_same_thing_twice(autojump_clock):
    """An envelope goes through the step again: with the same activity nobody is asked, with another one all are."""
    oracle = Slow()
    run = analyzers_step(oracle, analyzer("1"), analyzer("2"))
    envelope = envelope_of(5, 1)
    first = await run(envelope)
    again = run(envelope)
    assert again == first, "at once, without waiting"
    assert len(oracle.asked) == 2
    envelope.activity = envelope_of(6, 1).activity
    await run(envelope)
    assert oracle.asked == [5, 5, 6, 6]


async def test_a_step_that_was_cut_short_goes_on_behind_the_answers_it_had(autojump_clock):
    oracle = Slow([0, 100])
    run = analyzers_step(oracle, analyzer("1"), analyzer("2"))
    envelope = envelope_of(5, 1)
    with trio.move_on_after(10):
        await run(envelope)
    oracle.delays = []
    await run(envelope)
    assert len(oracle.asked) == 3, "the first was asked once, the second twice"
