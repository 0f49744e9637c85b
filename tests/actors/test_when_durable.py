"""Hearing of a batch's fate without waiting for it: each listener hears once, in order, whatever the others do."""

import logging
from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.actors.receipt import Receipt
from engine.actors.writer import TELL_SLICE
from engine.errors import StoreBroken, Unavailable
from tests.actors.stores import ScriptedStore, broken, notes, submitted_while_committing, tried, writer_on


class Ears(list):
    """What each of some listeners has heard, in the order in which they heard it."""

    def listener(self, name):
        def hear(fault):
            self.append((name, fault))

        return hear


async def test_listeners_hear_in_the_order_of_submitting_after_the_commit():
    store, ears = ScriptedStore(), Ears()
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        _, gate = await submitted_while_committing(store, writer, nursery)
        for number in range(1, 6):
            writer.submit(notes(number), 10).when_durable(ears.listener(number))
        await wait_all_tasks_blocked()
        assert ears == []
        gate.set()
        writer.close()
    assert ears == [(number, None) for number in range(1, 6)]
    assert store.committed() == notes(*range(6))


async def test_what_is_durable_already_is_told_at_once():
    writer, ears = writer_on(ScriptedStore()), Ears()
    ticket = writer.submit(notes(1), 10)
    writer.close()
    await writer.run()
    ticket.when_durable(ears.listener("late"))
    assert ears == [("late", None)]


async def test_a_receipt_passes_its_listener_on():
    writer, ears = writer_on(ScriptedStore()), Ears()
    receipt = Receipt((), writer.submit(notes(1), 10), (), None)
    receipt.when_durable(ears.listener("sender"))
    assert ears == []
    writer.close()
    await writer.run()
    assert ears == [("sender", None)]


async def test_the_writers_own_callbacks_come_first():
    writer, ears = writer_on(ScriptedStore()), Ears()
    writer.submit(notes(1), 10, lambda: ears.append("booked")).when_durable(ears.listener("first"))
    writer.submit(notes(2), 10, lambda: ears.append("booked")).when_durable(ears.listener("second"))
    writer.close()
    await writer.run()
    assert ears == ["booked", "booked", ("first", None), ("second", None)]


async def test_thousands_are_told_in_slices_and_others_have_their_turn():
    writer, ears, seen = writer_on(ScriptedStore()), Ears(), []
    ticket = writer.submit(notes(1), 10)
    for number in range(5 * TELL_SLICE):
        ticket.when_durable(ears.listener(number))

    async def look():
        while len(ears) < 5 * TELL_SLICE:
            seen.append(len(ears))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        nursery.start_soon(writer.run)
        writer.close()
    assert [name for name, _ in ears] == list(range(5 * TELL_SLICE))
    steps = [after - before for before, after in pairwise([*seen, 5 * TELL_SLICE])]
    assert max(steps) <= 2 * TELL_SLICE, "Trio runs who is ready in any order: twice before somebody else at most"


async def test_a_full_store_is_told_once_and_what_fits_later_is_not_told_again(mock_clock):
    store, ears = ScriptedStore(), Ears()
    store.full = True
    writer = writer_on(store)
    ticket = writer.submit(notes(1), 10)
    ticket.when_durable(ears.listener("first"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await tried(writer, 1)
        await wait_all_tasks_blocked()
        ticket.when_durable(ears.listener("late"))
        assert [name for name, _ in ears] == ["first", "late"]
        assert all(isinstance(fault, Unavailable) for _, fault in ears)
        store.full = False
        mock_clock.jump(0.5)
        await ticket.settled()
        writer.close()
    assert len(ears) == 2
    ticket.when_durable(ears.listener("later"))
    assert ears[2] == ("later", None)


async def test_a_full_store_is_told_to_those_of_later_batches_too(mock_clock):
    store, ears = ScriptedStore(), Ears()
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        first, gate = await submitted_while_committing(store, writer, nursery)
        first.when_durable(ears.listener("first"))
        writer.submit(notes(1), 10).when_durable(ears.listener("second"))
        store.full = True
        gate.set()
        await tried(writer, 1)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [(name, type(fault)) for name, fault in ears] == [("first", Unavailable), ("second", Unavailable)]


async def test_a_broken_store_is_told_to_all_who_wait_and_to_who_asks_later():
    store, ears = ScriptedStore([broken()]), Ears()
    writer = writer_on(store)
    ticket = writer.submit(notes(1), 10)
    ticket.when_durable(ears.listener("first"))
    with pytest.raises(StoreBroken):
        await writer.run()
    ticket.when_durable(ears.listener("late"))
    assert [(name, type(fault)) for name, fault in ears] == [("first", StoreBroken), ("late", StoreBroken)]
    assert str(ears[0][1]) == "fsync failed"


async def test_a_listener_that_raises_harms_nobody_and_is_logged(caplog):
    store, ears = ScriptedStore(), Ears()
    writer = writer_on(store)

    def fail(fault):
        raise ValueError("a bug")

    ticket = writer.submit(notes(1), 10)
    ticket.when_durable(fail)
    ticket.when_durable(ears.listener("second"))
    ticket.when_durable(fail)
    writer.close()
    with caplog.at_level(logging.ERROR, logger="sojourn"):
        await writer.run()
        assert len(caplog.records) == 1, "once for both"
        ticket.when_durable(fail)
    assert len(caplog.records) == 2
    assert "a bug" in caplog.text
    assert ears == [("second", None)]


async def test_who_listens_hears_although_a_callback_of_the_engine_raised():
    store, ears = ScriptedStore(), Ears()
    writer = writer_on(store)

    def fail():
        raise ValueError("a bug")

    writer.submit(notes(1), 10, fail).when_durable(ears.listener("sender"))
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="a bug")):
        await writer.run()
    writer.close()
    await writer.run()
    assert ears == [("sender", None)]


async def test_cancelled_inside_a_commit_all_who_listen_hear():
    store, ears = ScriptedStore(), Ears()
    writer = writer_on(store)
    async with trio.open_nursery() as nursery:
        first, gate = await submitted_while_committing(store, writer, nursery)
        for number in range(3 * TELL_SLICE):
            first.when_durable(ears.listener(number))
        writer.submit(notes(1), 10).when_durable(ears.listener("last"))
        nursery.cancel_scope.cancel()
        gate.set()
    assert ears == [*((number, None) for number in range(3 * TELL_SLICE)), ("last", None)]
