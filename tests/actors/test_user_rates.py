"""How fast one user may send: what counts, and what does not."""

import pytest
import trio
from msgspec import structs

from engine import HotUser, MemoryStore, Overloaded
from tests.engines import GatedStore, check_books, engine_on, item, quiet, settings_of, visit
from tests.engines import event as seen


def limited(burst, **fields):
    """Settings with so many events of a user, and then hardly any more."""
    settings = settings_of(**fields)
    return structs.replace(
        settings, rates=structs.replace(settings.rates, events_per_s_of_user=0.001, burst_of_user=burst)
    )


async def test_whoever_sent_too_much_can_still_be_closed():
    """What the engine asks of a user is none of their events: it neither waits for their bucket nor takes from it."""
    async with engine_on(MemoryStore(), settings=limited(2)) as engine:
        await quiet(engine)
        for number in (1, 2):
            engine.accept([visit(number)])
        with pytest.raises(HotUser):
            engine.accept([visit(3)])
        with trio.fail_after(5):
            assert await engine.close_sessions() == 1
        await quiet(engine)
        check_books(engine)


async def test_what_was_not_taken_is_not_counted():
    store = GatedStore()
    async with engine_on(store, settings=limited(5, max_pending_write_bytes=2_000)) as engine:
        await quiet(engine)
        store.gate.clear()
        engine.accept([visit(1, user="other", filling="x" * 1_500)])
        for number in range(20):
            with pytest.raises(Overloaded, match="wait to be written"):
                engine.accept([visit(number, filling="x" * 1_500)])
        store.gate.set()
        await quiet(engine)
        assert engine.accept([visit(20)]).results[0].status == "accepted"


async def test_a_request_of_several_users_is_taken_whole_or_not_at_all():
    async with engine_on(MemoryStore(), settings=limited(2)) as engine:
        await quiet(engine)
        engine.accept([item(seen(1), seen(2), seen(3), user="hot")])
        for number in (4, 5, 6):
            with pytest.raises(HotUser):
                engine.accept([visit(number, user="cold"), visit(number, user="hot")])
        for number in (7, 8):
            assert engine.accept([visit(number, user="cold")]).results[0].status == "accepted"
        with pytest.raises(HotUser):
            engine.accept([visit(9, user="cold")])
