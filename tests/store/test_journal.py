"""Reading the journal and the saved states in order, page by page."""

import pytest

from engine.model.record import encode_record
from engine.store import journal
from engine.store.keys import journal_key, state_key
from engine.store.port import Db, Put, RemoveJournal
from tests.contract.builders import append, point, record


def test_an_empty_store_begins_at_nothing(store):
    assert journal.last_sequence(store) == journal.last_arrival_ms(store) == 0
    assert journal.read_records(store) == []
    assert list(journal.walk_records(store)) == []
    assert list(journal.walk_states(store)) == []
    assert journal.count_open_events(store) == {}


def test_pages_go_on_behind_a_sequence(store):
    store.commit([append(1, 2, 3, 5, 8)])
    assert [one.sequence for one in journal.read_records(store, after=2, limit=2)] == [3, 5]
    assert [one.sequence for one in journal.read_records(store, after=4)] == [5, 8]
    assert journal.read_records(store, after=8) == []


def test_pages_are_bounded_in_bytes(store):
    store.commit([append(*range(1, 9), body=b"x" * 1000)])
    assert len(journal.read_records(store, max_bytes=3500)) == 3


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_walking_reads_every_record_once(store, limit):
    store.commit([append(*range(1, 8))])
    assert [one.sequence for one in journal.walk_records(store, limit=limit)] == list(range(1, 8))


def test_walking_sees_what_arrives_meanwhile_and_misses_what_left(store):
    store.commit([append(1, 2, 3)])
    walk = journal.walk_records(store, limit=1)
    assert next(walk).sequence == 1
    store.commit([RemoveJournal((2,)), append(4)])
    assert [one.sequence for one in walk] == [3, 4]


def test_the_key_says_the_sequence(store):
    store.commit([Put(Db.JOURNAL, journal_key(7), encode_record(record(0, weight=2)))])
    (found,) = journal.read_records(store)
    assert found == record(7, weight=2)
    assert journal.read_record(store, 7) == found
    assert journal.read_record(store, 8) is None


def test_a_damaged_record_is_named(store):
    store.commit([Put(Db.JOURNAL, journal_key(7), b"\x01damaged")])
    with pytest.raises(ValueError, match="journal record 7"):
        journal.read_records(store)
    with pytest.raises(ValueError, match="journal record 7"):
        journal.read_record(store, 7)


def test_open_events_are_counted_by_datamart(store):
    store.commit([append(1, 2, weight=3), append(3, weight=0), append(4, weight=1, datamart=2)])
    assert journal.count_open_events(store) == {1: 6, 2: 1}


def test_states_come_with_whose_they_are(store):
    states = {(1, point(2)): b"b", (1, point(1)): b"a", (2, point(1)): b"c"}
    store.commit([Put(Db.STATES, state_key(*whose), state) for whose, state in states.items()])
    assert list(journal.walk_states(store)) == [(*whose, states[whose]) for whose in sorted(states)]
