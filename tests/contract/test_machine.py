"""Any history of batches leaves the same rows on disk and in memory, and what they count is what is there."""

import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.errors import StoreFull
from engine.store import journal
from engine.store.keys import (
    by_time_key,
    expiry_key,
    split_activity_key,
    split_expiry_key,
    split_user_point_key,
    user_point_key,
)
from engine.store.layout import META_SCHEMA, activity_expires_ms, decode_user_point
from engine.store.port import AddDeadLetter, Count, Db, Delete, PurgeExpired, Put, RemoveJournal
from engine.store.reads import counter_totals, walk_activities
from tests.contract.builders import DAY_MS, NOW_MS, activity, append, point, put_point, seen
from tests.contract.harness import LmdbHarness, MemoryHarness, dump, rows

POINTS = st.integers(1, 4).map(point)
DATAMARTS = st.integers(1, 2)
TIMES = st.integers(0, 3).map(lambda minutes: NOW_MS + minutes * 60_000)
EXPIRIES = st.none() | TIMES

ACTIVITIES = st.builds(
    activity,
    st.sampled_from([b"a", b"b"]),
    ts_ms=st.just(NOW_MS) | TIMES,
    key=st.integers(1, 2),
    user_point=POINTS,
    weight=st.integers(0, 3),
    expires_ms=EXPIRIES,
    counted_at_ms=TIMES,
)
OTHERS = st.one_of(
    st.builds(seen, st.sampled_from("xyz"), expires_ms=TIMES),
    st.builds(AddDeadLetter, DATAMARTS, TIMES, st.integers(0, 3), st.just(b"letter"), TIMES),
    st.builds(Count, DATAMARTS, st.just((("a", 1), ("b", 2))), TIMES),
    st.builds(Put, st.sampled_from([Db.STATES, Db.DEFINITIONS]), st.sampled_from([b"k", b"l"]), st.binary(max_size=3)),
    st.builds(Delete, st.sampled_from([Db.STATES, Db.DEFINITIONS, Db.SEEN]), st.sampled_from([b"k", b"l"])),
    st.builds(RemoveJournal, st.lists(st.integers(0, 60), max_size=4).map(tuple)),
    st.builds(PurgeExpired, TIMES | st.just(NOW_MS + 93 * DAY_MS), st.integers(0, 4)),
)


class StoreMachine(RuleBasedStateMachine):
    """The same batches to both stores."""

    def __init__(self):
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.harnesses = [LmdbHarness(self.directory.name), MemoryHarness(None)]
        self.stores = [
            harness.open(start_bytes=1 << 17) if index == 0 else harness.open()
            for index, harness in enumerate(self.harnesses)
        ]
        self.sequence = 0
        self.survivors = {}  # Of each user point that is known: who it is now.

    def commit(self, operations):
        on_disk, in_memory = (store.commit(operations) for store in self.stores)
        assert on_disk == in_memory

    @initialize()
    def some_persons(self):
        self.commit([put_point(point(one)) for one in (1, 2)])
        self.survivors = {point(one): point(one) for one in (1, 2)}

    @rule(operations=st.lists(ACTIVITIES, min_size=1, max_size=4))
    def store_activities(self, operations):
        self.commit(operations)

    @rule(operations=st.lists(OTHERS, max_size=4))
    def change(self, operations):
        self.commit(operations)

    @rule(count=st.integers(1, 4), weight=st.integers(0, 3), datamart=DATAMARTS, back=st.integers(0, 3))
    def take_and_settle(self, count, weight, datamart, back):
        first = self.sequence + 1
        self.sequence += count
        taken = append(*range(first, self.sequence + 1), weight=weight, datamart=datamart)
        self.commit([taken, RemoveJournal((first - back, self.sequence)) if back < first else RemoveJournal(())])

    @rule(one=POINTS, other=POINTS)
    def merge(self, one, other):
        one, other = (self.survivors.get(user_point, user_point) for user_point in (one, other))
        absorbed = tuple(user_point for user_point, now in self.survivors.items() if now == other) or (other,)
        if one == other:
            return
        kept = tuple(user_point for user_point, now in self.survivors.items() if now == one and user_point != one)
        self.survivors |= dict.fromkeys((one, *absorbed), one)
        self.commit([put_point(one, aliases=(*kept, *absorbed)), *(put_point(old, alias_of=one) for old in absorbed)])

    @rule(user_point=POINTS)
    def forget_a_person(self, user_point):
        if user_point not in self.survivors:
            self.commit([Delete(Db.USER_POINTS, user_point_key(1, user_point))])

    @rule(operations=st.lists(ACTIVITIES | OTHERS, max_size=4))
    def find_the_disk_full(self, operations):
        for harness, store in zip(self.harnesses, self.stores, strict=True):
            with harness.full_disk(store), pytest.raises(StoreFull):
                store.commit([*operations, Put(Db.META, b"full", b"")])

    @rule(operations=st.lists(ACTIVITIES | OTHERS, max_size=4))
    def send_a_bad_batch(self, operations):
        for store in self.stores:
            with pytest.raises(ValueError, match="sequence"):
                store.commit([append(self.sequence + 1), *operations, append(self.sequence + 1)])

    @rule()
    def open_again(self):
        self.stores = [harness.reopen(store) for harness, store in zip(self.harnesses, self.stores, strict=True)]

    @invariant()
    def both_hold_the_same(self):
        on_disk, in_memory = (dump(store) for store in self.stores)
        on_disk[Db.META] = [row for row in on_disk[Db.META] if row[0] != META_SCHEMA]  # A matter of the disk.
        assert on_disk == in_memory

    @invariant()
    def counters_say_what_is_there(self):
        store = self.stores[1]
        is_person = [
            split_user_point_key(key)[0]
            for key, row in rows(store, Db.USER_POINTS)
            if decode_user_point(row).alias_of is None
        ]
        open_events = journal.count_open_events(store)
        for datamart in (1, 2):
            totals = counter_totals(store, datamart)
            assert totals.get("user_points", 0) == is_person.count(datamart)
            assert totals.get("events_open", 0) == open_events.get(datamart, 0)
        assert journal.last_sequence(store) == self.sequence

    @invariant()
    def every_activity_is_found_by_time_and_by_expiry(self):
        store = self.stores[1]
        activities = rows(store, Db.ACTIVITIES)
        assert sorted(key for key, _ in rows(store, Db.BY_TIME)) == sorted(
            by_time_key(*split_activity_key(key)) for key, _ in activities
        )
        expiring = [
            expiry_key(expires_ms, Db.ACTIVITIES, key)
            for key, stored in activities
            if (expires_ms := activity_expires_ms(stored)) is not None
        ]
        found = [key for key, _ in rows(store, Db.EXPIRY) if split_expiry_key(key).db is Db.ACTIVITIES]
        assert sorted(found) == sorted(expiring)

    @invariant()
    def a_person_reads_the_same_by_each_of_their_user_points(self):
        for user_point, now in self.survivors.items():
            on_disk, in_memory, survivors = (
                list(walk_activities(store, 1, who, now_ms=NOW_MS, rows=2))
                for store, who in ((self.stores[0], user_point), (self.stores[1], user_point), (self.stores[1], now))
            )
            assert on_disk == in_memory == survivors
            places = [one.place for one in on_disk]
            assert places == sorted(set(places), reverse=True)

    def teardown(self):
        for harness in self.harnesses:
            harness.close()
        self.directory.cleanup()


StoreMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
TestStoreMachine = pytest.mark.slow(StoreMachine.TestCase)
