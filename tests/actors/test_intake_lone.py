"""An event alone in its request: taken without a draft, and nobody can tell from the outside."""

import trio

from engine import MemoryStore
from engine.store.journal import walk_records
from engine.store.port import Db
from tests.engines import GAP_MS, HandClock, check_books, engine_on, event, gauges, item, quiet, visit


async def tell(engine, clock, requests):
    """Send these requests; what was answered, what is in the journal, the counters, and the bound of the journal."""
    answers = []
    for items in requests:
        receipt = engine.accept(items)
        answers.append([(one.status, one.events, one.user_point, one.error) for one in receipt.results])
        await receipt.durable()
        await quiet(engine)
        clock.pass_ms(10)
    check_books(engine)
    return answers, gauges(engine)["journal_bytes"]


def rows(store, db):
    return store.page(db, limit=1000)


REQUESTS = [
    [visit(1)],
    [visit(2)],
    [visit(3, user="b")],
    [item(event(4, event_id="four"))],
    [item(event(4, event_id="four"))],
    [visit(5, 7)],
    [item(event(6), event(7))],
    [visit(8, status="LIVE")],
    [visit(9, user="b", user_account_id="ann")],
    [visit(10, user_account_id="ann")],
    [b"{"],
    [visit(11, site_id="9")],
    [visit(12, user="b")],
    [visit(13)],
]


async def test_it_leaves_what_a_draft_would_have_left(monkeypatch):
    found = []
    for lone in (True, False):
        store, clock = MemoryStore(), HandClock()
        async with engine_on(store, clock) as engine:
            taken = engine._intake._take_lone
            used = []

            def spy(*arguments, taken=taken, used=used):
                receipt = taken(*arguments)
                used.append(receipt is not None)
                return receipt

            monkeypatch.setattr(engine._intake, "_take_lone", spy if lone else lambda *_: None)
            told = await tell(engine, clock, REQUESTS)
            assert not lone or (any(used) and not all(used))
        found.append((told, list(walk_records(store)), [rows(store, db) for db in (Db.COUNTERS, Db.IDENTIFIERS)]))
    assert found[0] == found[1]


async def test_a_late_one_is_counted_so():
    store, clock = MemoryStore(), HandClock()
    async with engine_on(store, clock) as engine:
        for number, ts_ms in ((1, None), (2, clock.now_ms() - GAP_MS), (3, clock.now_ms() - GAP_MS - 1)):
            await engine.accept([visit(number, ts_ms)]).durable()
            await quiet(engine)
        assert engine.reader.counters()[1]["events_late"] == 1


async def test_many_at_once_share_a_batch_and_their_counters_are_one_operation():
    store, clock = MemoryStore(), HandClock()
    async with engine_on(store, clock) as engine:
        await engine.accept([visit(0)]).durable()
        await quiet(engine)
        before = engine._intake._writer.statistics().batches
        receipts = [engine.accept([visit(number)]) for number in range(1, 50)]
        async with trio.open_nursery() as nursery:
            for receipt in receipts:
                nursery.start_soon(receipt.durable)
        await quiet(engine)
        assert engine._intake._writer.statistics().batches == before + 1
        counted = engine.reader.counters()[1]
        assert (counted["events_received"], counted["events_step.API"], counted["events_open"]) == (50, 50, 50)
