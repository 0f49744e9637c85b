"""The writer while all goes well: in order, in groups, within its bounds, to the end."""

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from engine.actors.ticket import MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS
from engine.errors import Closing, Overloaded
from tests.actors.stores import Note, ScriptedStore, notes, submitted_while_committing, writer_on


async def test_what_is_submitted_is_committed_and_told():
    store, told = ScriptedStore(), []
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        ticket = writer.submit(notes(1, 2), 10, lambda: told.append(store.committed()))
        await ticket.durable()
        assert store.batches == [(Note(1), Note(2))]
        assert told == [[Note(1), Note(2)]]
        writer.close()


async def test_a_ticket_has_the_report_of_its_commit():
    writer = writer_on(ScriptedStore())
    ticket = writer.submit(notes(1, 2, 3), 10)
    assert ticket.report.stored == 0
    writer.close()
    await writer.run()
    assert ticket.report.stored == 3


async def test_what_could_never_be_written_is_refused_and_harms_no_other():
    store = ScriptedStore()
    writer = writer_on(store)
    writer.submit(notes(1), 10)
    with pytest.raises(ValueError, match="out of range"):
        writer.submit(notes(2, -1), 10)
    with pytest.raises(ValueError, match="out of range"):
        await writer.submit_when_possible(notes(2, -1), 10)
    with pytest.raises(ValueError, match="out of range"):
        writer.check(notes(-1))
    writer.close()
    await writer.run()
    assert store.committed() == notes(1)


async def test_what_comes_during_a_commit_is_the_next_batch():
    store = ScriptedStore()
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        _, gate = await submitted_while_committing(store, writer, nursery)
        tickets = [writer.submit(notes(number), 10) for number in range(1, 50)]
        assert len(set(tickets)) == 1, "one ticket, so one event wakes all"
        gate.set()
        for ticket in tickets:
            await ticket.durable()
        writer.close()
    assert store.batches == [tuple(notes(0)), tuple(notes(*range(1, 50)))]
    assert writer.statistics().batches == 2
    assert writer.statistics().last_operations == 49
    assert writer.statistics().operations == 50


async def test_a_batch_is_bounded_and_a_submission_is_never_split():
    store = ScriptedStore()
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        _, gate = await submitted_while_committing(store, writer, nursery)
        writer.submit(notes(*range(MAX_BATCH_OPERATIONS - 1)), 10)
        writer.submit(notes(1, 2), 10)
        writer.submit(notes(3), MAX_BATCH_BYTES)
        writer.submit(notes(*range(MAX_BATCH_OPERATIONS + 5)), MAX_BATCH_BYTES + 5)
        writer.submit(notes(4), 10)
        gate.set()
        writer.close()
    assert [len(batch) for batch in store.batches] == [1, MAX_BATCH_OPERATIONS - 1, 2, 1, MAX_BATCH_OPERATIONS + 5, 1]


async def test_a_ticket_is_not_durable_before_its_own_batch_is():
    store, done = ScriptedStore(), []
    writer = writer_on(store)

    async def wait_for(name, ticket):
        await ticket.durable()
        done.append(name)

    async with trio.open_nursery() as nursery:
        first, gate = await submitted_while_committing(store, writer, nursery)
        nursery.start_soon(wait_for, "first", first)
        nursery.start_soon(wait_for, "second", writer.submit(notes(1), 10))
        await wait_all_tasks_blocked()
        assert done == []
        begun, second_gate = store.hold()
        gate.set()
        await begun()
        await wait_all_tasks_blocked()
        assert done == ["first"]
        second_gate.set()
        writer.close()
    assert done == ["first", "second"]


async def test_waiting_for_what_is_durable_is_a_checkpoint():
    writer = writer_on(ScriptedStore())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        ticket = writer.submit(notes(1), 10)
        await ticket.durable()
        with assert_checkpoints():
            await ticket.durable()
        with assert_checkpoints():
            await ticket.settled()
        with assert_checkpoints():
            await writer.submit_when_possible(notes(2), 10)
        writer.close()


