"""Reading what a start begins with: the journal in sequence, what was used last, saved states; and the recount."""

from collections import defaultdict
from collections.abc import Iterator

from msgspec import structs

from engine.model.record import Record, decode_record
from engine.store.keys import journal_key, split_journal_key, split_user_point_key
from engine.store.layout import META_LAST_ARRIVAL, META_LAST_SEQUENCE, decode_number
from engine.store.port import Db, Store


def last_sequence(store: Store) -> int:
    """The highest sequence ever used, also when its record has left the journal; 0 in a new store (decision 8)."""
    return decode_number(store.get(Db.META, META_LAST_SEQUENCE))


def last_arrival_ms(store: Store) -> int:
    """The latest arrival ever; no later record may have an earlier one (decision 7). 0 in a new store."""
    return decode_number(store.get(Db.META, META_LAST_ARRIVAL))


def read_record(store: Store, sequence: int) -> Record | None:
    """One record, or None where it has left the journal.

    Raises:
        ValueError: it is damaged.
    """
    data = store.get(Db.JOURNAL, journal_key(sequence))
    return None if data is None else _decode(sequence, data)


def read_records(store: Store, *, after: int = 0, limit: int = 1000, max_bytes: int = 1 << 20) -> list[Record]:
    """Records behind the sequence `after`, in order: at most `limit` and, beyond the first, `max_bytes`.

    None at all is the end, as it is at this moment. Each call is a read transaction of its own.

    Raises:
        ValueError: one is damaged.
    """
    rows = store.page(Db.JOURNAL, after=journal_key(after), limit=limit, max_bytes=max_bytes)
    return [_decode(split_journal_key(key), data) for key, data in rows]


def walk_records(store: Store, *, after: int = 0, limit: int = 1000) -> Iterator[Record]:
    """All records behind `after`, read in pages of `limit`; also those that arrive meanwhile.

    Raises:
        ValueError: one is damaged.
    """
    while records := read_records(store, after=after, limit=limit):
        yield from records
        after = records[-1].sequence


def walk_states(store: Store) -> Iterator[tuple[int, bytes, bytes]]:
    """Datamart, user point and fold state of all that had something open, read in pages (decision 8)."""
    after: bytes | None = None
    while rows := store.page(Db.STATES, after=after, limit=1000):
        for key, state in rows:
            yield *split_user_point_key(key), state
        after = rows[-1][0]


def count_open_events(store: Store) -> dict[int, int]:
    """Weights of all records in the journal by datamart: what the counter `events_open` must say (decision 17)."""
    found: defaultdict[int, int] = defaultdict(int)
    for record in walk_records(store):
        found[record.datamart] += record.weight
    return dict(found)


def _decode(sequence: int, data: bytes) -> Record:
    try:
        record = decode_record(data)
    except ValueError as error:
        raise ValueError(f"journal record {sequence}: {error}") from error
    return record if record.sequence == sequence else structs.replace(record, sequence=sequence)
