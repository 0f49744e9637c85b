"""How the engine fails: one event, one user, one activity, the disk, the store, itself, and the program around it."""

import json

import pytest
import trio
from msgspec import structs

from engine import MemoryStore
from engine.errors import ActorFailed, Broken, StoreBroken
from engine.pipeline import chain
from engine.pipeline.stage import Keep
from engine.session.visitor import Visitor
from tests.engines import (
    GAP_MS,
    MINUTE_MS,
    HandClock,
    MortalStore,
    check_books,
    closed_by,
    dump,
    engine_on,
    event,
    gauges,
    item,
    later,
    letters,
    open_now,
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


async def test_a_merge_that_fails_loses_nobody_a_session(store, clock, monkeypatch):
    def absorb(self, other, record):
        raise Poison("not these two")

    async with engine_on(store, clock) as engine:
        await taken(engine, visit(1, user="a"), visit(2, user="b"))
        monkeypatch.setattr(Visitor, "absorb", absorb)
        both = [{"$type": "USER_AGENT", "$user_agent_id": name} for name in "ab"]
        point = await taken(engine, visit(3, user_identifiers=both, user=None))
        assert letters(engine) == [("actor_failed", "session")]
        assert gauges(engine)["live_users"] == 2
        await later(engine, clock, GAP_MS + 2000)
        assert sorted(stored(engine, point)) == [[1, 3], [2]]


def broken_step(closed, activity, context):
    if b"poison" in activity.encode():
        raise Poison("bad activity")
    return Keep(activity)


async def test_an_exception_in_a_step_is_a_dead_letter_with_the_steps_name(store, clock, monkeypatch):
    steps = list(chain.BUILDERS)
    steps[2] = (steps[2][0], lambda defined: broken_step)
    monkeypatch.setattr(chain, "BUILDERS", tuple(steps))
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
        verdict = Keep(activity)
        return (
            structs.replace(verdict, activity=structs.replace(activity, ttl_minutes=2**70))
            if b"poison" in (activity.encode())
            else verdict
        )

    monkeypatch.setattr(chain, "BUILDERS", (("spoil", lambda defined: spoil),))
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
    async def program():
        async with engine_on(Unwell(), clock) as engine:
            await engine.accept([visit(1)]).durable()
            await trio.sleep_forever()

    with pytest.raises(ActorFailed, match="writer failed 6 times") as caught:
        await program()
    assert isinstance(caught.value.__cause__, RuntimeError)


async def test_what_the_program_raises_comes_out_as_it_is(store, clock):
    async def program():
        async with engine_on(store, clock) as engine:
            await taken(engine, visit(1))
            raise KeyError("program")

    with pytest.raises(KeyError):
        await program()
    with pytest.raises(ExceptionGroup) as caught:
        async with engine_on(store.reopen(), clock):
            raise ExceptionGroup("two", [KeyError(1), ValueError(2)])
    assert {type(error) for error in caught.value.exceptions} == {KeyError, ValueError}
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        assert statistics(engine)["events_open"] == 1


async def test_a_fault_of_the_engine_is_told_whatever_the_program_does_then(clock):
    store = MortalStore()

    async def program():
        async with engine_on(store, clock) as engine:
            await quiet(engine)
            store.die_after(0)
            engine.accept([visit(1)])
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("in its last words")

    with pytest.raises(Broken):
        await program()
