"""What each operation does, written once over `port.Transaction` for every store.

`apply` runs a batch inside one transaction. What many operations add to the same row (counters, META, the end of the
journal) is gathered and written once, at the end of the batch: a commit costs a handful of rows beside its own,
whatever it holds.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

from engine.model.delivery import OTHER, label_of
from engine.model.limits import MAX_TS_MS
from engine.model.record import decode_record
from engine.store.keys import (
    DATED,
    MAX_NUMBER,
    Resolution,
    activity_key,
    bucket_prefix,
    by_time_key,
    counter_key,
    counter_name,
    dead_letter_key,
    expiry_bound,
    expiry_key,
    journal_key,
    journal_rows,
    split_activity_key,
    split_expiry_key,
    split_outbox_key,
    split_user_point_key,
    successor,
)
from engine.store.layout import (
    META_LAST_ARRIVAL,
    META_LAST_LETTER,
    META_LAST_SEQUENCE,
    OUTBOX_WAITING,
    activity_expires_ms,
    decode_number,
    decode_outbox,
    decode_seen,
    decode_user_point,
    encode_activity,
    encode_number,
    follow,
)
from engine.store.port import (
    AddDeadLetter,
    AppendJournal,
    CommitReport,
    Count,
    Db,
    Delete,
    Operation,
    PurgeExpired,
    Put,
    RemoveJournal,
    StoreActivity,
    Transaction,
)

MS_PER_DAY: Final = 86_400_000

KEEP_COUNTERS_MS: Final = 92 * MS_PER_DAY
"""Three months (decision 36), unless told otherwise."""

EVENTS_OPEN: Final = "events_open"
EVENTS_STORED: Final = "events_stored"
EVENTS_DUPLICATE: Final = "events_duplicate"
EVENTS_DEAD: Final = "events_dead"
ACTIVITIES_STORED: Final = "activities_stored"
USER_POINTS: Final = "user_points"


def apply(
    transaction: Transaction, operations: Sequence[Operation], keep_counters_ms: int = KEEP_COUNTERS_MS
) -> CommitReport:
    """Do what the operations say, in order.

    Args:
        transaction: where; all of it or nothing is the caller's part.
        operations: a batch.
        keep_counters_ms: how long the counters of a minute, hour or day stay after its end.

    Raises:
        ValueError: one of them is out of range or out of order. The caller aborts the transaction.
    """
    batch = _Batch(transaction, keep_counters_ms)
    for operation in operations:
        batch.do(operation)
    return batch.finish()


class _Batch:
    """A batch under way: the transaction, and what is written once at its end."""

    def __init__(self, transaction: Transaction, keep_counters_ms: int) -> None:
        self._txn = transaction
        self._keep_counters_ms = keep_counters_ms
        self._appended: list[tuple[bytes, bytes]] = []
        self._last_sequence: int | None = None
        self._last_arrival_ms = 0
        self._last_letter: int | None = None
        # By datamart, minute and name; what has no minutes (events_open, user_points) by datamart and name.
        self._counts: defaultdict[tuple[int, int, str], int] = defaultdict(int)
        self._levels: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._purged = 0
        self._stored = 0
        self._duplicate = 0

    def do(self, operation: Operation) -> None:
        match operation:
            case AppendJournal():
                self._append_journal(operation)
            case RemoveJournal():
                self._remove_journal(operation)
            case StoreActivity():
                self._store_activity(operation)
            case Count():
                for name, amount in operation.amounts:
                    self._count(operation.datamart, name, amount, operation.at_ms)
            case Put():
                self._put(operation)
            case Delete():
                self._delete(operation)
            case AddDeadLetter():
                self._add_dead_letter(operation)
            case PurgeExpired():
                self._purge(operation)
            case _:
                raise ValueError(f"no store operation: {operation!r}")

    def finish(self) -> CommitReport:
        """Write what was gathered."""
        self._flush_journal()
        if self._last_sequence is not None:
            numbers = encode_number(self._last_sequence), encode_number(self._last_arrival_ms)
            self._txn.put_many(Db.META, ((META_LAST_SEQUENCE, numbers[0]), (META_LAST_ARRIVAL, numbers[1])))
        if self._last_letter is not None:
            self._txn.put(Db.META, META_LAST_LETTER, encode_number(self._last_letter))
        self._write_counters()
        return CommitReport(purged=self._purged, stored=self._stored, duplicate=self._duplicate)

    def _append_journal(self, operation: AppendJournal) -> None:
        if self._last_sequence is None:
            last_row, arrival_row = self._txn.get_many(Db.META, (META_LAST_SEQUENCE, META_LAST_ARRIVAL))
            self._last_sequence = decode_number(last_row)
            self._last_arrival_ms = decode_number(arrival_row)
        last = self._last_sequence
        for sequence, _ in operation.records:
            if sequence <= last:
                raise ValueError(f"AppendJournal: sequence {sequence} is not above {last}, the last one used")
            last = sequence
        self._appended += journal_rows(operation.records)
        if operation.weights is None:
            for _, data in operation.records:
                record = decode_record(data)
                self._levels[record.datamart, EVENTS_OPEN] += record.weight
        else:
            for datamart, weight in operation.weights:
                self._levels[datamart, EVENTS_OPEN] += weight
        self._last_sequence = last
        self._last_arrival_ms = max(self._last_arrival_ms, operation.last_arrival_ms)

    def _flush_journal(self) -> None:
        if self._appended:
            self._txn.append(Db.JOURNAL, self._appended)
            self._appended = []

    def _remove_journal(self, operation: RemoveJournal) -> None:
        keys = [journal_key(sequence) for sequence in operation.sequences]
        if self._appended and keys and max(keys) >= self._appended[0][0]:
            self._flush_journal()
        if operation.weights is not None:
            left = 0
            for key, weight in zip(keys, operation.weights, strict=True):
                if self._txn.delete(Db.JOURNAL, key):
                    left += weight
            self._levels[operation.datamart, EVENTS_OPEN] -= left
            return
        for key in keys:
            data = self._txn.get(Db.JOURNAL, key)
            if data is not None:
                record = decode_record(data)
                self._levels[record.datamart, EVENTS_OPEN] -= record.weight
                self._txn.delete(Db.JOURNAL, key)

    def _store_activity(self, operation: StoreActivity) -> None:
        datamart, ts_ms, unique_key = operation.datamart, operation.ts_ms, operation.unique_key
        user_point, row = follow(self._txn.get, datamart, operation.user_point)
        key = activity_key(datamart, user_point, ts_ms, unique_key)
        value = encode_activity(operation.value, operation.expires_ms)
        # The first one found is the one that reads show; it may lie under the key of an absorbed user point.
        keys = [key, *(activity_key(datamart, alias, ts_ms, unique_key) for alias in (row.aliases if row else ()))]
        found = [(at, stored) for at in keys if (stored := self._txn.get(Db.ACTIVITIES, at)) is not None]
        if found and found[0][1] == value:
            self._duplicate += 1
            self._count(datamart, EVENTS_DUPLICATE, operation.weight, operation.counted_at_ms)
            return
        for at, stored in found:
            self._remove_activity(at, stored)
        self._txn.put(Db.ACTIVITIES, key, value)
        self._txn.put(Db.BY_TIME, by_time_key(datamart, user_point, ts_ms, unique_key), b"")
        if operation.expires_ms is not None:
            self._txn.put(Db.EXPIRY, expiry_key(operation.expires_ms, Db.ACTIVITIES, key), b"")
        self._stored += 1
        self._count(datamart, EVENTS_STORED, operation.weight, operation.counted_at_ms)
        self._count(datamart, ACTIVITIES_STORED, 1, operation.counted_at_ms)
        for effect in operation.effects:
            self.do(effect)

    def _remove_activity(self, key: bytes, stored: bytes) -> None:
        self._txn.delete(Db.ACTIVITIES, key)
        self._txn.delete(Db.BY_TIME, by_time_key(*split_activity_key(key)))
        expires_ms = activity_expires_ms(stored)
        if expires_ms is not None:
            self._txn.delete(Db.EXPIRY, expiry_key(expires_ms, Db.ACTIVITIES, key))

    def _put(self, operation: Put) -> None:
        db, key = operation.db, operation.key
        if db is Db.USER_POINTS:
            self._count_user_points(key, operation.value)
        elif db is Db.OUTBOX:
            self._count_waiting(key, operation.value)
        elif db is Db.JOURNAL:
            self._flush_journal()
        self._txn.put(db, key, operation.value)
        if operation.expires_ms is not None:
            # An older row of EXPIRY for the same key may stay: purging looks at the time in the value.
            self._txn.put(Db.EXPIRY, expiry_key(operation.expires_ms, db, key), b"")

    def _delete(self, operation: Delete) -> None:
        if operation.db is Db.USER_POINTS:
            self._count_user_points(operation.key, None)
        elif operation.db is Db.OUTBOX:
            self._count_waiting(operation.key, None)
        elif operation.db is Db.JOURNAL:
            self._flush_journal()
        self._txn.delete(operation.db, operation.key)

    def _count_user_points(self, key: bytes, value: bytes | None) -> None:
        change = _persons(value) - _persons(self._txn.get(Db.USER_POINTS, key))
        if change:
            self._levels[split_user_point_key(key)[0], USER_POINTS] += change

    def _count_waiting(self, key: bytes, value: bytes | None) -> None:
        datamart = split_outbox_key(key).datamart
        for row, change in ((self._txn.get(Db.OUTBOX, key), -1), (value, 1)):
            if row is not None:
                self._levels[datamart, OUTBOX_WAITING] += change
                self._levels[datamart, f"{OUTBOX_WAITING}.{_destination(row)}"] += change

    def _add_dead_letter(self, operation: AddDeadLetter) -> None:
        if self._last_letter is None:
            self._last_letter = decode_number(self._txn.get(Db.META, META_LAST_LETTER))
        self._last_letter += 1
        key = dead_letter_key(operation.datamart, operation.at_ms, self._last_letter)
        self._txn.put(Db.DEAD_LETTERS, key, operation.value)
        self._txn.put(Db.EXPIRY, expiry_key(operation.expires_ms, Db.DEAD_LETTERS, key), b"")
        self._count(operation.datamart, EVENTS_DEAD, operation.weight, operation.at_ms)

    def _purge(self, operation: PurgeExpired) -> None:
        due = self._txn.scan(Db.EXPIRY, stop=expiry_bound(operation.before_ms))
        rows = [key for key, _ in islice(due, operation.limit)]
        for row in rows:
            expires_ms, db, key = split_expiry_key(row)
            self._txn.delete(Db.EXPIRY, row)
            if db is Db.COUNTERS:
                bucket = [name for name, _ in self._txn.scan(Db.COUNTERS, start=key, stop=successor(key))]
                for name in bucket:
                    self._txn.delete(Db.COUNTERS, name)
                continue
            stored = self._txn.get(db, key)
            if stored is None or _expires_ms(db, stored, expires_ms) != expires_ms:
                continue  # Gone already, or written again since, with a row of EXPIRY of its own.
            self._txn.delete(db, key)
            if db is Db.ACTIVITIES:
                self._txn.delete(Db.BY_TIME, by_time_key(*split_activity_key(key)))
        self._purged += len(rows)

    def _count(self, datamart: int, name: str, amount: int, at_ms: int) -> None:
        if amount:
            self._counts[datamart, Resolution.MINUTE.bucket_of(at_ms), name] += amount

    def _write_counters(self) -> None:
        changes: defaultdict[bytes, int] = defaultdict(int)
        for (datamart, name), amount in self._levels.items():
            changes[counter_key(datamart, Resolution.TOTAL, 0, name)] += amount
        buckets: dict[bytes, int] = {}
        for (datamart, minute_ms, name), amount in self._counts.items():
            suffix = counter_name(name)
            total, dated = _buckets(datamart, minute_ms)
            changes[total + suffix] += amount
            for prefix, end_ms in dated:
                buckets[prefix] = min(end_ms + self._keep_counters_ms, MAX_TS_MS)
                changes[prefix + suffix] += amount
        keys = sorted([key for key, amount in changes.items() if amount])
        if keys:
            before = self._txn.get_many(Db.COUNTERS, keys)
            # One that is full stays so: counting must never fail what is counted.
            after = [
                encode_number(max(-MAX_NUMBER, min(MAX_NUMBER, decode_number(row) + changes[key])))
                for key, row in zip(keys, before, strict=True)
            ]
            self._txn.put_many(Db.COUNTERS, list(zip(keys, after, strict=True)))
        rows = [expiry_key(expires_ms, Db.COUNTERS, prefix) for prefix, expires_ms in buckets.items()]
        if rows:
            there = self._txn.get_many(Db.EXPIRY, rows)
            self._txn.put_many(Db.EXPIRY, [(row, b"") for row, found in zip(rows, there, strict=True) if found is None])


@lru_cache(64)
def _buckets(datamart: int, minute_ms: int) -> tuple[bytes, tuple[tuple[bytes, int], ...]]:
    """What the keys of a datamart's counters begin with: of the totals, and of the buckets that a minute is in, with
    their ends. Most commits fall into the minute of the one before, and a datamart has one; 64 keep a few busy ones."""
    dated = [(resolution, resolution.bucket_of(minute_ms)) for resolution in DATED]
    return bucket_prefix(datamart, Resolution.TOTAL), tuple(
        [(bucket_prefix(datamart, one, start_ms), start_ms + one.width_ms) for one, start_ms in dated]
    )


def _persons(user_point: bytes | None) -> int:
    """How many persons a row of USER_POINTS stands for: an alias is none of its own."""
    return int(user_point is not None and decode_user_point(user_point).alias_of is None)


def _destination(row: bytes) -> str:
    """Where a row of the outbox is to go, as a label; one that is damaged must be removable, too."""
    try:
        return label_of(decode_outbox(row).destination)
    except ValueError:
        return OTHER


def _expires_ms(db: Db, stored: bytes, otherwise_ms: int) -> int | None:
    """When a row expires by its own account; dead letters do not say, as their keys are never used again."""
    if db is Db.ACTIVITIES:
        return activity_expires_ms(stored)
    return decode_seen(stored).expires_ms if db is Db.SEEN else otherwise_ms
