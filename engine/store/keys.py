"""How keys look as bytes: fixed width, big-endian, so that the order of the bytes is the order of what they say.

    activity     datamart u32 | user point 16 | ts u64 | unique key 16
    by time      datamart u32 | ts u64 | user point 16 | unique key 16
    journal      sequence u64
    user point   datamart u32 | user point 16        (also the key of a fold state)
    fact         datamart u32 | user point 16 | kind 1
    history      datamart u32 | user point 16 | kind 1 | at u64 | id 16
    timer        due u64 | datamart u32 | user point 16 | scenario
    outbox       datamart u32 | destination 8 | due u64 | id 16
    identifier   datamart u32 | kind 1 | hash 16
    seen         datamart u32 | kind 1 | hash 16
    dead letter  datamart u32 | at u64 | number u64
    counter      datamart u32 | resolution 1 | bucket u64 | name
    expiry       expires u64 | database 1 | key

Times are ms since the epoch. Every function that makes a key raises ValueError for a part that does not fit, before
anything is packed: a number too large for its field must not become another key.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from engine.model.fact import FactKind
from engine.model.limits import MAX_DATAMART, MAX_TS_MS
from engine.store.port import Db

MAX_KEY_BYTES: Final = 511
"""The shortest limit of the LMDB formats in use; a longer key would abort the whole batch it travels in."""

MAX_COUNTER_NAME_BYTES: Final = 128
"""Names are ours (`events_stored`, `sessions_closed.gap`); a longer one has somebody's data in it."""

ID_BYTES: Final = 16
"""User points and unique keys are UUIDs."""

MAX_NUMBER: Final = 2**63 - 1
"""Sequences are also kept as signed rows of META."""

_ACTIVITY = struct.Struct(">I16sQ16s")
_BY_TIME = struct.Struct(">IQ16s16s")
_NUMBER = struct.Struct(">Q")
_DATAMART = struct.Struct(">I")
_USER_POINT = struct.Struct(">I16s")
_HASHED = struct.Struct(">I17s")
_SEEN = struct.Struct(">IB16s")
_DEAD_LETTER = struct.Struct(">IQQ")
_TIMER = struct.Struct(">QI16s")
_OUTBOX = struct.Struct(">I8sQ16s")
_BUCKET = struct.Struct(">IBQ")
_EXPIRY = struct.Struct(">QB")

ACTIVITY_PREFIX_BYTES: Final = _USER_POINT.size
"""The part of an activity's key that is the same for all of a user point; behind it come ts and unique key."""


OUTBOX_KEY_BYTES: Final = _OUTBOX.size


class SeenKind(IntEnum):
    """What kind of id was seen: two kinds may use the same text (decision 18)."""

    EVENT = 1
    """An event's own id: `$event_id` or what a protocol calls it."""
    REQUEST = 2
    """An `Idempotency-Key`."""


class Resolution(IntEnum):
    """What one counter row counts: everything, or one minute, hour or day in UTC (decision 36)."""

    TOTAL = 0
    MINUTE = 1
    HOUR = 2
    DAY = 3

    @property
    def width_ms(self) -> int:
        """How long a bucket is; 0 for the total, which is one bucket."""
        return _WIDTHS_MS[self]

    def bucket_of(self, at_ms: int) -> int:
        """The start of the bucket that `at_ms` is in; 0 for the total."""
        width_ms = _WIDTHS_MS[self]
        return at_ms - at_ms % width_ms if width_ms else 0


_WIDTHS_MS: Final = (0, 60_000, 3_600_000, 86_400_000)

DATED: Final = (Resolution.MINUTE, Resolution.HOUR, Resolution.DAY)
"""The resolutions whose rows go away after a while."""

# Numbers on disk: never change one, add at the end.
_EXPIRING: Final = {Db.ACTIVITIES: 1, Db.SEEN: 2, Db.DEAD_LETTERS: 3, Db.COUNTERS: 4}
_EXPIRING_BY_TAG: Final = {tag: db for db, tag in _EXPIRING.items()}


class ActivityKey(NamedTuple):
    """The parts of an activity's key: its identity in the store (decision 13)."""

    datamart: int
    user_point: bytes
    ts_ms: int
    unique_key: bytes


class CounterKey(NamedTuple):
    """The parts of a counter's key. `bucket_ms` is when its minute, hour or day begins; 0 for the total."""

    datamart: int
    resolution: Resolution
    bucket_ms: int
    name: str


class ExpiryKey(NamedTuple):
    """The parts of an expiry row: when what goes where. Of counters, `key` is the prefix of a whole bucket."""

    expires_ms: int
    db: Db
    key: bytes


def activity_key(datamart: int, user_point: bytes, ts_ms: int, unique_key: bytes) -> bytes:
    """The key of an activity, 44 bytes: those of one user point lie together in the order of their times."""
    _check_datamart(datamart)
    _check_id("user point", user_point)
    _check_time(ts_ms)
    _check_id("unique key", unique_key)
    return _ACTIVITY.pack(datamart, user_point, ts_ms, unique_key)


