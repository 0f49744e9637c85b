"""The clock of waiting scenarios: in time, in slices, woken early, and rows that stand still."""

import time
from uuid import UUID

import pytest
import trio
from msgspec import structs
from trio.testing import wait_all_tasks_blocked

from engine.actors.scenario_clock import SLICE, ScenarioClock, after
from engine.model.fact import FactKind
from engine.model.scenarios import Cause, Inside, encode_scenarios
from engine.pipeline.chain import build_program
from engine.pipeline.stage import Envelope, SetTimer
from engine.session.closed import Closed, Source
from engine.settings import StorageSettings
from engine.store.environment import LmdbStore
from engine.store.keys import activity_key, fact_key, split_timer_key, timer_key
from engine.store.layout import encode_activity
from engine.store.memory import MemoryStore
from engine.store.port import Db, Delete, Put
from tests.actors.routers import point
from tests.automations import HOUR, automation, defined, end, wait
from tests.engines import HandClock

ONE = automation(wait("w", HOUR, "e"), end("e"), id="7")


class World:
    """A clock over a store, and a chain that commits what it is given when it is told to."""

    def __init__(self, store=None, *automations):
        self.time = HandClock(1000)
        self.store = store or MemoryStore()
        self.hold(*(automations or (ONE,)))
        self.sent = []
        self.roomy = trio.Event()
        self.roomy.set()
        self.clock = ScenarioClock(
            store=self.store,
            clock=self.time,
            program_of=lambda datamart: self.program,
            hand_over=self.hand_over,
            room=self.room,
            is_set_aside=lambda datamart, scenario: scenario in self.aside,
        )
        self.aside = set()

    def hold(self, *automations):
        self.program = build_program(defined(*automations))

    async def room(self):
        await self.roomy.wait()

    async def hand_over(self, envelopes):
        self.sent += envelopes
        await trio.lowlevel.checkpoint()

    def set(self, due_ms, number=1, scenario="7", tell=True):
        timer = SetTimer(1, point(number), scenario, due_ms)
        self.store.commit([Put(Db.TIMERS, timer_key(due_ms, 1, point(number), scenario), b"")])
        if tell:
            self.clock.settled([Envelope(Closed(Source.ITEM, 1, point(number), ()), effects=(timer,))])

    async def settle(self, *, remove=True):
        """Commit what was sent: the rows go away."""
        sent, self.sent = self.sent, []
        moves = [envelope.closed.move for envelope in sent]
        if remove:
            keys = [
                timer_key(one.closed.move.due_ms, 1, one.closed.user_point, one.closed.move.scenario) for one in sent
            ]
            self.store.commit([Delete(Db.TIMERS, key) for key in keys])
        self.clock.settled(sent)
        await wait_all_tasks_blocked()
        return [(move.due_ms, move.scenario) for move in moves]

    async def passes(self, ms):
        self.time.pass_ms(ms)
        await wait_all_tasks_blocked()


async def test_a_timer_fires_in_time_and_not_before(mock_clock):
    world = World()
    world.set(1500)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await world.passes(499)
        assert world.sent == []
        await world.passes(1)
        (envelope,) = world.sent
        assert envelope.closed.source is Source.MOVE
        assert (envelope.closed.user_point, envelope.closed.sequences, envelope.closed.saves_state) == (
            point(1),
            (),
            False,
        )
        assert world.clock.statistics().in_flight == 1
        assert await world.settle() == [(1500, "7")]
        await world.passes(HOUR)
        assert world.sent == []
        assert world.clock.statistics().moved == 1
        nursery.cancel_scope.cancel()


