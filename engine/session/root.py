"""The root fields of a session: every event brings those of its item; one set comes out (decisions 10, 15 and 16)."""

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Raw

from engine.model.activity import BASE_FIELDS, measure_event, measure_root
from engine.model.wire import NULL, Fields, decode_fields
from engine.session.closed import Member

_DOCUMENTED = frozenset(BASE_FIELDS) | {"$site_id", "$app_id", "$session_duration"}
_NOT_OF_A_SESSION = frozenset(("$events", "$unique_key"))
"""`$unique_key` is ignored on the items of a session (decision 13)."""

_EMPTY_CHARS = measure_root({})


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


@lru_cache(64)
def _field_chars(root: bytes) -> dict[str, int]:
    return {key: measure_root({key: Raw(value)}) - _EMPTY_CHARS for key, value in _fields(root).items()}


def ceiling_chars(member: Member, root: bytes) -> int:
    """No less than what `member` adds to a session's size; found without parsing.

    Bytes of UTF-8 are no fewer than code points, and fields that replace each other count once. So a session whose
    ceilings fit the limit fits it, and most sessions are never measured.

    Args:
        member: who joins.
        root: root fields that are counted already: equal ones add nothing.
    """
    added = len(member.event) + 1
    return added if member.root == root else added + len(member.root)


class Meter:
    """The exact size of the activity that members in order would make, one member at a time (decision 15)."""

    __slots__ = ("_event_chars", "_fields", "_root_chars")

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._fields: dict[str, int] = {}
        self._root_chars = _EMPTY_CHARS
        self._event_chars = 0
        for member in members:
            self.add(member)

    def chars_with(self, member: Member) -> int:
        """Code points with `member` behind those added."""
        return self._root_chars + self._growth(_field_chars(member.root)) + self._events_with(member)

    def add(self, member: Member) -> None:
        """Put `member` behind those added."""
        fields = _field_chars(member.root)
        self._root_chars += self._growth(fields)
        self._fields.update(fields)
        self._event_chars = self._events_with(member)

    def _growth(self, fields: dict[str, int]) -> int:
        return sum(size - self._fields.get(key, 0) for key, size in fields.items())

    def _events_with(self, member: Member) -> int:
        comma = 1 if self._event_chars else 0
        return self._event_chars + comma + measure_event(member.event)
