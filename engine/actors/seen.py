"""Accepted once: event ids and idempotency keys (decision 18).

The look-up includes what is not yet committed, so that two copies on two connections at once are one event.
"""

from msgspec import Struct

from engine.store.keys import SeenKind, seen_key
from engine.store.layout import SeenRow, decode_seen, encode_seen
from engine.store.port import Db, Operation, Put, Store


class Overlay(Struct):
    """Keys written but not yet committed, with the digest of the body they came with (empty for events)."""

    keys: dict[bytes, bytes]


class SeenKeys:
    """Which ids were accepted before.

    Args:
        store: where they are kept.
        keep_ms: how long, on the wall clock.
    """

    def __init__(self, store: Store, keep_ms: int) -> None:
        self._store = store
        self._keep_ms = keep_ms
        self._pending: dict[bytes, bytes] = {}

    def draft(self) -> Overlay:
        """A place for the keys of one request."""
        return Overlay({})

    def knows(self, draft: Overlay, *, datamart: int, event_id: str, wall_ms: int) -> bool:
        """Whether an event id was accepted before."""
        return self._digest(draft, seen_key(datamart, SeenKind.EVENT, event_id), wall_ms) is not None

    def note(self, draft: Overlay, *, datamart: int, event_id: str, wall_ms: int) -> Operation:
        """Remember an event id from now on."""
        return self._note(draft, seen_key(datamart, SeenKind.EVENT, event_id), b"", wall_ms)

    def digest_of_request(self, draft: Overlay, *, datamart: int, idempotency_key: str, wall_ms: int) -> bytes | None:
        """The digest of the body an idempotency key was accepted with, or None."""
        return self._digest(draft, seen_key(datamart, SeenKind.REQUEST, idempotency_key), wall_ms)

    def note_request(
        self, draft: Overlay, *, datamart: int, idempotency_key: str, body_digest: bytes, wall_ms: int
    ) -> Operation:
        """Remember an idempotency key and the digest of its body from now on."""
        return self._note(draft, seen_key(datamart, SeenKind.REQUEST, idempotency_key), body_digest, wall_ms)

    def keep(self, draft: Overlay) -> None:
        """The request was taken: its keys count for the requests after it, committed or not."""
        self._pending.update(draft.keys)

    def committed(self, draft: Overlay) -> None:
        """The keys of a request are in the store."""
        for key in draft.keys:
            self._pending.pop(key, None)

    def _digest(self, draft: Overlay, key: bytes, wall_ms: int) -> bytes | None:
        found = draft.keys.get(key)
        if found is None:
            found = self._pending.get(key)
        if found is not None:
            return found
        data = self._store.get(Db.SEEN, key)
        if data is None:
            return None
        row = decode_seen(data)
        return row.digest if row.expires_ms > wall_ms else None

    def _note(self, draft: Overlay, key: bytes, digest: bytes, wall_ms: int) -> Operation:
        draft.keys[key] = digest
        expires_ms = wall_ms + self._keep_ms
        return Put(Db.SEEN, key, encode_seen(SeenRow(expires_ms, digest)), expires_ms)
