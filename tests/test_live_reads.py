"""A live read shows all that was acknowledged and is not stored: while recovery runs, and while storing waits."""

import json
from uuid import UUID

import pytest
import trio

from engine import MemoryStore, Unavailable, facade
from tests.engines import GAP_MS, GatedStore, HandClock, engine_on, point_of, quiet, visit


def statuses(shown):
    return [json.loads(one)["$session_status"] for one in shown]


async def test_an_event_acknowledged_before_recovery_is_done_is_shown():
    async with engine_on(MemoryStore(), HandClock()) as engine:
        receipt = engine.accept([visit(1)])
        await receipt.durable()
        assert not engine.recovered
        assert statuses(await engine.activities(1, point_of(receipt), live=True)) == ["SESSION_SNAPSHOT"]


async def test_a_live_read_does_not_wait_for_recovery_for_ever(monkeypatch):
    monkeypatch.setattr(facade, "RECOVERY_WAIT_S", 0.0)
    async with engine_on(MemoryStore(), HandClock()) as engine:
        receipt = engine.accept([visit(1)])
        await quiet(engine)
        engine._recovery.done = trio.Event()
        with pytest.raises(Unavailable):
            await engine.activities(1, point_of(receipt), live=True)
        assert await engine.activities(1, point_of(receipt)) == []


async def test_what_has_closed_is_shown_until_it_is_stored_and_then_once():
    store, clock = GatedStore(), HandClock()
    async with engine_on(store, clock) as engine:
        receipt = engine.accept([visit(1)])
        await quiet(engine)
        store.gate.clear()
        clock.pass_ms(GAP_MS + 3000)
        with trio.fail_after(10):
            while not engine._router.leaving((1, UUID(point_of(receipt)).bytes)):  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.001)
        shown = await engine.activities(1, point_of(receipt), live=True)
        assert statuses(shown) == ["CLOSED_SESSION"]
        store.gate.set()
        await quiet(engine)
        assert await engine.activities(1, point_of(receipt), live=True) == shown
        assert await engine.activities(1, point_of(receipt)) == shown
