"""The janitor: what has expired goes, by the wall clock, in slices; all else stays."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.actors.janitor import EVERY_S, SLICE, purge, sweep
from engine.actors.writer import Writer
from engine.clock import EventClock
from engine.errors import StoreBroken, StoreFull
from engine.store.keys import SeenKind, seen_key
from engine.store.layout import SeenRow, encode_seen
from engine.store.memory import MemoryStore
from engine.store.port import Db, PurgeExpired, Put
from tests.clocks import START_MS, TrioClock


class Recording(MemoryStore):
    """Writes down how many rows each transaction purged."""

    def __init__(self):
        super().__init__()
        self.purges = []

    def commit(self, operations):
        report = super().commit(operations)
        if any(isinstance(operation, PurgeExpired) for operation in operations):
            self.purges.append(report.purged)
        return report


def seen(store, number, expires_ms):
    """Put `number` seen keys that expire then; returns their keys."""
    rows = [
        Put(
            Db.SEEN,
            seen_key(1, SeenKind.EVENT, f"{expires_ms} {one}"),
            encode_seen(SeenRow(expires_ms)),
            expires_ms,
        )
        for one in range(number)
    ]
    store.commit(rows)
    return [row.key for row in rows]


def left(store, keys):
    return sum(store.get(Db.SEEN, key) is not None for key in keys)


async def swept(writer, sweeps, store):
    while len(store.purges) < sweeps:
        await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()


async def test_purge_removes_what_expired_in_slices_and_nothing_else():
    store = Recording()
    writer = Writer(store, report=print)
    old = seen(store, 2 * SLICE + 7, START_MS - 1)
    fresh = seen(store, 5, START_MS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        assert await purge(writer, START_MS) == 2 * SLICE + 7
        writer.close()
    assert store.purges == [SLICE, SLICE, 7]
    assert (left(store, old), left(store, fresh)) == (0, 5)


async def test_purge_of_nothing_looks_once():
    store = Recording()
    writer = Writer(store, report=print)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        assert await purge(writer, START_MS) == 0
        writer.close()
    assert store.purges == [0]


async def test_others_are_written_between_slices():
    store = Recording()
    writer = Writer(store, report=print)
    seen(store, 3 * SLICE, START_MS - 1)
    ahead = []

    async def sender():
        ticket = writer.submit([Put(Db.META, b"x", b"y")], 10)
        await ticket.durable()
        ahead.append(len(store.purges))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(purge, writer, START_MS)
        nursery.start_soon(sender)
        await wait_all_tasks_blocked()
        nursery.start_soon(writer.run)
        while not ahead or len(store.purges) < 4:
            await trio.lowlevel.checkpoint()
        writer.close()
    assert ahead[0] <= 2


async def test_a_sweep_every_minute(mock_clock: MockClock):
    store, clock = Recording(), TrioClock()
    writer = Writer(store, report=print)
    keys = seen(store, 3, clock.wall_ms() + 90_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        nursery.start_soon(sweep, writer, clock)
        await swept(writer, 1, store)
        mock_clock.jump(EVERY_S)
        await swept(writer, 2, store)
        assert left(store, keys) == 3
        mock_clock.jump(EVERY_S)
        await swept(writer, 3, store)
        assert left(store, keys) == 0
        nursery.cancel_scope.cancel()
    assert store.purges == [0, 0, 3]


async def test_a_replay_of_an_old_log_sweeps_by_the_wall_clock():
    store, clock = Recording(), EventClock(START_MS)
    writer = Writer(store, report=print)
    expired = seen(store, 2, clock.wall_ms() - 1)
    kept = seen(store, 2, clock.wall_ms() + 3_600_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        nursery.start_soon(sweep, writer, clock)
        await swept(writer, 1, store)
        nursery.cancel_scope.cancel()
    assert (left(store, expired), left(store, kept)) == (0, 2)


async def test_a_full_store_is_waited_out(mock_clock: MockClock):
    store = Recording()
    writer = Writer(store, report=lambda *_: None)
    keys = seen(store, 3, START_MS - 1)
    store.fail_next(StoreFull, times=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        nursery.start_soon(purge, writer, START_MS)
        for tries in (1, 2):
            while writer.statistics().retries < tries:
                await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            mock_clock.jump(0.5)
        while not store.purges:
            await trio.lowlevel.checkpoint()
        writer.close()
    assert left(store, keys) == 0


async def test_a_broken_store_ends_it():
    store = Recording()
    writer = Writer(store, report=print)
    store.fail_next(StoreBroken)
    with pytest.RaisesGroup(StoreBroken, StoreBroken):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            nursery.start_soon(sweep, writer, TrioClock())
