"""Growth, failures and other processes, as LMDB and the operating system really behave."""

import errno
import fcntl
import os
import threading

import pytest

from engine.errors import StoreBroken, StoreFull, Unavailable
from engine.store.opening import MAX_READERS
from engine.store.port import Db, Put
from tests.contract.builders import activity, append
from tests.contract.harness import MIB, LmdbHarness
from tests.store.child import BATCH
from tests.store.processes import child


@pytest.fixture
def disk(tmp_path):
    made = LmdbHarness(tmp_path)
    yield made
    made.close()


def large(number, size_bytes=50_000):
    return Put(Db.DEFINITIONS, number.to_bytes(4, "big"), bytes(size_bytes))


def test_a_full_map_doubles_until_the_batch_fits(disk):
    store = disk.open(start_bytes=1 << 17)
    store.commit([large(one) for one in range(100)])
    statistics = store.statistics()
    assert 100 * 50_000 < statistics.map_size_bytes <= 4 * 100 * 50_000
    assert len(store.page(Db.DEFINITIONS, max_bytes=1 << 30)) == 100


def test_the_smallest_map_grows_while_the_store_is_made(disk):
    disk.open(start_bytes=1 << 16).commit([large(1)])


def test_growth_ends_at_the_largest_size(disk):
    largest = 3 * MIB
    store = disk.open(start_bytes=MIB, capacity_bytes=largest)
    with pytest.raises(StoreFull, match=str(largest)):
        store.commit([large(one) for one in range(100)])
    assert store.statistics().map_size_bytes == largest
    store.commit([large(one) for one in range(40)])


@pytest.mark.slow
def test_reads_go_on_while_the_map_grows(disk):
    store = disk.open(start_bytes=1 << 16)
    store.commit([activity(b"%d" % one, ts_ms=one) for one in range(200)])
    done = threading.Event()
    errors, pages = [], []

    def read():
        try:
            while not done.is_set():
                page = store.page(Db.ACTIVITIES, limit=200)
                assert len(page) == 200
                assert store.get(Db.ACTIVITIES, page[-1][0]) == page[-1][1]
                store.statistics()
                pages.append(1)
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    sizes = set()
    for one in range(200):
        store.commit([large(one)])
        sizes.add(store.statistics().map_size_bytes)
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert pages
    assert len(sizes) >= 7


def test_growing_and_closing_wait_for_who_reads(disk):
    store = disk.open(start_bytes=1 << 16)
    inside, leave = threading.Event(), threading.Event()
    order = []

    def work(txn):
        inside.set()
        assert leave.wait(30)
        order.append("read")
        return txn.stat()["entries"]

    def grow_and_close():
        store.commit([large(1)])
        order.append("grown")
        store.close()

    reader = threading.Thread(target=store._environment.read, args=(work,))
    writer = threading.Thread(target=grow_and_close)
    reader.start()
    assert inside.wait(30)
    writer.start()
    while not store._environment._gate._alone:
        assert writer.is_alive()
    leave.set()
    writer.join()
    reader.join()
    assert order == ["read", "grown"]


def test_who_stands_aside_is_let_go_once_the_rows_are_in_place_or_never_will_be(disk):
    store = disk.open()
    calls = []
    store.on_placed = lambda: calls.append(store)
    store.commit([large(1)])
    assert calls
    calls.clear()
    with pytest.raises(ValueError, match="sequence"):
        store.commit([append(1), append(1)])
    assert calls
    calls.clear()
    with disk.full_disk(store), pytest.raises(StoreFull):
        store.commit([large(2)])
    assert calls


def test_too_many_readers_at_a_time_are_told_so(disk):
    store = disk.open()

    def nested(depth):
        return store._environment.read(lambda _: nested(depth - 1) if depth else None)

    nested(MAX_READERS - 1)
    with pytest.raises(Unavailable):
        nested(MAX_READERS)
    nested(MAX_READERS - 1)
    assert store.statistics().broken == ""


def test_a_failed_write_of_the_page_that_commits_breaks_the_store_also_for_lack_of_room(disk):
    store = disk.open()
    store.commit([Put(Db.META, b"k", b"v")])
    (syncing,) = [one for one in disk.descriptors() if fcntl.fcntl(one, fcntl.F_GETFL) & os.O_DSYNC]
    kept, full = os.dup(syncing), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, syncing)
    with pytest.raises(StoreBroken):
        store.commit([Put(Db.META, b"k", b"w")])
    os.dup2(kept, syncing)
    os.close(kept)
    os.close(full)
    with pytest.raises(StoreBroken):
        store.commit([Put(Db.META, b"k", b"w")])
    with pytest.raises(StoreBroken):
        store.get(Db.META, b"k")
    assert disk.reopen(store).get(Db.META, b"k") == b"v"


@pytest.mark.slow
def test_a_disk_that_takes_half_a_write_is_full_and_not_broken(disk):
    with child("limit", disk.directory, MIB + 2000) as limited:
        code, last = map(int, limited.line())
        assert code == errno.EIO, "LMDB's name for a write cut short"
        assert limited.line() == ["full", str(last)], "nothing of the batch was left behind"
        assert limited.line() == [str(last + BATCH)]
    assert len(disk.open().page(Db.ACTIVITIES, limit=10**6, max_bytes=1 << 30)) == last + BATCH


@pytest.mark.slow
def test_a_reader_in_another_process_sees_commits_and_follows_growth(disk):
    store = disk.open(start_bytes=1 << 17)
    store.commit([activity(key=0)])
    with child("read", disk.directory) as reader:
        assert reader.line() == ["open"]
        count, size_bytes = map(int, reader.ask())
        assert count == 1
        for one in range(1, 60):
            store.commit([activity(bytes(50_000), key=one)])
        count, grown_bytes = map(int, reader.ask())
        assert count == 60
        assert grown_bytes == store.statistics().map_size_bytes > size_bytes
        store.close()
        assert reader.ask() == [str(60), str(grown_bytes)], "it reads on when the engine ends"
