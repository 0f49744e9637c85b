"""The way in: items answered singly, the good ones taken all or none, and each once (decisions 17 and 18)."""

import json
from contextlib import suppress

import pytest
import trio

from engine import Idempotency, IdempotencyConflict, MemoryStore, Overloaded
from engine.errors import CallerError, StoreBroken
from engine.store.port import Db
from tests.engines import (
    DAY_MS,
    GAP_MS,
    GatedStore,
    HandClock,
    MortalStore,
    check_books,
    engine_on,
    event,
    gauges,
    item,
    letters,
    open_now,
    point_of,
    quiet,
    statistics,
    stored,
    take,
    touch,
    until,
    visit,
)


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def clock():
    return HandClock()


def results(receipt):
    return [(one.status, one.events, one.error.code if one.error else None) for one in receipt.results]


def known(engine, **fields):
    """The statistics that are not 0, and not about users."""
    found = {name: value for name, value in statistics(engine).items() if value and name.startswith("events")}
    return found | fields


async def test_items_are_answered_singly_and_the_good_ones_taken(store, clock):
    async with engine_on(store, clock) as engine:
        receipt = await take(
            engine, visit(1), b"{", item(event(2), event(3), site_id="9"), item(event(4), event(5)), touch(6, user="b")
        )
        assert results(receipt) == [
            ("accepted", 1, None),
            ("refused", 1, "bad_json"),
            ("refused", 2, "unknown_channel"),
            ("accepted", 2, None),
            ("accepted", 1, None),
        ]
        assert receipt.results[2].error.path == "$.$site_id"
        assert open_now(engine, point_of(receipt)) == [[1, 4, 5]]
        assert stored(engine, point_of(receipt, 4)) == [[6]]
        assert known(engine) == {"events_received": 7, "events_refused": 3, "events_stored": 1, "events_open": 3}
        counters = engine.reader.counters()[1]
        assert (counters["events_refused.bad_json"], counters["events_refused.unknown_channel"]) == (1, 2)
        assert counters["events_step.API"] == 4


async def test_a_request_of_nothing_is_nothing(store, clock):
    async with engine_on(store, clock) as engine:
        assert results(await take(engine)) == []
        assert known(engine) == {}


async def test_an_unknown_datamart_is_the_callers_fault(store, clock):
    async with engine_on(store, clock) as engine:
        with pytest.raises(CallerError) as caught:
            engine.accept([visit(1)], datamart=2)
        assert caught.value.code == "unknown_datamart"


async def test_placeholders_are_counted_also_where_the_item_is_refused_for_them(store, clock):
    async with engine_on(store, clock) as engine:
        await take(engine, visit(1, user="null"), visit(2, user_account_id="guest"))
        assert engine.reader.counters()[1]["identifiers_placeholder"] == 2
        assert known(engine) == {
            "events_received": 2,
            "events_refused": 1,
            "events_open": 1,
        }


async def test_late_events_are_counted(store, clock):
    async with engine_on(store, clock) as engine:
        now = clock.now_ms()
        await take(engine, item(event(1, now - GAP_MS), event(2, now - GAP_MS - 1)), touch(3, 0))
        assert statistics(engine)["events_late"] == 1


async def test_sequences_and_arrivals_go_on_behind_those_of_the_last_run(store, clock):
    async with engine_on(store, clock) as engine:
        await take(engine, touch(1), touch(2))
        assert store.page(Db.JOURNAL) == []
        first, arrival_ms = engine.reader.last_place()
    assert first == 2
    clock.jump(-DAY_MS)
    async with engine_on(store.reopen(), clock) as engine:
        receipt = await take(engine, visit(3), visit(4))
        assert engine.reader.last_place() == (first + 2, arrival_ms)
        (shown,) = engine.live_activities(1, point_of(receipt))
        assert json.loads(shown)["$ts"] == arrival_ms


