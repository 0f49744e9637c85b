"""What could never be written is refused before it joins a batch, where it would abort what others sent.

House, "How it fails": keys and values are checked against the store's limits first.
"""

from collections.abc import Sequence
from typing import Final

from engine.model.limits import MAX_DATAMART, MAX_TS_MS
from engine.store.keys import (
    ID_BYTES,
    MAX_KEY_BYTES,
    MAX_NUMBER,
    OUTBOX_KEY_BYTES,
    activity_key,
    counter_name,
    dead_letter_key,
    expiry_key,
)
from engine.store.layout import decode_outbox, decode_seen, decode_user_point
from engine.store.port import (
    AddDeadLetter,
    AppendJournal,
    Count,
    Db,
    Delete,
    Operation,
    PurgeExpired,
    Put,
    RemoveJournal,
    StoreActivity,
)

MAX_VALUE_BYTES: Final = 64 << 20
"""Far above any request; a larger value might never fit, and its batch would be tried for ever."""


def check(operations: Sequence[Operation]) -> None:
    """Refuse what could never be written.

    Raises:
        ValueError: a key, value or number is out of range; the message names the operation.
    """
    for operation in operations:
        try:
            _check(operation)
        except ValueError as error:
            raise ValueError(f"{type(operation).__name__}: {error}") from None


def _check(operation: Operation) -> None:
    match operation:
        case AppendJournal():
            _check_range("arrival", operation.last_arrival_ms, MAX_TS_MS)
            for sequence, data in operation.records:
                # Said again here, as this is done for every event.
                if not 0 <= sequence <= MAX_NUMBER or len(data) > MAX_VALUE_BYTES:
                    _check_range("sequence", sequence, MAX_NUMBER)
                    _check_value(data)
        case Count():
            _check_range("datamart", operation.datamart, MAX_DATAMART)
            _check_range("time", operation.at_ms, MAX_TS_MS)
            for name, _ in operation.amounts:  # An amount may be any: a counter that is full stays so.
                counter_name(name)
        case RemoveJournal():
            for sequence in operation.sequences:
                _check_range("sequence", sequence, MAX_NUMBER)
        case StoreActivity():
            _check_activity(operation)
        case Put():
            _check_put(operation)
        case Delete():
            _check_key(operation.db, operation.key)
        case AddDeadLetter():
            _check_value(operation.value)
            _check_range("weight", operation.weight, MAX_NUMBER)
            dead_letter_key(operation.datamart, operation.at_ms, 0)
            _check_range("expiry", operation.expires_ms, MAX_TS_MS)
        case PurgeExpired():
            _check_range("time", operation.before_ms, MAX_TS_MS)
            _check_range("limit", operation.limit, MAX_NUMBER)
        case _:
            raise ValueError("no store operation")


def _check_activity(operation: StoreActivity) -> None:
    activity_key(operation.datamart, operation.user_point, operation.ts_ms, operation.unique_key)
    _check_value(operation.value)
    _check_range("weight", operation.weight, MAX_NUMBER)
    _check_range("time of counting", operation.counted_at_ms, MAX_TS_MS)
    if operation.expires_ms is not None:
        _check_range("expiry", operation.expires_ms - 1, MAX_TS_MS - 1)  # 0 on disk is never.
    for effect in operation.effects:
        _check(effect)


def _check_put(operation: Put) -> None:
    _check_key(operation.db, operation.key)
    _check_value(operation.value)
    if operation.db is Db.USER_POINTS:
        decode_user_point(operation.value)
    if operation.db is Db.OUTBOX:
        decode_outbox(operation.value)
    if operation.expires_ms is None:
        return
    if operation.db is not Db.SEEN:
        raise ValueError(f"rows of {operation.db} do not expire by Put")
    expiry_key(operation.expires_ms, operation.db, operation.key)
    if decode_seen(operation.value).expires_ms != operation.expires_ms:
        raise ValueError("expires at another time than its row says")


def check_place(place: bytes) -> None:
    """Refuse a place to read from that no key can have.

    Raises:
        ValueError: it is longer than a key.
    """
    if len(place) > MAX_KEY_BYTES:
        raise ValueError(f"place of {len(place)} bytes, more than {MAX_KEY_BYTES}")


def _check_key(db: Db, key: bytes) -> None:
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"key of {len(key)} bytes in {db}, not 1 to {MAX_KEY_BYTES}")
    if db is Db.OUTBOX and len(key) != OUTBOX_KEY_BYTES:
        raise ValueError(f"key of {len(key)} bytes in {db}, not {OUTBOX_KEY_BYTES}")
    if db is Db.USER_POINTS and len(key) != ID_BYTES + 4:
        raise ValueError(f"key of {len(key)} bytes in {db}, not {ID_BYTES + 4}")


def _check_value(value: bytes) -> None:
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"value of {len(value)} bytes, more than {MAX_VALUE_BYTES}")


def _check_range(what: str, number: int, most: int) -> None:
    if not 0 <= number <= most:
        raise ValueError(f"{what} {number} is not between 0 and {most}")