def split_activity_key(key: bytes) -> ActivityKey:
    """The parts of a key that `activity_key` made."""
    return ActivityKey._make(_ACTIVITY.unpack(key))


def by_time_key(datamart: int, user_point: bytes, ts_ms: int, unique_key: bytes) -> bytes:
    """The key of the same activity in the order of time over all user points, 44 bytes."""
    _check_datamart(datamart)
    _check_id("user point", user_point)
    _check_time(ts_ms)
    _check_id("unique key", unique_key)
    return _BY_TIME.pack(datamart, ts_ms, user_point, unique_key)


def split_by_time_key(key: bytes) -> ActivityKey:
    """The parts of a key that `by_time_key` made."""
    datamart, ts_ms, user_point, unique_key = _BY_TIME.unpack(key)
    return ActivityKey(datamart, user_point, ts_ms, unique_key)


def time_bound(ts_ms: int, unique_key: bytes = bytes(ID_BYTES)) -> bytes:
    """The part of an activity's key behind its user point, 24 bytes: a place in anybody's timeline."""
    _check_time(ts_ms)
    _check_id("unique key", unique_key)
    return _NUMBER.pack(ts_ms) + unique_key


def journal_key(sequence: int) -> bytes:
    """The key of a journal record, 8 bytes."""
    if not 0 <= sequence <= MAX_NUMBER:
        raise ValueError(f"sequence {sequence} is not between 0 and {MAX_NUMBER}")
    return _NUMBER.pack(sequence)


def journal_rows(records: Sequence[tuple[int, bytes]]) -> list[tuple[bytes, bytes]]:
    """Key and value of records whose sequences rise from 0 or more."""
    if records and records[-1][0] > MAX_NUMBER:
        raise ValueError(f"sequence {records[-1][0]} is not between 0 and {MAX_NUMBER}")
    pack = _NUMBER.pack
    return [(pack(sequence), data) for sequence, data in records]


def split_journal_key(key: bytes) -> int:
    """The sequence of a key that `journal_key` made."""
    (sequence,) = _NUMBER.unpack(key)
    return int(sequence)


def datamart_prefix(datamart: int) -> bytes:
    """What all keys of a datamart begin with, where keys begin with one."""
    _check_datamart(datamart)
    return _DATAMART.pack(datamart)


def user_point_key(datamart: int, user_point: bytes) -> bytes:
    """The key of a user point's row, and the prefix of its activities, 20 bytes."""
    _check_datamart(datamart)
    _check_id("user point", user_point)
    return _USER_POINT.pack(datamart, user_point)


def split_user_point_key(key: bytes) -> tuple[int, bytes]:
    """Datamart and user point of a key that `user_point_key` or `state_key` made."""
    datamart, user_point = _USER_POINT.unpack(key)
    return datamart, user_point


state_key = user_point_key
"""The key of a user point's fold state, 20 bytes."""


def fact_key(datamart: int, user_point: bytes, kind: FactKind) -> bytes:
    """The key of what is known of a user point, 21 bytes: all of one user point lies together."""
    return user_point_key(datamart, user_point) + bytes((kind,))


def history_key(datamart: int, user_point: bytes, kind: FactKind, at_ms: int, row: bytes) -> bytes:
    """The key of what was so of a user point at a time, 45 bytes; `row` is 16 bytes that tell it from others."""
    _check_time(at_ms)
    _check_id("history row", row)
    return fact_key(datamart, user_point, kind) + _NUMBER.pack(at_ms) + row


class TimerKey(NamedTuple):
    """The parts of a timer's key: when which scenario goes on for whom."""

    due_ms: int
    datamart: int
    user_point: bytes
    scenario: str


def timer_key(due_ms: int, datamart: int, user_point: bytes, scenario: str) -> bytes:
    """The key of a timer: all of them lie in the order in which they are due."""
    _check_time(due_ms)
    _check_datamart(datamart)
    _check_id("user point", user_point)
    return _TIMER.pack(due_ms, datamart, user_point) + scenario.encode()


def split_timer_key(key: bytes) -> TimerKey:
    """The parts of a key that `timer_key` made."""
    due_ms, datamart, user_point = _TIMER.unpack_from(key)
    return TimerKey(due_ms, datamart, user_point, key[_TIMER.size :].decode())


class OutboxKey(NamedTuple):
    """The parts of an outbox row's key; of its destination, the hash of its id."""

    datamart: int
    destination: bytes
    due_ms: int
    id: bytes


def outbox_prefix(datamart: int, destination: str) -> bytes:
    """What the keys of all requests to a destination begin with, 12 bytes."""
    _check_datamart(datamart)
    return _DATAMART.pack(datamart) + hashlib.sha256(destination.encode()).digest()[:8]


def outbox_key(datamart: int, destination: str, due_ms: int, request: bytes) -> bytes:
    """The key of a request that waits in the outbox, 36 bytes: those to one destination lie in the order in which they
    are due. `request` is the 16 bytes of its id."""
    _check_time(due_ms)
    _check_id("request", request)
    return outbox_prefix(datamart, destination) + _NUMBER.pack(due_ms) + request


