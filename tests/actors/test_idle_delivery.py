"""Who applies a record: the delivery when the actor is idle, the actor when anything waits; the order is one."""

import trio
from trio.testing import wait_all_tasks_blocked

from tests.actors.routers import point, routed
from tests.session.build import GAP


async def test_an_idle_actor_need_not_run_for_an_event_that_joins():
    async with routed() as world:
        first = world.deliver()
        await wait_all_tasks_blocked()
        second = world.deliver()
        # No step of the loop has come between: the delivery itself applied it.
        assert world.open_in() == [(first.sequence, second.sequence)]
        assert world.router.has_room((1, point(1)), 1 << 20)
        assert world.left() == []


async def test_a_new_actor_applies_its_first_records_itself():
    async with routed() as world:
        first, second = world.deliver(), world.deliver()
        assert world.open_in() == []
        await wait_all_tasks_blocked()
        assert world.open_in() == [(first.sequence, second.sequence)]


async def test_what_closes_at_a_delivery_is_handed_over_by_the_actor():
    async with routed(queue=0) as world:
        first = world.deliver()
        await wait_all_tasks_blocked()
        world.now_ms += GAP + 1
        second = world.deliver()
        assert world.router.unstored == 0  # The actor has not run.
        await wait_all_tasks_blocked()
        assert world.router.unstored == 1
        assert world.open_in() == [(second.sequence,)]
        # It waits for the chain: now a record waits for it, and nothing is applied out of order.
        third = world.deliver()
        assert world.open_in() == [(second.sequence,)]
        world.take(1)
        await wait_all_tasks_blocked()
        assert world.left() == [(first.sequence,)]
        assert world.open_in() == [(second.sequence, third.sequence)]


async def test_an_actor_with_mail_is_not_idle():
    async with routed() as world:
        first = world.deliver()
        await wait_all_tasks_blocked()
        world.close()
        second = world.deliver()
        assert world.open_in() == []  # Closed at the delivery, and the actor has that to hand over first.
        await wait_all_tasks_blocked()
        assert world.open_in() == [(second.sequence,)]
        world.take()
        assert (first.sequence,) in world.left()


async def test_a_record_that_fails_at_a_delivery_dies_alone(monkeypatch):
    async with routed() as world:
        first = world.deliver()
        await wait_all_tasks_blocked()
        bad = world.record()
        visitor = world.router.visitor((1, point(1)))

        def fail(record):
            raise RuntimeError("no")

        for way in ("apply", "extend"):
            monkeypatch.setattr(type(visitor), way, lambda self, record: fail(record))
        world.router.deliver((1, point(1)), [bad], 100)
        monkeypatch.undo()
        await wait_all_tasks_blocked()
        world.take()
        (dead,) = world.envelopes
        assert (dead.verdict.reason, dead.closed.sequences) == ("actor_failed", (bad.sequence,))
        later = world.deliver()
        await wait_all_tasks_blocked()
        assert world.open_in() == [(first.sequence, later.sequence)]


async def test_timers_have_room_again_when_the_chain_has_moved():
    async with routed(queue=0, max_closing=2) as world, trio.open_nursery() as nursery:
        for user in range(3):
            world.deliver(user)
        await wait_all_tasks_blocked()
        await world.router.room_to_close()
        world.pass_ms(GAP + 1000)
        await wait_all_tasks_blocked()
        assert world.router.unstored == 3
        told = []

        async def wait():
            await world.router.room_to_close()
            told.append(world.router.unstored)

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert told == []
        world.take(1)
        await wait_all_tasks_blocked()
        assert told == [2]
