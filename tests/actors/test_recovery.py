"""Recovery: after a start the actors hold what they held before it, and no record is routed twice or not at all.

The journal here is a list, and the gate stands for `accept`: it journals what comes in while recovery reads.
"""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from engine.actors.recovery import Recovery
from engine.model.fold_state import FoldState, SavedRun, encode_fold_state
from engine.model.record import RecordKind
from engine.session.closed import Source
from tests.actors.routers import point, routed, site_at
from tests.session.build import GAP, MINUTE, NOON, record_of


class Book:
    """Journal and gate in one: what is committed, what is accepted and not yet committed, what is kept at hand."""

    def __init__(self, router, records=(), states=None, *, page=3):
        self._router = router
        self._page = page
        self.committed = list(records)
        self.arriving = []  # Accepted while recovery reads: one with each page.
        self.late = []  # Accepted behind the mark.
        self.saved = states or {}
        self.kept = None
        self.found_records = []
        self.reads = 0

    def states(self):
        return list(self.saved.items())

    def records(self, after, limit):
        self.reads += 1
        found = [record for record in self.committed if record.sequence > after][: self._page]
        if self.arriving:
            self.committed.append(self.arriving.pop(0))
        return found

    def hold_back(self):
        # The rest of what arrived is accepted by now, and not committed before `flushed`.
        self.kept = []
        return max((record.sequence for record in (*self.committed, *self.arriving)), default=0)

    async def flushed(self):
        await trio.lowlevel.checkpoint()
        self.committed += self.arriving
        self.arriving = []
        # Accepted now: journaled and kept.
        self.committed += self.late
        self.kept += self.late

    def found(self, records):
        self.found_records += records

    def open(self):
        for record in self.kept:
            route(self._router, record)
        self.kept = None


def route(router, record):
    if record.kind == RecordKind.MERGE:
        router.merge(record)
    else:
        router.deliver((1, record.user_point), [record], 100)


def event(sequence, user=1, ts_ms=0, **fields):
    return record_of(sequence, NOON + ts_ms, arrival_ms=NOON, user=point(user), **fields)


def merge_record(sequence, survivor, absorbed):
    return event(sequence, survivor, kind=RecordKind.MERGE, channel="", root=b"{}", event=point(absorbed), weight=0)


def state(last, *members):
    return encode_fold_state(FoldState(last, (SavedRun("session", "site:1", members),), ()))


async def recovered(here, book):
    recovery = Recovery(book, here.router, book)
    await recovery.run()
    await here.drain()
    assert recovery.done.is_set()
    assert recovery.statistics.finished
    return recovery.statistics


def verdicts(here):
    return [(one.closed.sequences, one.verdict.reason) for one in here.envelopes if one.verdict is not None]


async def test_an_empty_journal_is_recovered_at_once():
    async with routed() as here:
        found = await recovered(here, Book(here.router))
        assert (found.records, found.states, found.orphans, found.damaged) == (0, 0, 0, 0)


async def test_records_are_routed_in_order_over_all_pages():
    async with routed() as here:
        book = Book(here.router, [event(number, number % 2, number) for number in range(1, 20)])
        found = await recovered(here, book)
        assert here.open_in(0) == [tuple(range(2, 20, 2))]
        assert here.open_in(1) == [tuple(range(1, 20, 2))]
        assert (found.records, len(book.found_records)) == (19, 19)


async def test_a_saved_state_takes_its_members_back_and_goes_on():
    async with routed() as here:
        # Of records 1 to 5 the first left; 2 and 5 were open; 6 and 7 came behind the state.
        records = [event(2), event(3, user=9), event(5), event(6), event(7, user=9)]
        await recovered(here, Book(here.router, records, {(1, point(1)): state(5, 2, 5)}))
        assert (here.open_in(1), here.open_in(9)) == ([(2, 5, 6)], [(3, 7)])
        assert here.left() == []


async def test_members_keep_the_order_of_the_state_whatever_page_they_are_on():
    async with routed() as here:
        records = [event(number, ts_ms=-number) for number in range(1, 12)]
        book = Book(here.router, records, {(1, point(1)): state(11, *range(11, 0, -1))}, page=1)
        await recovered(here, book)
        assert here.open_in(1) == [tuple(range(11, 0, -1))]


async def test_a_record_that_its_users_state_does_not_know_is_a_dead_letter():
    async with routed() as here:
        records = [event(2), event(3), event(4)]
        found = await recovered(here, Book(here.router, records, {(1, point(1)): state(4, 2, 4)}))
        assert verdicts(here) == [((3,), "orphan_record")]
        assert (here.open_in(1), found.orphans) == ([(2, 4)], 1)


async def test_a_state_with_a_member_gone_leaves_the_others_as_dead_letters_and_the_user_goes_on():
    async with routed() as here:
        records = [event(2), event(4), event(6), event(7, user=2)]
        found = await recovered(here, Book(here.router, records, {(1, point(1)): state(5, 2, 3, 4)}))
        assert sorted(verdicts(here)) == [((2,), "damaged_state"), ((4,), "damaged_state")]
        assert (here.open_in(1), here.open_in(2)) == ([(6,)], [(7,)])
        assert (found.orphans, found.damaged) == (2, 1)


async def test_a_damaged_state_without_later_records_is_not_passed_over_in_silence():
    async with routed() as here:
        found = await recovered(here, Book(here.router, [event(2)], {(1, point(1)): state(5, 2, 3)}))
        assert verdicts(here) == [((2,), "damaged_state")]
        assert found.damaged == 1


