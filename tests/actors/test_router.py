"""The router: no event falls between two actors, whatever comes when (decision 4; house: how an actor ends)."""

import contextvars
import math

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from engine.session.closed import Source
from tests.actors.routers import point, routed, site_at
from tests.session.build import GAP, MINUTE


async def test_a_first_event_spawns_an_actor_and_an_idle_one_ends():
    async with routed() as here:
        first = here.deliver()
        assert here.router.live_users == 1
        await wait_all_tasks_blocked()
        assert (here.open_in(), here.router.statistics().open_sessions) == ([(first.sequence,)], 1)
        here.pass_ms(GAP + 2000)
        await wait_all_tasks_blocked()
        here.take()
        assert here.left() == [(first.sequence,)]
        assert (here.router.live_users, here.router.statistics().open_sessions) == (0, 0)
        assert here.wheel.statistics().entries == 0


async def test_a_touch_alone_leaves_no_actor_behind():
    async with routed() as here:
        here.deliver(kind=3, event=b"[]")
        await wait_all_tasks_blocked()
        assert here.router.live_users == 0
        here.take()
        assert [envelope.closed.source for envelope in here.envelopes] == [Source.ITEM]


async def test_records_of_one_user_are_applied_in_the_order_of_delivery():
    async with routed() as here:
        delivered = [here.deliver(kind=3, event=b"[]").sequence for _ in range(500)]
        await wait_all_tasks_blocked()
        here.take()
        assert here.left() == [(sequence,) for sequence in delivered]


# The exit/arrival race. An idle actor is asked to look at its time (EXPIRE), hands over what closed, and ends; the
# next event comes in before, between and after.


async def test_an_event_before_the_idle_actor_takes_its_expiry():
    async with routed() as here:
        first = here.deliver()
        await wait_all_tasks_blocked()
        here.pass_ms(GAP + 2000)
        second = here.deliver()  # Behind EXPIRE in the same mailbox; the actor has not run.
        await wait_all_tasks_blocked()
        here.take()
        assert (here.left(), here.open_in()) == ([(first.sequence,)], [(second.sequence,)])
        assert here.router.statistics().spawned == 1


async def test_an_event_while_the_expired_session_is_being_handed_over():
    async with routed(queue=0) as here:
        first = here.deliver()
        await wait_all_tasks_blocked()
        here.pass_ms(GAP + 2000)
        await wait_all_tasks_blocked()
        assert here.router.unstored == 1, "the actor does not wait for the chain"
        second = here.deliver()  # Its visitor is empty already; the mailbox is not.
        here.take()
        await wait_all_tasks_blocked()
        assert (here.left(), here.open_in()) == ([(first.sequence,)], [(second.sequence,)])
        assert (here.router.live_users, here.router.statistics().spawned) == (1, 1)


async def test_an_event_right_after_the_idle_actor_has_ended():
    async with routed(queue=0) as here:
        first = here.deliver()
        await wait_all_tasks_blocked()
        here.pass_ms(GAP + 2000)
        await wait_all_tasks_blocked()
        here.take()
        while here.router.live_users:
            await trio.lowlevel.checkpoint()
        second = here.deliver()
        await wait_all_tasks_blocked()
        assert (here.left(), here.open_in()) == ([(first.sequence,)], [(second.sequence,)])
        assert here.router.statistics().spawned == 2


@pytest.mark.parametrize("passes", range(8))
async def test_an_event_at_each_step_of_the_actors_end(passes):
    async with routed() as here:
        first = here.deliver()
        await wait_all_tasks_blocked()
        here.pass_ms(GAP + 2000)
        for _ in range(passes):
            await trio.lowlevel.checkpoint()
        second = here.deliver()
        await wait_all_tasks_blocked()
        here.take()
        assert (here.left(), here.open_in()) == ([(first.sequence,)], [(second.sequence,)])


async def test_work_puts_the_timer_off_without_touching_it():
    async with routed() as here:
        here.deliver()
        await wait_all_tasks_blocked()
        here.pass_ms(GAP - MINUTE)
        here.deliver()
        await wait_all_tasks_blocked()
        here.pass_ms(2 * MINUTE)  # The old time: looked at, not idle, put off.
        await wait_all_tasks_blocked()
        assert here.open_in() == [(1, 2)]
        here.pass_ms(GAP)
        await wait_all_tasks_blocked()
        here.take()
        assert here.left() == [(1, 2)]


async def test_a_full_mailbox_is_not_idle_and_is_looked_at_a_second_later():
    async with routed(queue=0, messages=2) as here:
        here.deliver()
        await wait_all_tasks_blocked()
        here.pass_ms(GAP + 2000)
        await wait_all_tasks_blocked()  # Handing over, and the chain is full.
        here.deliver()
        here.deliver(ts=here.now_ms + 1)
        (entry,) = here.router._entries.values()
        here.router.expire(entry, here.now_ms + 2 * GAP)
        assert here.wheel.next_due_ms() <= here.now_ms + 2 * GAP + 1000
        here.take()
        await wait_all_tasks_blocked()
        assert here.open_in() == [(2, 3)]