async def test_callbacks_come_in_the_order_of_submitting_before_any_waiter():
    store, told = ScriptedStore(), []
    writer = writer_on(store)

    async def wait_for(ticket):
        await ticket.durable()
        told.append("waiter")

    async with trio.open_nursery() as nursery:
        for number in range(5):
            ticket = writer.submit(notes(number), 10, lambda number=number: told.append(number))
            nursery.start_soon(wait_for, ticket)
        nursery.start_soon(writer.run)
        writer.close()
    assert told == [0, 1, 2, 3, 4, *["waiter"] * 5]


async def test_a_callback_that_raises_keeps_no_other_from_being_called():
    store, told = ScriptedStore(), []
    writer = writer_on(store)

    def fail():
        raise ValueError("no")

    writer.submit(notes(1), 10, fail)
    ticket = writer.submit(notes(2), 10, lambda: told.append(2))
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="no")):
        await writer.run()
    assert told == [2]
    await ticket.durable()
    writer.close()
    await writer.run()
    assert store.batches == [tuple(notes(1, 2))], "what is committed is not committed again after a restart"


async def test_the_bound_refuses_the_one_and_makes_the_other_wait():
    store = ScriptedStore()
    writer = writer_on(store, max_pending_bytes=100)
    patient = []

    async def store_step():
        patient.append(await writer.submit_when_possible(notes(3), 500))

    async with trio.open_nursery() as nursery:
        _, gate = await submitted_while_committing(store, writer, nursery)
        writer.submit(notes(1), 90)
        assert writer.pending_bytes == 100
        assert not writer.has_room(1)
        with pytest.raises(Overloaded):
            writer.submit(notes(2), 1)
        nursery.start_soon(store_step)
        await wait_all_tasks_blocked()
        assert patient == []
        gate.set()
        while not patient:
            await trio.lowlevel.checkpoint()
        await patient[0].durable()
        writer.close()
    assert store.committed() == notes(0, 1, 3)
    statistics = writer.statistics()
    assert (statistics.pending_bytes, statistics.pending_operations) == (0, 0)
    assert statistics.max_pending_bytes == 100
    assert statistics.peak_pending_bytes >= 500


async def test_an_idle_writer_takes_anything():
    store = ScriptedStore()
    writer = writer_on(store, max_pending_bytes=100)
    assert writer.has_room(1 << 30)
    writer.submit(notes(1), 1 << 30)
    writer.close()
    await writer.run()
    assert store.committed() == notes(1)


async def test_close_commits_what_is_in_line_and_takes_nothing_more():
    store = ScriptedStore()
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        _, gate = await submitted_while_committing(store, writer, nursery)
        last = writer.submit(notes(1), 10)
        writer.close()
        with pytest.raises(Closing):
            writer.submit(notes(2), 10)
        with pytest.raises(Closing):
            await writer.submit_when_possible(notes(3), 10)
        gate.set()
    assert last.is_durable
    assert store.committed() == notes(0, 1)


async def test_close_wakes_an_idle_writer_and_patient_submitters():
    writer = writer_on(ScriptedStore(), max_pending_bytes=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await wait_all_tasks_blocked()
        writer.close()
    writer = writer_on(ScriptedStore(), max_pending_bytes=10)
    writer.submit(notes(1), 10)

    async def patient():
        with pytest.raises(Closing):
            await writer.submit_when_possible(notes(2), 10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(patient)
        await wait_all_tasks_blocked()
        writer.close()


async def test_statistics_tell_how_long_the_first_has_waited(mock_clock):
    writer = writer_on(ScriptedStore())
    assert writer.statistics().oldest_pending_ms == 0
    writer.submit(notes(1), 10)
    mock_clock.jump(3)
    writer.submit(notes(2), 10)
    assert writer.statistics().oldest_pending_ms == 3000
    writer.close()
    await writer.run()
    assert writer.statistics().oldest_pending_ms == 0