async def test_an_earlier_timer_wakes_it(mock_clock):
    world = World()
    world.set(5000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await wait_all_tasks_blocked()
        world.set(1200, 2)
        await world.passes(200)
        assert await world.settle() == [(1200, "7")]
        world.set(1200, 3)  # Behind the place up to which all was looked at.
        await wait_all_tasks_blocked()
        assert await world.settle() == [(1200, "7")]
        world.set(1200, 1)
        world.set(1200, 3)
        await wait_all_tasks_blocked()
        assert len(await world.settle()) == 2
        await world.passes(5000)
        assert await world.settle() == [(5000, "7")]
        nursery.cancel_scope.cancel()


async def test_it_waits_for_recovery_and_for_room_and_for_its_slice(mock_clock):
    world = World()
    for number in range(SLICE + 3):
        world.set(1000 + number, number, tell=False)
    recovered = trio.Event()
    world.roomy = trio.Event()
    world.time.pass_ms(1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(after(recovered, world.clock))
        await wait_all_tasks_blocked()
        assert world.sent == []
        recovered.set()
        await wait_all_tasks_blocked()
        assert world.sent == []
        world.roomy.set()
        await wait_all_tasks_blocked()
        assert len(world.sent) == SLICE
        assert world.clock.statistics().lag_ms == 1000
        assert len(await world.settle()) == SLICE
        assert len(await world.settle()) == 3
        assert world.clock.statistics().lag_ms == 0
        nursery.cancel_scope.cancel()


async def test_a_move_that_is_slow_holds_up_no_other_and_no_row_is_sent_twice(mock_clock):
    world = World()
    for number in range(3 * SLICE):
        world.set(1000 + number, number, tell=False)
    world.time.pass_ms(1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await wait_all_tasks_blocked()
        assert len(world.sent) == SLICE
        slow, world.sent = world.sent[:5], world.sent[5:]
        moved = []
        while world.sent:
            assert world.clock.statistics().in_flight == len(world.sent) + len(slow) <= SLICE
            moved += await world.settle()
        assert len(moved) == len(set(moved)) == 3 * SLICE - 5
        assert world.clock.statistics().in_flight == 5
        world.set(1000, 9999)  # It has all rows behind it looked at again, and those that are in flight are not sent.
        await wait_all_tasks_blocked()
        assert await world.settle() == [(1000, "7")]
        world.sent = slow
        assert await world.settle() == [(1000 + number, "7") for number in range(5)]
        assert (world.sent, world.store.page(Db.TIMERS), world.clock.statistics().in_flight) == ([], [], 0)
        nursery.cancel_scope.cancel()


async def test_each_move_that_settles_makes_room_for_one(mock_clock):
    world = World()
    for number in range(SLICE + 2):
        world.set(1000, number, tell=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await wait_all_tasks_blocked()
        for left in (1, 0):
            others, world.sent = world.sent[1:], world.sent[:1]
            await world.settle()
            assert len(world.sent) == 1
            assert world.clock.statistics().in_flight == SLICE
            world.sent = others + world.sent
            assert len(world.store.page(Db.TIMERS, limit=1000)) == SLICE + left
        nursery.cancel_scope.cancel()


async def test_a_timer_set_again_for_the_same_time_while_its_move_is_on_its_way_is_not_missed(mock_clock):
    world = World()
    world.set(1000, tell=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await wait_all_tasks_blocked()
        world.set(1000)  # The person left and came in once more; the move on its way is of the passage before.
        await wait_all_tasks_blocked()
        assert len(world.sent) == 1
        assert await world.settle(remove=False) == [(1000, "7")]
        assert await world.settle() == [(1000, "7")]
        assert world.sent == []
        nursery.cancel_scope.cancel()


async def test_a_move_that_left_while_its_automation_was_paused_is_tried_again_once_it_is_active(mock_clock):
    world = World()
    world.set(1000, tell=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await wait_all_tasks_blocked()
        world.hold(structs.replace(ONE, status="PAUSED"))  # As which the chain sees it.
        mock_clock.jump(1)
        await wait_all_tasks_blocked()
        world.hold(ONE)
        mock_clock.jump(1)
        await wait_all_tasks_blocked()
        assert len(world.sent) == 1
        assert await world.settle(remove=False) == [(1000, "7")]
        assert await world.settle() == [(1000, "7")]
        nursery.cancel_scope.cancel()


async def test_rows_that_stand_still_are_passed_over_and_found_again(mock_clock):
    paused = structs.replace(ONE, status="PAUSED")
    active = structs.replace(ONE, id="8")
    world = World(None, paused, active)
    for number in range(2 * SLICE):
        world.set(1000, number, tell=False)
    world.set(1100, 1, "8", tell=False)
    world.time.pass_ms(1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await wait_all_tasks_blocked()
        assert await world.settle() == [(1100, "8")]
        assert world.clock.statistics().passed_over == 2 * SLICE
        world.set(1200, 2, "8")
        await wait_all_tasks_blocked()
        assert await world.settle() == [(1200, "8")], "and are not looked at again for that"
        assert world.clock.statistics().passed_over == 2 * SLICE
        world.hold(ONE, active)
        mock_clock.jump(1)
        await wait_all_tasks_blocked()
        assert len(await world.settle()) == SLICE
        assert len(await world.settle()) == SLICE
        assert world.clock.statistics().passed_over == 0
        nursery.cancel_scope.cancel()


async def test_what_is_set_aside_is_not_gone(mock_clock):
    world = World(None, structs.replace(ONE, id="8"))
    world.aside = {"7"}
    world.set(1000, 1, tell=False)
    world.set(1000, 1, "9", tell=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await wait_all_tasks_blocked()
        assert await world.settle() == [(1000, "9")], "of one that is gone, people are moved out"
        nursery.cancel_scope.cancel()


async def test_a_move_that_finds_its_automation_paused_after_all_is_tried_again(mock_clock):
    world = World()
    world.set(1000, tell=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.clock.run)
        await wait_all_tasks_blocked()
        world.hold(structs.replace(ONE, status="PAUSED"))
        assert await world.settle(remove=False) == [(1000, "7")]
        mock_clock.jump(1)
        await wait_all_tasks_blocked()
        assert world.sent == []
        world.hold(ONE)
        mock_clock.jump(1)
        await wait_all_tasks_blocked()
        assert await world.settle() == [(1000, "7")]
        nursery.cancel_scope.cancel()


async def test_an_actor_that_starts_again_looks_at_everything_anew(mock_clock):
    world = World()
    world.set(1000, tell=False)
    for _ in range(2):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(world.clock.run)
                await wait_all_tasks_blocked()
                scope.cancel()
        assert len(world.sent) == 1
        world.sent = []


def led_in(world, **more):
    """The activity that goes along with a move."""
    cause = Cause(point(2), 5, bytes(16))
    inside = Inside("7", UUID(int=1).bytes, "w", "", 5, 5, 1000, cause=cause)
    world.store.commit([Put(Db.FACTS, fact_key(1, point(1), FactKind.SCENARIOS), encode_scenarios({"7": inside}))])
    value = encode_activity(b'{"a":1}', more.get("expires_ms"))
    world.store.commit([Put(Db.ACTIVITIES, activity_key(1, point(2), 5, bytes(16)), value)])
    (timer,) = [split_timer_key(timer_key(1000, 1, point(1), "7"))]
    return world.clock._envelope(timer).closed.move


def test_the_activity_that_led_in_goes_along():
    move = led_in(World())
    assert (move.execution, move.activity) == (UUID(int=1).bytes, b'{"a":1}')


def test_one_that_has_expired_or_cannot_be_read_does_not():
    assert led_in(World(), expires_ms=1000).activity is None
    world = World()
    world.store.commit([Put(Db.FACTS, fact_key(1, point(1), FactKind.SCENARIOS), b"\xff")])
    assert world.clock._led_in(split_timer_key(timer_key(1000, 1, point(1), "7"))) == (b"", None)


@pytest.mark.slow
async def test_a_hundred_thousand_waits_in_lmdb_cost_no_memory_and_are_all_moved(tmp_path):
    store = LmdbStore.open(StorageSettings(data_dir=str(tmp_path)))
    try:
        number = 100_000
        keys = [timer_key(1000 + one % 1000, 1, UUID(int=one).bytes, "7") for one in range(number)]
        store.commit([Put(Db.TIMERS, key, b"") for key in keys])
        world = World(store)
        moved = 0
        slowest_s = 0.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.clock.run)
            await wait_all_tasks_blocked()
            world.time.pass_ms(2000)
            while moved < number:
                began = time.perf_counter()
                await wait_all_tasks_blocked()
                slowest_s = max(slowest_s, time.perf_counter() - began)
                assert 0 < len(world.sent) <= SLICE
                moved += len(world.sent)
                await world.settle()
            assert store.statistics().entries[Db.TIMERS] == 0
            assert slowest_s < 1
            nursery.cancel_scope.cancel()
    finally:
        store.close()
