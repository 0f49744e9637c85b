"""What stops, kills and clocks leave in the store: nothing is lost, nothing sent twice without need (decision 32)."""

import trio

from tests.actors.outbox.world import World, always, at_once, destination, never, told

HOUR_MS = 3_600_000


async def test_a_stop_waits_for_open_calls_for_as_long_as_it_may_and_makes_no_other(autojump_clock):
    world = World(destination("slow", max_calls=1), destination("never", max_calls=1), drain_s=5)
    world.answers |= {"slow": always(200, after_s=3), "never": never}
    for number in range(3):
        world.send("slow", number, due=number - 5)
        world.send("never", number, due=number - 5)
    async with world.running() as outbox:
        await trio.sleep(1)
        outbox.close()
        told(world, "slow", 8)
        await outbox.ended.wait()
        assert world.now() == 6000
        assert (world.called("slow"), world.called("never")) == ([0], [0])
        assert sorted(one[0] for one in world.waiting()) == [0, 1, 1, 2, 2, 8], "rows stay"


async def test_a_stop_without_open_calls_is_over_at_once(autojump_clock):
    world = World(destination("a"))
    world.send("a", 1, due=50_000)
    async with world.running() as outbox:
        await trio.sleep(1)
        outbox.close()
        await outbox.ended.wait()
        assert world.now() == 1000


async def test_killed_at_any_time_it_is_sent_at_least_once_and_never_lost(autojump_clock):
    """The store as it is after each moment is a state that a kill can leave."""
    world = World(destination("a", max_calls=3), slice_rows=2)
    answers = iter([500, 200, 0, 500, 200, 422] * 1000)

    async def answer(path, body):
        await trio.sleep(0.7)
        return next(answers)

    world.answers["a"] = answer
    for number in range(40):
        world.send("a", number, due=number * 10)
    for seconds in (0.1, 0.8, 1.5, 0.3, 2.0, 0.75, 5, 0.69, 0.71, 10_000):
        async with world.running():
            await trio.sleep(seconds)
        dead = {int(one.payload[5:-1]) for one in world.letters()}
        left = [number for number, _, _ in world.waiting()]
        assert len(left) == len(set(left))
        sent = world.counts("outbox_sent").get("sent", 0)
        assert sent + len(dead) + len(left) == 40
        assert set(left) | dead | set(world.called("a")) == set(range(40))
    assert left == []


async def test_a_clock_that_is_set_back_loses_nothing(autojump_clock):
    world = World(destination("a", max_calls=1))
    world.answers["a"] = always(500)
    world.send("a", 1)
    async with world.running():
        await trio.sleep(10)
        world.clock._start_ms -= HOUR_MS
        await trio.sleep(40)
        world.answers["a"] = at_once
        await trio.sleep(2 * HOUR_MS / 1000)
        assert world.waiting() == []
        assert world.counts()["sent"] == 1


async def test_a_retry_that_comes_to_lie_before_what_was_read_is_not_passed_over(autojump_clock):
    """The clock is set back during a call; a request of next month keeps the lane waiting."""
    world = World(destination("a", max_calls=2), pause_after_failures=1000)
    world.answers["a"] = always(500, after_s=5)
    world.send("a", 1, due=0)
    world.send("a", 2, due=1000)
    world.send("a", 9, due=30 * 24 * HOUR_MS)
    async with world.running():
        await trio.sleep(3)
        assert sorted(world.called("a")) == [1, 2]
        world.clock._start_ms -= HOUR_MS
        await trio.sleep(4)
        assert [one[:2] for one in world.waiting()][:2] == [(1, 1), (2, 1001)], "not under their own keys again"
        world.answers["a"] = at_once
        await trio.sleep(2 * HOUR_MS / 1000)
        assert sorted(world.called("a")) == [1, 1, 2, 2]
        assert [number for number, _, _ in world.waiting()] == [9]
