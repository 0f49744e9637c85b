"""What is asked of a store, over `port.Store`: timelines, identifiers, counters, dead letters, statistics.

All of it reads in pages, each a short transaction of its own, so nothing here is one snapshot of the store. Whoever
serves requests calls it in a thread.
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from engine.model.identifiers import Identifier
from engine.model.limits import MAX_TS_MS
from engine.store.keys import (
    ACTIVITY_PREFIX_BYTES,
    ID_BYTES,
    Resolution,
    bucket_prefix,
    counter_key,
    datamart_prefix,
    identifier_key,
    split_counter_key,
    time_bound,
    user_point_key,
)
from engine.store.layout import (
    DeadLetter,
    Link,
    activity_expires_ms,
    activity_value,
    decode_dead_letter,
    decode_identifier,
    decode_number,
    decode_user_point,
    follow,
)
from engine.store.port import Db, Store

PAGE_ROWS: Final = 100
PAGE_BYTES: Final = 1 << 20
"""One transaction reads at most this much: about 130 activities of the largest size."""

MAX_SERIES_BUCKETS: Final = 10_000
"""A week of minutes, or more hours and days than are kept; each bucket is a point read of 2 µs."""

CLOSE_REASONS: Final = ("inactivity", "gap", "origin", "referrer", "duration", "size", "request")
"""Always in the statistics, also at 0: the values of `CloseReason` that end sessions; this room may not import it."""

STATISTICS: Final = (
    "events_received",
    "events_stored",
    "events_duplicate",
    "events_refused",
    "events_dead",
    "events_dropped",
    "events_open",
    "events_late",
    "activities_stored",
    "user_points",
)
"""Always in the statistics, also at 0."""

SESSIONS_CLOSED: Final = "sessions_closed"


class StoredActivity(Struct, frozen=True, gc=False):
    """An activity as it was stored.

    Attributes:
        ts_ms, unique_key: its identity within its user point.
        value: its JSON, absent fields left out.
        place: its place in the timeline, to go on behind it.
    """

    ts_ms: int
    unique_key: bytes
    value: bytes
    place: bytes


class FoundDeadLetter(Struct, frozen=True):
    """A dead letter and its place in the list, to go on behind it."""

    place: bytes
    letter: DeadLetter


def find_user_point(store: Store, datamart: int, identifier: Identifier) -> bytes | None:
    """The user point that an identifier belongs to now, or None when nobody has named it."""
    stored = store.get(Db.IDENTIFIERS, identifier_key(datamart, identifier.key()))
    return None if stored is None else survivor(store, datamart, decode_identifier(stored).user_point)


def survivor(store: Store, datamart: int, user_point: bytes) -> bytes:
    """What a user point has become: itself, or the one that absorbed it (decision 3)."""
    return follow(store.get, datamart, user_point)[0]


def is_known(store: Store, datamart: int, user_point: bytes) -> bool:
    """Whether a user point has ever been named."""
    return store.get(Db.USER_POINTS, user_point_key(datamart, user_point)) is not None


def family(store: Store, datamart: int, user_point: bytes) -> tuple[bytes, ...]:
    """All user points that are one person with `user_point`: the survivor first, then its aliases."""
    first, row = follow(store.get, datamart, user_point)
    return (first, *(row.aliases if row else ()))


def identifiers(store: Store, datamart: int, user_point: bytes) -> tuple[Link, ...]:
    """The identifiers of a person, each once, in the order they were linked."""
    found: dict[tuple[int, str, str], Link] = {}
    for member in family(store, datamart, user_point):
        stored = store.get(Db.USER_POINTS, user_point_key(datamart, member))
        for link in decode_user_point(stored).links if stored is not None else ():
            found.setdefault((link.kind, link.namespace, link.value), link)
    return tuple(sorted(found.values(), key=lambda link: link.linked_ms))


def activities(
    store: Store,
    datamart: int,
    user_point: bytes,
    *,
    now_ms: int,
    limit: int = PAGE_ROWS,
    before_ms: int | None = None,
    after: bytes | None = None,
) -> list[StoredActivity]:
    """At most `limit` activities of a person, the newest first; see `walk_activities`."""
    walk = walk_activities(
        store, datamart, user_point, now_ms=now_ms, before_ms=before_ms, after=after, rows=min(limit, PAGE_ROWS)
    )
    return list(islice(walk, max(limit, 0)))


def walk_activities(
    store: Store,
    datamart: int,
    user_point: bytes,
    *,
    now_ms: int,
    before_ms: int | None = None,
    after: bytes | None = None,
    rows: int = PAGE_ROWS,
    damaged: bool = False,
) -> Iterator[StoredActivity]:
    """Activities of a person, the newest first, read as they are asked for.

    Those of the user points it has absorbed are merged in; an identity stored under several of them comes once, from
    the survivor first. Expired ones are left out (decision 36).

    Args:
        store, datamart, user_point: whose; any of the person's user points, 16 bytes.
        now_ms: wall clock, for what expires.
        before_ms: only activities with an earlier `$ts`.
        after: the `place` of an activity: only what comes behind it.
        rows: how many are read at a time from each user point.
        damaged: a row of another format comes with an empty value.

    Raises:
        ValueError: `after` is no place, or a row is of another format and `damaged` was not asked for.
    """
    bound = _bound(before_ms, after)
    members = family(store, datamart, user_point)
    page_bytes = max(PAGE_BYTES // len(members), 1 << 14)
    timelines = [
        _newest_first(store, user_point_key(datamart, member), bound, max(rows, 1), page_bytes) for member in members
    ]
    # Of equal places, the earlier timeline's comes first.
    last = b""
    for place, stored in heapq.merge(*timelines, key=lambda row: row[0], reverse=True):
        if place == last:
            continue
        last = place
        ts_ms, unique_key = int.from_bytes(place[:-ID_BYTES], "big"), place[-ID_BYTES:]
        try:
            expires_ms = activity_expires_ms(stored)
        except ValueError:
            if not damaged:
                raise
            yield StoredActivity(ts_ms, unique_key, b"", place)
            continue
        if expires_ms is None or expires_ms > now_ms:
            yield StoredActivity(ts_ms, unique_key, activity_value(stored), place)


def _bound(before_ms: int | None, after: bytes | None) -> bytes | None:
    """The place that all activities asked for are below, or None."""
    if after is not None and len(after) != len(time_bound(0)):
        raise ValueError(f"place of {len(after)} bytes, not {len(time_bound(0))}")
    if before_ms is None or before_ms > MAX_TS_MS:
        return after
    bound = time_bound(max(before_ms, 0))
    return bound if after is None else min(bound, after)


def _newest_first(
    store: Store, prefix: bytes, bound: bytes | None, rows: int, page_bytes: int
) -> Iterator[tuple[bytes, bytes]]:
    """Place and stored value of one user point's activities below `bound`."""
    after = None if bound is None else prefix + bound
    while page := store.page(Db.ACTIVITIES, prefix=prefix, after=after, limit=rows, max_bytes=page_bytes, reverse=True):
        for key, stored in page:
            yield key[ACTIVITY_PREFIX_BYTES:], stored
        after = page[-1][0]


