"""The table of XO's words in `mapping.toml`, read once, and how one looks something up in it. Pure."""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from typing import Final, Literal

import msgspec
from msgspec import Struct

Kind = Literal["agent", "account", "email", "other"]


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """What an action on a target is here; the file says what each column means."""

    actions: frozenset[str]
    targets: frozenset[str] | None = None
    has_source: bool = False
    event: str = ""
    has_items: bool = False

    def fits(self, action: str, targets: frozenset[str], *, has_source: bool) -> bool:
        """Whether this row is about such an activity."""
        return (
            action in self.actions
            and (self.targets is None or not self.targets.isdisjoint(targets))
            and (has_source or not self.has_source)
        )


class _Identities(Struct, frozen=True, forbid_unknown_fields=True):
    agent: frozenset[str]
    account: frozenset[str]
    email: frozenset[str]


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    row: tuple[Row, ...]
    identities: _Identities


NO_ROW: Final = Row(frozenset())

_DROPPED: Final = str.maketrans("", "", "-_ ")


def folded(name: str) -> str:
    """A name as names are compared."""
    return name.translate(_DROPPED).lower()


def row_of(action: str, targets: Iterable[str], *, has_source: bool) -> Row:
    """The row for an activity; `NO_ROW` when there is none.

    Args:
        action: its action, as sent.
        targets: what its target names, folded.
        has_source: whether it has a `sourceId`.
    """
    name, named = folded(action), frozenset(targets)
    return next((row for row in _ROWS if row.fits(name, named, has_source=has_source)), NO_ROW)


def kind_of(identity: str) -> Kind:
    """What the identity of this name is here."""
    return _KINDS.get(folded(identity), "other")


def _read() -> tuple[tuple[Row, ...], dict[str, Kind]]:
    text = files("gateway.collect.protocols.xo").joinpath("mapping.toml").read_text("utf-8")
    table = msgspec.convert(tomllib.loads(text), _Table)
    rows = tuple(
        msgspec.structs.replace(
            row,
            actions=frozenset(map(folded, row.actions)),
            targets=None if row.targets is None else frozenset(map(folded, row.targets)),
        )
        for row in table.row
    )
    kinds: dict[str, Kind] = {}
    kinds |= dict.fromkeys(map(folded, table.identities.agent), "agent")
    kinds |= dict.fromkeys(map(folded, table.identities.account), "account")
    kinds |= dict.fromkeys(map(folded, table.identities.email), "email")
    return rows, kinds


_ROWS, _KINDS = _read()
