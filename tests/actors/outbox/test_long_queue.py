"""A hundred thousand requests to one destination, on disk, with threads, beside a destination that never answers."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from engine.actors.outbox.calls import Answer
from engine.actors.outbox.service import Outbox
from engine.actors.writer import Writer
from engine.settings import OutboxSettings, StorageSettings
from engine.store.environment import LmdbStore
from engine.store.keys import outbox_key
from engine.store.layout import OutboxRow, encode_outbox
from engine.store.port import Db, Put
from tests.actors.outbox.world import destination
from tests.clocks import START_MS, TrioClock

ROWS = 100_000


@pytest.mark.slow
async def test_a_hundred_thousand_requests_are_sent_in_order_while_another_destination_never_answers(tmp_path):
    store = LmdbStore.open(StorageSettings(data_dir=str(tmp_path), map_size_bytes=1 << 28, metasync=False))
    for name, rows in (("long", ROWS), ("dead", 1000)):
        value = encode_outbox(OutboxRow(name, "", b'{"n":1}' * 10, START_MS))
        keys = [outbox_key(1, name, START_MS - ROWS + number, number.to_bytes(16)) for number in range(rows)]
        store.commit([Put(Db.OUTBOX, key, value) for key in keys])
    sent = []
    done = trio.Event()

    async def post(to, request_id, path, body):
        if to.id == "dead":
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        sent.append(int.from_bytes(request_id))
        if len(sent) == ROWS:
            done.set()
        return Answer(200)

    @asynccontextmanager
    async def connect():
        yield post

    writer = Writer(store, report=print)
    outbox = Outbox(
        store=store,
        writer=writer,
        clock=TrioClock(),
        settings=OutboxSettings(drain_s=0.1),
        dead_letter_ms=1000,
        destination_of=lambda datamart, one: destination(one, max_calls=64),
        report=print,
        connect=connect,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        nursery.start_soon(outbox.run)
        with trio.fail_after(120):
            await done.wait()
        outbox.close()
        await outbox.ended.wait()
        writer.close()
    assert sorted(sent) == list(range(ROWS)), "each once"
    assert all(abs(at - one) <= 64 for at, one in enumerate(sent)), "in order but for open calls"
    left = await trio.to_thread.run_sync(partial(store.page, Db.OUTBOX, limit=5000))
    assert len(left) == 1000, "of the dead one alone"
    store.close()
