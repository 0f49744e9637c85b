"""A store in memory that keeps the same contract: for tests and for the moment, nothing outlives the object.

It can be told to fail, so that others can test what they do then.
"""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence

from engine.errors import Closing, StoreBroken, StoreFull
from engine.store.checks import check, check_place
from engine.store.keys import successor
from engine.store.port import CommitReport, Db, Operation, StoreStatistics
from engine.store.writes import apply

UNBOUNDED_BYTES = 1 << 62


class MemoryStore:
    """Sorted keys and a dict for each database; a batch that fails is undone.

    Args:
        capacity_bytes: keys and values together; a batch that would pass it finds the store full.
    """

    def __init__(self, *, capacity_bytes: int = UNBOUNDED_BYTES) -> None:
        self.capacity_bytes = capacity_bytes
        self._tables = {db: _Table() for db in Db}
        self._lock = threading.Lock()  # The writer's thread commits while others read.
        self._failures: list[StoreFull | StoreBroken] = []
        self._broken = ""
        self._closed = False

    def fail_next(self, error: type[StoreFull | StoreBroken], times: int = 1) -> None:
        """Make the next commits fail, behind those already told to; after a StoreBroken none succeeds any more."""
        self._failures += [error("told to fail") for _ in range(times)]

    def reopen(self) -> "MemoryStore":
        """The same rows in a store just opened: what a restart finds."""
        store = MemoryStore(capacity_bytes=self.capacity_bytes)
        store._tables = self._tables
        return store

    def check(self, operations: Sequence[Operation]) -> None:
        """As `port.Store.check`."""
        check(operations)

    def commit(self, operations: Sequence[Operation]) -> CommitReport:
        """As `port.Store.commit`."""
        check(operations)
        with self._lock:
            self._check_open()
            if self._broken:
                raise StoreBroken(self._broken)
            transaction = _Transaction(self._tables)
            try:
                report = apply(transaction, operations)
                self._fail()
            except BaseException:
                transaction.undo()
                raise
            return report

    def get(self, db: Db, key: bytes) -> bytes | None:
        """As `port.Store.get`."""
        with self._lock:
            self._check_open()
            return self._tables[db].rows.get(key)

    def get_many(self, db: Db, keys: Sequence[bytes]) -> list[bytes | None]:
        """As `port.Store.get_many`."""
        with self._lock:
            self._check_open()
            return [self._tables[db].rows.get(key) for key in keys]

    def page(
        self,
        db: Db,
        *,
        prefix: bytes = b"",
        after: bytes | None = None,
        limit: int = 100,
        max_bytes: int = 1 << 20,
        reverse: bool = False,
    ) -> list[tuple[bytes, bytes]]:
        """As `port.Store.page`."""
        check_place(prefix)
        check_place(after or b"")
        with self._lock:
            self._check_open()
            table = self._tables[db]
            end = successor(prefix)
            low = bisect_left(table.keys, prefix)
            high = len(table.keys) if end is None else bisect_left(table.keys, end)
            if after is not None and reverse:
                high = min(high, bisect_left(table.keys, after))
            elif after is not None:
                low = max(low, bisect_right(table.keys, after))
            places = range(high - 1, low - 1, -1) if reverse else range(low, high)
            found: list[tuple[bytes, bytes]] = []
            size_bytes = 0
            for place in places[: max(limit, 0)]:
                key = table.keys[place]
                value = table.rows[key]
                size_bytes += len(key) + len(value)
                if found and size_bytes > max_bytes:
                    break
                found.append((key, value))
            return found

    def statistics(self) -> StoreStatistics:
        """As `port.Store.statistics`."""
        with self._lock:
            used_bytes = self._used_bytes()
            return StoreStatistics(
                map_size_bytes=self.capacity_bytes,
                max_map_size_bytes=self.capacity_bytes,
                used_bytes=used_bytes,
                entries={str(db): len(table.rows) for db, table in self._tables.items()},
                broken=self._broken,
                file_bytes=used_bytes,
            )

    def close(self) -> None:
        """As `port.Store.close`."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Closing("the store is closed")

    def _used_bytes(self) -> int:
        return sum(table.size_bytes for table in self._tables.values())

    def _fail(self) -> None:
        if self._failures:
            failure = self._failures.pop(0)
            if isinstance(failure, StoreBroken):
                self._broken = str(failure)
            raise failure
        if self._used_bytes() > self.capacity_bytes:
            raise StoreFull(f"the store is full at {self.capacity_bytes} bytes")


class _Table:
    """One database: its rows, their keys in order, and what they weigh."""

    __slots__ = ("keys", "rows", "size_bytes")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.rows: dict[bytes, bytes] = {}
        self.size_bytes = 0

    def set(self, key: bytes, value: bytes | None) -> bytes | None:
        """Write, or with None remove; returns what was there."""
        before = self.rows.get(key)
        if before is not None:
            self.size_bytes -= len(key) + len(before)
        elif value is not None:
            insort(self.keys, key)
        if value is not None:
            self.rows[key] = value
            self.size_bytes += len(key) + len(value)
        elif before is not None:
            del self.rows[key]
            del self.keys[bisect_left(self.keys, key)]
        return before


class _Transaction:
    """`port.Transaction` over the tables, with a log of what it must undo."""

    def __init__(self, tables: dict[Db, _Table]) -> None:
        self._tables = tables
        self._undo: list[tuple[_Table, bytes, bytes | None]] = []

    def get(self, db: Db, key: bytes) -> bytes | None:
        return self._tables[db].rows.get(key)

    def put(self, db: Db, key: bytes, value: bytes) -> None:
        self._set(self._tables[db], key, value)

    def delete(self, db: Db, key: bytes) -> bool:
        return self._set(self._tables[db], key, None) is not None

    def get_many(self, db: Db, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._tables[db].rows.get(key) for key in keys]

    def put_many(self, db: Db, rows: Sequence[tuple[bytes, bytes]]) -> None:
        for key, value in rows:
            self._set(self._tables[db], key, value)

    def append(self, db: Db, rows: Sequence[tuple[bytes, bytes]]) -> None:
        table = self._tables[db]
        for key, value in rows:
            if table.keys and key <= table.keys[-1]:
                raise ValueError(f"key {key.hex()} does not lie behind all others of {db}")
            self._set(table, key, value)

    def scan(self, db: Db, *, start: bytes = b"", stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        table = self._tables[db]
        place = bisect_left(table.keys, start)
        while place < len(table.keys) and (stop is None or table.keys[place] < stop):
            key = table.keys[place]
            yield key, table.rows[key]
            place += 1

    def undo(self) -> None:
        """Put everything back, the last change first."""
        for table, key, before in reversed(self._undo):
            table.set(key, before)

    def _set(self, table: _Table, key: bytes, value: bytes | None) -> bytes | None:
        before = table.set(key, value)
        self._undo.append((table, key, before))
        return before
