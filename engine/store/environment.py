"""The store on disk: `port.Store` over one LMDB environment."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.settings import StorageSettings
from engine.store.checks import check, check_place
from engine.store.keys import MAX_KEY_BYTES, successor
from engine.store.opening import open_for_reading, open_for_writing
from engine.store.port import CommitReport, Db, Operation, StoreStatistics
from engine.store.seam import Cursor, Databases, Environment, Txn
from engine.store.writes import KEEP_COUNTERS_MS, MS_PER_DAY, apply


class LmdbStore:
    """A store in a directory. Made by `open` for the engine, by `open_reader` for everybody else."""

    def __init__(self, environment: Environment, keep_counters_ms: int = KEEP_COUNTERS_MS) -> None:
        self._environment = environment
        self._databases = environment.databases
        self._keep_counters_ms = keep_counters_ms
        self.on_placed: Callable[[], None] | None = None
        """Called, when set, in a commit's thread: its rows are in place, or it failed before. See `commit`."""

    @classmethod
    def open(cls, settings: StorageSettings) -> "LmdbStore":
        """Open the store in `settings.data_dir` to write, or make it; one engine at a time.

        Raises:
            StoreLocked, SchemaTooNew, StoreFull, StoreBroken, BadSettings: as `opening.open_for_writing`.
        """
        return cls(open_for_writing(settings), settings.counter_days * MS_PER_DAY)

    @classmethod
    def open_reader(cls, directory: Path) -> "LmdbStore":
        """Open the store in `directory` to read it from another process, also beside a running engine.

        Raises:
            StoreMissing, SchemaTooNew, StoreBroken, BadSettings: as `opening.open_for_reading`.
        """
        return cls(open_for_reading(directory))

    def check(self, operations: Sequence[Operation]) -> None:
        """As `port.Store.check`."""
        check(operations)

    def commit(self, operations: Sequence[Operation]) -> CommitReport:
        """As `port.Store.commit`.

        LMDB's binding gives the interpreter lock away with every row, and beside a busy thread waits up to 5 ms to get
        it back: a batch of a thousand rows would take seconds. So the busy thread stands aside until it hears that the
        rows are in place, after a few milliseconds; during the sync, which is most of a commit, both run.
        """
        placed = self.on_placed or _nobody_waits

        def write(txn: Txn) -> CommitReport:
            try:
                return apply(_Transaction(txn, self._databases), operations, self._keep_counters_ms)
            finally:
                placed()

        try:
            check(operations)
            return self._environment.write(write)
        finally:
            placed()

    def get(self, db: Db, key: bytes) -> bytes | None:
        """As `port.Store.get`."""
        if db not in self._databases or not 0 < len(key) <= MAX_KEY_BYTES:
            return None
        handle = self._databases[db]
        return self._environment.read(lambda txn: txn.get(key, db=handle))

    def get_many(self, db: Db, keys: Sequence[bytes]) -> list[bytes | None]:
        """As `port.Store.get_many`."""
        if db not in self._databases:
            return [None] * len(keys)
        handle = self._databases[db]
        return self._environment.read(
            lambda txn: [txn.get(key, db=handle) if 0 < len(key) <= MAX_KEY_BYTES else None for key in keys]
        )

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
        if db not in self._databases or limit <= 0:
            return []
        handle = self._databases[db]
        rows = _rows_before if reverse else _rows_behind

        def read(txn: Txn) -> list[tuple[bytes, bytes]]:
            found: list[tuple[bytes, bytes]] = []
            size_bytes = 0
            with txn.cursor(handle) as cursor:
                for key, value in rows(cursor, prefix, after):
                    size_bytes += len(key) + len(value)
                    if not key.startswith(prefix) or (found and size_bytes > max_bytes):
                        break
                    found.append((key, value))
                    if len(found) >= limit:
                        break
            return found

        return self._environment.read(read)

    def statistics(self) -> StoreStatistics:
        """As `port.Store.statistics`."""

        def read(txn: Txn) -> tuple[int, dict[str, int]]:
            stats = {str(db): txn.stat(handle) for db, handle in self._databases.items()}
            pages = sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats.values())
            return pages * txn.stat()["psize"], {name: stat["entries"] for name, stat in stats.items()}

        used_bytes, entries = self._environment.read(read)
        map_size_bytes, file_bytes = self._environment.size_bytes()
        return StoreStatistics(
            map_size_bytes=map_size_bytes,
            max_map_size_bytes=max(map_size_bytes, self._environment.max_size_bytes),
            used_bytes=used_bytes,
            entries=entries,
            broken=self._environment.broken,
            file_bytes=file_bytes,
        )

    def close(self) -> None:
        """As `port.Store.close`.

        Raises:
            StoreBroken: the last sync failed; the store is closed all the same.
        """
        self._environment.close()


def _nobody_waits() -> None:
    pass


def _rows_behind(cursor: Cursor, prefix: bytes, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    """Rows in key order, from the first with `prefix` on, behind `after`."""
    start = prefix if after is None else max(prefix, after)
    if not cursor.set_range(start):  # Of b"": the first.
        return
    if after is not None and cursor.key() <= after and not cursor.next():
        return
    yield from cursor.iternext()


def _rows_before(cursor: Cursor, prefix: bytes, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    """Rows in reverse key order, from the last with `prefix` on, below `after`."""
    end = successor(prefix)
    if after is not None:
        end = after if end is None else min(end, after)
    found = cursor.prev() if end is not None and cursor.set_range(end) else cursor.last()
    if found:
        yield from cursor.iterprev()


class _Transaction:
    """`port.Transaction` over LMDB's."""

    __slots__ = ("_databases", "_txn")

    def __init__(self, txn: Txn, databases: Databases) -> None:
        self._txn = txn
        self._databases = databases

    def get(self, db: Db, key: bytes) -> bytes | None:
        return self._txn.get(key, db=self._databases[db])

    def put(self, db: Db, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._databases[db])

    def delete(self, db: Db, key: bytes) -> bool:
        return self._txn.delete(key, db=self._databases[db])

    def get_many(self, db: Db, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._txn.cursor(self._databases[db]) as cursor:
            found = dict(cursor.getmulti(keys))
        return [found.get(key) for key in keys]

    def put_many(self, db: Db, rows: Sequence[tuple[bytes, bytes]]) -> None:
        with self._txn.cursor(self._databases[db]) as cursor:
            cursor.putmulti(rows)

    def append(self, db: Db, rows: Sequence[tuple[bytes, bytes]]) -> None:
        with self._txn.cursor(self._databases[db]) as cursor:
            # One call for all. A key out of order is not refused but left out: only the numbers tell.
            consumed, added = cursor.putmulti(rows, append=True)
        if (consumed, added) != (len(rows), len(rows)):
            raise ValueError(f"only {added} of {len(rows)} keys lie behind all others of {db}")

    def scan(self, db: Db, *, start: bytes = b"", stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        with self._txn.cursor(self._databases[db]) as cursor:
            if cursor.set_range(start):
                for key, value in cursor.iternext():
                    if stop is not None and key >= stop:
                        return
                    yield key, value
