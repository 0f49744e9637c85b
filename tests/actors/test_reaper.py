"""The reaper: in time, in slices, and not to be stopped by one entry that fails."""

import trio
from trio.testing import wait_all_tasks_blocked

from engine.actors.reaper import RETRY_MS, SLICE, reap
from engine.actors.wheel import Wheel
from engine.clock import EventClock
from tests.clocks import START_MS, TrioClock

GAP_MS = 1_800_000


class Entry:
    def __init__(self, name=""):
        self.name = name
        self.bucket = None


class Reaping:
    """A wheel whose reaper writes down who fired when."""

    def __init__(self, clock):
        self.clock = clock
        self.wheel = Wheel()
        self.fired = []
        self.failures = []

    def expire(self, entry, now_ms):
        self.fired.append((entry.name, now_ms))

    def failed(self, entry, error):
        self.failures.append((entry.name, error))

    async def run(self):
        await reap(self.wheel, self.clock, self.expire, failed=self.failed)


async def test_an_idle_entry_fires_within_two_seconds_of_its_time(autojump_clock):
    reaping = Reaping(TrioClock())
    now_ms = reaping.clock.now_ms()
    due = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaping.run)
        for number in range(40):
            due[f"user {number}"] = due_ms = now_ms + GAP_MS + number * 137
            reaping.wheel.schedule(Entry(f"user {number}"), due_ms)
        await trio.sleep((GAP_MS + 40 * 137 + 2000) / 1000)
        nursery.cancel_scope.cancel()
    assert len(reaping.fired) == len(due)
    for name, at_ms in reaping.fired:
        assert 0 <= at_ms - due[name] <= 2000


async def test_nobody_waits_longer_because_the_reaper_already_sleeps(autojump_clock):
    reaping = Reaping(TrioClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaping.run)
        await wait_all_tasks_blocked()  # With nothing to wait for.
        reaping.wheel.schedule(Entry("later"), START_MS + GAP_MS)
        await wait_all_tasks_blocked()  # Until the later one.
        reaping.wheel.schedule(Entry("earlier"), START_MS + 5_000)
        await trio.sleep((GAP_MS + 2000) / 1000)
        nursery.cancel_scope.cancel()
    assert reaping.fired == [("earlier", START_MS + 5_000), ("later", START_MS + GAP_MS)]


async def test_it_sleeps_when_there_is_nothing_to_do(mock_clock):
    reaping = Reaping(TrioClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaping.run)
        reaping.wheel.schedule(Entry("a"), START_MS + 5_000)
        await wait_all_tasks_blocked()
        for _ in range(4):
            mock_clock.jump(1)
            await wait_all_tasks_blocked()
        assert reaping.fired == []
        mock_clock.jump(1)
        await wait_all_tasks_blocked()
        assert reaping.fired == [("a", START_MS + 5_000)]
        nursery.cancel_scope.cancel()


async def test_many_due_at_once_let_others_run_between_slices(autojump_clock):
    reaping = Reaping(TrioClock())
    for number in range(5 * SLICE):
        reaping.wheel.schedule(Entry(str(number)), START_MS + 1_000)
    seen = []

    async def neighbour():
        await trio.sleep(1)
        while not seen or seen[-1] < 5 * SLICE:
            await trio.lowlevel.checkpoint()
            seen.append(len(reaping.fired))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaping.run)
        await neighbour()
        nursery.cancel_scope.cancel()
    steps = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert max(steps) <= 2 * SLICE, "one slice a pass of the scheduler, which may take the two tasks in either order"
    assert len(reaping.fired) == 5 * SLICE
    assert len(set(reaping.fired)) == 5 * SLICE


async def test_an_entry_looked_at_again_fires_at_its_new_time(autojump_clock):
    """Lazy stamps: what happens to the entry meanwhile does not touch the wheel."""
    reaping = Reaping(TrioClock())
    entry = Entry("user")
    last_ms = [START_MS]

    def expire(entry, now_ms):
        if now_ms < last_ms[0] + GAP_MS:
            reaping.wheel.schedule(entry, last_ms[0] + GAP_MS)
        else:
            reaping.fired.append((entry.name, now_ms))

    reaping.expire = expire
    reaping.wheel.schedule(entry, START_MS + GAP_MS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaping.run)
        await trio.sleep(1_000)
        last_ms[0] += 1_000_000
        await trio.sleep(2_000)
        nursery.cancel_scope.cancel()
    assert reaping.fired == [("user", START_MS + 1_000_000 + GAP_MS)]


async def test_an_entry_that_cannot_act_now_is_asked_once_a_second(autojump_clock):
    reaping = Reaping(TrioClock())

    def expire(entry, now_ms):
        reaping.fired.append(now_ms)
        reaping.wheel.schedule(entry, now_ms)

    reaping.expire = expire
    reaping.wheel.schedule(Entry(), START_MS + 1_000)
    with trio.move_on_after(5.5):
        await reaping.run()
    assert reaping.fired == [START_MS + second * 1_000 for second in (1, 2, 3, 4, 5)]


async def test_a_failing_entry_disturbs_no_other_and_is_tried_again(autojump_clock):
    reaping = Reaping(TrioClock())

    def expire(entry, now_ms):
        if entry.name == "bad" and not reaping.failures:
            raise ValueError("no")
        reaping.fired.append((entry.name, now_ms))

    reaping.expire = expire
    for name in ("a", "bad", "b"):
        reaping.wheel.schedule(Entry(name), START_MS + 1_000)
    with trio.move_on_after(RETRY_MS / 1000 + 2):
        await reaping.run()
    assert sorted(reaping.fired[:2]) == [("a", START_MS + 1_000), ("b", START_MS + 1_000)]
    assert reaping.fired[2:] == [("bad", START_MS + 1_000 + RETRY_MS)]
    assert reaping.failures == [("bad", "ValueError('no')")]


async def test_a_replay_moves_the_reaper():
    clock = EventClock(START_MS)
    reaping = Reaping(clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaping.run)
        reaping.wheel.schedule(Entry("user"), START_MS + GAP_MS)
        await wait_all_tasks_blocked()
        clock.advance(START_MS + GAP_MS - 1)
        await wait_all_tasks_blocked()
        assert reaping.fired == []
        clock.advance(START_MS + 10 * GAP_MS)
        await wait_all_tasks_blocked()
        assert reaping.fired == [("user", START_MS + 10 * GAP_MS)]
        nursery.cancel_scope.cancel()


async def test_the_wheel_stands_still_until_there_is_room():
    """Also under a clock that stands still: what is due fires as soon as it may, a slice at a time."""
    clock = EventClock(START_MS + GAP_MS)
    reaping = Reaping(clock)
    lot = trio.lowlevel.ParkingLot()
    for number in range(3 * SLICE):
        reaping.wheel.schedule(Entry(number), START_MS)
    async with trio.open_nursery() as nursery:

        async def run():
            await reap(reaping.wheel, clock, reaping.expire, failed=reaping.failed, room=lot.park)

        nursery.start_soon(run)
        for slices in range(4):
            await wait_all_tasks_blocked()
            assert len(reaping.fired) == slices * SLICE
            lot.unpark()
        nursery.cancel_scope.cancel()
