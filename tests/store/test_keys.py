"""The order of the bytes is the order of what they say, and nothing that does not fit becomes another key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.fact import FactKind
from engine.model.limits import MAX_DATAMART, MAX_TS_MS
from engine.store import keys
from engine.store.keys import MAX_COUNTER_NAME_BYTES, MAX_KEY_BYTES, MAX_NUMBER, Resolution, SeenKind
from engine.store.port import Db


def few_or(strategy, *few):
    """Mostly a few values, so that pairs often agree in a part."""
    return st.sampled_from(few) | strategy


DATAMARTS = few_or(st.integers(0, MAX_DATAMART), 0, 1, 255, 256, MAX_DATAMART)
IDS = few_or(st.binary(min_size=16, max_size=16), bytes(16), b"\xff" * 16, b"\0" * 15 + b"\1")
TIMES = few_or(st.integers(0, MAX_TS_MS), 0, 1, 255, 256, MAX_TS_MS)
NUMBERS = few_or(st.integers(0, MAX_NUMBER), 0, 1, 255, 256, MAX_NUMBER)
NAMES = few_or(st.text(min_size=1, max_size=30), "a", "a.b", "ab", "events_open")
BUCKETS = st.tuples(DATAMARTS, st.sampled_from(Resolution), TIMES, NAMES)
EXPIRING = [Db.ACTIVITIES, Db.SEEN, Db.DEAD_LETTERS, Db.COUNTERS]

CODECS = {
    "activity": (keys.activity_key, keys.split_activity_key, st.tuples(DATAMARTS, IDS, TIMES, IDS)),
    "journal": (keys.journal_key, lambda key: (keys.split_journal_key(key),), st.tuples(NUMBERS)),
    "user point": (keys.user_point_key, keys.split_user_point_key, st.tuples(DATAMARTS, IDS)),
    "identifier": (
        keys.identifier_key,
        keys.split_identifier_key,
        st.tuples(DATAMARTS, st.binary(min_size=17, max_size=17)),
    ),
    "dead letter": (keys.dead_letter_key, keys.split_dead_letter_key, st.tuples(DATAMARTS, TIMES, NUMBERS)),
    "counter": (keys.counter_key, keys.split_counter_key, BUCKETS),
    "expiry": (
        keys.expiry_key,
        keys.split_expiry_key,
        # In the order of their numbers on disk.
        st.tuples(TIMES, st.sampled_from(EXPIRING), st.binary(min_size=1, max_size=50)),
    ),
}


def sortable(parts):
    """Parts as they should sort: databases by their number, text by code points."""
    return tuple(EXPIRING.index(part) if isinstance(part, Db) else part for part in parts)


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_keys_sort_like_their_parts_and_come_back(name, data):
    encode, split, parts = CODECS[name]
    one, other = data.draw(parts), data.draw(parts)
    assert tuple(split(encode(*one))) == one
    assert (encode(*one) < encode(*other)) == (sortable(one) < sortable(other))
    assert (encode(*one) == encode(*other)) == (one == other)


@given(DATAMARTS, IDS, TIMES, IDS, DATAMARTS, IDS, TIMES, IDS)
def test_by_time_sorts_by_time_before_the_user_point(datamart, user, ts, unique, datamart2, user2, ts2, unique2):
    one, other = keys.by_time_key(datamart, user, ts, unique), keys.by_time_key(datamart2, user2, ts2, unique2)
    assert (one < other) == ((datamart, ts, user, unique) < (datamart2, ts2, user2, unique2))
    assert keys.split_by_time_key(one) == (datamart, user, ts, unique)


def test_an_activity_key_is_44_bytes_in_the_stated_order():
    key = keys.activity_key(0x01020304, b"u" * 16, 0x05060708090A0B0C, b"k" * 16)
    assert key == bytes.fromhex("01020304") + b"u" * 16 + bytes.fromhex("05060708090A0B0C") + b"k" * 16
    assert keys.user_point_key(0x01020304, b"u" * 16) == key[:20]
    assert keys.time_bound(0x05060708090A0B0C, b"k" * 16) == key[20:]


def test_facts_of_a_user_point_lie_together():
    prefix = keys.user_point_key(1, b"u" * 16)
    assert [keys.fact_key(1, b"u" * 16, kind) for kind in FactKind] == [prefix + bytes((kind,)) for kind in FactKind]


def test_a_state_has_the_key_of_its_user_point():
    assert keys.state_key(1, b"u" * 16) == keys.user_point_key(1, b"u" * 16)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keys.activity_key(-1, bytes(16), 0, bytes(16)),
        lambda: keys.activity_key(MAX_DATAMART + 1, bytes(16), 0, bytes(16)),
        lambda: keys.activity_key(1, bytes(15), 0, bytes(16)),
        lambda: keys.activity_key(1, bytes(17), 0, bytes(16)),
        lambda: keys.activity_key(1, bytes(16), -1, bytes(16)),
        lambda: keys.activity_key(1, bytes(16), 10**30, bytes(16)),
        lambda: keys.activity_key(1, bytes(16), MAX_TS_MS + 1, bytes(16)),
        lambda: keys.activity_key(1, bytes(16), 0, b""),
        lambda: keys.by_time_key(1, bytes(16), MAX_TS_MS + 1, bytes(16)),
        lambda: keys.journal_key(-1),
        lambda: keys.journal_key(MAX_NUMBER + 1),
        lambda: keys.user_point_key(1, b"too short"),
        lambda: keys.identifier_key(1, bytes(16)),
        lambda: keys.seen_key(MAX_DATAMART + 1, SeenKind.EVENT, "a"),
        lambda: keys.dead_letter_key(1, -1, 0),
        lambda: keys.dead_letter_key(1, 0, MAX_NUMBER + 1),
        lambda: keys.counter_key(1, Resolution.TOTAL, 0, ""),
        lambda: keys.counter_key(1, Resolution.TOTAL, 0, "é" * (MAX_COUNTER_NAME_BYTES // 2 + 1)),
        lambda: keys.expiry_key(-1, Db.SEEN, b"k"),
        lambda: keys.expiry_key(1, Db.SEEN, b""),
        lambda: keys.expiry_key(1, Db.SEEN, bytes(MAX_KEY_BYTES - 8)),
        lambda: keys.expiry_key(1, Db.META, b"k"),
        lambda: keys.expiry_bound(-1),
        lambda: keys.datamart_prefix(-1),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(ValueError):
        make()


def test_the_longest_keys_fit():
    counter = keys.counter_key(MAX_DATAMART, Resolution.DAY, MAX_TS_MS, "x" * MAX_COUNTER_NAME_BYTES)
    assert len(keys.expiry_key(MAX_TS_MS, Db.COUNTERS, counter)) <= MAX_KEY_BYTES
    assert len(keys.expiry_key(MAX_TS_MS, Db.SEEN, bytes(MAX_KEY_BYTES - 9))) == MAX_KEY_BYTES


def test_kinds_of_seen_ids_do_not_meet():
    event, request = (keys.seen_key(1, kind, "same text") for kind in SeenKind)
    assert event != request
    assert len(event) == 21
    assert keys.seen_key(1, SeenKind.EVENT, "\ud800"), "a lone surrogate is a text like another"


@pytest.mark.parametrize(
    ("at_ms", "minute_ms", "hour_ms", "day_ms"),
    [
        (0, 0, 0, 0),
        (59_999, 0, 0, 0),
        (60_000, 60_000, 0, 0),
        (3_600_000, 3_600_000, 3_600_000, 0),
        (86_399_999, 86_340_000, 82_800_000, 0),
        (86_400_001, 86_400_000, 86_400_000, 86_400_000),
    ],
)
def test_buckets_begin_on_the_minute_the_hour_and_the_day(at_ms, minute_ms, hour_ms, day_ms):
    assert [one.bucket_of(at_ms) for one in Resolution] == [0, minute_ms, hour_ms, day_ms]


@given(st.binary(max_size=4), st.binary(max_size=6))
def test_the_successor_is_the_end_of_a_prefix(prefix, key):
    end = keys.successor(prefix)
    if key.startswith(prefix):
        assert end is None or key < end
    elif key > prefix:
        assert end is not None
        assert key >= end
