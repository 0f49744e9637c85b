"""Merges, starts and stops: whose sessions are whose, and what one run of an engine hands to the next."""

import pytest
import trio
from msgspec import structs

from engine import MemoryStore, Selector, Settings
from engine.errors import StoreBroken
from engine.settings import ChannelDeclaration, DatamartSettings, SessionSettings
from engine.store.port import Db, Put, RemoveJournal
from tests.engines import (
    DAY_MS,
    GAP_MS,
    MINUTE_MS,
    GatedStore,
    HandClock,
    check_books,
    closed_by,
    engine_on,
    event,
    gauges,
    item,
    later,
    letters,
    open_now,
    point_of,
    quiet,
    statistics,
    stored,
    taken,
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


# Merges (decision 3).


def both(*names):
    return {"user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": name} for name in names]}


async def test_after_a_merge_every_identifier_reads_everything_once_and_in_order(store, clock):
    async with engine_on(store, clock) as engine:
        now = clock.now_ms()
        first = await taken(engine, visit(1, now - 3, user="a"), touch(2, now - 6, user="a"))
        second = await taken(engine, visit(3, now - 2, user="b"), touch(4, now - 5, user="b"))
        assert first != second
        survivor = await taken(engine, visit(5, now - 1, user="a", **both("b")))
        assert survivor == first
        for point in (first, second):
            assert stored(engine, point) == [[2], [4]]
            assert open_now(engine, point) == [[1, 3, 5]]
        for name in ("a", "b"):
            assert engine.reader.find_user_point(1, Selector.parse(f"user_agent_id={name}")) == first
        assert statistics(engine)["user_points"] == 1
        assert gauges(engine)["live_users"] == 1
        assert await engine.close_sessions(user_point=second) == 1, "an alias names the survivor"
        await quiet(engine)
        assert stored(engine, second) == [[2], [4], [1, 3, 5]]


async def test_an_absorbed_users_sessions_are_seen_as_soon_as_the_merge_is_taken(clock):
    store = GatedStore()
    async with engine_on(store, clock) as engine:
        first = await taken(engine, visit(1, user="a"))
        second = await taken(engine, visit(2, user="b"))
        store.gate.clear()
        engine.accept([visit(3, user="a", **both("b"))])
        await trio.testing.wait_all_tasks_blocked()
        assert open_now(engine, first) == open_now(engine, second) == [[1, 2, 3]]
        store.gate.set()


async def test_a_merge_whose_absorbed_side_waits_for_a_standing_chain(clock):
    """The chain is full of the absorbed user's activities when the merge comes; all is stored once, in order."""
    store = GatedStore()
    async with engine_on(store, clock, stage_queue_lists=1) as engine:
        await taken(engine, visit(1, user="a"), visit(2, user="b"))
        store.gate.clear()
        for number in range(10, 40):
            engine.accept([touch(number, clock.now_ms() + number, user="b")])
            await trio.testing.wait_all_tasks_blocked()
        receipt = engine.accept([visit(3, user="a", **both("b")), touch(50, clock.now_ms() + 50, user="b")])
        await trio.testing.wait_all_tasks_blocked()
        # Meanwhile the survivor goes on, and is merged itself.
        engine.accept([visit(4, user="c"), visit(5, user="c", **both("a"))])
        engine.accept([touch(51, clock.now_ms() + 51, user="c")])
        store.gate.set()
        await quiet(engine)
        check_books(engine)
        point = point_of(receipt)
        assert stored(engine, point) == [[number] for number in [*range(10, 40), 50, 51]]
        assert open_now(engine, point) == [[1, 2, 3, 4, 5]]
        assert statistics(engine)["user_points"] == 1


