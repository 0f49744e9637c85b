"""Stage actors: everything that enters leaves once, in order, with its verdict, whatever the step does."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.actors.overlapping_stage import OverlappingStageActor
from engine.actors.stage_actor import ENVELOPES_PER_PASS, ENVELOPES_PER_STEP, LISTS_PER_PASS, StageActor
from engine.pipeline.stage import Dead, Drop, Effect, Envelope, Keep
from engine.session.closed import Closed, Source


class Seen(Struct):
    """Stands for an activity: which one it is, and the steps that saw it."""

    number: int
    steps: tuple[str, ...] = ()


class Move(Effect, frozen=True):
    name: str


def envelope(number, user=0, absorbed=None, **fields):
    gone = b"" if absorbed is None else absorbed.to_bytes(16)
    closed = Closed(source=Source.SESSION, datamart=1, user_point=user.to_bytes(16), sequences=(number,), absorbed=gone)
    return Envelope(closed, **{"activity": Seen(number), **fields})


def user_of(one):
    return int.from_bytes(one.closed.user_point)


def number_of(one):
    return one.closed.sequences[0]


def keep(one):
    return Keep(Seen(one.activity.number, (*one.activity.steps, "kept")))


async def keep_later(one):
    await trio.sleep(0.1)
    return keep(one)


class Chain:
    """One actor with queues before and behind it, and what came out."""

    def __init__(self, build, step, *, queued=1000, room=1000, **options):
        self.send, inbox = trio.open_memory_channel(queued)
        outbox, self.receive = trio.open_memory_channel(room)
        self.actor = build("step", step, inbox, outbox, **options)
        self.out = []
        self.lists = []

    async def collect(self):
        async for envelopes in self.receive:
            self.lists.append(len(envelopes))
            self.out.extend(envelopes)

    async def through(self, *lists):
        """Send the lists, end the channel, run the actor to its end; returns what came out."""
        for envelopes in lists:
            self.send.send_nowait(list(envelopes))
        self.send.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.actor.run)
            nursery.start_soon(self.collect)
        return self.out


both = pytest.mark.parametrize(
    ("build", "wrap"), [(StageActor, False), (OverlappingStageActor, True)], ids=["plain", "overlapping"]
)


def as_step(function, wrap):
    async def step(one):
        await trio.lowlevel.checkpoint()
        return function(one)

    return step if wrap else function


@both
async def test_a_kept_activity_goes_on_with_all_effects_so_far(build, wrap):
    def step(one):
        return Keep(Seen(one.activity.number + 100), effects=(Move("b"),))

    [out] = await Chain(build, as_step(step, wrap)).through([envelope(1, effects=(Move("a"),))])
    assert out.activity == Seen(101)
    assert out.effects == (Move("a"), Move("b"))
    assert (out.verdict, out.stage) == (None, "")


@both
async def test_a_dropped_activity_travels_on_with_nothing_but_the_effects_of_its_drop(build, wrap):
    def step(one):
        return Drop("choice", effects=(Move("store the choice"),))

    chain = Chain(build, as_step(step, wrap))
    [out] = await chain.through([envelope(1, effects=(Move("enter"),))])
    assert (out.verdict, out.stage) == (Drop("choice", effects=(Move("store the choice"),)), "step")
    assert out.effects == (Move("store the choice"),)
    assert out.activity == Seen(1)
    assert chain.actor.statistics().dropped == 1


@both
async def test_a_step_that_raises_costs_one_activity(build, wrap):
    def step(one):
        if one.activity.number == 2:
            raise ValueError("poison")
        return keep(one)

    chain = Chain(build, as_step(step, wrap))
    out = await chain.through([envelope(number, effects=(Move("enter"),)) for number in (1, 2, 3)])
    assert [one.verdict for one in out] == [None, Dead("stage_error", "ValueError('poison')"), None]
    assert (out[1].stage, out[1].effects, out[1].activity) == ("step", (), Seen(2))
    statistics = chain.actor.statistics()
    assert (statistics.received, statistics.sent, statistics.dead, statistics.errors) == (3, 3, 1, 1)


@both
async def test_a_step_that_gives_no_verdict_has_failed(build, wrap):
    [out] = await Chain(build, as_step(lambda one: None, wrap)).through([envelope(1)])
    assert out.verdict == Dead("stage_error", "TypeError('no verdict: None')")


@both
async def test_what_has_its_verdict_or_stores_nothing_passes_untouched(build, wrap):
    def step(one):
        raise AssertionError("not to be called")

    state = Envelope(Closed(source=Source.STATE, datamart=1, user_point=bytes(16), sequences=(3,)))
    dropped = envelope(1, verdict=Drop("choice"), stage="earlier")
    dead = envelope(2, verdict=Dead("too_large"), stage="earlier")
    chain = Chain(build, as_step(step, wrap))
    assert await chain.through([dropped, dead, state]) == [dropped, dead, state]
    assert dropped.stage == "earlier"
    assert chain.actor.statistics().dropped == 0


@both
async def test_the_first_step_sees_envelopes_without_an_activity(build, wrap):
    def create(one):
        return Keep(Seen(number_of(one)))

    [out] = await Chain(build, as_step(create, wrap)).through([envelope(7, activity=None)])
    assert out.activity == Seen(7)


@both
async def test_the_end_is_passed_on_when_all_has_left(build, wrap):
    chain = Chain(build, as_step(keep, wrap))
    assert await chain.through() == []
    with pytest.raises(trio.EndOfChannel):
        chain.receive.receive_nowait()


async def test_queued_lists_become_one():
    chain = Chain(StageActor, keep)
    out = await chain.through(*[[envelope(number)] for number in range(LISTS_PER_PASS + 5)])
    assert [number_of(one) for one in out] == list(range(LISTS_PER_PASS + 5))
    assert chain.lists == [LISTS_PER_PASS, 5]


async def test_a_pass_is_bounded_in_envelopes():
    chain = Chain(StageActor, keep)
    size = ENVELOPES_PER_PASS // 2 - 1
    await chain.through(*[[envelope(number) for number in range(size)]] * 6)
    assert chain.lists == [3 * size, 3 * size]


async def test_a_long_list_is_worked_off_in_slices():
    worked, seen = [], []

    def step(one):
        worked.append(one)
        return keep(one)

    chain = Chain(StageActor, step)
    total = 10 * ENVELOPES_PER_STEP
    chain.send.send_nowait([envelope(number) for number in range(total)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.actor.run)
        while len(worked) < total:
            await trio.lowlevel.checkpoint()
            seen.append(len(worked))
        nursery.cancel_scope.cancel()
    assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) <= 2 * ENVELOPES_PER_STEP


async def test_a_full_chain_makes_the_actor_wait():
    chain = Chain(StageActor, keep, room=0)
    for number in range(3):
        chain.send.send_nowait([envelope(number)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.actor.run)
        await wait_all_tasks_blocked()
        chain.send.send_nowait([envelope(3)])
        statistics = chain.actor.statistics()
        assert (statistics.in_hand, statistics.queued_lists, statistics.max_queued_lists) == (3, 1, 1000)
        assert len(await chain.receive.receive()) == 3
        assert len(await chain.receive.receive()) == 1
        nursery.cancel_scope.cancel()


@both
@pytest.mark.parametrize("when", ["waiting for input", "working", "waiting for room"])
async def test_cancelled_at_an_await_and_started_again_it_loses_nothing(build, wrap, when):
    total = 3 * ENVELOPES_PER_STEP
    hold = {"on": when == "working"}
    begun = []

    def plain(one):
        begun.append(one)
        if hold["on"] and len(begun) == ENVELOPES_PER_STEP:
            hold["on"] = False
            nursery.cancel_scope.cancel()
        return keep(one)

    async def waiting(one):
        begun.append(one)
        if hold["on"] and number_of(one) % 2:
            await trio.sleep_forever()
        return keep(one)

    chain = Chain(build, waiting if wrap else plain, room=0, **({"calls": total} if wrap else {}))
    if when != "waiting for input":
        chain.send.send_nowait([envelope(number, number % 7) for number in range(total)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.actor.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert chain.out == []
    hold["on"] = False
    if when == "waiting for input":
        chain.send.send_nowait([envelope(number, number % 7) for number in range(total)])
    out = await chain.through()
    assert sorted(map(number_of, out)) == list(range(total))
    assert all(one.activity.steps == ("kept",) for one in out)
    for user in range(7):
        numbers = [number_of(one) for one in out if user_of(one) == user]
        assert numbers == sorted(numbers)


async def test_a_neighbour_that_is_gone_is_a_failure_and_loses_nothing():
    for build, step in ((StageActor, keep), (OverlappingStageActor, as_step(keep, True))):
        chain = Chain(build, step)
        chain.send.send_nowait([envelope(1)])
        chain.receive.close()
        with pytest.raises((trio.BrokenResourceError, ExceptionGroup)):
            await chain.actor.run()
        assert chain.actor.statistics().in_hand == 1


async def test_calls_overlap(autojump_clock):
    chain = Chain(OverlappingStageActor, keep_later, calls=50)
    await chain.through([envelope(number, number) for number in range(100)])
    assert len(chain.out) == 100
    assert trio.current_time() == pytest.approx(0.2)


async def test_no_more_calls_than_allowed(autojump_clock):
    now, most = [0], [0]

    async def step(one):
        now[0] += 1
        most[0] = max(most[0], now[0])
        await trio.sleep(0.1)
        now[0] -= 1
        return keep(one)

    await Chain(OverlappingStageActor, step, calls=7).through([envelope(number, number) for number in range(40)])
    assert most[0] == 7


async def test_a_slow_user_does_not_hold_up_the_others(autojump_clock):
    async def step(one):
        await trio.sleep(100 if user_of(one) == 1 else 0.1)
        return keep(one)

    chain = Chain(OverlappingStageActor, step)
    chain.send.send_nowait([envelope(0, 1), envelope(1, 2), envelope(2, 1, verdict=Drop("choice")), envelope(3, 2)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.actor.run)
        nursery.start_soon(chain.collect)
        await trio.sleep(1)
        assert [number_of(one) for one in chain.out] == [1, 3], "the dropped one waits behind its user's slow one"
        await trio.sleep(100)
        assert [number_of(one) for one in chain.out] == [1, 3, 0, 2]
        nursery.cancel_scope.cancel()


async def test_a_merge_passes_nothing_of_either_user_and_nothing_of_either_passes_it(autojump_clock):
    """It deletes the saved state of the one that is absorbed: an earlier envelope of that one would put it back."""

    async def step(one):
        await trio.sleep(50 if number_of(one) == 0 else 0.1)
        return keep(one)

    chain = Chain(OverlappingStageActor, step)
    merge = envelope(1, 1, absorbed=2, activity=None)
    met = envelope(3, 4)
    met.met = structs.replace(met.closed, user_point=(1).to_bytes(16), absorbed=(4).to_bytes(16))
    others = [envelope(2, 1), met, envelope(4, 4), envelope(5, 3)]
    chain.send.send_nowait([envelope(0, 2), merge, *others])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.actor.run)
        nursery.start_soon(chain.collect)
        await trio.sleep(10)
        assert [number_of(one) for one in chain.out] == [5]
        assert chain.actor.waiting == 5
        await trio.sleep(100)
        assert [number_of(one) for one in chain.out] == [5, 0, 1, 2, 3, 4]
        assert chain.actor.waiting == 0
        nursery.cancel_scope.cancel()


async def test_what_it_holds_is_bounded(autojump_clock):
    begun = []

    async def step(one):
        begun.append(one)
        await trio.sleep(100 if number_of(one) == 0 else 0.1)
        return keep(one)

    chain = Chain(OverlappingStageActor, step, calls=4, held=10)
    chain.send.send_nowait([envelope(number, 1) for number in range(50)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.actor.run)
        nursery.start_soon(chain.collect)
        await trio.sleep(50)
        assert len(begun) == 10
        await trio.sleep(200)
        nursery.cancel_scope.cancel()
    assert [number_of(one) for one in chain.out] == list(range(50))


@pytest.mark.slow
@given(
    lists=st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 3),
                st.sampled_from([0, 0, 1, 5, 30]),
                st.booleans(),
                st.sampled_from([None, None, None, 0, 1, 2]),
            ),
            max_size=8,
        )
    ),
    calls=st.integers(1, 5),
    held=st.integers(1, 12),
    room=st.integers(0, 3),
)
def test_results_leave_in_order_per_user_whatever_the_delays(lists, calls, held, room):
    """Of each envelope: its user, the seconds of its call, whether it has its verdict already, whom it absorbs."""
    numbered = [
        [(number + 100 * at, *fate) for number, fate in enumerate(fates)] for at, fates in enumerate(lists) if fates
    ]
    delays = {number: seconds for envelopes in numbered for number, _, seconds, _, _ in envelopes}

    async def step(one):
        await trio.sleep(delays[number_of(one)])
        if number_of(one) % 5 == 0:
            raise ValueError
        return keep(one)

    async def main():
        chain = Chain(OverlappingStageActor, step, queued=1000, room=room, calls=calls, held=held)
        out = await chain.through(
            *[
                [
                    envelope(number, user, absorbed, verdict=Drop("choice") if over else None)
                    for number, user, _, over, absorbed in envelopes
                ]
                for envelopes in numbered
            ]
        )
        assert len(out) == len(delays)
        for user in range(4):
            expected = [
                number for envelopes in numbered for number, whose, _, _, whom in envelopes if user in (whose, whom)
            ]
            about = [one for one in out if user.to_bytes(16) in (one.closed.user_point, one.closed.absorbed)]
            assert [number_of(one) for one in about] == expected
        assert chain.actor.statistics().in_hand == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))
