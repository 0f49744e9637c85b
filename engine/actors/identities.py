"""Who an item is from, as of all items before it, stored yet or not (decisions 1 to 3).

Three places know a link, and are asked in this order: what this request has linked so far, what earlier requests have
linked and the writer has not committed yet, and the store with a cache before it.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from engine.identity.attach import Resolution, attach_to, resolve
from engine.identity.placeholders import Placeholders
from engine.identity.points import Link, PointView
from engine.model.identifiers import Identifier
from engine.model.identity_rules import HyperPointLimits
from engine.store.keys import identifier_key, known_identifier_key, split_identifier_key, user_point_key
from engine.store.layout import (
    IdentifierRow,
    UserPointRow,
    decode_identifier,
    decode_user_point,
    encode_identifier,
    encode_user_point,
)
from engine.store.layout import Link as LinkRow
from engine.store.port import Db, Operation, Put, Store

CACHE_LINKS: Final = 200_000
"""Links kept in memory, about 200 bytes each: the users of the last minutes cost no look-up on disk."""


class Overlay:
    """Links and user points written but not yet committed, by their store keys."""

    __slots__ = ("links", "points")

    def __init__(self) -> None:
        self.links: dict[bytes, bytes] = {}
        self.points: dict[bytes, UserPointRow] = {}


_EMPTY: Final = Overlay()
"""Of who only asks: never written to."""


class Attached(Struct, frozen=True):
    """Who an item is from.

    Attributes:
        user_point: 16 bytes.
        absorbed: user points that merge into it; each needs a MERGE record before the item's own.
        counts: counters to raise: ignored placeholders, identifiers left out.
    """

    user_point: bytes
    absorbed: tuple[bytes, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()


class Identities:
    """Finds user points, and keeps what is not yet committed.

    Args:
        store: where links and user points are.
        limits: against hyper points.
        placeholders: values that name nobody.
    """

    def __init__(self, store: Store, limits: HyperPointLimits, placeholders: Placeholders) -> None:
        self._store = store
        self._limits = limits
        self._placeholders = placeholders
        self._pending = Overlay()
        self._cache: dict[bytes, bytes] = {}
        self._firsts: dict[bytes, bytes] = {}  # Only of identifiers that steps find.

    def at_hand(self, draft: Overlay, datamart: int, keys: Sequence[bytes]) -> bytes | None:
        """The user point of a visitor whose identifiers are all known and one person's, without a look at the store.

        That is nearly every item. A placeholder is never linked, so it is never at hand; None says nothing.

        Args:
            draft: of the request.
            datamart: id of the datamart.
            keys: `Identifier.key()` of each.
        """
        pending = self._pending
        if len(keys) == 1 and not (draft.links or draft.points or pending.links or pending.points):
            return self._cache.get(known_identifier_key(datamart, keys[0]))
        point: bytes | None = None
        for part in keys:
            key = known_identifier_key(datamart, part)
            linked = draft.links.get(key) or self._pending.links.get(key) or self._cache.get(key)
            if linked is None:
                return None
            if draft.points or self._pending.points:
                linked = self._survivor(draft, datamart, linked)
            if point is not None and linked != point:
                return None
            point = linked
        return point

    def attach(
        self, draft: Overlay, identifiers: Sequence[Identifier], *, datamart: int, now_ms: int, sequence: int
    ) -> tuple[Attached, list[Operation]]:
        """Find the user point of an item; what it links or merges goes into `draft` and into the operations.

        Args:
            draft: of the request this item belongs to; `keep` makes it known to later ones.
            identifiers: of the item.
            datamart: id of the datamart.
            now_ms: engine time of arrival.
            sequence: of the item's first record.

        Raises:
            NoUserIdentifier: nobody to count it for.
        """
        at_hand = self.at_hand(draft, datamart, [identifier.key() for identifier in identifiers])
        if at_hand is not None:
            return Attached(at_hand), []

        def known(identifier: Identifier) -> PointView | None:
            return self._known(draft, datamart, identifier)

        resolution = resolve(
            identifiers,
            datamart=datamart,
            now_ms=now_ms,
            sequence=sequence,
            known=known,
            limits=self._limits,
            placeholders=self._placeholders,
        )
        operations = self._write(draft, datamart, resolution, sequence, now_ms) if resolution.changes else []
        return Attached(resolution.user_point, resolution.absorbed, _counts(resolution)), operations

    def attach_to(
        self,
        draft: Overlay,
        user_point: bytes,
        identifiers: Sequence[Identifier],
        *,
        datamart: int,
        now_ms: int,
        sequence: int,
    ) -> tuple[Attached, list[Operation]]:
        """Attach further identifiers to a person (decision 25); what that links or merges goes into `draft` and into
        the operations. Nothing where the user point is gone.

        Args:
            draft: as for `attach`.
            user_point: whom they are of; what it has become, if it was absorbed.
            identifiers: each once.
            datamart, now_ms, sequence: as for `attach`.
        """
        if self.at_hand(draft, datamart, [identifier.key() for identifier in identifiers]) == user_point:
            return Attached(user_point), []  # Nearly always: whoever logs in has done so before.
        resolution = self._gathered(draft, user_point, identifiers, datamart, now_ms)
        if resolution is None:
            return Attached(user_point), []
        operations = self._write(draft, datamart, resolution, sequence, now_ms) if resolution.changes else []
        return Attached(resolution.user_point, resolution.absorbed, _counts(resolution)), operations

    def meeting(
        self, datamart: int, user_point: bytes, identifiers: Sequence[Identifier], now_ms: int
    ) -> tuple[bytes, bytes]:
        """Whom `attach_to` would make one: the user point that survives, and another one that it absorbs, or b"".

        That is the one given, where it does not survive; else the one that an identifier was first linked to, also when
        it was absorbed a moment ago: what is known of it moves only when its merge has come through the chain.
        """
        keys = [identifier.key() for identifier in identifiers]
        if self.at_hand(_EMPTY, datamart, keys) == user_point:
            firsts = [self._first_linked(identifier_key(datamart, key)) for key in keys]
            return user_point, next((first for first in firsts if first not in (None, user_point)), None) or b""
        resolution = self._gathered(Overlay(), user_point, identifiers, datamart, now_ms)
        if resolution is None:
            return user_point, b""
        survivor = resolution.user_point
        if survivor != user_point:
            return survivor, user_point
        for key in keys:
            first = self._first_linked(identifier_key(datamart, key))
            if first is not None and first != survivor:
                now = self.survivor(datamart, first)
                if now == survivor or now in resolution.absorbed:
                    return survivor, first
        return survivor, b""

    def keep(self, draft: Overlay) -> None:
        """Make what a request has linked known to the requests after it, until `committed`."""
        self._pending.links.update(draft.links)
        self._pending.points.update(draft.points)
        if any(row.alias_of is not None for row in draft.points.values()):
            self._cache.clear()  # Cached links may name a user point that is an alias now.

    def committed(self, draft: Overlay) -> None:
        """What a request had linked is in the store."""
        for key, row in draft.points.items():
            if self._pending.points.get(key) is row:
                del self._pending.points[key]
        if any(row.alias_of is not None for row in draft.points.values()):
            self._cache.clear()  # Again: between `keep` and now, links to the alias may have been cached.
        for key, point in draft.links.items():
            if self._pending.links.get(key) == point:
                del self._pending.links[key]
                self._remember(key, self._survivor(draft, split_identifier_key(key)[0], point))

    def survivor(self, datamart: int, user_point: bytes) -> bytes:
        """What a user point has become: itself, or the one that absorbed it, committed or not."""
        row = self._row(Overlay(), datamart, user_point)
        return row.alias_of if row is not None and row.alias_of is not None else user_point

    def _survivor(self, draft: Overlay, datamart: int, point: bytes) -> bytes:
        """What a merge that is not yet committed has made of a user point; the cache is cleared by those that are.

        One step is enough: each merge rewrites the rows of all aliases.
        """
        key = user_point_key(datamart, point)
        row = draft.points.get(key) or self._pending.points.get(key)
        return row.alias_of if row is not None and row.alias_of is not None else point

    def _gathered(
        self, draft: Overlay, user_point: bytes, identifiers: Sequence[Identifier], datamart: int, now_ms: int
    ) -> Resolution | None:
        row = self._row(draft, datamart, user_point)
        if row is not None and row.alias_of is not None:
            user_point = row.alias_of
            row = self._row(draft, datamart, user_point)
        if row is None:
            return None
        return attach_to(
            _view(user_point, row),
            identifiers,
            now_ms=now_ms,
            known=lambda identifier: self._known(draft, datamart, identifier),
            limits=self._limits,
            placeholders=self._placeholders,
        )

    def _first_linked(self, key: bytes) -> bytes | None:
        """The user point in an identifier's row, whatever that has become. A row is written once, so what is remembered
        holds; the other cache knows what user points have become.
        """
        linked = self._firsts.get(key) or self._pending.links.get(key)
        if linked is None and (data := self._store.get(Db.IDENTIFIERS, key)) is not None:
            linked = decode_identifier(data).user_point
            self._remember(key, linked, self._firsts)
        return linked

    def _known(self, draft: Overlay, datamart: int, identifier: Identifier) -> PointView | None:
        key = identifier_key(datamart, identifier.key())
        point = draft.links.get(key) or self._pending.links.get(key) or self._cache.get(key)
        if point is None:
            data = self._store.get(Db.IDENTIFIERS, key)
            if data is None:
                return None
            point = decode_identifier(data).user_point
        # What this request has changed is kept nowhere else until the request is taken: it may still be refused.
        is_lasting = key not in draft.links and user_point_key(datamart, point) not in draft.points
        row = self._row(draft, datamart, point)
        if row is not None and row.alias_of is not None:
            point = row.alias_of
            row = self._row(draft, datamart, point)
        if row is None:
            return None
        if is_lasting and key not in self._pending.links:
            self._remember(key, point)
        return _view(point, row)

    def _row(self, draft: Overlay, datamart: int, point: bytes) -> UserPointRow | None:
        key = user_point_key(datamart, point)
        row = draft.points.get(key) or self._pending.points.get(key)
        if row is None:
            data = self._store.get(Db.USER_POINTS, key)
            row = decode_user_point(data) if data is not None else None
        return row

    def _remember(self, key: bytes, point: bytes, cache: dict[bytes, bytes] | None = None) -> None:
        cache = self._cache if cache is None else cache
        if len(cache) >= CACHE_LINKS:
            # The oldest half goes: a dictionary keeps the order of insertion.
            for old in list(cache)[: CACHE_LINKS // 2]:
                del cache[old]
        cache[key] = point

    def _write(
        self, draft: Overlay, datamart: int, resolution: Resolution, sequence: int, now_ms: int
    ) -> list[Operation]:
        point = resolution.user_point
        operations: list[Operation] = []
        for identifier in resolution.linked:
            key = identifier_key(datamart, identifier.key())
            draft.links[key] = point
            operations.append(Put(Db.IDENTIFIERS, key, encode_identifier(IdentifierRow(point, sequence, now_ms))))
        for alias in resolution.aliases:
            row = self._row(draft, datamart, alias)
            first = row.first_sequence if row is not None else 0
            self._put(draft, operations, datamart, alias, UserPointRow(first_sequence=first, alias_of=point))
        self._put(draft, operations, datamart, point, _row_of(resolution.point))
        return operations

    def _put(self, draft: Overlay, operations: list[Operation], datamart: int, point: bytes, row: UserPointRow) -> None:
        key = user_point_key(datamart, point)
        draft.points[key] = row
        operations.append(Put(Db.USER_POINTS, key, encode_user_point(row)))


def _counts(resolution: Resolution) -> tuple[tuple[str, int], ...]:
    counts = [(f"identifiers_left_out.{one.barrier}", 1) for one in resolution.left_out]
    if resolution.absorbed:
        counts.append(("user_points_merged", len(resolution.absorbed)))
    if resolution.placeholders:
        counts.append(("identifiers_placeholder", resolution.placeholders))
    return tuple(counts)


def _view(point: bytes, row: UserPointRow) -> PointView:
    return PointView(
        user_point=point,
        first_sequence=row.first_sequence,
        identifiers=len(row.links),
        links=tuple(Link(link.identifier(), link.linked_ms) for link in row.links),
        merges_ms=row.merges,
        absorbed=row.aliases,
    )


def _row_of(view: PointView) -> UserPointRow:
    return UserPointRow(
        first_sequence=view.first_sequence,
        aliases=view.absorbed,
        links=tuple(_link_row(link.identifier, link.linked_ms) for link in view.links),
        merges=view.merges_ms,
    )


def _link_row(identifier: Identifier, linked_ms: int) -> LinkRow:
    return LinkRow(identifier.kind, identifier.namespace, identifier.value, identifier.email, linked_ms)
