"""What each operation does."""

import pytest
from msgspec.structs import replace

from engine.model.record import decode_record
from engine.store import journal
from engine.store.keys import (
    DATED,
    MAX_NUMBER,
    Resolution,
    activity_key,
    by_time_key,
    counter_key,
    expiry_key,
    journal_key,
    split_dead_letter_key,
    state_key,
    user_point_key,
)
from engine.store.layout import activity_value, decode_number
from engine.store.port import (
    AddDeadLetter,
    AppendJournal,
    CommitReport,
    Count,
    Db,
    Delete,
    PurgeExpired,
    Put,
    RemoveJournal,
)
from engine.store.reads import counter_totals
from tests.contract.builders import DAY_MS, NOW_MS, absorb, activity, append, point, put_point, seen, unique
from tests.contract.harness import keys, rows


def total(store, name, datamart=1):
    return counter_totals(store, datamart).get(name, 0)


def counted(store, name, resolution, at_ms=NOW_MS, datamart=1):
    return decode_number(store.get(Db.COUNTERS, counter_key(datamart, resolution, resolution.bucket_of(at_ms), name)))


def stored_values(store):
    return [activity_value(stored) for _, stored in rows(store, Db.ACTIVITIES)]


def key_of(user_point, key=1, ts_ms=NOW_MS):
    return activity_key(1, user_point, ts_ms, unique(key))


class TestWeights:
    def test_those_told_count_as_those_read(self, store):
        store.commit([append(1, 2, weight=3)])
        assert total(store, "events_open") == 6
        store.commit([replace(append(3, 4, weight=3), weights=((1, 6),))])
        assert total(store, "events_open") == 12
        store.commit([RemoveJournal((1, 2, 3, 4))])
        assert total(store, "events_open") == 0

    def test_those_told_of_what_leaves_count_once_and_where_it_is_there(self, store):
        store.commit([append(1, 2, weight=3), append(3, weight=2)])
        store.commit([RemoveJournal((1, 3, 99), (3, 2, 7), 1)])
        assert total(store, "events_open") == 3
        store.commit([RemoveJournal((1, 3), (3, 2), 1), append(4), RemoveJournal((4, 2), (1, 3), 1)])
        assert total(store, "events_open") == 0
        assert keys(store, Db.JOURNAL) == []


class TestEffects:
    EFFECTS = (Put(Db.FACTS, b"a", b"1"), Put(Db.FACTS, b"b", b"2"), Delete(Db.FACTS, b"a"))

    def test_they_happen_with_their_activity_in_their_order(self, store):
        store.commit([activity(effects=self.EFFECTS)])
        assert rows(store, Db.FACTS) == [(b"b", b"2")]
        store.commit([activity(b"{1}", effects=(Put(Db.FACTS, b"b", b"3"),))])
        assert rows(store, Db.FACTS) == [(b"b", b"3")], "another one under its key has effects of its own"

    def test_an_equal_activity_has_none(self, store):
        store.commit([activity()])
        store.commit([activity(effects=self.EFFECTS)])
        assert rows(store, Db.FACTS) == []
        assert total(store, "events_duplicate") == 1

    def test_one_that_could_never_be_written_is_refused(self, store):
        with pytest.raises(ValueError, match="StoreActivity: key of 0 bytes"):
            store.check([activity(effects=(Put(Db.FACTS, b"", b""),))])


class TestPutAndDelete:
    def test_operations_apply_in_order(self, store):
        store.commit([Put(Db.META, b"k", b"1"), Delete(Db.META, b"k"), Put(Db.META, b"k", b"2")])
        assert store.get(Db.META, b"k") == b"2"
        store.commit([Put(Db.META, b"k", b"3"), Delete(Db.META, b"k")])
        assert store.get(Db.META, b"k") is None

    def test_many_reads_are_as_many_single_ones(self, store):
        store.commit([Put(Db.META, b"a", b"1"), Put(Db.META, b"b", b"2")])
        keys = [b"b", b"none", b"a", b"b", b"", b"x" * 600]
        assert store.get_many(Db.META, keys) == [b"2", None, b"1", b"2", None, None]
        assert store.get_many(Db.META, keys) == [store.get(Db.META, key) for key in keys]
        assert store.get_many(Db.META, []) == []

    def test_deleting_what_is_not_there_is_no_fault(self, store):
        assert store.commit([Delete(Db.STATES, state_key(1, point(1)))]) == CommitReport()

    def test_an_empty_batch_is_no_fault(self, store):
        assert store.commit([]) == CommitReport()


