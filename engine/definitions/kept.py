"""Definitions as they are kept: each with its versions, and per datamart a head that says which of them are in use.

    definition/<datamart u32>/<kind>/<id>                 the newest version, or that it was removed
    older/<datamart u32>/<kind>/<id>/<version u32>        what it was before
    head/<datamart u32>                                   which definitions are in use, in their order

All that an apply changes is written in one transaction, so a crash leaves the old or the new, never a mix.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

from msgspec import Raw, Struct, structs

from engine.definitions.declared.datamarts import DatamartDefinition
from engine.definitions.difference import Change, field_changes
from engine.definitions.kinds import KINDS, Kind, definitions_of, id_of
from engine.errors import CallerError
from engine.model.wire import Decoder, decode, decoder, encode

T = TypeVar("T")

DEFINITION_PREFIX: Final = b"definition/"
OLDER_PREFIX: Final = b"older/"
HEAD_PREFIX: Final = b"head/"

MAX_OLDER: Final = 100
"""Older versions that are kept of a definition."""

MAX_OLDER_BYTES: Final = 16 << 20
"""Of a large one, such as a catalog, only as many as fit in here, and always the last."""

MAX_REMOVED: Final = 1000
"""Removed definitions of a kind and datamart whose versions are kept; of more, the first removed are forgotten."""

_DECODERS: Final[dict[str, Decoder[Struct]]] = {name: decoder(kind.type) for name, kind in KINDS.items()}


class Kept(Struct, frozen=True, kw_only=True):
    """One version of a definition.

    Attributes:
        datamart, kind, id: which definition.
        version: rises with each change, also with its removal and its return.
        created_ms: wall time of its first version.
        changed_ms: of this one.
        removed: it is not in use any more; `value` is what it last was.
        value: its JSON, secrets included: the store is its owner's alone to read.
    """

    datamart: int
    kind: str
    id: str
    version: int
    created_ms: int
    changed_ms: int
    removed: bool = False
    value: Raw


class Head(Struct, frozen=True, kw_only=True):
    """What is in use in a datamart.

    Attributes:
        version: of all of it; rises with each apply that changes anything.
        changed_ms: wall time of the last one.
        order: ids of the definitions in use, by kind.
    """

    datamart: int
    version: int
    changed_ms: int
    order: dict[str, tuple[str, ...]]


class Rows(Struct, frozen=True):
    """Rows to write and keys to delete."""

    put: tuple[tuple[bytes, bytes], ...] = ()
    delete: tuple[bytes, ...] = ()


Key = tuple[int, str, str]
"""Datamart, kind and id of a definition."""

_kept = decoder(Kept)
_head = decoder(Head)


def read_kept(value: bytes) -> Kept:
    """The definition of a row.

    Raises:
        ValueError: the row is damaged; so in `read_head`.
    """
    return _own(_kept, value)


def read_head(value: bytes) -> Head:
    """The head of a row."""
    return _own(_head, value)


def value_of(kept: Kept) -> Struct:
    """The definition itself.

    Raises:
        ValueError: this version of the program does not know it as it is.
    """
    if kept.kind not in _DECODERS:
        raise ValueError(f"{kept.kind} is no kind of definition")
    return _own(_DECODERS[kept.kind], bytes(kept.value))


def definition_key(key: Key) -> bytes:
    """Where the newest version is."""
    datamart, kind, name = key
    return DEFINITION_PREFIX + b"/".join((datamart.to_bytes(4, "big"), kind.encode(), name.encode()))


def older_prefix(key: Key) -> bytes:
    """Where the older versions are, each behind it under its number."""
    return OLDER_PREFIX + definition_key(key).removeprefix(DEFINITION_PREFIX) + b"/"


def head_key(datamart: int) -> bytes:
    """Where the head of a datamart is."""
    return HEAD_PREFIX + datamart.to_bytes(4, "big")


class Changed(Struct, frozen=True):
    """What an apply makes of a datamart.

    Attributes:
        head: the next one; as it was when nothing changes.
        changes: what is different.
        rows: what to write for it; nothing when nothing changes.
    """

    head: Head
    changes: tuple[Change, ...]
    rows: Rows


def changed(
    declared: DatamartDefinition, head: Head | None, kept: Mapping[Key, Kept], now_ms: int, *, forget: bool = True
) -> Changed:
    """From what is kept of a datamart to what is declared.

    Args:
        declared: all of it.
        head: as it is kept, or None.
        kept: the newest version of each definition, removed ones included; those of other datamarts do not matter.
        now_ms: wall time.
        forget: whether removed definitions beyond the bound are forgotten.
    """
    datamart = declared.id
    order: dict[str, tuple[str, ...]] = {}
    changes: list[Change] = []
    written: dict[Key, Kept] = {}
    for kind, rows in definitions_of(declared):
        wanted = {id_of(kind, row): row for row in rows}
        order[kind.name] = tuple(wanted)
        for name, value in wanted.items():
            key = (datamart, kind.name, name)
            found = _change(kind, key, value, kept.get(key), now_ms)
            if found is not None:
                changes.append(found[0])
                written[key] = found[1]
    in_use = head.order if head is not None else {}
    for kind_name, names in in_use.items():
        for name in names:
            key = (datamart, kind_name, name)
            before = kept.get(key)
            if before is None or before.removed or name in order.get(kind_name, ()):
                continue
            gone = structs.replace(before, version=before.version + 1, changed_ms=now_ms, removed=True)
            changes.append(Change(datamart, kind_name, name, "removed", gone.version))
            written[key] = gone
        stayed = [name for name in order.get(kind_name, ()) if name in names]
        if stayed != [name for name in names if name in stayed]:
            changes.append(Change(datamart, kind_name, "", "ordered"))
    version = head.version if head is not None else 0
    if not changes and head is not None:
        return Changed(head, (), Rows())
    next_head = Head(datamart=datamart, version=version + 1, changed_ms=now_ms, order=order)
    replaced = [kept[key] for key in written if key in kept]
    put = [(head_key(datamart), encode(next_head))]
    put += ((definition_key(key), encode(one)) for key, one in written.items())
    delete: list[bytes] = []
    for old in replaced:
        key = (old.datamart, old.kind, old.id)
        put.append((older_prefix(key) + old.version.to_bytes(4, "big"), encode(old)))
        delete += _too_old(key, old)
    if forget:
        delete += _forgotten(datamart, {**kept, **written})
    return Changed(next_head, tuple(sorted(changes, key=_place)), Rows(tuple(put), tuple(delete)))


def in_use(head: Head, kept: Mapping[Key, Kept]) -> Iterator[tuple[str, str, Kept | None]]:
    """Kind, id and version of each definition that is in use, in order; None for one whose row is not there."""
    for kind, names in head.order.items():
        for name in names:
            yield kind, name, kept.get((head.datamart, kind, name))


def _change(kind: Kind, key: Key, value: Struct, before: Kept | None, now_ms: int) -> tuple[Change, Kept] | None:
    version = Kept(
        datamart=key[0],
        kind=key[1],
        id=key[2],
        version=before.version + 1 if before else 1,
        created_ms=before.created_ms if before else now_ms,
        changed_ms=now_ms,
        value=Raw(encode(value)),
    )
    if before is None or before.removed:
        return Change(*key, "added", version.version), version
    try:
        old = value_of(before)
    except ValueError:  # From another version of the program: what is declared now replaces it.
        return Change(*key, "changed", version.version), version
    if old == value:
        return None
    fields, more = field_changes(kind, old, value)
    return Change(*key, "changed", version.version, fields, more), version


def _too_old(key: Key, last: Kept) -> list[bytes]:
    """Keys of the older versions beyond what is kept, `last` being the newest of them."""
    keep = max(1, min(MAX_OLDER, MAX_OLDER_BYTES // max(1, len(bytes(last.value)))))
    first = max(1, last.version - MAX_OLDER)
    return [older_prefix(key) + number.to_bytes(4, "big") for number in range(first, last.version - keep + 1)]


def _forgotten(datamart: int, kept: Mapping[Key, Kept]) -> Iterable[bytes]:
    removed: dict[str, list[Kept]] = {}
    for one in kept.values():
        if one.removed and one.datamart == datamart:
            removed.setdefault(one.kind, []).append(one)
    for gone in removed.values():
        gone.sort(key=lambda one: (one.changed_ms, one.id))
        for one in gone[: max(0, len(gone) - MAX_REMOVED)]:
            key = (one.datamart, one.kind, one.id)
            yield definition_key(key)
            numbers = range(max(1, one.version - MAX_OLDER - 1), one.version)
            yield from (older_prefix(key) + number.to_bytes(4, "big") for number in numbers)


_PLACES: Final = {name: place for place, name in enumerate(KINDS)}


def _place(change: Change) -> tuple[int, bool]:
    """In the order of a file; what is removed, last of its kind."""
    return _PLACES.get(change.kind, len(_PLACES)), change.what in ("removed", "ordered")


def _own(decode_with: "Decoder[T]", value: bytes) -> T:
    """Nobody called with these bytes, so a fault in them is no caller's."""
    try:
        return decode(decode_with, value)
    except CallerError as error:
        raise ValueError(f"{error} - at {error.path}") from error
