"""The actor of one user: applies in order, hands over what closed, and ends in one step or not at all (decision 4)."""

import json

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.actors.mailbox import Mailbox
from engine.actors.store_actor import payload_of
from engine.actors.user_actor import DRAIN, Absorb, Entry, Expire, Handoff, Release, dead_envelope, run_user
from engine.model.record import RecordKind
from engine.session.closed import Source
from engine.session.visitor import Visitor
from tests.actors.routers import point, site_at
from tests.session.build import GAP, NOON, record_of


class Home:
    """What an actor needs of its router, as lists of what it was told."""

    def __init__(self, chain=1000):
        self.send, self.chain = trio.open_memory_channel(chain)
        self.handed = []
        self.errors = []
        self.counts = []
        self.scheduled = 0
        self.retired = []
        self.aside = False
        self.reinstated = []

    def failed(self, entry, error):
        self.errors.append(str(error))

    def quarantined(self, key):
        return self.aside

    def recount(self, entry, open_sessions):
        self.counts.append(open_sessions)

    def schedule(self, entry):
        self.scheduled += 1

    def retire(self, entry):
        self.retired.append((entry.visitor.is_empty, entry.mailbox.is_empty()))

    def reinstate(self, visitor):
        self.reinstated.append(visitor)

    async def hand_over(self, envelopes):
        self.handed.append([one.closed.sequences for one in envelopes])
        await self.send.send(envelopes)


def visitor_of(user=1, channels=None):
    return Visitor(1, point(user), channels or (lambda key, version: site_at(1, key, version)))


def entry_of(user=1, channels=None):
    return Entry((1, point(user)), visitor_of(user, channels), Mailbox(10_000, 1 << 30))


def event(sequence, ts_ms=0, **fields):
    return record_of(sequence, NOON + ts_ms, arrival_ms=NOON, user=point(1), **fields)


def touch(sequence):
    return event(sequence, kind=RecordKind.ITEM, event=b"[]")


@pytest.fixture
def home():
    return Home()


@pytest.fixture
def entry():
    return entry_of()