@pytest.mark.parametrize("crash", [False, True])
async def test_a_timer_and_a_replay_agree_when_the_clock_jumps_back_between_two_arrivals(clock, crash):
    """A session that a timer closed is closed, also for an event that arrives by the clock before it was due."""
    store = MortalStore()
    with suppress(StoreBroken):
        async with engine_on(store, clock) as engine:
            point = point_of(await take(engine, visit(1)))
            clock.pass_ms(GAP_MS + 2000)
            await until(lambda: gauges(engine)["activities_unstored"])
            clock.jump(-GAP_MS)
            if crash:
                store.die_after(1)  # The next record is on disk, the closed session is not.
            await engine.accept([visit(2)]).durable()
            await quiet(engine)
            assert not crash
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        assert (stored(engine, point), open_now(engine, point)) == ([[1]], [[2]])


# Duplicates (decision 18).


async def test_an_event_id_is_taken_once_within_an_item_a_request_and_for_a_week(store, clock):
    async with engine_on(store, clock) as engine:
        first = engine.accept(
            [
                item(event(1, event_id="a"), event(2, event_id="a"), event(3)),
                item(event(4, event_id="a"), event(5, event_id="b")),
                item(event(6, event_id="b"), event(7, event_id="a")),
            ]
        )
        second = engine.accept([visit(8), item(event(9, event_id="a"))])  # Nothing is committed yet.
        assert results(first) == [("accepted", 2, None), ("accepted", 1, None), ("duplicate", 2, None)]
        assert results(second) == [("accepted", 1, None), ("duplicate", 1, None)]
        await second.durable()
        await quiet(engine)
        check_books(engine)
        assert open_now(engine, point_of(first)) == [[1, 3, 5, 8]]
        assert statistics(engine)["events_duplicate"] == 5
    async with engine_on(store.reopen(), clock) as engine:
        assert results(await take(engine, item(event(10, event_id="a")))) == [("duplicate", 1, None)]
        clock.pass_ms(7 * DAY_MS - 1)
        assert results(await take(engine, item(event(11, event_id="b")))) == [("duplicate", 1, None)]
        clock.pass_ms(1)
        assert results(await take(engine, item(event(12, event_id="b")))) == [("accepted", 1, None)]
        assert results(await take(engine, item(event(13, event_id="b")))) == [("duplicate", 1, None)]


async def test_an_id_of_a_refused_item_is_free(store, clock):
    async with engine_on(store, clock) as engine:
        refused = [item(event(1, event_id="a"), site_id="9"), item(event(1, event_id="a"), user="guest")]
        await take(engine, *refused)
        assert results(await take(engine, item(event(1, event_id="a")))) == [("accepted", 1, None)]


async def test_a_touch_whose_events_are_known_is_stored_without_them_or_not_at_all(store, clock):
    async with engine_on(store, clock) as engine:
        receipt = await take(engine, item(event(1, event_id="a"), event(2), status="NO_SESSION"))
        again = await take(engine, item(event(1, event_id="a"), event(3), status="NO_SESSION"))
        assert results(again) == [("accepted", 1, None)]
        assert results(await take(engine, item(event(1, event_id="a"), status="NO_SESSION"))) == [
            ("duplicate", 1, None)
        ]
        assert sorted(stored(engine, point_of(receipt))) == [[1, 2], [3]]


def key(name, body=b"body"):
    return Idempotency(name, body)


async def test_a_repeated_request_is_a_duplicate_now_and_after_a_restart(store, clock):
    async with engine_on(store, clock) as engine:
        first = engine.accept([visit(1), touch(2)], idempotency=key("k"))
        again = engine.accept([visit(1), touch(2)], idempotency=key("k"))
        assert results(first) == [("accepted", 1, None)] * 2
        assert results(again) == [("duplicate", 1, None)] * 2
        await again.durable()
    async with engine_on(store.reopen(), clock) as engine:
        assert results(await take(engine, visit(1), touch(2), idempotency=key("k"))) == [("duplicate", 1, None)] * 2
        assert known(engine) == {
            "events_received": 6,
            "events_duplicate": 4,
            "events_stored": 1,
            "events_open": 1,
        }
        clock.pass_ms(7 * DAY_MS)
        assert results(await take(engine, visit(1), idempotency=key("k"))) == [("accepted", 1, None)]


