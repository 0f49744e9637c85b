"""Both stores behind one handle: open, open again as after a restart, fill the disk, break it.

The disk of the LMDB store is broken for real: the descriptors that LMDB writes through are exchanged for others, so
that its own system calls fail.
"""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import StoreBroken, StoreFull
from engine.settings import StorageSettings
from engine.store.environment import LmdbStore
from engine.store.memory import UNBOUNDED_BYTES, MemoryStore
from engine.store.port import Db

MIB = 1 << 20


class MemoryHarness:
    """The store in memory."""

    def __init__(self, _):
        self._opened = []

    def open(self, *, capacity_bytes=UNBOUNDED_BYTES):
        store = MemoryStore(capacity_bytes=capacity_bytes)
        self._opened.append(store)
        return store

    def reopen(self, store):
        store.close()
        return store.reopen()

    @contextmanager
    def full_disk(self, store):
        """No commit finds room; at most ten are tried."""
        store.fail_next(StoreFull, times=10)
        yield
        store._failures.clear()

    def break_disk(self, store):
        """The next commit fails for good."""
        store.fail_next(StoreBroken)

    def mend_disk(self, store):
        """A later commit would find nothing wrong with it."""
        store._failures.clear()

    def close(self):
        for store in self._opened:
            store.close()


class LmdbHarness:
    """The store on disk."""

    def __init__(self, directory):
        self.directory = Path(directory) / "store"
        self._opened = []
        self._kept = {}

    def open(self, *, capacity_bytes=64 * MIB, start_bytes=None):
        settings = StorageSettings(
            data_dir=str(self.directory),
            map_size_bytes=min(start_bytes or MIB, capacity_bytes),
            max_map_size_bytes=capacity_bytes,
        )
        self._opened.append(LmdbStore.open(settings))
        return self._opened[-1]

    def reopen(self, store):
        store.close()
        return self.open()

    @contextmanager
    def full_disk(self, _):
        """Every write finds no space left on the device."""
        self._exchange("/dev/full", os.O_WRONLY)
        yield
        self._restore()

    def break_disk(self, _):
        """Every write fails with an error that is not for lack of room."""
        self._exchange(self.directory / "data.mdb", os.O_RDONLY)

    def mend_disk(self, _):
        """A later write would find nothing wrong with it."""
        self._restore()

    def close(self):
        self._restore()
        for store in self._opened:
            store.close()

    def _exchange(self, path, flags):
        other = os.open(path, flags)
        for descriptor in self.descriptors():
            self._kept[descriptor] = os.dup(descriptor)
            os.dup2(other, descriptor)
        os.close(other)

    def descriptors(self):
        """Those that LMDB writes through: to the file, and to its first pages with a sync in each write."""
        data = os.path.realpath(self.directory / "data.mdb")
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
        return [
            number
            for number in numbers
            if os.path.realpath(f"/proc/self/fd/{number}") == data and number not in self._kept.values()
        ]

    def _restore(self):
        for descriptor, kept in self._kept.items():
            os.dup2(kept, descriptor)
            os.close(kept)
        self._kept.clear()


HARNESSES = [
    MemoryHarness,
    pytest.param(
        LmdbHarness,
        marks=pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="breaks its disk by /proc/self/fd"),
    ),
]


@pytest.fixture(params=HARNESSES, ids=["memory", "lmdb"])
def harness(request, tmp_path):
    """One of the stores' harnesses; what it opened is closed at the end."""
    made = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(harness):
    """An empty store of each kind."""
    return harness.open()


def rows(store, db, prefix=b""):
    """All rows of a database, read page by page."""
    found = []
    after = None
    while page := store.page(db, prefix=prefix, after=after, limit=7):
        found += page
        after = page[-1][0]
    return found


def keys(store, db):
    """All keys of a database."""
    return [key for key, _ in rows(store, db)]


def dump(store):
    """Everything."""
    return {db: rows(store, db) for db in Db}