async def lived(entry, home):
    """Let the actor do what there is to do; it is still alive when something is open."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_user, entry, home)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_messages_are_applied_in_order_and_sent_on_as_one_list(home, entry):
    for sequence in range(1, 6):
        entry.mailbox.put([touch(sequence)], 1)
    await run_user(entry, home)
    assert home.handed == [[(1,), (2,), (3,), (4,), (5,)]]
    assert (home.retired, home.counts, home.scheduled) == ([(True, True)], [0], 0)


async def test_no_more_messages_are_taken_at_a_time_than_one_step_should_hold(home, entry):
    for sequence in range(1, 2 * DRAIN + 2):
        entry.mailbox.put([touch(sequence)], 1)
    await run_user(entry, home)
    assert [len(one) for one in home.handed] == [DRAIN, DRAIN, 1]


async def test_with_something_open_it_waits_and_has_itself_looked_at_again(home, entry):
    entry.mailbox.put([event(1)], 1)
    await lived(entry, home)
    assert (home.retired, home.counts, home.scheduled, home.handed) == ([], [1], 1, [])


async def test_it_does_not_end_while_something_waits(entry):
    home = Home(chain=0)
    entry.mailbox.put([touch(1)], 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_user, entry, home)
        await wait_all_tasks_blocked()
        entry.mailbox.put([event(2)], 1)  # It waits for the chain, with nothing open.
        home.chain.receive_nowait()
        await wait_all_tasks_blocked()
        assert home.retired == []
        assert entry.visitor.open_events == 1
        nursery.cancel_scope.cancel()


async def test_nobody_else_may_apply_while_it_has_work_in_hand(entry):
    home = Home(chain=0)
    async with trio.open_nursery() as nursery:
        assert not entry.is_idle, "it has not begun to wait"
        entry.mailbox.put([event(1)], 1)
        nursery.start_soon(run_user, entry, home)
        await wait_all_tasks_blocked()
        assert entry.is_idle
        entry.mailbox.put([touch(2)], 1)
        assert not entry.is_idle, "something waits"
        await wait_all_tasks_blocked()
        assert not entry.is_idle, "something is being handed over"
        home.chain.receive_nowait()
        await wait_all_tasks_blocked()
        assert entry.is_idle
        nursery.cancel_scope.cancel()


async def test_time_closes_what_is_due_and_ends_it(home, entry):
    entry.mailbox.put([event(1)], 1)
    entry.mailbox.put(Expire(NOON + GAP), 0)
    await lived(entry, home)
    assert home.handed == []
    entry.mailbox.put(Expire(NOON + GAP + 1), 0)
    await run_user(entry, home)
    assert home.handed == [[(1,)]]
    assert home.retired == [(True, True)]


async def test_released_it_hands_over_first_and_ends_without_retiring(entry):
    home = Home(chain=0)
    handoff = Handoff()
    entry.mailbox.put([event(1), touch(2)], 1)
    entry.mailbox.put(Release(handoff), 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_user, entry, home)
        await wait_all_tasks_blocked()
        assert not handoff.done.is_set()
        home.chain.receive_nowait()
        await handoff.done.wait()
    assert handoff.visitor is entry.visitor
    assert (home.retired, home.counts) == ([], [0])


async def test_absorbing_waits_for_the_other_side_and_keeps_what_it_brings(home, entry):
    handoff = Handoff()
    other = visitor_of(2)
    other.apply(record_of(1, NOON, user=point(2)))
    merge = event(3, kind=RecordKind.MERGE, channel="", root=b"{}", event=point(2), weight=0)
    entry.mailbox.put([event(2)], 1)
    entry.mailbox.put(Absorb(merge, handoff), 0)
    entry.mailbox.put([touch(4)], 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_user, entry, home)
        await wait_all_tasks_blocked()
        assert home.handed == []
        handoff.visitor = other
        handoff.done.set()
        await wait_all_tasks_blocked()
        assert home.handed == [[(3,), (4,)]]
        assert entry.visitor.open_events == 2
        nursery.cancel_scope.cancel()


async def test_a_merge_that_raises_is_a_dead_letter_and_the_other_side_goes_on(home, entry):
    class Unready(Visitor):
        def expire(self, now_ms):
            raise ValueError("not now")

    other = Unready(1, point(2), lambda key, version: site_at(1, key, version))
    other.apply(record_of(1, NOON, user=point(2)))
    handoff = Handoff(other)
    handoff.done.set()
    merge = event(2, kind=RecordKind.MERGE, channel="", root=b"{}", event=point(2), weight=0)
    entry.mailbox.put(Absorb(merge, handoff), 0)
    await run_user(entry, home)
    assert (home.handed, home.errors, home.reinstated) == ([[(2,)]], ["not now"], [other])


async def test_one_bad_record_of_a_message_costs_no_other(home):
    def channels(key, version):
        if version == 13:
            raise LookupError("no version 13")
        return site_at(1, key, version)

    entry = entry_of(channels=channels)
    entry.mailbox.put([event(1), event(2, version=13), event(3)], 1)
    await lived(entry, home)
    assert (home.handed, home.counts) == ([[(2,)]], [1])
    assert entry.visitor.open_events == 2


async def test_set_aside_its_records_are_dead_letters_but_time_goes_on(home, entry):
    entry.mailbox.put([event(1)], 1)
    await lived(entry, home)
    home.aside = True
    entry.mailbox.put([event(2), touch(3)], 1)
    entry.mailbox.put(Expire(NOON + GAP + 1), 0)
    await run_user(entry, home)
    (envelopes,) = [home.chain.receive_nowait()]
    assert [(one.closed.sequences, one.verdict and one.verdict.reason) for one in envelopes] == [
        ((2,), "quarantined"),
        ((3,), "quarantined"),
        ((1,), None),
    ]


async def test_at_a_stop_it_does_what_waits_and_leaves_open_what_is_open(home, entry):
    entry.mailbox.put([touch(1), event(2)], 1)
    entry.mailbox.close()
    await run_user(entry, home)
    assert (home.handed, home.retired, entry.visitor.open_events) == ([[(1,)]], [], 1)


def test_a_dead_record_says_all_that_was_known_of_it():
    record = event(7, weight=3, root=b'{"a":1}', event=b'{"b":2}')
    envelope = dead_envelope(record, "orphan_record", "why")
    closed = envelope.closed
    assert (closed.source, closed.sequences, closed.weight, closed.saves_state) == (Source.ITEM, (7,), 3, False)
    assert (envelope.verdict.reason, envelope.verdict.detail, envelope.stage) == ("orphan_record", "why", "session")
    assert json.loads(payload_of(envelope)) == {"a": 1, "$events": [{"b": 2}]}