async def test_a_key_with_another_body_is_a_conflict_and_nothing_is_taken(store, clock):
    async with engine_on(store, clock) as engine:
        await take(engine, visit(1), idempotency=key("k"))
        before = known(engine)
        for _ in range(2):
            with pytest.raises(IdempotencyConflict):
                engine.accept([visit(2)], idempotency=key("k", b"other"))
        assert results(await take(engine, visit(2), idempotency=key("l", b"other"))) == [("accepted", 1, None)]
        assert known(engine) == before | {"events_received": 2, "events_open": 2}


async def test_a_repeat_does_not_call_taken_what_was_refused(store, clock):
    async with engine_on(store, clock) as engine:
        items = [visit(1), visit(2, site_id="9"), visit(3, user="guest"), b"{"]
        first = await take(engine, *items, idempotency=key("k"))
        again = await take(engine, *items, idempotency=key("k"))
        assert [one.status for one in first.results] == ["accepted", "refused", "refused", "refused"]
        assert [one.status for one in again.results] == ["duplicate", "refused", "refused", "refused"]
        assert [one.error for one in again.results[1:]] == [one.error for one in first.results[1:]]


async def test_a_key_that_brought_nothing_can_be_used_for_what_was_meant(store, clock):
    async with engine_on(store, clock) as engine:
        await take(engine, visit(1, site_id="9"), idempotency=key("k"))
        assert results(await take(engine, visit(1), idempotency=key("k", b"mended"))) == [("accepted", 1, None)]


async def test_a_key_of_a_request_that_was_not_taken_is_free(store, clock):
    async with engine_on(store, clock, max_live_users=1) as engine:
        await take(engine, visit(1))
        with pytest.raises(Overloaded):
            engine.accept([visit(2, user="b")], idempotency=key("k"))
        await engine.close_sessions()
        await quiet(engine)
        assert results(await take(engine, visit(2, user="b"), idempotency=key("k"))) == [("accepted", 1, None)]


async def test_duplicate_is_durable_only_when_the_first_copy_is(clock):
    store = GatedStore()
    async with engine_on(store, clock) as engine:
        await quiet(engine)
        store.gate.clear()
        engine.accept([item(event(1, event_id="a"))])
        again = engine.accept([item(event(1, event_id="a"))])
        assert results(again) == [("duplicate", 1, None)]
        done = trio.Event()

        async def wait():
            await again.durable()
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            for _ in range(100):
                await trio.lowlevel.checkpoint()
            assert not done.is_set()
            assert store.page(Db.JOURNAL) == []
            store.gate.set()
            await done.wait()
            assert len(store.page(Db.JOURNAL)) == 1


# What cannot be read (decision 17).


async def test_an_unreadable_input_is_a_dead_letter_once(store, clock):
    async with engine_on(store, clock) as engine:
        line = b"\xff no line"
        first = engine.reject(line, reason="bad_line", stage="replay", event_id="7")
        again = engine.reject(line, reason="bad_line", stage="replay", event_id="7")
        other = engine.reject(line, reason="bad_line", stage="replay")
        assert results(first) == results(other) == [("refused", 1, "bad_line")]
        assert results(again) == [("duplicate", 1, None)]
        await other.durable()
        await quiet(engine)
        check_books(engine)
        assert letters(engine) == [("bad_line", "replay")] * 2
        assert engine.reader.dead_letters()[0].payload == line
        assert known(engine) == {"events_received": 3, "events_dead": 2, "events_duplicate": 1}
        assert engine.reader.counters()[1]["events_dead.bad_line"] == 2
        # An event and an input that could not be read share their ids: the replay of a line that is mended later.
        assert results(await take(engine, item(event(1, event_id="7")))) == [("duplicate", 1, None)]