@pytest.mark.parametrize("recovered", [False, True])
async def test_a_merge_while_or_after_recovery(store, clock, recovered):
    async with engine_on(store, clock) as engine:
        first = await taken(engine, visit(1, user="a"))
        second = await taken(engine, visit(2, user="b"))
    async with engine_on(store.reopen(), clock) as engine:
        if recovered:
            await quiet(engine)
        await taken(engine, visit(3, user="b", **both("a")), visit(4, user="b"))
        assert open_now(engine, first) == open_now(engine, second) == [[1, 2, 3, 4]]
        assert gauges(engine)["live_users"] == 1


# A start.


async def test_events_are_taken_while_recovery_reads(clock):
    store = MemoryStore()
    async with engine_on(store, clock) as engine:
        point = await taken(engine, *(visit(number) for number in range(10)))
    async with engine_on(store.reopen(), clock) as engine:
        assert not engine.recovered
        assert engine.readiness().ready
        receipt = engine.accept([visit(10), touch(11)])
        await receipt.durable()
        await engine.wait_recovered()
        await engine.accept([visit(12)]).durable()
        await quiet(engine)
        check_books(engine)
        assert (open_now(engine, point), stored(engine, point)) == ([[*range(11), 12]], [[11]])
        assert gauges(engine)["recovery_records"] >= 10


async def test_close_sessions_waits_until_what_was_left_is_open_again(store, clock):
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(1), visit(2, user="b"))
    async with engine_on(store.reopen(), clock) as engine:
        assert await engine.close_sessions() == 2
        await quiet(engine)
        assert stored(engine, point) == [[1]]
        assert closed_by(engine) == {"request": 2}
        assert await engine.close_sessions() == 0


async def test_close_sessions_of_one_user_and_of_nobody(store, clock):
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(1), visit(2, user="b"))
        assert await engine.close_sessions(user_point=point) == 1
        assert await engine.close_sessions(user_point="00000000-0000-0000-0000-000000000000") == 0
        assert await engine.close_sessions(datamart=7) == 0
        await quiet(engine)
        assert closed_by(engine) == {"request": 1}
        assert gauges(engine)["live_users"] == 1


@pytest.mark.slow
async def test_more_users_than_one_transaction_holds_are_asked_to_close(store, clock):
    async with engine_on(store, clock) as engine:
        await taken(engine, *(visit(number, user=f"u{number}") for number in range(1100)))
        assert await engine.close_sessions() == 1100
        await quiet(engine)
        check_books(engine)
        assert closed_by(engine) == {"request": 1100}


async def test_a_stop_does_not_close_and_a_start_goes_on(store, clock):
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(1), item(event(2), status="LIVE"))
    clock.pass_ms(MINUTE_MS // 2)
    async with engine_on(store.reopen(), clock) as engine:
        await taken(engine, visit(3), item(event(4), status="LIVE"))
        assert sorted(open_now(engine, point)) == [[1, 3], [2, 4]]
    clock.pass_ms(DAY_MS)
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        assert sorted(stored(engine, point)) == [[1, 3], [2, 4]]
        assert closed_by(engine) == {"inactivity": 1}


async def test_a_session_keeps_the_rules_it_began_under(store, clock):
    """The operator changes a channel between two runs: another version, for what comes after (decision 8)."""
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(1))
    hours = structs.replace(Settings(), session=SessionSettings(gap_ms=2 * GAP_MS))
    async with engine_on(store.reopen(), clock, hours) as engine:
        assert engine.site().version == 2
        await taken(engine, visit(2, user="b"))
        await later(engine, clock, GAP_MS + 2000)
        assert stored(engine, point) == [[1]]
        assert gauges(engine)["live_users"] == 1
        await later(engine, clock, GAP_MS)
        assert gauges(engine)["live_users"] == 0


async def test_a_channel_that_is_gone_takes_nothing_and_what_is_open_on_it_still_ends(store, clock):
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(1))
    other = structs.replace(Settings(), datamarts=(DatamartSettings(id=1, channels=(ChannelDeclaration(id="2"),)),))
    async with engine_on(store.reopen(), clock, other) as engine:
        (result,) = engine.accept([visit(2)]).results
        assert result.error.code == "unknown_channel"
        await later(engine, clock, GAP_MS + 2000)
        assert stored(engine, point) == [[1]]