async def test_the_records_of_a_state_that_nobody_can_read_are_folded_again():
    async with routed() as here:
        records = [event(2), event(5), event(6)]
        found = await recovered(here, Book(here.router, records, {(1, point(1)): b"\x01 damaged"}))
        assert here.open_in(1) == [(2, 5, 6)]
        assert (found.damaged, found.orphans, verdicts(here)) == (1, 0, [])


async def test_a_state_of_settings_that_are_gone_stops_nobody_else():
    def channel_at(datamart, key, version):
        if version == 13:
            raise LookupError(f"no version {version}")
        return site_at(datamart, key, version)

    async with routed(channel_at=channel_at) as here:
        records = [event(2, version=13), event(3, user=2)]
        await recovered(here, Book(here.router, records, {(1, point(1)): state(2, 2)}))
        assert verdicts(here) == [((2,), "damaged_state")]
        assert here.open_in(2) == [(3,)]


async def test_members_that_a_merge_had_moved_come_back_to_the_survivor():
    async with routed() as here:
        # Records 2 and 4 name the absorbed user; the merge, 5, has left the journal with the state it saved.
        records = [event(1), event(2, user=2), event(4, user=2), event(6)]
        await recovered(here, Book(here.router, records, {(1, point(1)): state(5, 1, 2, 4)}))
        assert (here.open_in(1), here.open_in(2)) == ([(1, 2, 4, 6)], [])


@pytest.mark.parametrize("page", [1, 2, 100])
@pytest.mark.parametrize("states", [(), (1,), (2,), (1, 2)])
async def test_a_merge_in_the_journal_finds_both_sides_as_they_were(page, states):
    async with routed() as here:
        records = [event(1), event(2, user=2), event(3), event(4, user=2), merge_record(5, 1, 2), event(6)]
        saved = {1: state(3, 1, 3), 2: state(4, 2, 4)}
        book = Book(here.router, records, {(1, point(user)): saved[user] for user in states}, page=page)
        await recovered(here, book)
        assert (here.open_in(1), here.open_in(2)) == ([(1, 2, 3, 4, 6)], [])
        assert here.left() == [(5,)]


async def test_what_was_pending_leaves_first():
    """Two parts closed in one step, and only the first was stored before the crash."""
    async with routed() as here:
        here.deliver(1)
        here.deliver(1, ts=here.now_ms + 1)
        here.deliver(1, ts=here.now_ms + 3 * GAP)
        here.deliver(1, channel="site:2")
        here.close(1)
        await here.drain()
        parts = {one.closed.sequences: one.closed.state for one in here.envelopes}
        records = dict(here.records)
    saved = parts[1, 2]
    async with routed() as here:
        book = Book(here.router, [records[3], records[4], records[5]], {(1, point(1)): saved})
        await recovered(here, book)
        assert sorted(here.left()) == [(3,), (4,), (5,)]
        assert here.router.live_users == 0


async def test_a_full_mailbox_is_waited_for():
    async with routed(queue=0, messages=1, size_bytes=1) as here:
        items = [event(number, kind=3, event=b"[]") for number in range(1, 30)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Recovery(book := Book(here.router, items), here.router, book).run)
            while len(here.left()) < 29:
                here.take()
                await trio.lowlevel.checkpoint()
        assert here.left() == [(number,) for number in range(1, 30)]


@st.composite
def stories(draw):
    """Records of three users with merges, as one run of `accept` numbers them."""
    alias = {1: 1, 2: 2, 3: 3}
    records = []
    for sequence in range(1, draw(st.integers(1, 20)) + 1):
        kind = draw(st.sampled_from(["event"] * 5 + ["item", "close", "merge"]))
        user = alias[draw(st.integers(1, 3))]
        other = alias[draw(st.integers(1, 3))]
        if kind == "merge" and user != other:
            survivor, absorbed = sorted((user, other))
            records.append(merge_record(sequence, survivor, absorbed))
            alias = {one: survivor if now == absorbed else now for one, now in alias.items()}
        elif kind == "item":
            records.append(event(sequence, user, kind=RecordKind.ITEM, event=b"[]"))
        elif kind == "close":
            records.append(event(sequence, user, kind=RecordKind.CLOSE, channel="", root=b"{}", event=b"", weight=0))
        else:
            records.append(event(sequence, user, draw(st.sampled_from([0, 0, MINUTE, -MINUTE, 3 * GAP]))))
    return records


@pytest.mark.slow
@settings(max_examples=150)
@given(stories(), st.integers(0, 20), st.integers(0, 20), st.integers(1, 4))
def test_what_arrives_while_recovery_reads_comes_in_its_place(records, before, behind, page):
    """However the records fall on journal, pages and mark: the same leaves, and the same is open, as without a stop."""

    async def main():
        async with routed() as straight, routed() as here:
            for record in records:
                route(straight.router, record)
            await straight.drain()
            last = min(len(records), max(before, len(records) - behind))
            book = Book(here.router, records[:before], page=page)
            book.arriving, book.late = records[before:last], records[last:]
            await recovered(here, book)
            for user in (1, 2, 3):
                assert here.open_in(user) == straight.open_in(user)
                assert left_of(here, user) == left_of(straight, user)
            assert [one.sequence for one in book.found_records] == list(range(1, last + 1))

    trio.run(main)


def left_of(here, user):
    return [
        (one.closed.source, one.closed.sequences)
        for one in here.envelopes
        if one.closed.user_point == point(user) and one.closed.source is not Source.STATE
    ]


async def test_nothing_is_routed_before_recovery_has_caught_up():
    async with routed() as here:
        book = Book(here.router, [event(1)])
        book.late = [event(2), event(3, user=2)]
        assert here.router.live_users == 0
        await recovered(here, book)
        await wait_all_tasks_blocked()
        assert (here.open_in(1), here.open_in(2)) == ([(1, 2)], [(3,)])
