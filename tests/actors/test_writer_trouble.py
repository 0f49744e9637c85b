"""The writer in trouble: whatever the store does and whoever is cancelled, nothing is dropped or written twice."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from engine.errors import Broken, Closing, StoreBroken, StoreFull, Unavailable
from tests.actors.stores import ScriptedStore, broken, notes, submitted_while_committing, tried, writer_on


async def test_a_full_store_is_told_waited_out_and_nothing_changes_places(mock_clock):
    store = ScriptedStore()
    store.full = True
    writer = writer_on(store)
    heard = []

    async def sender(ticket):
        with pytest.raises(Unavailable, match="no space left"):
            await ticket.durable()
        heard.append(ticket)

    async def store_step(ticket):
        await ticket.settled()
        heard.append(writer.unavailable)

    async with trio.open_nursery() as nursery:
        first = writer.submit(notes(1), 10)
        nursery.start_soon(sender, first)
        nursery.start_soon(store_step, first)
        nursery.start_soon(writer.run)
        for tries in range(1, 5):
            await tried(writer, tries)
            mock_clock.jump(0.49)
            await wait_all_tasks_blocked()
            assert store.attempts == [tuple(notes(1))] * tries, "every half second, the same batch"
            assert heard == [first]
            assert writer.unavailable == "no space left on device"
            store.full = tries < 4
            mock_clock.jump(0.01)
        await first.settled()
        assert writer.unavailable is None
        await first.durable()
        await writer.submit(notes(3), 10).durable()
        writer.close()
    assert heard == [first, None]
    assert store.committed() == notes(1, 3)
    assert writer.log == ["the store takes no writes: no space left on device", "the store takes writes again"]


async def test_a_full_store_refuses_new_work_and_late_askers(mock_clock):
    store = ScriptedStore()
    store.full = True
    writer = writer_on(store)
    first = writer.submit(notes(1), 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await tried(writer, 1)
        with pytest.raises(Unavailable):
            writer.submit(notes(2), 10)
        with pytest.raises(Unavailable):
            await first.durable()
        nursery.cancel_scope.cancel()


async def test_those_who_wait_for_a_later_batch_hear_of_the_full_store_too(mock_clock):
    store = ScriptedStore([StoreFull("no space left")])
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        first, gate = await submitted_while_committing(store, writer, nursery)
        second = writer.submit(notes(1), 10)
        gate.set()
        with pytest.raises(Unavailable):
            await second.durable()
        mock_clock.jump(0.5)
        await second.settled()
        assert first.is_durable
        writer.close()
    assert store.batches == [tuple(notes(0)), tuple(notes(1))]


async def test_a_patient_submitter_waits_until_the_store_takes_writes(mock_clock):
    store = ScriptedStore()
    store.full = True
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        writer.submit(notes(1), 10)
        nursery.start_soon(writer.run)
        await tried(writer, 1)
        nursery.start_soon(writer.submit_when_possible, notes(2), 10)
        mock_clock.jump(0.5)
        await tried(writer, 2)
        await wait_all_tasks_blocked()
        assert writer.statistics().pending_operations == 1
        store.full = False
        mock_clock.jump(0.5)
        while len(store.batches) < 2:
            await trio.lowlevel.checkpoint()
        writer.close()
    assert store.committed() == notes(1, 2)


async def test_a_broken_store_ends_it_all():
    store = ScriptedStore([broken()])
    writer = writer_on(store)
    caught = []

    async def expect(wait):
        with pytest.raises(Broken, match="fsync failed"):
            await wait()
        caught.append(1)

    async def run():
        with pytest.raises(StoreBroken, match="fsync failed"):
            await writer.run()

    async with trio.open_nursery() as nursery:
        begun, gate = store.hold()
        first = writer.submit(notes(1), writer.statistics().max_pending_bytes)
        nursery.start_soon(run)
        await begun()
        nursery.start_soon(expect, first.durable)
        nursery.start_soon(expect, first.settled)
        nursery.start_soon(expect, lambda: writer.submit_when_possible(notes(2), 10))
        await wait_all_tasks_blocked()
        gate.set()
    assert len(caught) == 3
    assert writer.unavailable == "fsync failed"
    with pytest.raises(Broken):
        writer.submit(notes(3), 10)
    with pytest.raises(Broken):
        await first.durable()
    assert store.attempts == [tuple(notes(1))], "a failed sync is not retryable"


async def test_another_failure_leaves_the_batch_first_in_line_for_a_restart():
    store = ScriptedStore([ValueError("a bug")])
    writer = writer_on(store)
    first = writer.submit(notes(1), 10)
    with pytest.raises(ValueError, match="a bug"):
        await writer.run()
    writer.submit(notes(2), 10)
    assert not first.is_durable
    writer.close()
    await writer.run()
    assert store.batches == [tuple(notes(1)), tuple(notes(2))]


# Cancelled at each await: idle, inside a commit, between two tries on a full store; and those who wait for it.


async def test_cancelled_while_idle():
    writer = writer_on(ScriptedStore())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(Closing):
        writer.submit(notes(1), 10)


async def test_cancelled_inside_a_commit_everything_submitted_is_still_written():
    store, told = ScriptedStore(), []
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        first, gate = await submitted_while_committing(store, writer, nursery)
        second = writer.submit(notes(1), 10, lambda: told.append(1))
        nursery.cancel_scope.cancel()
        gate.set()
    assert first.is_durable
    assert second.is_durable
    assert store.committed() == notes(0, 1)
    assert told == [1]


async def test_cancelled_before_it_ran_everything_submitted_is_still_written():
    store = ScriptedStore()
    writer = writer_on(store)
    writer.submit(notes(1), 10)
    with trio.CancelScope() as scope:
        scope.cancel()
        await writer.run()
    assert store.committed() == notes(1)


async def test_cancelled_while_the_store_is_full_it_ends_and_nothing_is_called_durable(mock_clock):
    store = ScriptedStore()
    store.full = True
    writer = writer_on(store)
    ticket = writer.submit(notes(1), 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await tried(writer, 1)
        nursery.cancel_scope.cancel()
    assert store.committed() == []
    with pytest.raises(Unavailable):
        await ticket.durable()


async def test_a_sender_that_goes_away_takes_nothing_with_it():
    store = ScriptedStore()
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        first, gate = await submitted_while_committing(store, writer, nursery)
        second = writer.submit(notes(1), 10)
        async with trio.open_nursery() as senders:
            senders.start_soon(first.durable)
            senders.start_soon(second.durable)
            await wait_all_tasks_blocked()
            senders.cancel_scope.cancel()
        gate.set()
        writer.close()
    assert store.committed() == notes(0, 1)


async def test_a_patient_submitter_that_is_cancelled_has_submitted_nothing():
    store = ScriptedStore()
    writer = writer_on(store, max_pending_bytes=10)
    async with trio.open_nursery() as nursery:
        _, gate = await submitted_while_committing(store, writer, nursery)
        async with trio.open_nursery() as submitters:
            submitters.start_soon(writer.submit_when_possible, notes(1), 10)
            await wait_all_tasks_blocked()
            submitters.cancel_scope.cancel()
        with trio.CancelScope() as scope:
            scope.cancel()
            await writer.submit_when_possible(notes(2), 10)
        gate.set()
        writer.close()
    assert store.committed() == notes(0)


FATES = st.sampled_from(["ok", "ok", "ok", "full", "bug"])


@pytest.mark.slow
@given(
    fates=st.lists(FATES, max_size=12),
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=25),
    pauses=st.data(),
)
def test_whatever_the_store_does_each_operation_is_written_once_and_in_order(fates, sizes, pauses):
    async def main():
        failures = {"ok": None, "full": StoreFull("no space"), "bug": ValueError("a bug")}
        store, told = ScriptedStore([failures[fate] for fate in fates]), []
        writer = writer_on(store, max_pending_bytes=100)

        async def run():
            for _ in range(len(fates) + 1):
                try:
                    return await writer.run()
                except ValueError:
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            for number, size_bytes in enumerate(sizes):
                await writer.submit_when_possible(notes(number), size_bytes, lambda number=number: told.append(number))
                if pauses.draw(st.booleans()):
                    await wait_all_tasks_blocked()
            writer.close()
        assert store.committed() == notes(*range(len(sizes)))
        assert told == list(range(len(sizes)))
        assert writer.pending_bytes == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