class TestJournal:
    def test_records_come_back_in_sequence(self, store):
        store.commit([append(1, 2), append(5)])
        store.commit([append(6)])
        assert [record.sequence for record in journal.read_records(store)] == [1, 2, 5, 6]
        assert decode_record(store.get(Db.JOURNAL, journal_key(5))).sequence == 5

    def test_the_last_sequence_and_arrival_outlive_their_records(self, harness, store):
        store.commit([append(7, arrival_ms=NOW_MS)])
        store.commit([append(9, arrival_ms=NOW_MS - 5)])
        store.commit([RemoveJournal((7, 9))])
        store = harness.reopen(store)
        assert journal.last_sequence(store) == 9
        assert journal.last_arrival_ms(store) == NOW_MS, "arrival never goes backwards"

    @pytest.mark.parametrize("again", [3, 2, 1, 0])
    def test_a_sequence_is_never_used_twice(self, store, again):
        store.commit([append(3)])
        store.commit([RemoveJournal((3,))])
        with pytest.raises(ValueError, match="sequence"):
            store.commit([append(again)])

    def test_sequences_rise_within_a_batch_too(self, store):
        with pytest.raises(ValueError, match="sequence"):
            store.commit([append(1), append(3), append(2)])
        assert keys(store, Db.JOURNAL) == []
        assert journal.last_sequence(store) == 0

    def test_open_events_follow_the_journal(self, store):
        store.commit([append(1, 2, weight=3), append(3, weight=5, datamart=2)])
        assert (total(store, "events_open"), total(store, "events_open", 2)) == (6, 5)
        store.commit([RemoveJournal((1, 3, 99))])
        assert (total(store, "events_open"), total(store, "events_open", 2)) == (3, 0)
        store.commit([RemoveJournal((1,))])
        assert total(store, "events_open") == 3, "a record leaves once"
        assert journal.count_open_events(store) == {1: 3}

    def test_open_events_have_no_history(self, store):
        store.commit([append(1)])
        assert [counted(store, "events_open", one) for one in Resolution] == [1, 0, 0, 0]

    def test_a_record_may_come_and_go_in_one_batch(self, store):
        store.commit([append(1, 2), RemoveJournal((2,)), append(3)])
        assert [record.sequence for record in journal.read_records(store)] == [1, 3]
        assert total(store, "events_open") == 2
        assert journal.last_sequence(store) == 3