async def test_room_is_bounded_in_messages_and_bytes_but_an_empty_mailbox_takes_any_request():
    async with routed(queue=0, messages=3, size_bytes=1000) as here:
        key = (1, point(1))
        assert here.router.has_room(key, 10**9, messages=100), "nobody is there: the request is legal"
        here.deliver(kind=3, event=b"[]")
        await wait_all_tasks_blocked()  # Waits for the chain with an empty mailbox.
        assert here.router.has_room(key, 10**9, messages=100)
        here.router.deliver(key, [here.record()], 600)
        assert here.router.has_room(key, 400, messages=2)
        assert not here.router.has_room(key, 401, messages=2)
        assert not here.router.has_room(key, 1, messages=3)


async def test_an_actor_keeps_nothing_of_the_request_that_spawned_it():
    secret = contextvars.ContextVar("secret", default=None)
    seen = []

    def channel_at(datamart, key, version):
        seen.append(secret.get())
        raise LookupError(key)

    async with routed(channel_at=channel_at) as here:
        secret.set("request")
        here.deliver()
        await wait_all_tasks_blocked()
    assert seen == [None]


# Merges (decision 3).


async def test_the_sessions_of_an_absorbed_user_move():
    async with routed() as here:
        here.deliver(1)
        here.deliver(2)
        await wait_all_tasks_blocked()
        here.merge(1, 2)
        await wait_all_tasks_blocked()
        assert (here.open_in(1), here.open_in(2)) == ([(1, 2)], [])
        assert (here.router.live_users, here.router.statistics().open_sessions) == (1, 1)
        assert here.wheel.statistics().entries == 1
        here.take()
        (merged,) = here.envelopes
        assert (merged.closed.source, merged.closed.sequences, merged.closed.absorbed) == (Source.STATE, (3,), point(2))


@pytest.mark.parametrize(("survivor", "absorbed"), [(1, 2), (2, 1)])
async def test_a_merge_where_one_of_them_has_no_actor(survivor, absorbed):
    async with routed() as here:
        here.deliver(1)
        await wait_all_tasks_blocked()
        here.merge(survivor, absorbed)
        await wait_all_tasks_blocked()
        assert (here.open_in(survivor), here.open_in(absorbed)) == ([(1,)], [])
        assert here.router.live_users == 1


async def test_a_merge_of_two_without_actors_only_leaves_a_state():
    async with routed() as here:
        here.merge(1, 2)
        await wait_all_tasks_blocked()
        here.take()
        assert here.left() == [(1,)]
        assert here.router.live_users == 0


async def test_what_the_absorbed_actor_is_handing_over_goes_before_what_the_merge_stores():
    async with routed(queue=0) as here:
        here.deliver(2)
        await wait_all_tasks_blocked()
        here.pass_ms(GAP + 2000)
        await wait_all_tasks_blocked()  # The absorbed one waits for the chain.
        here.deliver(2)
        here.deliver(1)
        here.merge(1, 2)
        here.close(1)
        await wait_all_tasks_blocked()
        assert here.envelopes == []
        await here.drain()
        assert here.left() == [(1,), (4,), (2, 3), (5,)]


async def test_a_chain_of_merges_ends_with_one_user_who_has_everything():
    async with routed(queue=0) as here:
        for user in (1, 2, 3, 4):
            here.deliver(user)
        here.merge(3, 4)
        here.merge(2, 3)
        here.deliver(2)
        here.merge(1, 2)
        here.deliver(1)
        await here.drain()
        assert here.left() == [(5,), (6,), (8,)]
        assert here.open_in(1) == [(1, 2, 3, 4, 7, 9)]
        assert here.router.live_users == 1


async def test_events_wait_behind_a_merge_whose_other_side_is_blocked():
    async with routed(queue=0) as here:
        here.deliver(2, kind=3, event=b"[]")
        await wait_all_tasks_blocked()
        here.merge(1, 2)
        here.deliver(1)
        await wait_all_tasks_blocked()
        assert here.open_in(1) == []
        here.take()
        await wait_all_tasks_blocked()
        here.take()
        await wait_all_tasks_blocked()
        assert (here.left(), here.open_in(1)) == ([(1,), (2,)], [(3,)])


# Failures (house: How it fails).


def failing_for(version):
    def channel_at(datamart, key, wanted):
        if wanted == version:
            raise LookupError(f"no version {wanted}")
        return site_at(datamart, key, wanted)

    return channel_at


