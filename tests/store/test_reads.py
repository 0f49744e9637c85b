"""What is asked of a store: timelines over aliases, identifiers, counters, dead letters, statistics."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.identifiers import account, agent
from engine.model.limits import MAX_TS_MS
from engine.session.closed import CloseReason
from engine.store import reads
from engine.store.keys import Resolution, identifier_key
from engine.store.layout import DeadLetter, IdentifierRow, Link, encode_dead_letter, encode_identifier
from engine.store.memory import MemoryStore
from engine.store.port import AddDeadLetter, Count, Db, Put
from tests.contract.builders import DAY_MS, NOW_MS, absorb, activity, append, point, put_point, unique

OF_1 = {"datamart": 1, "user_point": point(1), "now_ms": NOW_MS}


def values(found):
    return [one.value for one in found]


class TestActivities:
    def test_the_newest_come_first(self, store):
        store.commit([activity(b"%d" % one, ts_ms=NOW_MS + one) for one in (2, 1, 3)])
        found = reads.activities(store, **OF_1)
        assert values(found) == [b"3", b"2", b"1"]
        assert (found[0].ts_ms, found[0].unique_key) == (NOW_MS + 3, unique(1))

    def test_equal_times_come_in_the_order_of_their_keys(self, store):
        store.commit([activity(b"%d" % one, key=one) for one in (2, 3, 1)])
        assert values(reads.activities(store, **OF_1)) == [b"3", b"2", b"1"]

    def test_those_of_others_do_not_come(self, store):
        store.commit([activity(user_point=point(0)), activity(user_point=point(2)), activity(datamart=2)])
        assert reads.activities(store, **OF_1) == []

    def test_expired_ones_do_not_come(self, store):
        store.commit([activity(b"%d" % one, key=one, expires_ms=NOW_MS + one - 2) for one in (1, 2, 3)])
        store.commit([activity(b"kept", key=4)])
        assert values(reads.activities(store, **OF_1)) == [b"kept", b"3"], "gone at the very millisecond"
        assert values(reads.activities(store, **{**OF_1, "now_ms": NOW_MS + 1})) == [b"kept"]

    @pytest.mark.parametrize("limit", [0, 1, 2, 5, 100])
    def test_a_limit_is_kept(self, store, limit):
        store.commit([activity(b"%d" % one, ts_ms=NOW_MS + one) for one in range(4)])
        assert values(reads.activities(store, **OF_1, limit=limit)) == [b"3", b"2", b"1", b"0"][:limit]

    @pytest.mark.parametrize(
        ("before_ms", "expected"),
        [
            (None, [b"2", b"1"]),
            (MAX_TS_MS + 1, [b"2", b"1"]),
            (NOW_MS + 3, [b"2", b"1"]),
            (NOW_MS + 2, [b"1"]),
            (NOW_MS + 1, []),
            (0, []),
            (-5, []),
        ],
    )
    def test_before_a_time_is_earlier_than_it(self, store, before_ms, expected):
        store.commit([activity(b"%d" % one, ts_ms=NOW_MS + one, key=255) for one in (1, 2)])
        assert values(reads.activities(store, **OF_1, before_ms=before_ms)) == expected

    def test_a_place_and_a_time_together_take_the_earlier(self, store):
        store.commit([activity(b"%d" % one, ts_ms=NOW_MS + one) for one in range(5)])
        place = reads.activities(store, **OF_1)[1].place
        assert values(reads.activities(store, **OF_1, after=place, before_ms=NOW_MS + 4)) == [b"2", b"1", b"0"]
        assert values(reads.activities(store, **OF_1, after=place, before_ms=NOW_MS + 2)) == [b"1", b"0"]

    @pytest.mark.parametrize("place", [b"", b"short", bytes(25)])
    def test_what_is_no_place_is_refused(self, store, place):
        with pytest.raises(ValueError, match="place"):
            reads.activities(store, **OF_1, after=place)

    def test_going_on_behind_a_place_walks_everything_once(self, store):
        store.commit(absorb(point(1), point(2), point(3)))
        for one in range(30):
            store.commit([activity(b"%d" % one, ts_ms=NOW_MS + one // 2, key=one, user_point=point(one % 3 + 1))])
        found, after = [], None
        while page := reads.activities(store, **OF_1, limit=4, after=after):
            found += page
            after = page[-1].place
        assert values(found) == [b"%d" % one for one in reversed(range(30))]

    def test_a_walk_reads_no_more_than_it_is_asked_for(self, store):
        store.commit([activity(b"%d" % one, ts_ms=NOW_MS + one) for one in range(10)])
        walk = reads.walk_activities(store, **OF_1, rows=2)
        assert values(islice(walk, 3)) == [b"9", b"8", b"7"]
        store.commit([activity(b"new", ts_ms=NOW_MS + 5)])
        assert values(walk)[:2] == [b"6", b"new"], "pages are no snapshot"

    def test_large_ones_come_all(self, store):
        store.commit([activity(b"x" * 300_000, ts_ms=NOW_MS + one) for one in range(8)])
        assert len(reads.activities(store, **OF_1)) == 8


class TestPersons:
    def test_each_user_point_of_a_person_shows_everything_once(self, store):
        store.commit([activity(b"%d" % one, ts_ms=NOW_MS + one, user_point=point(one)) for one in (1, 2, 3)])
        store.commit(absorb(point(2), point(1), point(3)))
        for one in (1, 2, 3):
            found = reads.activities(store, 1, point(one), now_ms=NOW_MS)
            assert values(found) == [b"3", b"2", b"1"]
            assert reads.survivor(store, 1, point(one)) == point(2)
            assert reads.family(store, 1, point(one)) == (point(2), point(1), point(3))

    def test_one_identity_comes_once_the_survivors_copy(self, store):
        store.commit([activity(b"alias", user_point=point(1)), activity(b"survivor", user_point=point(2))])
        store.commit(absorb(point(2), point(1)))
        assert values(reads.activities(store, **OF_1)) == [b"survivor"]
        store.commit([activity(b"other", key=2, user_point=point(2))])
        assert values(reads.activities(store, **OF_1, limit=2)) == [b"other", b"survivor"]

    @given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 2)), max_size=20), st.integers(1, 4))
    def test_merging_timelines_is_sorting_them_together(self, stored, rows):
        store = MemoryStore()
        identities = {}
        for user_point, ts_ms, key in stored:
            name = b"%d.%d.%d" % (user_point, ts_ms, key)
            store.commit([activity(name, ts_ms=ts_ms, key=key, user_point=point(user_point))])
            # The copy under the survivor is shown, then that of the alias named first.
            identities[ts_ms, key] = min(identities.get((ts_ms, key), name), name)
        store.commit(absorb(point(1), point(2), point(3)))
        found = reads.walk_activities(store, 1, point(3), now_ms=NOW_MS, rows=rows)
        assert values(found) == [identities[one] for one in sorted(identities, reverse=True)]

    def test_an_unknown_user_point_is_itself(self, store):
        assert reads.survivor(store, 1, point(1)) == point(1)
        assert reads.family(store, 1, point(1)) == (point(1),)
        assert not reads.is_known(store, 1, point(1))
        assert reads.identifiers(store, 1, point(1)) == ()

    def test_an_identifier_leads_to_who_its_person_is_now(self, store):
        someone, nobody = account("shop", "1"), account("shop", "2")
        row = encode_identifier(IdentifierRow(point(1), 1, NOW_MS))
        store.commit([Put(Db.IDENTIFIERS, identifier_key(1, someone.key()), row), put_point(point(1))])
        assert reads.is_known(store, 1, point(1))
        assert reads.find_user_point(store, 1, someone) == point(1)
        assert reads.find_user_point(store, 2, someone) is None
        assert reads.find_user_point(store, 1, nobody) is None
        store.commit(absorb(point(2), point(1)))
        assert reads.find_user_point(store, 1, someone) == point(2)

    def test_identifiers_are_those_of_all_user_points_each_once(self, store):
        def link(identifier, linked_ms):
            return Link(identifier.kind, identifier.namespace, identifier.value, identifier.email, linked_ms)

        first, second, third = link(agent("a"), 1), link(account("shop", "1"), 2), link(agent("b"), 3)
        store.commit(
            [
                put_point(point(1), links=(first,), alias_of=point(2)),
                put_point(point(2), links=(third, second, first), aliases=(point(1), point(3))),
            ]
        )
        assert reads.identifiers(store, 1, point(1)) == (first, second, third)
        assert reads.identifiers(store, 1, point(2)) == (first, second, third)


class TestCounters:
    def test_a_series_has_every_bucket_from_the_first_on(self, store):
        start_ms = Resolution.MINUTE.bucket_of(NOW_MS)
        store.commit([Count(1, (("a", one),), start_ms + one * 60_000) for one in (0, 1, 3, 4)])
        found = reads.counter_series(
            store, 1, "a", Resolution.MINUTE, since_ms=start_ms + 119_999, until_ms=start_ms + 4 * 60_000
        )
        assert found == [(start_ms + one * 60_000, count) for one, count in ((1, 1), (2, 0), (3, 3))]

    def test_hours_and_days_add_up(self, store):
        store.commit([Count(1, (("a", 1),), NOW_MS + one * 60_000) for one in range(120)])
        day_ms = Resolution.DAY.bucket_of(NOW_MS)
        for resolution in (Resolution.HOUR, Resolution.DAY):
            found = reads.counter_series(store, 1, "a", resolution, since_ms=day_ms, until_ms=day_ms + 2 * DAY_MS)
            assert sum(count for _, count in found) == 120

    @pytest.mark.parametrize(
        ("resolution", "until_ms"), [(Resolution.TOTAL, NOW_MS + 1), (Resolution.MINUTE, NOW_MS + 10_001 * 60_000)]
    )
    def test_a_series_without_end_is_refused(self, store, resolution, until_ms):
        with pytest.raises(ValueError):
            reads.counter_series(store, 1, "a", resolution, since_ms=NOW_MS, until_ms=until_ms)

    def test_datamarts_are_those_that_counted(self, store):
        assert reads.datamarts(store) == []
        store.commit([Count(one, (("a", 1), ("b", 1)), NOW_MS) for one in (7, 2, 300, 2**32 - 1)])
        assert reads.datamarts(store) == [2, 7, 300, 2**32 - 1]

    def test_more_counters_than_a_page_come_all(self, store):
        amounts = tuple((f"reason.{one}", one + 1) for one in range(1500))
        store.commit([Count(1, amounts, NOW_MS)])
        assert reads.counter_totals(store, 1) == dict(amounts)


class TestStatistics:
    def test_everything_is_there_at_zero(self, store):
        found = reads.statistics(store)
        assert set(found) == {*reads.STATISTICS, "sessions_closed"}
        assert set(found.pop("sessions_closed").values()) == set(found.values()) == {0}

    def test_every_reason_of_closing_is_there(self, store):
        assert set(reads.statistics(store)["sessions_closed"]) == set(CloseReason) - {CloseReason.LIVE}

    def test_datamarts_are_added_up(self, store):
        for datamart in (1, 2):
            counts = (("events_received", 5), ("sessions_closed.gap", datamart))
            store.commit([Count(datamart, counts, NOW_MS), put_point(point(1), datamart=datamart)])
        store.commit([append(1, weight=2), activity(weight=3), activity(weight=3)])
        found = reads.statistics(store)
        assert found["sessions_closed"]["gap"] == 3
        assert {name: number for name, number in found.items() if number} == {
            "events_received": 10,
            "events_open": 2,
            "events_stored": 3,
            "events_duplicate": 3,
            "activities_stored": 1,
            "user_points": 2,
            "sessions_closed": found["sessions_closed"],
        }
        assert reads.statistics(store, 2)["events_received"] == 5
        assert reads.statistics(store, 2)["events_open"] == 0


class TestDeadLetters:
    def letter(self, number, datamart=1):
        row = DeadLetter(NOW_MS + number, f"reason {number}", "create", "", b"payload")
        return AddDeadLetter(datamart, row.at_ms, 1, encode_dead_letter(row), NOW_MS + DAY_MS)

    def test_the_newest_come_first_and_go_on_behind_a_place(self, store):
        store.commit([self.letter(one) for one in (3, 1, 4, 2)])
        store.commit([self.letter(5, datamart=2)])
        found, after = [], None
        while page := reads.dead_letters(store, 1, limit=3, after=after):
            found += page
            after = page[-1].place
        assert [one.letter.reason for one in found] == ["reason 4", "reason 3", "reason 2", "reason 1"]
        assert len(reads.dead_letters(store, 2)) == 1
        assert reads.dead_letters(store, 3) == []