class TestStoreActivity:
    def test_it_is_stored_under_its_identity_and_by_time(self, store):
        assert store.commit([activity(b'{"a":1}', weight=3)]) == CommitReport(stored=1)
        assert stored_values(store) == [b'{"a":1}']
        assert keys(store, Db.ACTIVITIES) == [key_of(point(1))]
        assert keys(store, Db.BY_TIME) == [by_time_key(1, point(1), NOW_MS, unique(1))]
        assert keys(store, Db.EXPIRY) == bucket_rows(store)
        assert (total(store, "events_stored"), total(store, "activities_stored")) == (3, 1)

    def test_the_same_identity_is_replaced(self, store):
        store.commit([activity(b"old", weight=2)])
        assert store.commit([activity(b"new", weight=3)]).stored == 1
        assert stored_values(store) == [b"new"]
        assert len(keys(store, Db.BY_TIME)) == 1
        assert (total(store, "events_stored"), total(store, "activities_stored")) == (5, 2)

    @pytest.mark.parametrize(
        "other",
        [{"ts_ms": NOW_MS + 1}, {"key": 2}, {"user_point": point(2)}, {"datamart": 2}],
        ids=lambda one: next(iter(one)),
    )
    def test_each_part_of_the_identity_counts(self, store, other):
        store.commit([activity(b"one"), activity(b"two", **other)])
        assert sorted(stored_values(store)) == [b"one", b"two"]
        assert len(keys(store, Db.BY_TIME)) == 2

    def test_an_equal_one_writes_nothing_and_is_a_duplicate(self, store):
        store.commit([activity(b"same", weight=2, expires_ms=NOW_MS + 5)])
        before = keys(store, Db.EXPIRY)
        assert store.commit([activity(b"same", weight=2, expires_ms=NOW_MS + 5)]) == CommitReport(duplicate=1)
        assert stored_values(store) == [b"same"]
        assert keys(store, Db.EXPIRY) == before
        assert (total(store, "events_stored"), total(store, "events_duplicate")) == (2, 2)
        assert total(store, "activities_stored") == 1

    def test_equal_within_one_batch_is_a_duplicate_too(self, store):
        assert store.commit([activity(b"same"), activity(b"same")]) == CommitReport(stored=1, duplicate=1)

    def test_replacing_moves_the_expiry(self, store):
        store.commit([activity(b"a", expires_ms=NOW_MS + 10)])
        store.commit([activity(b"b", expires_ms=NOW_MS + 20)])
        assert expiries(store) == [expiry_key(NOW_MS + 20, Db.ACTIVITIES, key_of(point(1)))]
        store.commit([activity(b"c")])
        assert expiries(store) == []
        store.commit([activity(b"c", expires_ms=NOW_MS + 30)])
        assert expiries(store) == [expiry_key(NOW_MS + 30, Db.ACTIVITIES, key_of(point(1)))]

    def test_for_an_alias_it_is_stored_under_the_survivor(self, store):
        store.commit(absorb(point(2), point(1)))
        store.commit([activity(b"a", user_point=point(1))])
        assert keys(store, Db.ACTIVITIES) == [key_of(point(2))]
        assert keys(store, Db.BY_TIME) == [by_time_key(1, point(2), NOW_MS, unique(1))]

    def test_the_merge_may_be_in_the_same_batch(self, store):
        store.commit([*absorb(point(2), point(1)), activity(b"a", user_point=point(1))])
        assert keys(store, Db.ACTIVITIES) == [key_of(point(2))]

    def test_an_equal_one_under_an_absorbed_user_point_is_a_duplicate(self, store):
        store.commit([activity(b"a", user_point=point(1))])
        store.commit(absorb(point(2), point(1)))
        assert store.commit([activity(b"a", user_point=point(2))]) == CommitReport(duplicate=1)
        assert store.commit([activity(b"a", user_point=point(1))]) == CommitReport(duplicate=1)
        assert keys(store, Db.ACTIVITIES) == [key_of(point(1))], "it stays where it is: reads merge"

    def test_what_reads_show_is_what_counts_as_equal(self, store):
        store.commit([activity(b"old", user_point=point(1)), activity(b"new", user_point=point(2))])
        store.commit(absorb(point(2), point(1)))
        assert store.commit([activity(b"old", user_point=point(2))]) == CommitReport(stored=1)
        assert stored_values(store) == [b"old"]
        assert keys(store, Db.ACTIVITIES) == [key_of(point(2))]

    def test_another_one_replaces_all_copies_under_absorbed_user_points(self, store):
        expires_ms = NOW_MS + 10
        store.commit([activity(b"a", user_point=point(one), expires_ms=expires_ms) for one in (1, 2, 3)])
        store.commit(absorb(point(3), point(1), point(2)))
        assert store.commit([activity(b"b", user_point=point(2), expires_ms=expires_ms + 1)]).stored == 1
        assert stored_values(store) == [b"b"]
        assert keys(store, Db.ACTIVITIES) == [key_of(point(3))]
        assert len(keys(store, Db.BY_TIME)) == 1
        assert expiries(store) == [expiry_key(expires_ms + 1, Db.ACTIVITIES, key_of(point(3)))]


