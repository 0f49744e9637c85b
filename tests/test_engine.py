"""The engine as whoever embeds it sees it: time, merges, failures, leaving the block, and what it says of itself."""

import json

import pytest
import trio
from msgspec import structs

from engine import Condition, Engine, Filters, MemoryStore, Selector, Settings
from engine.errors import ActorFailed, BadSettings, Broken, StoreBroken, StoreFull
from engine.pipeline import chain
from engine.session.visitor import Visitor
from engine.settings import ChannelDeclaration, DatamartSettings, SessionSettings
from engine.store.port import Db, Put, RemoveJournal
from tests.clocks import TrioClock
from tests.contract.harness import dump as rows_of
from tests.engines import (
    DAY_MS,
    GAP_MS,
    MINUTE_MS,
    GatedStore,
    HandClock,
    MortalStore,
    check_books,
    closed_by,
    dump,
    engine_on,
    event,
    gauges,
    item,
    letters,
    numbers,
    open_now,
    point_of,
    quiet,
    settings_of,
    statistics,
    stored,
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


async def taken(engine, *items, **options):
    """Accept and wait until it is on disk and at rest; returns the first item's user point."""
    receipt = engine.accept(items, **options)
    await receipt.durable()
    await quiet(engine)
    check_books(engine)
    return point_of(receipt)


async def later(engine, clock, ms):
    clock.pass_ms(ms)
    await quiet(engine)
    check_books(engine)


# Time (decisions 7 and 11).


async def test_an_idle_session_ends_within_two_seconds_of_its_time_without_any_traffic(store, mock_clock):
    async with engine_on(store, TrioClock()) as engine:
        mock_clock.jump(0.4)
        point = await taken(engine, visit(1))
        mock_clock.jump(GAP_MS / 1000)
        await quiet(engine)
        assert open_now(engine, point) == [[1]], "exactly the gap is not more than the gap"
        mock_clock.jump(2)
        await quiet(engine)
        assert (stored(engine, point), open_now(engine, point)) == ([[1]], [])
        assert closed_by(engine) == {"inactivity": 1}
        assert gauges(engine)["live_users"] == 0


async def test_each_event_puts_the_end_off(store, mock_clock):
    async with engine_on(store, TrioClock()) as engine:
        point = await taken(engine, visit(1))
        for number in range(2, 6):
            mock_clock.jump(GAP_MS / 1000 - 1)
            await quiet(engine)
            await taken(engine, visit(number))
        assert open_now(engine, point) == [[1, 2, 3, 4, 5]]
        mock_clock.jump(GAP_MS / 1000 + 2)
        await quiet(engine)
        assert stored(engine, point) == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize("grace_ms", [0, MINUTE_MS])
@pytest.mark.parametrize(("more_ms", "sessions"), [(0, [[1, 2]]), (1, [[1], [2]])])
async def test_a_record_ends_a_session_by_the_same_strict_test_as_the_timer(store, clock, grace_ms, more_ms, sessions):
    async with engine_on(store, clock, grace_ms=grace_ms) as engine:
        start_ms = clock.now_ms()
        point = await taken(engine, visit(1, start_ms))
        clock.jump(GAP_MS + grace_ms + more_ms)
        receipt = engine.accept([visit(2, start_ms + GAP_MS)])
        await receipt.durable()
        await engine.close_sessions()
        await quiet(engine)
        assert stored(engine, point) == sessions


async def test_a_live_visit_is_one_activity_after_a_minute(store, mock_clock):
    async with engine_on(store, TrioClock()) as engine:
        point = await taken(engine, item(event(1), status="LIVE"))
        mock_clock.jump(30)
        await taken(engine, item(event(2), status="LIVE"), visit(3))
        (live, visit_open) = sorted(engine.live_activities(1, point), key=len, reverse=True)
        assert {json.loads(one)["$session_status"] for one in (live, visit_open)} == {"SESSION_SNAPSHOT"}
        mock_clock.jump(32)
        await quiet(engine)
        assert (stored(engine, point), open_now(engine, point)) == ([[1, 2]], [[3]])
        (shown,) = engine.reader.activities(1, point)
        assert json.loads(shown)["$session_status"] == "NO_SESSION"
        assert engine.reader.counters()[1]["live_windows_closed.live"] == 1


@pytest.mark.slow
async def test_many_that_fall_due_at_once_all_end_and_nobody_waits_long(store, clock):
    async with engine_on(store, clock) as engine:
        for start in range(0, 3000, 300):
            await engine.accept([visit(number, user=f"u{number}") for number in range(start, start + 300)]).durable()
        await quiet(engine)
        assert gauges(engine)["live_users"] == 3000
        clock.pass_ms(GAP_MS + 2000)
        longest = 0
        while gauges(engine)["live_users"]:
            before = gauges(engine)["live_users"]
            await trio.lowlevel.checkpoint()
            longest = max(longest, before - gauges(engine)["live_users"])
        assert longest <= 600, "one pass of the loop took too many"
        await quiet(engine)
        check_books(engine)
        assert closed_by(engine) == {"inactivity": 3000}


async def test_a_replay_moves_time_by_its_own_clock(store, clock):
    async with engine_on(store, clock, grace_ms=MINUTE_MS) as engine:
        start_ms = clock.now_ms()
        points = set()
        for number in range(50):
            clock.advance(start_ms + number * 10 * MINUTE_MS)
            points.add(point_of(engine.accept([visit(number, clock.now_ms(), user=f"u{number % 5}")])))
            await trio.lowlevel.checkpoint()
        await later(engine, clock, 2 * GAP_MS)
        assert gauges(engine)["live_users"] == 0
        assert sorted(one for point in points for found in stored(engine, point) for one in found) == list(range(50))
        assert statistics(engine)["activities_stored"] == 50, "fifty minutes between the events of a user"


# Reading.


async def test_open_and_stored_activities_read_as_one_timeline(store, clock):
    async with engine_on(store, clock) as engine:
        now = clock.now_ms()
        point = await taken(engine, touch(1, now - 5), touch(2, now - 3), visit(3, now - 4), visit(4, now, site_id="1"))

        async def read(**options):
            return [numbers(one) for one in await engine.activities(1, point, **options)]

        assert await read() == [[2], [1]]
        assert await read(live=True) == [[2], [3, 4], [1]]
        assert await read(live=True, limit=2) == [[2], [3, 4]]
        assert await read(live=True, before_ms=now - 3) == [[3, 4], [1]]
        assert await read(live=True, before_ms=now - 4) == [[1]]
        visits = Filters((Condition("$type", ("SITE_VISIT",)),))
        assert await read(live=True, filters=visits) == [[3, 4]]
        assert await read(filters=visits) == []
        assert await read(live=True, filters=Filters(start_ms=now - 4, end_ms=now - 4)) == [[3, 4]]


async def test_nobody_has_nothing_open(store, clock):
    async with engine_on(store, clock) as engine:
        assert engine.live_activities(1, "00000000-0000-0000-0000-000000000000") == []
        assert await engine.activities(1, "00000000-0000-0000-0000-000000000000", live=True) == []


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
    other = structs.replace(
        Settings(), datamarts=(DatamartSettings(id=1, channels=(ChannelDeclaration(id="2"),)),)
    )
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


# Failures (house: How it fails).


class Poison(Exception):
    pass


def poisoned(function, word=b"poison"):
    """A function that raises for whatever holds the word."""

    def inner(self, *arguments):
        if any(word in dump(repr(one)) for one in (self, *arguments)):
            raise Poison("bad event")
        return function(self, *arguments)

    return inner


async def test_an_exception_for_one_event_costs_one_event(store, clock, monkeypatch):
    monkeypatch.setattr(Visitor, "apply", poisoned(Visitor.apply))
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(1), visit(2, user="b"), item(event(3, text="poison")), visit(4))
        other = await taken(engine, visit(5, user="b"))
        assert (open_now(engine, point), open_now(engine, other)) == ([[1, 4]], [[2, 5]])
        assert letters(engine) == [("actor_failed", "session")]
        (letter,) = engine.reader.dead_letters()
        assert (letter.user_point, "bad event" in letter.detail) == (point, True)
        assert json.loads(letter.payload)["$events"][0]["$properties"]["n"] == 3
        assert gauges(engine)["user_failures"] == 1
        await later(engine, clock, GAP_MS + 2000)
        assert (stored(engine, point), stored(engine, other)) == ([[1, 4]], [[2, 5]])