async def test_a_damaged_state_costs_nobody_else_anything(store, clock):
    async with engine_on(store, clock, grace_ms=MINUTE_MS) as engine:
        now = clock.now_ms()
        await taken(engine, visit(1, now - 3 * GAP_MS), visit(2, now), visit(3, now, user="b"))
        (key, _) = store.page(Db.STATES)[0]
    store.commit([Put(Db.STATES, key, b"\x01damaged")])
    async with engine_on(store.reopen(), clock, grace_ms=MINUTE_MS) as engine:
        await quiet(engine)
        assert gauges(engine)["recovery_damaged_states"] == 1
        await engine.close_sessions()
        await quiet(engine)
        check_books(engine)
        assert statistics(engine)["events_stored"] == 3
    assert store.page(Db.STATES) == []


async def test_a_state_whose_record_is_gone_leaves_dead_letters(store, clock):
    async with engine_on(store, clock, grace_ms=MINUTE_MS) as engine:
        await taken(engine, item(event(1), status="LIVE"), visit(2), visit(3), visit(4, user="b"))
        await later(engine, clock, MINUTE_MS)
        assert len(store.page(Db.STATES)) == 1
    store.commit([RemoveJournal((2,))])
    async with engine_on(store.reopen(), clock, grace_ms=MINUTE_MS) as engine:
        await quiet(engine)
        assert letters(engine) == [("damaged_state", "session")]
        assert statistics(engine)["events_dead"] == 1
        assert gauges(engine)["live_users"] == 1


async def test_a_damaged_record_is_a_broken_store(store, clock):
    async with engine_on(store, clock) as engine:
        await taken(engine, visit(1))
        ((key, _),) = store.page(Db.JOURNAL)
    store.commit([Put(Db.JOURNAL, key, b"\x01damaged")])
    with pytest.raises(StoreBroken, match="journal record 1"):
        async with engine_on(store.reopen(), clock):
            await trio.sleep_forever()


# Leaving (house: Stop).


async def test_what_had_closed_is_stored_before_the_block_is_left(store, clock):
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(1), visit(2, user="b"))
        engine.accept([touch(3), visit(4, user="c")])
        await engine.close_sessions(user_point=point)
    async with engine_on(store.reopen(), clock) as engine:
        assert sorted(stored(engine, point)) == [[1], [3]]
        check_books(engine)
        assert statistics(engine)["events_open"] == 2


async def test_a_stop_on_a_standing_disk_gives_up_in_time_and_loses_nothing(clock, mock_clock):
    store = GatedStore()
    async with trio.open_nursery() as nursery:

        async def hurry():
            """Time passes while the engine stops; when it has given up, the disk goes on."""
            for _ in range(300):
                mock_clock.jump(0.1)
                for _ in range(20):
                    await trio.lowlevel.checkpoint()
            store.gate.set()

        async with engine_on(store, clock) as engine:
            point = await taken(engine, visit(1))
            store.gate.clear()
            engine.accept([touch(2), visit(3, user="b")])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(hurry)
        assert mock_clock.current_time() < 40
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        check_books(engine)
        assert (stored(engine, point), open_now(engine, point)) == ([[2]], [[1]])
        assert statistics(engine)["events_open"] == 2


async def test_a_stop_on_a_full_disk_gives_up_in_time_and_keeps_what_was_acknowledged(clock, autojump_clock):
    store = MemoryStore()
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(1), visit(2, user="b"))
        store.capacity_bytes = 0
        await until(lambda: True)
        engine.accept([touch(3)])
        clock.pass_ms(GAP_MS + 2000)
        started_s = trio.current_time()
    assert trio.current_time() - started_s < 60
    store.capacity_bytes = 1 << 40
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        check_books(engine)
        assert stored(engine, point) == [[1]]
        assert closed_by(engine) == {"inactivity": 2}
