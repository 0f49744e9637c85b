"""One story, cut at each of its commits and at many of its steps: the end is always the same (decision 8; house: Stop).

The story has what is hard: sessions that are open, on their way and pending when users merge, A into B into C.
"""

from contextlib import suppress

import pytest
import trio

from engine.errors import Broken, Closing
from tests.engines import (
    GAP_MS,
    MINUTE_MS,
    HandClock,
    MortalStore,
    check_books,
    engine_on,
    event,
    item,
    once_each,
    point_of,
    quiet,
    stored,
    touch,
    visit,
)
from tests.machines.world import Accept, Close, Die, Go, Look, Pass, Sent, crashed_as_plain


def sent(agent, *ages_ms, account=None, status="IN_SESSION", origin=""):
    return Sent(agent, account, status, "1", origin, ages_ms, (None,) * len(ages_ms))


MERGES = [
    Accept((sent("a", 0, 2 * GAP_MS), sent("b", 0), sent("c", 3 * GAP_MS, 0, status="LIVE"))),
    Pass(MINUTE_MS),
    # Several parts close in one step: what is still to be stored of them is pending in the saved state.
    Accept((sent("a", 0, 30_000, origin="mail"), sent("b", 4 * GAP_MS, 0, status="NO_SESSION"))),
    Accept((sent("b", 0, account="x"), sent("c", 0, account="x"))),
    Go(3),
    Accept((sent("c", 0), sent("a", 0, 1000, account="x", origin="ads"), sent("b", 0, status="NO_SESSION"))),
    Pass(GAP_MS + 1),
    Accept((sent("c", 0, 2 * GAP_MS), sent("b", 5 * GAP_MS))),
    Look(),
    Close(),
    Accept((sent("a", 0, status="LIVE"),)),
]


@pytest.mark.slow
@pytest.mark.parametrize("unheard", [False, True])
async def test_merges_cut_at_each_commit(unheard):
    whole = await crashed_as_plain(MERGES)
    for commits in range(whole.store.commits + 3):
        await crashed_as_plain([Die(commits, unheard), *MERGES])


@pytest.mark.slow
async def test_merges_cut_again_while_they_are_recovered():
    for commits in range(2, 12):
        for again in range(4):
            await crashed_as_plain(
                [*MERGES[:5], Die(commits % 4, again % 2 == 0), *MERGES[5:7], Die(again, True), *MERGES[7:]]
            )


ITEMS = [
    [visit(1), visit(2, user="b"), touch(3)],
    [item(event(4), event(5), status="LIVE", user="c"), visit(6, user_account_id="x")],
    [visit(7, user="b", user_account_id="x"), touch(8, user="c"), visit(9, user="d")],
]


async def told(engine, clock, acknowledged):
    """The body of a program that notes what it has been told is safe."""
    with suppress(Closing):  # Cancelled together with the program, the engine may be the first to hear of it.
        for number, items in enumerate(ITEMS):
            receipt = engine.accept(items)
            await receipt.durable()
            acknowledged[number] = receipt
            clock.pass_ms(GAP_MS // 2 + MINUTE_MS)
        await engine.close_sessions()


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(0, 120, 3))
async def test_a_program_cancelled_at_any_step_loses_nothing_it_was_told_is_safe(steps):
    store, clock, acknowledged = MortalStore(), HandClock(), {}
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel_later():
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            nursery.start_soon(cancel_later)
            async with engine_on(store, clock) as engine:
                await told(engine, clock, acknowledged)
                await trio.sleep_forever()
    # Not acknowledged is sent again, as a sender would.
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        check_books(engine)
        open_and_stored = engine.reader.statistics()
        expected = sum(result.events for receipt in acknowledged.values() for result in receipt.results)
        assert open_and_stored["events_received"] >= expected
        await engine.close_sessions()
        await quiet(engine)
        check_books(engine)
        found = once_each(
            [
                numbers
                for point in {point_of(receipt, index) for receipt in acknowledged.values() for index in range(2)}
                | {point_of(receipt, 2) for number, receipt in acknowledged.items() if number != 1}
                for numbers in stored(engine, engine.reader.resolve(1, point).hex)
            ]
        )
        safe = {0: {1, 2, 3}, 1: {4, 5, 6}, 2: {7, 8, 9}}
        for number in acknowledged:
            assert safe[number] <= found.keys()
        assert engine.reader.statistics()["events_open"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(0, 40, 2))
async def test_leaving_the_block_at_any_step_keeps_everything(steps):
    """Work is in every stage when the program leaves; the next start and its end have all of it once."""
    store, clock = MortalStore(), HandClock()
    points = set()
    async with engine_on(store, clock) as engine:
        for number in range(40):
            receipt = engine.accept([visit(number, user=f"u{number % 7}"), touch(100 + number, user=f"u{number % 5}")])
            points |= {point_of(receipt), point_of(receipt, 1)}
            if number == 20:
                clock.pass_ms(GAP_MS + 2000)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        check_books(engine)
        await engine.close_sessions()
        await quiet(engine)
        found = once_each([numbers for point in points for numbers in stored(engine, point)])
        assert found == dict.fromkeys([*range(40), *range(100, 140)], 1)


@pytest.mark.slow
@pytest.mark.parametrize("commits", range(6))
async def test_a_store_that_breaks_under_load_has_acknowledged_nothing_it_lost(commits):
    store, clock, safe = MortalStore(), HandClock(), []

    async def program():
        async with engine_on(store, clock) as engine:

            async def send(number):
                await engine.accept([visit(number, user=f"u{number % 3}")]).durable()
                safe.append(number)

            await quiet(engine)
            store.die_after(commits)
            async with trio.open_nursery() as nursery:
                for number in range(30):
                    nursery.start_soon(send, number)
                    await trio.lowlevel.checkpoint()
            for number in range(30, 40):  # A commit each, however many those before have shared.
                await send(number)

    with pytest.raises(Broken):
        await program()
    async with engine_on(store.reopen(), clock) as engine:
        await quiet(engine)
        check_books(engine)
        assert engine.reader.statistics()["events_open"] >= len(safe)
        points = [engine.accept([touch(1000 + user, user=f"u{user}")]) for user in range(3)]
        await engine.close_sessions()
        await quiet(engine)
        found = once_each([numbers for receipt in points for numbers in stored(engine, point_of(receipt))])
        assert set(safe) <= found.keys()
        assert set(found.values()) == {1}
