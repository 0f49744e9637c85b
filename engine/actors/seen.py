"""Accepted once: event ids and idempotency keys (decision 18).

The look-up includes what is not yet committed, so that two copies on two connections at once are one event.
"""

from collections.abc import Sequence

from msgspec import Struct

from engine.store.keys import SeenKind, seen_key
from engine.store.layout import SeenRow, decode_seen, encode_seen
from engine.store.port import Db, Operation, Put, Store


class Overlay(Struct):
    """What one request knows of keys.

    Attributes:
        keys: written but not yet committed, and their rows.
        read: looked up in the store already; None where there is no row.
        events: keys of event ids, each hashed once.
    """

    keys: dict[bytes, SeenRow] = {}
    read: dict[bytes, SeenRow | None] = {}
    events: dict[tuple[int, str], bytes] = {}


class SeenKeys:
    """Which ids were accepted before.

    Args:
        store: where they are kept.
        keep_ms: how long, on the wall clock.
    """

    def __init__(self, store: Store, keep_ms: int) -> None:
        self._store = store
        self._keep_ms = keep_ms
        self._pending: dict[bytes, SeenRow] = {}

    def draft(self) -> Overlay:
        """A place for the keys of one request."""
        return Overlay()

    def look_up(self, draft: Overlay, *, datamart: int, event_ids: Sequence[str]) -> None:
        """Read what the store knows of these event ids, all at once, for the questions that follow."""
        keys = [self._event_key(draft, datamart, event_id) for event_id in event_ids]
        rows = self._store.get_many(Db.SEEN, keys)
        draft.read.update(
            (key, None if data is None else decode_seen(data)) for key, data in zip(keys, rows, strict=True)
        )

    def knows(self, draft: Overlay, *, datamart: int, event_id: str, wall_ms: int) -> bool:
        """Whether an event id was accepted before."""
        return self._row(draft, self._event_key(draft, datamart, event_id), wall_ms) is not None

    def note(self, draft: Overlay, *, datamart: int, event_id: str, wall_ms: int) -> Operation:
        """Remember an event id from now on."""
        return self._note(draft, self._event_key(draft, datamart, event_id), SeenRow(wall_ms + self._keep_ms))

    def request(self, draft: Overlay, *, datamart: int, idempotency_key: str, wall_ms: int) -> SeenRow | None:
        """What is known of the request that an idempotency key was accepted with: its body's digest, and what of it
        was refused; None for a new key."""
        return self._row(draft, seen_key(datamart, SeenKind.REQUEST, idempotency_key), wall_ms)

    def note_request(
        self,
        draft: Overlay,
        *,
        datamart: int,
        idempotency_key: str,
        body_digest: bytes,
        refused: tuple[tuple[int, str, str, str], ...],
        wall_ms: int,
    ) -> Operation:
        """Remember a request from now on: what of it was refused is refused again, the rest is a duplicate."""
        row = SeenRow(wall_ms + self._keep_ms, body_digest, refused)
        return self._note(draft, seen_key(datamart, SeenKind.REQUEST, idempotency_key), row)

    def keep(self, draft: Overlay) -> None:
        """The request was taken: its keys count for the requests after it, committed or not."""
        self._pending.update(draft.keys)

    def committed(self, draft: Overlay) -> None:
        """The keys of a request are in the store."""
        for key in draft.keys:
            self._pending.pop(key, None)

    def _row(self, draft: Overlay, key: bytes, wall_ms: int) -> SeenRow | None:
        found = draft.keys.get(key) or self._pending.get(key)
        if found is None and key in draft.read:
            found = draft.read[key]
        elif found is None:
            data = self._store.get(Db.SEEN, key)
            found = decode_seen(data) if data is not None else None
        return found if found is not None and found.expires_ms > wall_ms else None

    def _event_key(self, draft: Overlay, datamart: int, event_id: str) -> bytes:
        name = datamart, event_id
        key = draft.events.get(name)
        if key is None:
            key = draft.events[name] = seen_key(datamart, SeenKind.EVENT, event_id)
        return key

    def _note(self, draft: Overlay, key: bytes, row: SeenRow) -> Operation:
        draft.keys[key] = row
        return Put(Db.SEEN, key, encode_seen(row), row.expires_ms)
