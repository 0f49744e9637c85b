"""The writer's pause behind a small batch: more join the next, and who sends alone does not wait."""

import trio
from trio.testing import wait_all_tasks_blocked

from engine.actors.writer import PAUSED_BEHIND_BYTES
from tests.actors.stores import ScriptedStore, notes, writer_on

PAUSE_S = 0.5
SMALL = PAUSED_BEHIND_BYTES.start
LARGE = PAUSED_BEHIND_BYTES.stop


async def committed(ticket):
    while not ticket.is_durable:
        await trio.lowlevel.checkpoint()


async def test_behind_a_small_batch_it_waits_for_more(mock_clock):
    store = ScriptedStore()
    writer = writer_on(store, pause_s=PAUSE_S)
    told = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        first = writer.submit(notes(1), SMALL)
        first.when_durable(told.append)
        await committed(first)
        writer.submit(notes(2), 10)
        await wait_all_tasks_blocked()
        assert told == [None], "nobody waits for the pause who is through"
        second = writer.submit(notes(3), 10)
        assert store.batches == [tuple(notes(1))]
        mock_clock.jump(PAUSE_S)
        await committed(second)
        writer.close()
    assert store.batches == [tuple(notes(1)), tuple(notes(2, 3))]


async def test_behind_another_batch_or_after_a_while_it_does_not(mock_clock):
    store = ScriptedStore()
    writer = writer_on(store, pause_s=PAUSE_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for number, size_bytes in enumerate((SMALL - 1, LARGE, SMALL)):
            await committed(writer.submit(notes(number), size_bytes))
        mock_clock.jump(PAUSE_S)
        await committed(writer.submit(notes(3), 10))
        writer.close()


async def test_a_stop_does_not_wait(mock_clock):
    store = ScriptedStore()
    writer = writer_on(store, pause_s=PAUSE_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await committed(writer.submit(notes(1), SMALL))
        writer.submit(notes(2), 10)
        writer.close()
    assert store.committed() == notes(1, 2)
