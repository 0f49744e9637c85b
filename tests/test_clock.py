"""Clocks: who waits is woken when the time has come, neither before nor much later."""

import time

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from engine.clock import Clock, EventClock, SystemClock
from tests.clocks import START_MS, TrioClock

HOUR_MS = 3_600_000


class MovedWall(SystemClock):
    """A wall clock that follows Trio's time until somebody sets it."""

    def __init__(self):
        self.moved_ms = 0

    def now_ms(self):
        return int(trio.current_time() * 1000) + self.moved_ms


async def test_system_time_is_the_wall_clock():
    clock = SystemClock()
    before_ms = time.time_ns() // 1_000_000
    assert before_ms <= clock.now_ms() <= clock.wall_ms() <= time.time_ns() // 1_000_000


async def test_system_sleep_ends_at_its_time(autojump_clock):
    clock = MovedWall()
    await clock.sleep_until_ms(HOUR_MS)
    assert trio.current_time() == pytest.approx(3600, abs=0.01)


async def test_system_sleep_notices_a_wall_clock_put_forward(autojump_clock):
    clock = MovedWall()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.sleep_until_ms, HOUR_MS)
        await trio.sleep(10.5)
        clock.moved_ms = HOUR_MS
    assert trio.current_time() <= 11.01


async def test_system_sleep_notices_a_wall_clock_put_back(autojump_clock):
    clock = MovedWall()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.sleep_until_ms, 10_000)
        await trio.sleep(5)
        clock.moved_ms = -HOUR_MS
    assert trio.current_time() == pytest.approx(3610, abs=0.01)


@pytest.mark.parametrize(
    "clock", [SystemClock(), EventClock(5000), TrioClock()], ids=lambda clock: type(clock).__name__
)
async def test_waiting_for_the_past_is_a_checkpoint(clock):
    with assert_checkpoints():
        await clock.sleep_until_ms(clock.now_ms() - 1)


async def test_event_time_is_what_it_was_told():
    clock = EventClock(1000)
    assert clock.now_ms() == 1000
    clock.advance(5000)
    assert clock.now_ms() == 5000
    clock.advance(4999)
    assert clock.now_ms() == 5000, "a log is not sorted: the clock must not follow it backwards"


async def test_event_clock_keeps_the_wall_apart():
    clock = EventClock(1000)
    assert clock.wall_ms() >= START_MS


async def test_event_clock_wakes_exactly_those_whose_time_has_come():
    clock = EventClock()
    woken = []

    async def sleeper(due_ms):
        await clock.sleep_until_ms(due_ms)
        woken.append((due_ms, clock.now_ms()))

    async with trio.open_nursery() as nursery:
        for due_ms in (3000, 1000, 2000, 1000):
            nursery.start_soon(sleeper, due_ms)
        await wait_all_tasks_blocked()
        clock.advance(999)
        await wait_all_tasks_blocked()
        assert woken == []
        clock.advance(2000)
        await wait_all_tasks_blocked()
        assert sorted(woken) == [(1000, 2000), (1000, 2000), (2000, 2000)]
        clock.advance(HOUR_MS)
    assert woken[-1] == (3000, HOUR_MS)


async def test_event_clock_forgets_a_cancelled_sleeper():
    clock = EventClock()
    async with trio.open_nursery() as nursery:
        for due_ms in (1000, 2000, 3000):
            nursery.start_soon(clock.sleep_until_ms, due_ms)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert clock._sleepers == []
    clock.advance(HOUR_MS)


async def test_trio_clock_follows_trios_time(mock_clock):
    clock = TrioClock()
    assert clock.now_ms() == START_MS
    mock_clock.jump(0.3)
    assert clock.now_ms() == START_MS + 300
    assert clock.wall_ms() == START_MS + 300


async def test_trio_clock_never_wakes_early(autojump_clock):
    clock = TrioClock()
    for due_ms in (START_MS + 1, START_MS + 299, START_MS + 300, START_MS + 1_800_001):
        await clock.sleep_until_ms(due_ms)
        assert clock.now_ms() == due_ms


def test_all_are_clocks():
    clocks: list[Clock] = [SystemClock(), EventClock(), TrioClock()]
    assert all(callable(clock.sleep_until_ms) for clock in clocks)
