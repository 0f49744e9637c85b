"""The root fields of a session: every event brings those of its item; one set comes out (decisions 10, 15 and 16)."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from msgspec import Raw, structs

from engine.model.activity import BASE_FIELDS, measure_event, measure_root
from engine.model.identifiers import Identifier, account, raw_email
from engine.model.sent import identifiers_in
from engine.model.wire import NULL, Fields, chars, decode_fields, encode
from engine.session.closed import Member

IDENTIFIER_FIELDS = ("$user_identifiers", "$user_account_id", "$compartment_id", "$email_hash", "$user_agent_id")
"""Root fields that name the person. Of several events the identifiers of all are stored, in `$user_identifiers`."""

MAX_COMPARTMENT_CHARS = 64
"""The longest default compartment that a datamart may have. Accounts sent without one are counted with as much: the
default is no part of the journal, and a session must not be cut elsewhere because it changed."""

_DOCUMENTED = frozenset(BASE_FIELDS) | {"$site_id", "$app_id", "$session_duration"}
_NOT_OF_A_SESSION = frozenset(("$events", "$unique_key"))
"""`$unique_key` is ignored on the items of a session (decision 13)."""

_EMPTY_CHARS = measure_root({})

_Name = tuple[int, str, str]
"""Kind, namespace and value of an identifier: equal ones are one."""

_UNNAMED = "\ud800"
"""Stands for the default compartment. Nobody can send it: half a surrogate pair is no text."""


def merge_roots(members: Iterable[Member]) -> Fields:
    """The root fields of events in their order: the last wins per key, keys stay where they first appeared.

    A documented field that is null says nothing, as in stored JSON; a custom null is a value.
    """
    merged: Fields = {}
    last = b""
    for member in members:
        if member.root != last:
            last = member.root
            merged.update(_fields(last))
    return merged


def _fields(root: bytes) -> Fields:
    return {
        key: value
        for key, value in decode_fields(root).items()
        if key not in _NOT_OF_A_SESSION and not (key in _DOCUMENTED and bytes(value) == NULL)
    }


class _Size(NamedTuple):
    """What root fields are in code points.

    Attributes:
        sent: of all, as they were sent.
        others: by field, of those that name nobody.
        identifiers: name, code points as stored, and whether it has a raw address.
    """

    sent: int
    others: dict[str, int]
    identifiers: tuple[tuple[_Name, int, bool], ...]


@lru_cache(64)
def _size_of(root: bytes) -> _Size:
    fields = _fields(root)
    sizes = {key: measure_root({key: Raw(value)}) - _EMPTY_CHARS for key, value in fields.items()}
    return _Size(
        sent=_EMPTY_CHARS + sum(sizes.values()),
        others={key: size for key, size in sizes.items() if key not in IDENTIFIER_FIELDS},
        identifiers=tuple(
            [
                ((one.kind, one.namespace, one.value), _identifier_chars(one), bool(one.email))
                for one in identifiers_in(root, _UNNAMED)
            ]
        ),
    )


def _identifier_chars(one: Identifier) -> int:
    """As an element of `$user_identifiers`, with the comma."""
    if one.namespace == _UNNAMED:
        one = structs.replace(one, namespace="-" * MAX_COMPARTMENT_CHARS)
    return chars(encode(one.as_json())) + 1


_LIST_CHARS = measure_root({"$user_identifiers": Raw(b"[]")}) - _EMPTY_CHARS - 1
"""Of the field around the elements; one less, since the first has no comma in front."""

_IDENTIFIER_NAMES = (b'"$user_a', b'"$hash"', b'"$email"')
"""Each identifier is sent with at least one of these."""

_IDENTIFIER_CEILING = _LIST_CHARS + max(_identifier_chars(account(_UNNAMED, "")), _identifier_chars(raw_email("x")))
"""No less than what an identifier is longer as it is stored than as it was sent."""


def ceiling_chars(member: Member, root: bytes) -> int:
    """No less than what `member` adds to a session's size; found without parsing.

    Bytes of UTF-8 are no fewer than code points, and fields that replace each other count once. So a session whose
    ceilings fit the limit fits it, and most sessions are never measured.

    Args:
        member: who joins.
        root: root fields that are counted already: equal ones add nothing.
    """
    added = len(member.event) + 1
    if member.root == root:
        return added
    named = sum([member.root.count(name) for name in _IDENTIFIER_NAMES])
    return added + len(member.root) + named * _IDENTIFIER_CEILING


class Meter:
    """The exact size of the activity that members in order would make, one member at a time (decision 15).

    Root fields that are the same with all members count as they were sent, as the item did when it was accepted. Of
    several, the fields count that win, and the identifiers of all, as they are stored.
    """

    __slots__ = ("_event_chars", "_identifiers", "_merged_chars", "_mixed", "_others", "_root")

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._root: bytes | None = None
        # Whether there were several root fields.
        self._mixed = False
        self._others: dict[str, int] = {}
        self._identifiers: dict[_Name, tuple[int, bool]] = {}
        self._merged_chars = _EMPTY_CHARS
        self._event_chars = 0
        for member in members:
            self.add(member)

    def chars_with(self, member: Member) -> int:
        """Code points with `member` behind those added."""
        size = _size_of(member.root)
        root = self._merged_chars + self._growth(size) if self._mixes(member) else size.sent
        return root + self._events_with(member)

    def add(self, member: Member) -> None:
        """Put `member` behind those added."""
        if member.root != self._root:
            size = _size_of(member.root)
            self._mixed = self._mixes(member)
            self._merged_chars += self._growth(size)
            self._root = member.root
            self._others.update(size.others)
            for name, size_chars, has_email in size.identifiers:
                if self._replaces(name, has_email=has_email):
                    self._identifiers[name] = size_chars, has_email
        self._event_chars = self._events_with(member)

    def _mixes(self, member: Member) -> bool:
        return self._mixed or (self._root is not None and member.root != self._root)

    def _growth(self, size: _Size) -> int:
        grown = sum([chars - self._others.get(key, 0) for key, chars in size.others.items()])
        if size.identifiers and not self._identifiers:
            grown += _LIST_CHARS
        for name, size_chars, has_email in size.identifiers:
            if self._replaces(name, has_email=has_email):
                grown += size_chars - self._identifiers.get(name, (0, False))[0]
        return grown

    def _replaces(self, name: _Name, *, has_email: bool) -> bool:
        """Whether an identifier is stored in place of the known one: where it is new, or brings a raw address."""
        known = self._identifiers.get(name)
        return known is None or (has_email and not known[1])

    def _events_with(self, member: Member) -> int:
        comma = 1 if self._event_chars else 0
        return self._event_chars + comma + measure_event(member.event)
