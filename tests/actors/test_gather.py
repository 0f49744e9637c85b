"""Single items of one pass are taken together, and nobody can tell but by the clock."""

import json

import pytest
import trio

from engine import CallerError, Closing, HotUser, MemoryStore, RateSettings, Settings
from engine.actors.gather import MAX_TOGETHER, Gatherer
from tests.engines import GatedStore, check_books, engine_on, gauges, quiet, visit


class Taker:
    """Takes items on a real engine, and remembers in which lots."""

    def __init__(self, engine, faults=()):
        self.engine = engine
        self.faults = dict(faults)
        self.lots = []

    def __call__(self, items, datamart, step):
        self.lots.append((list(items), datamart, step))
        for item in items:
            if item in self.faults:
                raise self.faults[item]
        return self.engine.accept(items, datamart=datamart, step=step)


async def gathered(taker, items, **where):
    """Add these items in one pass; returns when each has heard what became of it."""
    async with trio.open_nursery() as nursery:
        gatherer = Gatherer(taker)
        await nursery.start(gatherer.run)
        heard = []
        added = [gatherer.add(item, **{"datamart": 1, "step": "API", **where}) for item in items]
        for one in added:
            one.when_durable(heard.append)
        while len(heard) < len(items):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return added


async def test_the_items_of_a_pass_are_one_lot():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()
        taker = Taker(engine)
        items = [visit(n, user=f"u{n}") for n in range(1, 6)]
        added = await gathered(taker, items)
        assert [lot for lot, _, _ in taker.lots] == [items]
        assert [one.results[0].status for one in added] == ["accepted"] * 5
        assert len({one.results[0].user_point for one in added}) == 5
        await quiet(engine)
        check_books(engine)


async def test_datamarts_and_steps_are_lots_of_their_own():
    async with engine_on(MemoryStore()) as engine, trio.open_nursery() as nursery:
        await engine.wait_recovered()
        taker = Taker(engine)
        gatherer = Gatherer(taker)
        await nursery.start(gatherer.run)
        last = [gatherer.add(visit(n), datamart=1, step=step) for n, step in enumerate(("API", "JS_TAG", "API"), 1)][-1]
        await last.durable()
        assert [(len(lot), step) for lot, _, step in taker.lots] == [(2, "API"), (1, "JS_TAG")]
        nursery.cancel_scope.cancel()


async def test_who_is_refused_is_refused_alone():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()
        good, hot, bug = visit(1, user="a"), visit(2, user="b"), visit(3, user="c")
        faults = {hot: HotUser("too fast"), bug: ZeroDivisionError()}
        added = await gathered(Taker(engine, faults), [good, hot, bug])
        assert [one.results[0].status for one in added if one.results] == ["accepted"]
        with pytest.raises(HotUser):
            await added[1].durable()
        with pytest.raises(ZeroDivisionError):
            await added[2].durable()


async def test_a_robot_is_refused_once_and_the_others_stay_one_lot():
    rates = RateSettings(events_per_s_of_user=0.001, burst_of_user=1)
    async with engine_on(MemoryStore(), settings=Settings(rates=rates)) as engine:
        await engine.wait_recovered()
        await engine.accept([visit(1, user="robot")]).durable()
        taker = Taker(engine)
        users = ["a", "robot", "b", "c", "robot"]
        added = await gathered(taker, [visit(n, user=user) for n, user in enumerate(users, 2)])
        assert [bool(one.results) for one in added] == [user != "robot" for user in users]
        assert [len(lot) for lot, _, _ in taker.lots] == [5, 3]
        assert gauges(engine)["user_rate_refusals"] == 1
        check_books(engine)


async def test_a_bad_item_is_told_its_fault_and_the_others_are_taken():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()
        added = await gathered(Taker(engine), [visit(1), b"{", visit(2)])
        assert [one.results[0].status for one in added] == ["accepted", "refused", "accepted"]


async def test_an_unknown_datamart_is_the_callers_fault():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()
        (one,) = await gathered(Taker(engine), [visit(1)], datamart=7)
        with pytest.raises(CallerError):
            await one.durable()


async def test_a_full_lot_does_not_wait_for_the_pass_to_end():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()
        taker = Taker(engine)
        await gathered(taker, [visit(n % 1000, user=f"u{n}") for n in range(MAX_TOGETHER + 3)])
        assert [len(lot) for lot, _, _ in taker.lots] == [MAX_TOGETHER, 3]


async def test_it_is_told_when_it_is_on_disk_and_not_before():
    store = GatedStore()
    async with engine_on(store) as engine:
        await engine.wait_recovered()
        store.gate.clear()
        heard = []
        one = engine.accept_soon(visit(1))
        one.when_durable(heard.append)
        while not one.results:
            await trio.lowlevel.checkpoint()
        assert not heard
        store.gate.set()
        while not heard:
            await trio.lowlevel.checkpoint()
        assert heard == [None]


async def test_what_comes_behind_does_not_overtake():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()
        first = engine.accept_soon(visit(1, user="a"))
        receipt = engine.accept([visit(2, user="a")])
        await receipt.durable()
        assert [one.results[0].status for one in (first, receipt)] == ["accepted"] * 2
        (shown,) = await engine.activities(1, first.results[0].user_point, live=True)
        assert [one["$properties"]["n"] for one in json.loads(shown)["$events"]] == [1, 2]


async def test_an_engine_that_stops_takes_what_was_added_before_and_nothing_after():
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.wait_recovered()
        before = engine.accept_soon(visit(1))
    await before.durable()
    assert before.results[0].status == "accepted"
    with pytest.raises(Closing):
        engine.accept_soon(visit(2))


async def test_a_block_takes_at_its_end_what_it_gathered():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()
        with engine.gathering():
            first, second = (engine.accept_soon(visit(n, user="a")) for n in (1, 2))
            assert not first.results
            assert not second.results
        assert [one.results[0].status for one in (first, second)] == ["accepted"] * 2
        await second.durable()


async def test_nothing_overtakes_within_a_block_and_what_follows_is_taken_all_the_same():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()
        with engine.gathering():
            engine.accept_soon(visit(1, user="a"))
            engine.accept([visit(2, user="a")])
            engine.accept_soon(visit(3, user="a"))
        last = engine.accept_soon(visit(4, user="a"))
        await last.durable()
        (shown,) = await engine.activities(1, last.results[0].user_point, live=True)
        assert [one["$properties"]["n"] for one in json.loads(shown)["$events"]] == [1, 2, 3, 4]


async def test_a_block_that_fails_takes_what_it_gathered():
    async with engine_on(MemoryStore()) as engine:
        await engine.wait_recovered()

        def gather():
            with engine.gathering():
                added.append(engine.accept_soon(visit(1)))
                raise ZeroDivisionError

        added = []
        with pytest.raises(ZeroDivisionError):
            gather()
        assert added[0].results