def dead_letters(
    store: Store, datamart: int, *, limit: int = PAGE_ROWS, after: bytes | None = None
) -> list[FoundDeadLetter]:
    """At most `limit` dead letters of a datamart, the newest first; behind the place `after`, if given.

    Fewer than `limit` need not be the end; none at all is.
    """
    rows = store.page(
        Db.DEAD_LETTERS,
        prefix=datamart_prefix(datamart),
        after=after,
        limit=limit,
        max_bytes=PAGE_BYTES,
        reverse=True,
    )
    return [FoundDeadLetter(key, decode_dead_letter(stored)) for key, stored in rows]


def datamarts(store: Store) -> list[int]:
    """The datamarts that have counted anything."""
    found: list[int] = []
    after: bytes | None = None
    while rows := store.page(Db.COUNTERS, after=after, limit=1):
        found.append(split_counter_key(rows[0][0]).datamart)
        # Behind all counters of this datamart: no resolution has the number 255.
        after = datamart_prefix(found[-1]) + b"\xff"
    return found


def counter_totals(store: Store, datamart: int) -> dict[str, int]:
    """All counters of a datamart since its first event, by name (decision 17)."""
    prefix = bucket_prefix(datamart, Resolution.TOTAL)
    found: dict[str, int] = {}
    after: bytes | None = None
    while rows := store.page(Db.COUNTERS, prefix=prefix, after=after, limit=1000):
        found.update((split_counter_key(key).name, decode_number(stored)) for key, stored in rows)
        after = rows[-1][0]
    return found


def counter_series(
    store: Store, datamart: int, name: str, resolution: Resolution, *, since_ms: int, until_ms: int
) -> list[tuple[int, int]]:
    """A counter over time: the start of each minute, hour or day (UTC), and its count, also where it is 0.

    Args:
        store, datamart, name: whose counter.
        resolution: minutes, hours or days.
        since_ms: the first bucket is the one this is in.
        until_ms: buckets that start before this.

    Raises:
        ValueError: of a total, or of more than `MAX_SERIES_BUCKETS`.
    """
    if resolution is Resolution.TOTAL:
        raise ValueError("a total has no series")
    buckets = range(resolution.bucket_of(since_ms), until_ms, resolution.width_ms)
    if len(buckets) > MAX_SERIES_BUCKETS:
        raise ValueError(f"{len(buckets)} buckets, more than {MAX_SERIES_BUCKETS}")
    keys = [counter_key(datamart, resolution, bucket_ms, name) for bucket_ms in buckets]
    return [
        (bucket_ms, decode_number(store.get(Db.COUNTERS, key))) for bucket_ms, key in zip(buckets, keys, strict=True)
    ]


def statistics(store: Store, datamart: int | None = None) -> dict[str, int | dict[str, int]]:
    """The totals that everybody asks for: those of `STATISTICS`, and `sessions_closed` by reason.

    Args:
        store: which store.
        datamart: of which datamart; None adds up all.
    """
    totals = [counter_totals(store, one) for one in (datamarts(store) if datamart is None else [datamart])]
    closed = {reason: _sum(totals, f"{SESSIONS_CLOSED}.{reason}") for reason in CLOSE_REASONS}
    return {**{name: _sum(totals, name) for name in STATISTICS}, SESSIONS_CLOSED: closed}


def _sum(totals: Sequence[dict[str, int]], name: str) -> int:
    return sum(counters.get(name, 0) for counters in totals)
