"""The store as the rest of the engine sees it: named databases of ordered bytes, and batches of operations.

A batch is applied in order in one transaction, all of it or nothing. Operations are values; what each does is written
once, over the small `Transaction` protocol, in `engine.store.writes`, for the LMDB store and the memory store alike.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

SCHEMA_VERSION = 1
"""Raised when the layout changes; a store of a newer one is refused untouched."""


class Db(StrEnum):
    """The named databases. Keys are in `engine.store.keys`."""

    # An enumeration's own is a function in Python, and dozens of look-ups of each commit would call it.
    __hash__ = str.__hash__

    META = "meta"
    JOURNAL = "journal"
    STATES = "states"
    ACTIVITIES = "activities"
    BY_TIME = "by_time"
    EXPIRY = "expiry"
    USER_POINTS = "user_points"
    IDENTIFIERS = "identifiers"
    SEEN = "seen"
    DEAD_LETTERS = "dead_letters"
    COUNTERS = "counters"
    DEFINITIONS = "definitions"
    FACTS = "facts"
    HISTORY = "history"
    TIMERS = "timers"
    OUTBOX = "outbox"


class Operation(Struct, frozen=True, gc=False):
    """One change inside a batch."""


class Put(Operation, frozen=True, gc=False):
    """Write a value. With `expires_ms` (wall clock) the janitor removes it once that has passed.

    Only rows of SEEN may expire, and `expires_ms` is that of the row: a row that was written again is not removed
    early. A row of USER_POINTS keeps the counter `user_points`, those that are no aliases, right; one of OUTBOX the
    counters `outbox_waiting`.
    """

    db: Db
    key: bytes
    value: bytes
    expires_ms: int | None = None


class Delete(Operation, frozen=True, gc=False):
    """Remove a key; one that is not there is no fault. Of USER_POINTS and OUTBOX, the counters follow."""

    db: Db
    key: bytes


class AppendJournal(Operation, frozen=True, gc=False):
    """Add records at the end of the journal; sequences rise and are higher than any used before.

    `records` are (sequence, encoded `Record`). Also remembers the last sequence and the latest arrival in META, and
    adds their weights to the counter `events_open` of their datamart. A sequence that does not rise is a ValueError
    of `commit`.

    `weights` are the records' by datamart, where their maker says so; None has the commit decode each record for it.
    """

    records: tuple[tuple[int, bytes], ...]
    last_arrival_ms: int
    weights: "tuple[tuple[int, int], ...] | None" = None


class RemoveJournal(Operation, frozen=True, gc=False):
    """Records leave the journal, their weights the counter `events_open`. One that is not there is no fault.

    `weights` are those of the records, which are all of this `datamart`, where the remover says so; None has the commit
    read each record for it.
    """

    sequences: tuple[int, ...]
    weights: "tuple[int, ...] | None" = None
    datamart: int = 0


class StoreActivity(Operation, frozen=True, gc=False):
    """Store an activity under (datamart, user point, ts, unique key), the later replacing the earlier (decision 13).

    An equal one writes nothing and counts `weight` events as `events_duplicate`; any other counts `events_stored` by
    `weight` and `activities_stored` by one, at `counted_at_ms`, wall clock. When the user point has absorbed others, a
    copy under an absorbed one's key is replaced too, and when `user_point` is itself an alias, the activity is stored
    under the survivor. Writes ACTIVITIES, BY_TIME, and EXPIRY when `expires_ms` is given, and drops the expiry row of
    what it replaces. Then come its `effects`, in order; an equal one has none.
    """

    datamart: int
    user_point: bytes
    ts_ms: int
    unique_key: bytes
    value: bytes
    weight: int
    expires_ms: int | None
    counted_at_ms: int
    effects: "tuple[Operation, ...]" = ()


class Count(Operation, frozen=True, gc=False):
    """Add to counters of a datamart: the total, and the minute, hour and day of `at_ms` (decisions 17 and 36).

    `at_ms` is wall clock, also in a replay: the rows of a minute, hour or day are kept for three months from then. A
    counter that reaches ±(2⁶³ - 1) stays there: counting fails nothing.
    """

    datamart: int
    amounts: tuple[tuple[str, int], ...]
    at_ms: int


class AddDeadLetter(Operation, frozen=True, gc=False):
    """Keep what could not be processed: an encoded `engine.store.layout.DeadLetter` (decisions 17 and 36).

    Counts `events_dead` by `weight` at `at_ms`, wall clock. The janitor removes it after `expires_ms`.
    """

    datamart: int
    at_ms: int
    weight: int
    value: bytes
    expires_ms: int


class PurgeExpired(Operation, frozen=True, gc=False):
    """Remove up to `limit` rows whose expiry is before `before_ms`, and what they stand for (decision 36).

    Rows of EXPIRY name what goes: a seen key, a dead letter, an activity (with its BY_TIME row), all counters of one
    minute, hour or day. How many rows of EXPIRY went is `CommitReport.purged`: less than `limit` means that nothing
    more is due.
    """

    before_ms: int
    limit: int


class CommitReport(Struct, frozen=True, gc=False):
    """What a commit did that only the transaction itself could know.

    Attributes:
        purged: rows of EXPIRY that its `PurgeExpired` took.
        stored: activities written by its `StoreActivity`.
        duplicate: activities that were there already, equal.
    """

    purged: int = 0
    stored: int = 0
    duplicate: int = 0


class StoreStatistics(Struct, frozen=True):
    """How near the store is to its bounds.

    Attributes:
        map_size_bytes: what the map may hold now; it grows until `max_map_size_bytes`.
        used_bytes: pages in use. Pages that are free again are used first, so the file does not shrink.
        entries: rows by database.
        broken: why no more is written, or "".
        file_bytes: pages ever used; what backups and the disk see.
    """

    map_size_bytes: int
    max_map_size_bytes: int
    used_bytes: int
    entries: dict[str, int]
    broken: str = ""
    file_bytes: int = 0


class Transaction(Protocol):
    """What the operations need inside one write transaction."""

    def get(self, db: Db, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def put(self, db: Db, key: bytes, value: bytes) -> None:
        """Write, replacing what was there."""
        ...

    def delete(self, db: Db, key: bytes) -> bool:
        """Remove; whether it was there."""
        ...

    def get_many(self, db: Db, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, which differ, in their order."""
        ...

    def put_many(self, db: Db, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """`put` of each of these rows."""
        ...

    def append(self, db: Db, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write rows whose keys rise and lie behind all others."""
        ...

    def scan(self, db: Db, *, start: bytes = b"", stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Rows from `start` on, before `stop`, in key order."""
        ...


class Store(Protocol):
    """A store; one process writes, any number read."""

    def check(self, operations: Sequence[Operation]) -> None:
        """Refuse what could never be written. Cheap; call it before the operations join those of others in a batch.

        Raises:
            ValueError: a key, value or number is out of range; the message names the operation.
        """
        ...

    def commit(self, operations: Sequence[Operation]) -> CommitReport:
        """Apply the operations in one durable transaction. Blocks; call it in the writer's thread.

        Raises:
            StoreFull: there was no room; nothing was written; the same batch may be tried again.
            StoreBroken: a failed sync or I/O error; the store takes no later write.
            ValueError: an operation is out of range or out of order; nothing was written.
        """
        ...

    def get(self, db: Db, key: bytes) -> bytes | None:
        """A point read (about 2 µs when warm: may run inline)."""
        ...

    def get_many(self, db: Db, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, in order, in one read transaction: to begin one costs more than a look-up."""
        ...

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
        """Rows whose key begins with `prefix`, in key order (or reverse), strictly behind `after` in that order.

        At most `limit` rows and, beyond the first, at most `max_bytes` of keys and values; an empty page is the end, a
        short one need not be. Each page is its own short transaction, so pages are not one snapshot. Call it in a
        thread when it may be large or cold.
        """
        ...

    def statistics(self) -> StoreStatistics:
        """How near the store is to its bounds."""
        ...

    def close(self) -> None:
        """Sync and close; no call may follow."""
        ...
