"""All activities of a datamart by time, and all its persons: for questions about everybody.

As in `reads`, each page is a short transaction of its own, so that a long walk holds back nobody who writes. What is
stored or removed meanwhile is seen, or not.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from engine.model.limits import MAX_TS_MS
from engine.store import reads
from engine.store.keys import (
    activity_key,
    datamart_prefix,
    split_by_time_key,
    split_user_point_key,
)
from engine.store.layout import activity_expires_ms, activity_value, decode_user_point
from engine.store.port import Db, Store

KEYS: Final = 1000
"""Rows of the index in one page: 44 kB."""

ACTIVITIES: Final = 64
"""Activities read in one transaction: half a megabyte of the usual largest size."""

MAX_FAMILIES: Final = 10_000
"""Persons whose user points are remembered while a walk lasts: a visitor's activities lie near each other in time."""


class Scanned(Struct, frozen=True, gc=False):
    """An activity and whose it is.

    Attributes:
        user_point: the person's, 16 bytes; of one that was absorbed, the survivor's.
        ts_ms: its time.
        value: its JSON; nothing of a row of another format, whose user point may be an absorbed one.
    """

    user_point: bytes
    ts_ms: int
    value: bytes


def walk_by_time(
    store: Store, datamart: int, *, now_ms: int, start_ms: int | None = None, end_ms: int | None = None
) -> Iterator[Scanned | None]:
    """All activities of a datamart, the newest first; None for a row that is none, so that the caller can pause.

    Expired ones are left out (decision 36), and of an identity stored under several user points of one person all but
    the survivor's, as `reads.walk_activities` has it.

    Args:
        store, datamart: where.
        now_ms: wall clock, for what expires.
        start_ms, end_ms: bounds of `$ts`, both included; None for none.
    """
    prefix = datamart_prefix(datamart)
    if end_ms is not None and end_ms < 0:
        return
    after = None
    if end_ms is not None and end_ms < MAX_TS_MS:
        after = prefix + (end_ms + 1).to_bytes(8, "big")
    families: dict[bytes, tuple[bytes, ...]] = {}
    while rows := store.page(Db.BY_TIME, prefix=prefix, after=after, limit=KEYS, reverse=True):
        keys = [split_by_time_key(key) for key, _ in rows]
        after = rows[-1][0]
        for begin in range(0, len(keys), ACTIVITIES):
            some = keys[begin : begin + ACTIVITIES]
            if start_ms is not None and some[0].ts_ms < start_ms:
                return  # The newest first: all others are earlier.
            stored = store.get_many(Db.ACTIVITIES, [activity_key(*key) for key in some])
            for key, value in zip(some, stored, strict=True):
                if start_ms is not None and key.ts_ms < start_ms:
                    return
                try:
                    expires_ms = None if value is None else activity_expires_ms(value)
                except ValueError:
                    yield Scanned(key.user_point, key.ts_ms, b"")
                    continue
                if value is None or (expires_ms is not None and expires_ms <= now_ms):
                    yield None
                    continue
                members = families.get(key.user_point)
                if members is None:
                    if len(families) >= MAX_FAMILIES:
                        families.clear()
                    members = families[key.user_point] = reads.family(store, datamart, key.user_point)
                if _is_shadowed(store, key.user_point, members, datamart, key.ts_ms, key.unique_key):
                    yield None
                else:
                    yield Scanned(members[0], key.ts_ms, activity_value(value))


def _is_shadowed(
    store: Store, user_point: bytes, members: tuple[bytes, ...], datamart: int, ts_ms: int, unique_key: bytes
) -> bool:
    """Whether a member of the family that comes first has the same activity."""
    for member in members:
        if member == user_point:
            return False
        if store.get(Db.ACTIVITIES, activity_key(datamart, member, ts_ms, unique_key)) is not None:
            return True
    return False


def walk_persons(store: Store, datamart: int) -> Iterator[bytes | None]:
    """All persons of a datamart, 16 bytes each: their user points but those that others have absorbed, for which None
    comes, so that the caller can pause."""
    prefix = datamart_prefix(datamart)
    after: bytes | None = None
    while rows := store.page(Db.USER_POINTS, prefix=prefix, after=after, limit=KEYS):
        for key, stored in rows:
            yield split_user_point_key(key)[1] if decode_user_point(stored).alias_of is None else None
        after = rows[-1][0]