async def test_a_record_that_raises_becomes_a_dead_letter_and_costs_nobody_a_session():
    async with routed(channel_at=failing_for(13)) as here:
        here.deliver(1)
        here.deliver(2)
        here.deliver(1, version=13)
        here.deliver(1)
        await wait_all_tasks_blocked()
        here.take()
        (dead,) = here.envelopes
        assert (dead.closed.sequences, dead.verdict.reason, dead.stage) == ((3,), "actor_failed", "session")
        assert "no version 13" in dead.verdict.detail
        assert (here.open_in(1), here.open_in(2)) == ([(1, 4)], [(2,)])
        assert here.router.statistics().failures == 1
        assert here.failures == [("user", "LookupError('no version 13')")]


async def test_five_failures_in_a_minute_set_a_user_aside_for_ten_and_nobody_else():
    async with routed(channel_at=failing_for(13)) as here:
        here.deliver(1)
        here.deliver(2)
        for _ in range(5):
            here.deliver(1, version=13)
        here.deliver(1)
        here.deliver(2)
        await wait_all_tasks_blocked()
        here.take()
        assert [envelope.verdict.reason for envelope in here.envelopes] == ["actor_failed"] * 5 + ["quarantined"]
        assert (here.open_in(1), here.open_in(2)) == ([(1,)], [(2, 9)])
        assert here.router.statistics().quarantined == 1

        here.pass_ms(10 * MINUTE)
        here.deliver(1)
        await wait_all_tasks_blocked()
        assert here.open_in(1) == [(1, 10)]
        assert here.router.statistics().quarantined == 0


async def test_a_session_of_a_user_set_aside_still_ends():
    async with routed(channel_at=failing_for(13), failures=1) as here:
        here.deliver(1)
        here.deliver(1, version=13)
        await wait_all_tasks_blocked()
        here.pass_ms(GAP + 2000)
        await wait_all_tasks_blocked()
        here.take()
        assert [envelope.closed.sequences for envelope in here.envelopes if envelope.verdict is None] == [(1,)]
        assert here.router.live_users == 0


async def test_closing_ends_all_actors_and_hands_over_what_they_had_closed():
    async with trio.open_nursery() as outer:
        async with routed() as here:
            for user in range(1200):
                here.deliver(user)
            here.close(5)
            here.merge(1, 2)
            await here.router.close()
            await wait_all_tasks_blocked()
            assert here.router._nursery.child_tasks == frozenset()
            here.take()
            assert set(here.left()) == {(6,), (1201,), (1202,)}
        outer.cancel_scope.cancel()


COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(1, 3), st.sampled_from([0, 0, -MINUTE, -2 * GAP, GAP + MINUTE])),
        st.tuples(st.just("event"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("item"), st.integers(1, 3)),
        st.tuples(st.just("poison"), st.integers(1, 3)),
        st.tuples(st.just("close"), st.integers(1, 3)),
        st.tuples(st.just("merge"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("pass"), st.sampled_from([1, 1000, MINUTE, GAP, GAP + 2000])),
        st.tuples(st.just("run"), st.integers(1, 6)),
        st.tuples(st.just("take"), st.integers(1, 3)),
    ),
    max_size=40,
)


@pytest.mark.slow
@given(commands=COMMANDS, queue=st.sampled_from([0, 1, math.inf]))
@settings(max_examples=200)
def test_every_record_is_handed_over_once_or_open_once(commands, queue):
    """Events, merges, timers, failures and a slow chain in any order; then all is closed, and nothing is missing."""

    async def main():
        async with routed(queue=queue, channel_at=failing_for(13), failures=10**6) as here:
            alias = {1: 1, 2: 2, 3: 3}
            for name, *values in commands:
                if name == "event":
                    here.deliver(alias[values[0]], ts=here.now_ms + values[1])
                elif name == "item":
                    here.deliver(alias[values[0]], kind=3, event=b"[]")
                elif name == "poison":
                    here.deliver(alias[values[0]], version=13)
                elif name == "close":
                    here.close(alias[values[0]])
                elif name == "merge":
                    survivor, absorbed = sorted(alias[one] for one in values)
                    if survivor != absorbed:
                        here.merge(survivor, absorbed)
                        alias = {user: survivor if now == absorbed else now for user, now in alias.items()}
                elif name == "pass":
                    here.pass_ms(values[0])
                elif name == "run":
                    for _ in range(values[0]):
                        await trio.lowlevel.checkpoint()
                else:
                    here.take(values[0])
            await here.drain()
            open_now = [sequence for user in set(alias.values()) for one in here.open_in(user) for sequence in one]
            gone = [sequence for sequences in here.left() for sequence in sequences]
            assert sorted(gone + open_now) == sorted(here.records)
            assert here.router.statistics().open_sessions == sum(len(here.open_in(user)) for user in {*alias.values()})
            assert here.router.live_users == sum(bool(here.open_in(user)) for user in {*alias.values()})

            for user in set(alias.values()):
                here.close(user)
            await here.drain()
            assert sorted(sequence for sequences in here.left() for sequence in sequences) == sorted(here.records)
            assert (here.router.live_users, here.router.unstored, here.wheel.statistics().entries) == (0, 0, 0)

    trio.run(main)