async def test_a_user_who_keeps_failing_is_set_aside_and_taken_back(store, clock, monkeypatch):
    monkeypatch.setattr(Visitor, "apply", poisoned(Visitor.apply))
    async with engine_on(store, clock) as engine:
        point = await taken(engine, visit(0), *(item(event(number, text="poison")) for number in range(1, 6)))
        await taken(engine, visit(6), visit(7, user="b"))
        assert letters(engine) == [("actor_failed", "session")] * 5 + [("quarantined", "session")]
        assert open_now(engine, point) == [[0]]
        assert gauges(engine)["users_quarantined"] == 1
        await later(engine, clock, 10 * MINUTE_MS)
        await taken(engine, visit(8))
        assert open_now(engine, point) == [[0, 8]]


def broken_step(closed, activity, context):
    if b"poison" in activity.encode():
        raise Poison("bad activity")
    return chain.STEPS[1][1](closed, activity, context)


async def test_an_exception_in_a_step_is_a_dead_letter_with_the_steps_name(store, clock, monkeypatch):
    steps = list(chain.STEPS)
    steps[2] = (steps[2][0], broken_step)
    monkeypatch.setattr(chain, "STEPS", tuple(steps))
    async with engine_on(store, clock) as engine:
        point = await taken(engine, touch(1), touch(2, mark="poison"), visit(3, mark="poison"), touch(4))
        await later(engine, clock, GAP_MS + 2000)
        assert letters(engine) == [("stage_error", steps[2][0])] * 2
        assert sorted(stored(engine, point)) == [[1], [4]]
        assert json.loads(engine.reader.dead_letters()[0].payload)["$mark"] == "poison"
        assert engine.reader.counters()[1]["events_dead.stage_error"] == 2
        assert gauges(engine)[f"stage_{steps[2][0]}_errors"] == 2


