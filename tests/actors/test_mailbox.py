"""Mailboxes: bounded both ways, in order, and nothing is lost in between."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from engine.actors.mailbox import Mailbox


async def test_takes_until_it_is_full_of_messages():
    mailbox = Mailbox[str](2, 1000)
    assert mailbox.offer("a", 1)
    assert mailbox.offer("b", 1)
    assert not mailbox.offer("c", 1)
    assert await mailbox.receive_all(10) == ["a", "b"]
    assert mailbox.offer("c", 1)


async def test_takes_until_it_is_full_of_bytes():
    mailbox = Mailbox[str](10, 1000)
    assert mailbox.offer("a", 600)
    assert not mailbox.offer("b", 401)
    assert mailbox.offer("c", 400)
    assert await mailbox.receive_all(10) == ["a", "c"]


async def test_empty_takes_any_single_message():
    mailbox = Mailbox[str](10, 1000)
    assert mailbox.has_room(1 << 30)
    assert not mailbox.has_room(1 << 30, messages=2)
    assert mailbox.offer("huge", 1 << 30)
    assert not mailbox.has_room(0)
    assert await mailbox.receive_all(10) == ["huge"]
    assert mailbox.is_empty()


async def test_put_is_never_refused_and_counts():
    mailbox = Mailbox[str](1, 10)
    assert mailbox.offer("a", 10)
    mailbox.put("merge", 5)
    assert not mailbox.offer("b", 0)
    assert mailbox.statistics().bytes == 15
    assert await mailbox.receive_all(10) == ["a", "merge"]
    assert mailbox.is_empty()


async def test_a_message_on_its_way_to_a_waiting_actor_still_counts():
    mailbox = Mailbox[int](2, 1000)
    taken = []

    async def actor():
        taken.append(await mailbox.receive_all(10))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor)
        await wait_all_tasks_blocked()
        assert mailbox.offer(1, 1)  # Trio hands it to the waiting task: it is in no buffer now.
        assert not mailbox.is_empty()
        assert mailbox.offer(2, 1)
        assert not mailbox.offer(3, 1)
    assert taken == [[1, 2]]
    assert mailbox.is_empty()


async def test_takes_no_more_than_asked_for():
    mailbox = Mailbox[int](10, 1000)
    for number in range(5):
        mailbox.offer(number, 10)
    assert await mailbox.receive_all(3) == [0, 1, 2]
    assert mailbox.statistics().messages == 2
    assert mailbox.statistics().bytes == 20
    assert await mailbox.receive_all(3) == [3, 4]


async def test_close_lets_the_actor_finish():
    mailbox = Mailbox[int](10, 1000)
    mailbox.offer(1, 1)
    mailbox.close()
    with pytest.raises(trio.ClosedResourceError):
        mailbox.offer(2, 1)
    assert await mailbox.receive_all(10) == [1]
    with pytest.raises(trio.EndOfChannel):
        await mailbox.receive_all(10)


async def test_close_wakes_a_waiting_actor():
    mailbox = Mailbox[int](10, 1000)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def actor():
            with pytest.raises(trio.EndOfChannel):
                await mailbox.receive_all(10)

        await wait_all_tasks_blocked()
        mailbox.close()


async def test_cancelling_the_actor_loses_nothing():
    mailbox = Mailbox[int](10, 1000)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.receive_all(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.receive_all, 10)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    mailbox.offer(1, 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.receive_all(10)
    assert await mailbox.receive_all(10) == [1]


async def test_a_message_handed_over_survives_a_cancel_that_comes_after_it():
    mailbox = Mailbox[int](10, 1000)
    taken = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def actor():
            taken.extend(await mailbox.receive_all(10))

        await wait_all_tasks_blocked()
        mailbox.offer(1, 1)
        nursery.cancel_scope.cancel()
    assert taken == [1]
    assert mailbox.is_empty()


async def test_receiving_is_always_a_checkpoint():
    mailbox = Mailbox[int](10, 1000)
    mailbox.offer(1, 1)
    with assert_checkpoints():
        await mailbox.receive_all(10)


async def test_statistics_remember_the_peak():
    mailbox = Mailbox[int](10, 1000)
    for number in range(4):
        mailbox.offer(number, 5)
    await mailbox.receive_all(10)
    statistics = mailbox.statistics()
    assert (statistics.messages, statistics.bytes, statistics.peak_messages) == (0, 0, 4)
    assert (statistics.max_messages, statistics.max_bytes) == (10, 1000)


@given(st.lists(st.one_of(st.integers(0, 400), st.integers(1, 6).map(lambda limit: -limit))))
async def test_what_is_offered_comes_out_once_and_in_order(moves):
    """A number is the size of an offer; a negative one takes so many messages at most."""
    mailbox = Mailbox[int](4, 1000)
    accepted, taken, waiting = [], [], []
    for serial, move in enumerate(moves):
        if move >= 0:
            fits = len(waiting) < 4 and (not waiting or sum(waiting) + move <= 1000)
            assert mailbox.has_room(move) == fits
            assert mailbox.offer(serial, move) == fits
            if fits:
                accepted.append(serial)
                waiting.append(move)
        elif waiting:
            got = await mailbox.receive_all(-move)
            assert len(got) == min(-move, len(waiting))
            taken.extend(got)
            del waiting[: len(got)]
        assert mailbox.statistics().bytes == sum(waiting)
        assert mailbox.statistics().messages == len(waiting)
        assert mailbox.is_empty() == (not waiting)
    assert taken == accepted[: len(taken)]
    assert len(accepted) - len(taken) == len(waiting)
