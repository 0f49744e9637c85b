"""Reading pages: prefixes, places to go on behind, bounds of count and bytes, both directions."""

import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Closing
from engine.store.keys import MAX_KEY_BYTES
from engine.store.port import Db, Delete, Put
from tests.contract.harness import HARNESSES, rows

# Short keys of few bytes, the extremes among them: every prefix has neighbours on both sides.
KEYS = st.binary(min_size=1, max_size=3).map(lambda key: bytes((0, 1, 254, 255)[byte % 4] for byte in key))
PLACES = st.one_of(st.none(), st.just(b""), KEYS)


def page_keys(store, **wanted):
    return [key for key, _ in store.page(Db.DEFINITIONS, **wanted)]


def expected(keys, *, prefix, after, limit, reverse):
    """The same in plain Python."""
    matching = sorted((key for key in keys if key.startswith(prefix)), reverse=reverse)
    behind = [key for key in matching if after is None or (key < after if reverse else key > after)]
    return behind[:limit]


@pytest.mark.slow
@pytest.mark.parametrize("harness_class", HARNESSES)
@settings(max_examples=25)
@given(
    keys=st.sets(KEYS, max_size=12),
    asked=st.lists(st.tuples(st.just(b"") | KEYS, PLACES, st.integers(0, 5), st.booleans()), min_size=1, max_size=20),
)
def test_pages_are_what_sorting_would_give(harness_class, keys, asked):
    with tempfile.TemporaryDirectory() as directory:
        harness = harness_class(directory)
        try:
            store = harness.open()
            store.commit([Put(Db.DEFINITIONS, key, b"v" + key) for key in keys])
            for prefix, after, limit, reverse in asked:
                wanted = {"prefix": prefix, "after": after, "limit": limit, "reverse": reverse}
                found = store.page(Db.DEFINITIONS, **wanted)
                assert found == [(key, b"v" + key) for key in expected(keys, **wanted)], wanted
        finally:
            harness.close()


@pytest.mark.parametrize("reverse", [False, True])
def test_going_on_behind_the_last_key_walks_everything_once(store, reverse):
    keys = [bytes((high, low)) for high in range(8) for low in range(8)]
    store.commit([Put(Db.DEFINITIONS, key, b"") for key in keys])
    found = []
    after = None
    while page := page_keys(store, after=after, limit=5, reverse=reverse):
        assert len(page) <= 5
        found += page
        after = page[-1]
    assert found == sorted(keys, reverse=reverse)
    assert page_keys(store, after=found[-1], reverse=reverse) == [], "behind the last there is nothing"


def test_a_place_need_not_be_a_key(store):
    store.commit([Put(Db.DEFINITIONS, bytes((one,)), b"") for one in (2, 4, 6)])
    assert page_keys(store, after=b"\x03") == [b"\x04", b"\x06"]
    assert page_keys(store, after=b"\x05", reverse=True) == [b"\x04", b"\x02"]
    assert page_keys(store, after=b"\x07") == []
    assert page_keys(store, after=b"\x01", reverse=True) == []


def test_a_place_outside_the_prefix_shows_nothing_of_others(store):
    store.commit([Put(Db.DEFINITIONS, key, b"") for key in (b"a1", b"b1", b"b2", b"c1")])
    assert page_keys(store, prefix=b"b", after=b"a") == [b"b1", b"b2"]
    assert page_keys(store, prefix=b"b", after=b"c") == []
    assert page_keys(store, prefix=b"b", after=b"c", reverse=True) == [b"b2", b"b1"]
    assert page_keys(store, prefix=b"b", after=b"a", reverse=True) == []


def test_a_prefix_of_the_highest_bytes_has_an_end_too(store):
    store.commit([Put(Db.DEFINITIONS, key, b"") for key in (b"\xfe", b"\xff", b"\xff\xff", b"\xff\xff\x01")])
    assert page_keys(store, prefix=b"\xff\xff") == [b"\xff\xff", b"\xff\xff\x01"]
    assert page_keys(store, prefix=b"\xff\xff", reverse=True) == [b"\xff\xff\x01", b"\xff\xff"]


def test_a_page_is_bounded_in_bytes_but_never_empty_for_it(store):
    store.commit([Put(Db.DEFINITIONS, bytes((one,)), bytes(99)) for one in range(5)])
    assert len(store.page(Db.DEFINITIONS, max_bytes=300)) == 3
    assert len(store.page(Db.DEFINITIONS, max_bytes=299)) == 2
    assert len(store.page(Db.DEFINITIONS, max_bytes=1)) == 1, "one row goes through whatever its size"
    assert len(store.page(Db.DEFINITIONS, max_bytes=1, reverse=True)) == 1


@pytest.mark.parametrize("limit", [0, -1])
def test_no_rows_are_asked_for_and_none_come(store, limit):
    store.commit([Put(Db.DEFINITIONS, b"k", b"")])
    assert store.page(Db.DEFINITIONS, limit=limit) == []


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("wanted", [{"prefix": bytes(MAX_KEY_BYTES + 1)}, {"after": bytes(MAX_KEY_BYTES + 1)}])
def test_a_place_longer_than_any_key_is_refused(store, wanted, reverse):
    with pytest.raises(ValueError, match="place"):
        store.page(Db.DEFINITIONS, **wanted, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_longest_key_can_be_gone_on_behind(store, reverse):
    long = b"m" * MAX_KEY_BYTES
    store.commit([Put(Db.DEFINITIONS, key, b"") for key in (b"a", long, b"z")])
    assert page_keys(store, after=long, reverse=reverse) == [b"a" if reverse else b"z"]
    assert page_keys(store, prefix=long, reverse=reverse) == [long]


def test_point_reads(store):
    store.commit([Put(Db.DEFINITIONS, b"k", b"v"), Put(Db.DEFINITIONS, b"empty", b"")])
    assert store.get(Db.DEFINITIONS, b"k") == b"v"
    assert store.get(Db.DEFINITIONS, b"empty") == b""
    assert store.get(Db.DEFINITIONS, b"other") is None
    assert store.get(Db.META, b"k") is None, "databases are apart"
    assert store.get(Db.DEFINITIONS, b"") is None
    assert store.get(Db.DEFINITIONS, bytes(MAX_KEY_BYTES + 1)) is None


def test_what_was_written_is_there_after_opening_again(harness, store):
    store.commit([Put(Db.DEFINITIONS, b"k", b"v")])
    store = harness.reopen(store)
    assert store.get(Db.DEFINITIONS, b"k") == b"v"
    store.commit([Delete(Db.DEFINITIONS, b"k")])
    assert store.get(Db.DEFINITIONS, b"k") is None


def test_a_closed_store_answers_no_more(store):
    store.close()
    store.close()
    with pytest.raises(Closing):
        store.get(Db.META, b"k")
    with pytest.raises(Closing):
        store.page(Db.META)
    with pytest.raises(Closing):
        store.commit([])


def test_statistics_count_rows_and_bytes(store):
    before = store.statistics()
    store.commit([Put(Db.DEFINITIONS, bytes((one,)), bytes(5000)) for one in range(20)])
    after = store.statistics()
    assert set(after.entries) == set(Db)
    assert after.entries[Db.DEFINITIONS] == 20
    assert after.used_bytes - before.used_bytes >= 20 * 5000
    assert after.used_bytes <= after.file_bytes <= after.map_size_bytes <= after.max_map_size_bytes
    assert after.broken == ""
    assert len(rows(store, Db.DEFINITIONS)) == 20
