"""The bounds of the way in: each is heard at the door, and nothing that was taken is lost (house: How it fails)."""

import json
import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine import HotUser, MemoryStore, Overloaded
from engine.errors import Closing, Unavailable
from engine.store.port import Db
from tests.engines import (
    GatedStore,
    HandClock,
    check_books,
    dump,
    engine_on,
    event,
    gauges,
    item,
    once_each,
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


async def taken_before(error, send):
    """How many are taken before one is refused, and the refusal. `send` takes a number and waits as it likes."""
    for number in range(1000):
        try:
            await send(number)
        except error as refusal:
            return number, refusal
    return pytest.fail("there is no bound")


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


async def test_no_more_users_than_the_bound_but_those_there_go_on(store, clock):
    async with engine_on(store, clock, max_live_users=3) as engine:
        await take(engine, *(visit(number, user=f"u{number}") for number in range(3)))
        before = known(engine)
        with pytest.raises(Overloaded) as caught:
            engine.accept([visit(10, user="u0"), visit(11, user="new")])
        assert not isinstance(caught.value, HotUser)
        await quiet(engine)
        assert known(engine) == before, "all or none"
        await take(engine, visit(12, user="u0"), visit(13, user="u1"))
        assert gauges(engine)["live_users"] == 3
        assert not engine.reader.counters()[1].get("user_points_merged")


async def test_a_user_who_was_refused_was_never_linked(store, clock):
    async with engine_on(store, clock, max_live_users=1) as engine:
        await take(engine, visit(1))
        with pytest.raises(Overloaded):
            engine.accept([visit(2, user="new")])
        assert statistics(engine)["user_points"] == 1
        await engine.close_sessions()
        await quiet(engine)
        await take(engine, visit(2, user="new"))
        assert statistics(engine)["user_points"] == 2


async def test_the_journal_is_bounded_also_by_what_the_last_run_left(store, clock):
    async with engine_on(store, clock, max_journal_bytes=3000) as engine:
        sent, refusal = await taken_before(Overloaded, lambda number: take(engine, visit(number)))
        assert refusal.retry_after_s >= 10
        assert 5 < sent < 20
        held = gauges(engine)["journal_bytes"]
        assert held > 3000
        assert not engine.readiness().ready
    async with engine_on(store.reopen(), clock, max_journal_bytes=3000) as engine:
        await quiet(engine)
        assert gauges(engine)["journal_bytes"] == held
        with pytest.raises(Overloaded):
            engine.accept([visit(100)])
        # Who asks to close makes room.
        with trio.fail_after(5):
            assert await engine.close_sessions() == 1
        await quiet(engine)
        assert gauges(engine)["journal_bytes"] == 0
        assert engine.readiness().ready
        await take(engine, visit(100))


async def test_what_the_journal_is_said_to_hold_comes_back_to_nothing(store, clock):
    async with engine_on(store, clock) as engine:
        await take(engine, visit(1), visit(2, user="b"), item(event(3), event(4), status="LIVE"), touch(5), touch(6))
        await take(
            engine, dump(json.loads(visit(7)) | {"$user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": "b"}]})
        )
        assert gauges(engine)["journal_bytes"] > 0
        await engine.close_sessions()
        await quiet(engine)
        assert gauges(engine)["journal_bytes"] == 0


async def test_a_slow_disk_is_heard_at_the_door_and_loses_nothing(clock):
    """Commits stand still: pending bytes fill, then nothing more is taken. Afterwards all that was taken is there."""
    store = GatedStore()
    async with engine_on(store, clock, max_pending_write_bytes=20_000) as engine:
        await quiet(engine)
        store.gate.clear()

        async def send(number):
            engine.accept([visit(number, user=f"u{number}")])

        accepted, refusal = await taken_before(Overloaded, send)
        assert "wait to be written" in refusal.message
        assert 10 < accepted < 100
        assert gauges(engine)["writer_pending_bytes"] <= 20_000
        for _ in range(10):
            with pytest.raises(Overloaded):
                engine.accept([visit(5000, user="late")])
        store.gate.set()
        await quiet(engine)
        check_books(engine)
        assert statistics(engine)["events_open"] == accepted
        assert statistics(engine)["user_points"] == accepted