class TestCounters:
    def test_totals_and_the_minute_hour_and_day(self, store):
        store.commit([Count(1, (("a", 2), ("b", 1)), NOW_MS), Count(1, (("a", 3),), NOW_MS + 60_000)])
        store.commit([Count(1, (("a", 10),), NOW_MS)])
        assert counter_totals(store, 1) == {"a": 15, "b": 1}
        assert [counted(store, "a", Resolution.MINUTE, NOW_MS + at) for at in (0, 60_000)] == [12, 3]
        assert counted(store, "a", Resolution.HOUR) == 15
        assert counted(store, "a", Resolution.DAY) == 15

    def test_datamarts_are_apart(self, store):
        store.commit([Count(1, (("a", 1),), NOW_MS), Count(2, (("a", 2),), NOW_MS)])
        assert (counter_totals(store, 1), counter_totals(store, 2)) == ({"a": 1}, {"a": 2})

    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize("amount", [MAX_NUMBER, MAX_NUMBER + 1, 10**30])
    def test_one_that_is_full_stays_so_and_fails_nothing(self, store, sign, amount):
        for _ in range(2):
            store.commit([Count(1, (("a", sign * amount), ("a", sign), ("b", 1)), NOW_MS)])
        assert (total(store, "a"), total(store, "b")) == (sign * MAX_NUMBER, 2)
        assert counted(store, "a", Resolution.DAY) == sign * MAX_NUMBER
        store.commit([Count(1, (("a", -sign * 2),), NOW_MS)])
        assert total(store, "a") == sign * (MAX_NUMBER - 2)

    def test_open_events_that_are_too_many_fail_nothing_either(self, store):
        store.commit([AppendJournal(append(1).records, NOW_MS, ((1, 2**64),))])
        assert total(store, "events_open") == MAX_NUMBER

    def test_counting_nothing_makes_no_row(self, store):
        store.commit([Count(1, (("a", 0), ("b", 1), ("b", -1)), NOW_MS), activity(weight=0)])
        assert counter_totals(store, 1) == {"activities_stored": 1}

    def test_user_points_counts_persons(self, store):
        store.commit([put_point(point(1)), put_point(point(2)), put_point(point(3), datamart=2)])
        store.commit([put_point(point(1), merges=(5,))])
        assert (total(store, "user_points"), total(store, "user_points", 2)) == (2, 1)
        store.commit(absorb(point(2), point(1)))
        assert total(store, "user_points") == 1
        store.commit([Delete(Db.USER_POINTS, user_point_key(1, point(1)))])
        assert total(store, "user_points") == 1, "an alias was no person of its own"
        store.commit([Delete(Db.USER_POINTS, user_point_key(1, point(2)))])
        assert total(store, "user_points") == 0
        store.commit([Delete(Db.USER_POINTS, user_point_key(1, point(2)))])
        assert total(store, "user_points") == 0


class TestDeadLetters:
    def letter(self, value=b"letter", at_ms=NOW_MS, weight=2, datamart=1):
        return AddDeadLetter(datamart, at_ms, weight, value, at_ms + 90 * DAY_MS)

    def test_two_of_one_moment_are_two(self, harness, store):
        store.commit([self.letter(b"a"), self.letter(b"b")])
        store = harness.reopen(store)
        store.commit([self.letter(b"c", at_ms=NOW_MS - 1), self.letter(b"d", datamart=2)])
        found = [(split_dead_letter_key(key), value) for key, value in rows(store, Db.DEAD_LETTERS)]
        assert found == [
            ((1, NOW_MS - 1, 3), b"c"),
            ((1, NOW_MS, 1), b"a"),
            ((1, NOW_MS, 2), b"b"),
            ((2, NOW_MS, 4), b"d"),
        ]
        assert (total(store, "events_dead"), total(store, "events_dead", 2)) == (6, 2)


