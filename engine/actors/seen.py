"""Accepted once: event ids and idempotency keys (decision 18).

The look-up includes what is not yet committed, so that two copies on two connections at once are one event.
"""

from msgspec import Struct

from engine.store.keys import SeenKind, seen_key
from engine.store.layout import SeenRow, decode_seen, encode_seen
from engine.store.port import Db, Operation, Put, Store


class Overlay(Struct):
    """Keys written but not yet committed, and their rows."""

    keys: dict[bytes, SeenRow]


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
        return Overlay({})

    def knows(self, draft: Overlay, *, datamart: int, event_id: str, wall_ms: int) -> bool:
        """Whether an event id was accepted before."""
        return self._row(draft, seen_key(datamart, SeenKind.EVENT, event_id), wall_ms) is not None

    def note(self, draft: Overlay, *, datamart: int, event_id: str, wall_ms: int) -> Operation:
        """Remember an event id from now on."""
        return self._note(draft, seen_key(datamart, SeenKind.EVENT, event_id), SeenRow(wall_ms + self._keep_ms))

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
        if found is None:
            data = self._store.get(Db.SEEN, key)
            found = decode_seen(data) if data is not None else None
        return found if found is not None and found.expires_ms > wall_ms else None

    def _note(self, draft: Overlay, key: bytes, row: SeenRow) -> Operation:
        draft.keys[key] = row
        return Put(Db.SEEN, key, encode_seen(row), row.expires_ms)
