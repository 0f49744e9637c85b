"""The disk under an engine, full and broken for real: its file descriptors are exchanged while it runs."""

import pytest
import trio

from engine.errors import StoreBroken, Unavailable
from tests.contract.harness import LmdbHarness
from tests.engines import (
    GAP_MS,
    HandClock,
    check_books,
    closed_by,
    engine_on,
    gauges,
    open_now,
    point_of,
    quiet,
    statistics,
    until,
    visit,
)


@pytest.fixture
def disk(tmp_path):
    made = LmdbHarness(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
async def test_a_full_disk_is_heard_by_senders_and_waited_out_by_the_engine(disk, mock_clock):
    clock, store = HandClock(), disk.open()
    async with engine_on(store, clock) as engine:
        point = point_of(engine.accept([visit(number, user=f"u{number % 9}") for number in range(90)]))
        await quiet(engine)
        with disk.full_disk(store):
            receipt = engine.accept([visit(100, user="u0")])
            with pytest.raises(Unavailable):
                await receipt.durable()
            assert not engine.readiness().ready
            clock.pass_ms(GAP_MS - 1000)
            for _ in range(3):
                before = gauges(engine)["writer_retries"]
                mock_clock.jump(0.6)
                await until(lambda before=before: gauges(engine)["writer_retries"] > before)
                with pytest.raises(Unavailable):
                    engine.accept([visit(101)])
        mock_clock.jump(0.6)
        await quiet(engine)
        await receipt.durable()
        assert engine.readiness().ready
        check_books(engine)
        assert open_now(engine, point) == [[*range(0, 90, 9), 100]]
        clock.pass_ms(GAP_MS + 2000)
        await quiet(engine)
        assert closed_by(engine) == {"inactivity": 9}
        check_books(engine)


@pytest.mark.slow
@pytest.mark.parametrize("waiting", [True, False])
async def test_a_broken_disk_ends_the_engine_and_nothing_is_acknowledged(disk, waiting):
    clock, store = HandClock(), disk.open()
    with pytest.raises(StoreBroken):
        await broken_under(disk, store, clock, waiting)
    disk.mend_disk(store)
    async with engine_on(disk.reopen(store), clock) as engine:
        await quiet(engine)
        check_books(engine)
        assert statistics(engine)["events_received"] == 1, "only what was acknowledged"


async def broken_under(disk, store, clock, waiting):
    async with engine_on(store, clock) as engine:
        await engine.accept([visit(1)]).durable()
        await quiet(engine)
        disk.break_disk(store)
        receipt = engine.accept([visit(2)])
        if waiting:
            await receipt.durable()
        await trio.sleep_forever()