def split_outbox_key(key: bytes) -> OutboxKey:
    """The parts of a key that `outbox_key` made."""
    return OutboxKey._make(_OUTBOX.unpack(key))


def identifier_key(datamart: int, identifier: bytes) -> bytes:
    """The key of an identifier's row, 21 bytes. `identifier` is what `Identifier.key()` gives."""
    _check_datamart(datamart)
    if len(identifier) != ID_BYTES + 1:
        raise ValueError(f"identifier key of {len(identifier)} bytes, not {ID_BYTES + 1}")
    return _HASHED.pack(datamart, identifier)


known_identifier_key: Callable[[int, bytes], bytes] = _HASHED.pack
"""`identifier_key` of a datamart that exists and of what `Identifier.key()` gave: asked for every event."""


def split_identifier_key(key: bytes) -> tuple[int, bytes]:
    """Datamart and `Identifier.key()` of a key that `identifier_key` made."""
    datamart, identifier = _HASHED.unpack(key)
    return datamart, identifier


def seen_key(datamart: int, kind: SeenKind, text: str) -> bytes:
    """The key of an id that was seen, 21 bytes: half a SHA-256 of its text (decision 18)."""
    _check_datamart(datamart)
    return _SEEN.pack(datamart, kind, hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:ID_BYTES])


def dead_letter_key(datamart: int, at_ms: int, number: int) -> bytes:
    """The key of a dead letter, 20 bytes. `number` rises with every letter of the store."""
    _check_datamart(datamart)
    _check_time(at_ms)
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"number {number} is not between 0 and {MAX_NUMBER}")
    return _DEAD_LETTER.pack(datamart, at_ms, number)


def split_dead_letter_key(key: bytes) -> tuple[int, int, int]:
    """Datamart, time and number of a key that `dead_letter_key` made."""
    datamart, at_ms, number = _DEAD_LETTER.unpack(key)
    return datamart, at_ms, number


def bucket_prefix(datamart: int, resolution: Resolution, bucket_ms: int = 0) -> bytes:
    """What all counters of one bucket begin with, 13 bytes."""
    _check_datamart(datamart)
    _check_time(bucket_ms)
    return _BUCKET.pack(datamart, resolution, bucket_ms)


def counter_key(datamart: int, resolution: Resolution, bucket_ms: int, name: str) -> bytes:
    """The key of a counter; its name comes last because it is the one part of any length."""
    return bucket_prefix(datamart, resolution, bucket_ms) + counter_name(name)


@lru_cache(1024)
def counter_name(name: str) -> bytes:
    """A counter's name as it stands in keys."""
    encoded = name.encode()
    if not 0 < len(encoded) <= MAX_COUNTER_NAME_BYTES:
        raise ValueError(f"counter name of {len(encoded)} bytes, not 1 to {MAX_COUNTER_NAME_BYTES}")
    return encoded


def split_counter_key(key: bytes) -> CounterKey:
    """The parts of a key that `counter_key` made."""
    datamart, resolution, bucket_ms = _BUCKET.unpack_from(key)
    return CounterKey(datamart, Resolution(resolution), bucket_ms, key[_BUCKET.size :].decode())


def expiry_key(expires_ms: int, db: Db, key: bytes) -> bytes:
    """The key of the row that makes the janitor remove `key` from `db` (decision 36)."""
    _check_time(expires_ms)
    if db not in _EXPIRING:
        raise ValueError(f"rows of {db} do not expire")
    if not 0 < len(key) <= MAX_KEY_BYTES - _EXPIRY.size:
        raise ValueError(f"key of {len(key)} bytes, not 1 to {MAX_KEY_BYTES - _EXPIRY.size} for a row that expires")
    return _EXPIRY.pack(expires_ms, _EXPIRING[db]) + key


def expiry_bound(before_ms: int) -> bytes:
    """The first place behind all expiry rows before `before_ms`."""
    _check_time(before_ms)
    return _NUMBER.pack(before_ms)


def split_expiry_key(key: bytes) -> ExpiryKey:
    """The parts of a key that `expiry_key` made."""
    expires_ms, tag = _EXPIRY.unpack_from(key)
    return ExpiryKey(expires_ms, _EXPIRING_BY_TAG[tag], key[_EXPIRY.size :])


def successor(prefix: bytes) -> bytes | None:
    """The first place behind all keys that begin with `prefix`, or None when there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else None


def _check_datamart(datamart: int) -> None:
    if not 0 <= datamart <= MAX_DATAMART:
        raise ValueError(f"datamart {datamart} is not an unsigned 32-bit number")


def _check_time(ts_ms: int) -> None:
    if not 0 <= ts_ms <= MAX_TS_MS:
        raise ValueError(f"time {ts_ms} is not between 0 and {MAX_TS_MS} ms")


def _check_id(what: str, value: bytes) -> None:
    if len(value) != ID_BYTES:
        raise ValueError(f"{what} of {len(value)} bytes, not {ID_BYTES}")