async def test_closed_but_unstored_activities_are_bounded(clock):
    store = GatedStore()
    async with engine_on(store, clock, max_unstored_activities=20) as engine:
        await quiet(engine)
        store.gate.clear()

        async def send(number):
            engine.accept([touch(number, user=f"u{number}")])
            await wait_all_tasks_blocked()

        accepted, refusal = await taken_before(Overloaded, send)
        assert "wait to be stored" in refusal.message
        assert 20 <= accepted <= 25
        assert not engine.readiness().ready
        store.gate.set()
        await quiet(engine)
        check_books(engine)
        assert statistics(engine)["events_stored"] == accepted
        assert engine.readiness().ready


async def test_a_hot_user_is_refused_alone_and_keeps_what_was_taken(clock):
    """The chain stands still: a user's mailbox fills, first in front of the hot one."""
    store = GatedStore()
    async with engine_on(store, clock, mailbox_messages=3, stage_queue_lists=1) as engine:
        await quiet(engine)
        store.gate.clear()

        async def send(number):
            engine.accept([touch(number)])
            await wait_all_tasks_blocked()

        hot, _ = await taken_before(HotUser, send)
        assert hot < 60, "the queues are not bounded"
        cold = engine.accept([visit(5000, user="other")])
        store.gate.set()
        await cold.durable()
        await quiet(engine)
        check_books(engine)
        receipt = await take(engine, touch(6000))
        assert sorted(stored(engine, point_of(receipt))) == sorted([[number] for number in [*range(hot), 6000]])


async def test_a_legal_request_is_taken_however_large_by_an_idle_user(store, clock):
    async with engine_on(store, clock, mailbox_messages=1, mailbox_bytes=10) as engine:
        await take(engine, visit(1), visit(2, user="b"), visit(3, user="c"))
        both = {"user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": name} for name in ("b", "c")]}
        # Merges in between make several messages of one request.
        receipt = await take(engine, visit(4), visit(5, **both), *(visit(number) for number in range(6, 50)))
        assert sorted(open_now(engine, point_of(receipt))[0]) == list(range(1, 50))


class SlowJournal(MemoryStore):
    """Its journal can be read twice; further pages wait until `gate` is open."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.pages = 0

    def page(self, db, **options):
        if db is Db.JOURNAL:
            self.pages += 1
            assert self.pages <= 2 or self.gate.wait(30)
        return super().page(db, **options)


async def test_what_is_kept_at_hand_at_the_end_of_recovery_is_bounded(clock):
    store = SlowJournal()
    store.gate.set()
    async with engine_on(store, clock) as engine:
        point = point_of(await take(engine, visit(0)))
    store.pages = 0
    store.gate.clear()
    async with engine_on(store, clock, max_pending_write_bytes=70_000) as engine:
        await until(lambda: store.pages == 3)  # Up to the mark it reads, behind it what comes in is kept.

        async def send(number):
            await engine.accept([visit(number + 1)]).durable()

        number, refusal = await taken_before(Overloaded, send)
        assert "reading its journal" in refusal.message
        assert 100 < number < 400
        store.gate.set()
        await quiet(engine)
        check_books(engine)
        found = once_each([*stored(engine, point), *open_now(engine, point)])
        assert found == dict.fromkeys(range(number + 1), 1)


async def test_a_stopped_engine_takes_nothing(store, clock):
    async with engine_on(store, clock) as engine:
        pass
    for call in (lambda: engine.accept([visit(1)]), lambda: engine.reject(b"", reason="x", stage="y")):
        with pytest.raises(Closing):
            call()
    assert not engine.readiness().ready


async def test_a_full_store_is_heard_at_the_door_and_by_who_waits(clock, mock_clock):
    store = MemoryStore()
    async with engine_on(store, clock) as engine:
        await take(engine, visit(1))
        store.capacity_bytes = 0
        receipt = engine.accept([visit(2), touch(3)])
        with pytest.raises(Unavailable):
            await receipt.durable()
        with pytest.raises(Unavailable):
            await receipt.stored()
        for call in (lambda: engine.accept([visit(4)]), lambda: engine.reject(b"", reason="x", stage="y")):
            with pytest.raises(Unavailable):
                call()
        assert (engine.readiness().ready, "full" in engine.readiness().reason) == (False, True)
        assert statistics(engine)["events_open"] == 1

        store.capacity_bytes = 1 << 40
        mock_clock.jump(1)
        await quiet(engine)
        assert engine.readiness().ready
        await receipt.durable()
        assert await receipt.stored()
        check_books(engine)
        assert open_now(engine, point_of(receipt)) == [[1, 2]]
        assert stored(engine, point_of(receipt)) == [[3]]