async def test_an_activity_that_cannot_be_encoded_is_a_dead_letter(store, clock, monkeypatch):
    def spoil(closed, activity, context):
        verdict = chain.user_choices.user_choices(closed, activity, context)
        return structs.replace(verdict, activity=structs.replace(activity, ttl_minutes=2**70)) if b"poison" in (
            activity.encode()
        ) else verdict

    monkeypatch.setattr(chain, "STEPS", (("spoil", spoil),))
    async with engine_on(store, clock) as engine:
        point = await taken(engine, touch(1), touch(2, mark="poison"), touch(3))
        assert letters(engine) == [("store_error", "store")]
        assert sorted(stored(engine, point)) == [[1], [3]]


async def test_a_full_store_is_waited_out_and_then_everything_is_stored_once(clock, mock_clock):
    store = MemoryStore()
    async with engine_on(store, clock) as engine:
        point = await taken(engine, *(visit(number, user=f"u{number}") for number in range(20)))
        store.capacity_bytes = 0
        clock.pass_ms(GAP_MS + 2000)
        await until(lambda: gauges(engine)["writer_retries"] >= 1)
        assert not engine.readiness().ready
        assert "full" in engine.readiness().reason
        for _ in range(5):
            before = gauges(engine)["writer_retries"]
            mock_clock.jump(0.6)
            await until(lambda before=before: gauges(engine)["writer_retries"] > before)
        store.capacity_bytes = 1 << 40
        mock_clock.jump(0.6)
        await quiet(engine)
        assert engine.readiness().ready
        assert closed_by(engine) == {"inactivity": 20}
        assert stored(engine, point) == [[0]]
        check_books(engine)


@pytest.mark.parametrize("waiting", ["durable", "stored", "elsewhere", "nothing"])
async def test_a_broken_store_comes_out_of_the_block_as_itself(clock, waiting):
    store = MortalStore()
    acknowledged = False
    with pytest.raises(StoreBroken) as caught:  # noqa: PT012 - what raises is the end of the block
        async with engine_on(store, clock) as engine:
            await taken(engine, visit(1))
            store.die_after(0)
            receipt = engine.accept([visit(2), touch(3)])
            if waiting == "durable":
                await receipt.durable()
            elif waiting == "stored":
                await receipt.stored()
            elif waiting == "elsewhere":
                await trio.sleep_forever()
            acknowledged = waiting != "nothing"
    assert not isinstance(caught.value, ExceptionGroup)
    assert not acknowledged
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        assert statistics(engine)["events_received"] == 1


class Unwell(MemoryStore):
    """Every commit but the first few raises what no store should."""

    commits = 0

    def commit(self, operations):
        self.commits += 1
        if self.commits > 2:
            raise RuntimeError("out of order")
        return super().commit(operations)


async def test_a_writer_that_keeps_failing_ends_the_engine_with_a_clear_error(clock, autojump_clock):
    with pytest.raises(ActorFailed, match="writer failed 6 times") as caught:
        async with engine_on(Unwell(), clock) as engine:
            await engine.accept([visit(1)]).durable()
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, RuntimeError)


async def test_what_the_program_raises_comes_out_as_it_is(store, clock):
    with pytest.raises(KeyError):
        async with engine_on(store, clock) as engine:
            await taken(engine, visit(1))
            raise KeyError("program")
    with pytest.raises(ExceptionGroup) as caught:
        async with engine_on(store.reopen(), clock):
            raise ExceptionGroup("two", [KeyError(1), ValueError(2)])
    assert {type(error) for error in caught.value.exceptions} == {KeyError, ValueError}
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        assert statistics(engine)["events_open"] == 1