class TestPurge:
    def test_only_what_is_past_goes(self, store):
        store.commit([activity(key=one, expires_ms=NOW_MS + one) for one in range(1, 6)])
        assert store.commit([PurgeExpired(NOW_MS + 3, 100)]) == CommitReport(purged=2)
        assert [key[-16:] for key in keys(store, Db.ACTIVITIES)] == [unique(one) for one in (3, 4, 5)]
        assert [key[-16:] for key in keys(store, Db.BY_TIME)] == [unique(one) for one in (3, 4, 5)]
        assert len(expiries(store)) == 3

    def test_slices_tell_when_nothing_more_is_due(self, store):
        store.commit([seen(str(one), expires_ms=NOW_MS + one) for one in range(7)])
        purged = [store.commit([PurgeExpired(NOW_MS + DAY_MS, 3)]).purged for _ in range(4)]
        assert purged == [3, 3, 1, 0]
        assert keys(store, Db.SEEN) == keys(store, Db.EXPIRY) == []

    def test_a_seen_id_that_was_seen_again_stays(self, store):
        store.commit([seen("id", expires_ms=NOW_MS)])
        store.commit([seen("id", expires_ms=NOW_MS + DAY_MS)])
        assert store.commit([PurgeExpired(NOW_MS + 1, 100)]).purged == 1
        assert len(keys(store, Db.SEEN)) == 1
        assert store.commit([PurgeExpired(NOW_MS + DAY_MS + 1, 100)]).purged == 1
        assert keys(store, Db.SEEN) == keys(store, Db.EXPIRY) == []

    def test_an_id_that_was_deleted_is_no_fault(self, store):
        operation = seen("id", expires_ms=NOW_MS)
        store.commit([operation, Delete(Db.SEEN, operation.key)])
        assert store.commit([PurgeExpired(NOW_MS + 1, 100)]).purged == 1
        assert keys(store, Db.EXPIRY) == []

    def test_dead_letters_go_and_their_count_stays(self, store):
        store.commit([AddDeadLetter(1, NOW_MS, 1, b"a", NOW_MS + 10), AddDeadLetter(1, NOW_MS, 1, b"b", NOW_MS + 20)])
        store.commit([PurgeExpired(NOW_MS + 15, 100)])
        assert [value for _, value in rows(store, Db.DEAD_LETTERS)] == [b"b"]
        assert total(store, "events_dead") == 2

    def test_minutes_hours_and_days_go_after_three_months_and_totals_stay(self, store):
        store.commit([Count(1, (("a", 1), ("b", 2)), NOW_MS), Count(2, (("a", 4),), NOW_MS)])
        store.commit([PurgeExpired(NOW_MS + 90 * DAY_MS, 100)])
        assert counted(store, "a", Resolution.MINUTE) == 1
        store.commit([PurgeExpired(NOW_MS + 92 * DAY_MS + 2 * 60_000, 100)])
        assert [counted(store, "a", one) for one in DATED] == [0, 1, 1], "the minute's three months are over first"
        assert store.commit([PurgeExpired(NOW_MS + 94 * DAY_MS, 100)]).purged == 4, "a bucket is one row of EXPIRY"
        assert keys(store, Db.EXPIRY) == []
        assert (counter_totals(store, 1), counter_totals(store, 2)) == ({"a": 1, "b": 2}, {"a": 4})
        assert len(keys(store, Db.COUNTERS)) == 3

    def test_purging_an_empty_store_is_no_fault(self, store):
        assert store.commit([PurgeExpired(NOW_MS, 100)]) == CommitReport()


def expiries(store):
    """Rows of EXPIRY that are not those of counters."""
    return [key for key in keys(store, Db.EXPIRY) if key not in bucket_rows(store)]


def bucket_rows(store):
    """Rows of EXPIRY of counters: a minute, an hour and a day expire after three months."""
    return [key for key in keys(store, Db.EXPIRY) if key[8] == expiry_key(0, Db.COUNTERS, b"k")[8]]
