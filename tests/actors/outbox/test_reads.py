"""What a lane reads while other things happen: nothing is passed over, nothing is sent or buried once more."""

import trio

from tests.actors.outbox.world import SlowWriter, World, always, destination, told

DAY_MS = 86_400_000


async def test_one_that_is_committed_during_the_first_read_is_not_passed_over(autojump_clock):
    """A request of much later keeps the lane waiting, so that it does not look from the beginning by itself."""
    world = World(destination("a"))
    world.send("a", 2, due=-5)
    world.send("a", 9, due=DAY_MS)
    read = world._read

    async def slowly(**how):
        found = await read(**how)
        await trio.sleep(1)
        return found

    world._read = slowly
    async with world.running():
        await trio.sleep(1.5)  # The service has looked for destinations; the lane is at its first read.
        assert world.called("a") == []
        told(world, "a", 1, due=-500)
        await trio.sleep(30)
        assert sorted(world.called("a")) == [1, 2]
        assert [number for number, _, _ in world.waiting()] == [9]


async def test_a_lane_looks_once_more_before_it_ends(autojump_clock):
    """For what nobody has told it of."""
    world = World(destination("a", max_calls=1))
    world.answers["a"] = always(200, after_s=1)
    world.send("a", 2, due=-5)
    async with world.running():
        await trio.sleep(0.5)
        world.send("a", 1, due=-500)
        await trio.sleep(10)
        assert world.called("a") == [2, 1]
        assert world.waiting() == []


async def test_what_is_being_buried_is_not_counted_as_waiting(autojump_clock):
    """Commits take their time: until then the counter says what it said before."""
    world = World(destination("a", max_calls=1), max_rows_per_destination=10, slice_rows=4)
    world.writer = SlowWriter(world.store)
    world.answers["a"] = always(200, after_s=20)
    for number in range(25):
        world.send("a", number, due=-100 + number)
    async with world.running():
        await trio.sleep(15)
        assert world.reasons() == ["outbox_full"] * 15
        assert [int(one.payload[5:-1]) for one in world.letters()] == list(range(15)), "the oldest"
        assert len(world.waiting()) == 10


async def test_what_is_answered_while_the_oldest_are_looked_for_is_not_buried(autojump_clock):
    world = World(destination("a", max_calls=4), max_rows_per_destination=10)
    answered, looks = trio.Event(), []

    async def answer(path, body):
        await answered.wait()
        return 200

    world.answers["a"] = answer
    for number in range(10):
        world.send("a", number, due=-100 + number)
    read = world._read

    async def slowly(**how):
        found = await read(**how)
        if len(found) == 20:
            looks.append(found)
            if len(looks) == 2:  # The first is for what is to be sent.
                answered.set()  # All that are open, which this look has found.
                await trio.sleep(1)
        return found

    world._read = slowly
    async with world.running():
        await trio.sleep(1)
        assert sorted(world.called("a")) == [0, 1, 2, 3]
        for number in range(11, 20):
            world.send("a", number, due=-50 + number)
        told(world, "a", 10, due=-500)
        await trio.sleep(60)
    assert len(looks) == 2
    dead = [int(one.payload[5:-1]) for one in world.letters()]
    assert sorted([*dead, *world.called("a")]) == list(range(20)), "each is sent, or a dead letter"
    assert dead
