"""What an apply changes, for people and scripts: definitions added, changed field by field, removed. No secrets."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from engine.definitions.kinds import MASK, Kind, id_of, masked
from engine.model.wire import decode, decoder, encode

MAX_FIELDS: Final = 100
"""Changed fields that are listed of one definition: a catalog may have changed in a hundred thousand places."""

MAX_TEXT: Final = 500
"""Characters of a value that is shown; what was changed is seen in them, or by its place."""

_values = decoder(dict[str, Any])


class FieldChange(Struct, frozen=True):
    """A field of a definition that was, or is, another.

    Attributes:
        path: dotted, below the definition; rows that have an id are named by it: `node[welcome].delay_ms`.
        old, new: plain values; None where there was, or is, nothing. Secrets are `***`.
    """

    path: str
    old: Any = None
    new: Any = None


class Change(Struct, frozen=True):
    """What becomes of one definition.

    Attributes:
        datamart, kind, id: which one; kinds are named as in a file, a channel's id is its key.
        what: what happens to it; `ordered` is said of a kind as a whole, whose rows stand in another order.
        version: that it has then.
        fields: of a changed one, at most `MAX_FIELDS` of them.
        more_fields: how many more there are.
    """

    datamart: int
    kind: str
    id: str
    what: Literal["added", "changed", "removed", "ordered"]
    version: int = 0
    fields: tuple[FieldChange, ...] = ()
    more_fields: int = 0


class MadeToken(Struct, frozen=True):
    """A public token, or a tracker key, that was made for something new."""

    datamart: int
    kind: str
    id: str
    field: str
    value: str


class Difference(Struct, frozen=True):
    """Between what is defined and what is declared.

    Attributes:
        changes: in the order of a file, removed ones last of their kind; none: nothing is different.
        applied: whether it is so now; False in a dry run.
        made: what was made for new datamarts, channels and compartments that bring no token.
    """

    changes: tuple[Change, ...] = ()
    applied: bool = False
    made: tuple[MadeToken, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def counts(self) -> dict[str, int]:
        """How many definitions are added, changed, removed, and kinds ordered anew."""
        found = dict.fromkeys(("added", "changed", "removed", "ordered"), 0)
        for one in self.changes:
            found[one.what] += 1
        return found


def plain_values(kind: Kind, one: Struct) -> dict[str, Any]:
    """A definition as plain values, named as in a file; secrets masked."""
    found: dict[str, Any] = decode(_values, encode(one))
    return masked(kind, found)


def field_changes(kind: Kind, old: Struct, new: Struct) -> tuple[tuple[FieldChange, ...], int]:
    """The fields in which two versions of a definition differ, and how many more there are.

    A secret that is another shows as `***` on both sides.
    """
    was, now = decode(_values, encode(old)), decode(_values, encode(new))
    found: list[FieldChange] = []
    count = 0
    for path, before, after in _differences(was, now, ""):
        count += 1
        if len(found) >= MAX_FIELDS:
            continue
        if path.partition(".")[0].partition("[")[0] in kind.masked:
            before, after = before and MASK, after and MASK
        found.append(FieldChange(path, _short(before), _short(after)))
    return tuple(found), count - len(found)


def _differences(old: object, new: object, path: str) -> Iterator[tuple[str, Any, Any]]:
    if old == new and type(old) is type(new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
        return
    rows_before, rows_after = _by_id(old), _by_id(new)
    if rows_before is None or rows_after is None:
        if old != new:
            yield path, old, new
        return
    for name in dict.fromkeys((*rows_before, *rows_after)):
        yield from _differences(rows_before.get(name), rows_after.get(name), f"{path}[{name}]")
    kept = [one for one in rows_before if one in rows_after]
    if kept != [one for one in rows_after if one in rows_before]:
        yield f"{path} (order)", list(rows_before), list(rows_after)


def _by_id(rows: object) -> Mapping[str, Any] | None:
    """Rows by their ids; None for what is no list of rows that each have one of their own."""
    if not isinstance(rows, list):
        return None
    found = {str(row["id"]): row for row in rows if isinstance(row, dict) and "id" in row}
    return found if len(found) == len(rows) else None


def _short(value: Any) -> Any:  # noqa: ANN401 - any JSON value is meant
    text = value if isinstance(value, str) else encode(value).decode()
    return value if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def name_of(kind: Kind, one: Struct) -> str:
    """A definition as messages name it, such as `event_rule 3`."""
    return f"{kind.name} {id_of(kind, one)}"