async def test_a_fault_of_the_engine_is_told_whatever_the_program_does_then(clock):
    store = MortalStore()
    with pytest.raises(Broken):
        async with engine_on(store, clock) as engine:
            await quiet(engine)
            store.die_after(0)
            engine.accept([visit(1)])
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("in its last words")


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


# What it says of itself.


async def test_metrics_balance_and_name_every_bound(store, clock):
    async with engine_on(store, clock) as engine:
        await taken(engine, visit(1), touch(2), visit(3, site_id="9"), item(event(4, event_id="a")))
        engine.accept([item(event(5, event_id="a")), visit(6, user="b")])
        engine.reject(b"?", reason="bad_line", stage="test")
        await quiet(engine)
        await later(engine, clock, GAP_MS + 2000)
        await taken(engine, visit(7))
        found = dict(line.rsplit(" ", 1) for line in engine.metrics().decode().splitlines() if line[0] != "#")
        value = {
            fate: float(found.get(f'sojourn_events_{fate}_total{{datamart="1"}}', 0))
            for fate in ("received", "stored", "duplicate", "refused", "dead", "dropped")
        }
        assert value == {"received": 8, "stored": 4, "duplicate": 1, "refused": 1, "dead": 1, "dropped": 0}
        assert float(found['sojourn_events_open{datamart="1"}']) == 1
        assert found['sojourn_sessions_closed_total{datamart="1",reason="inactivity"}'] == "2.0"
        assert found['sojourn_events_dead_by_reason_total{datamart="1",reason="bad_line"}'] == "1.0"
        assert found['sojourn_user_points{datamart="1"}'] == "2.0"
        bounded = {name.removesuffix("_max") for name in found if name.endswith("_max")}
        assert bounded >= {
            "sojourn_live_users",
            "sojourn_activities_unstored",
            "sojourn_journal_bytes",
            "sojourn_writer_pending_bytes",
        }
        assert all(name in found for name in bounded if name != "sojourn_gc_pause_ms")


async def test_who_may_do_what(store, clock):
    settings = structs.replace(settings_of(), api=structs.replace(Settings().api, admin_token="the admin token"))
    async with engine_on(store, clock, settings) as engine:
        assert engine.new_admin_token is None
        assert engine.authorize("the admin token", scope="admin", datamart=1)
        assert engine.authorize(engine.site().token, scope="collect", datamart=1)
        assert engine.authorize(engine.site().token, scope="read", datamart=1) is None
        assert engine.authorize("another", scope="collect", datamart=1) is None
    async with engine_on(MemoryStore(), clock) as engine:
        assert engine.authorize(engine.new_admin_token, scope="admin", datamart=1)
        with pytest.raises(LookupError):
            engine.site(9)


async def test_a_receipt_tells_when_items_are_stored(store, clock):
    async with engine_on(store, clock) as engine:
        receipt = engine.accept([touch(1), item(event(2), status="CLOSED_SESSION"), visit(3)])
        assert await receipt.stored()
        assert sorted(stored(engine, point_of(receipt))) == [[1], [2]]
        assert await receipt.stored(), "a second time as well"
        assert await engine.accept([visit(4)]).stored(), "nothing to wait for"


async def test_a_receipt_gives_up_waiting_in_time(clock, mock_clock):
    store = GatedStore()
    async with engine_on(store, clock) as engine:
        await quiet(engine)
        receipt = engine.accept([touch(1)])
        await receipt.durable()
        store.gate.clear()
        answers = []

        async def ask():
            answers.append(await receipt.stored(10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            for _ in range(50):
                await trio.lowlevel.checkpoint()
            mock_clock.jump(11)
            await until(lambda: answers)
            store.gate.set()
        assert answers in ([False], [True])
        assert await receipt.stored(10)


async def test_settings_that_contradict_what_is_kept_change_nothing(store, clock):
    def sites(token):
        channels = (ChannelDeclaration(id="1", token=token), ChannelDeclaration(id="2"))
        return structs.replace(Settings(), datamarts=(DatamartSettings(id=1, channels=channels),))

    async with engine_on(store, clock, sites("")) as engine:
        (_, second) = engine._definitions.registry.channels(1)
    before = rows_of(store)
    with pytest.raises(BadSettings):
        async with engine_on(store.reopen(), clock, sites(second.token)):
            pass
    assert rows_of(store) == before


async def test_a_store_that_cannot_take_the_definitions_ends_the_start(clock):
    store = MemoryStore(capacity_bytes=0)
    with pytest.raises(StoreFull):
        async with engine_on(store, clock):
            pass


def test_every_method_of_an_engine_is_documented():
    for name, member in vars(Engine).items():
        if not name.startswith("_"):
            assert member.__doc__, name
