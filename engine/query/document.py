"""What a query looks at: one activity, and the person whose it is, as plain values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Values = Mapping[str, Any]
"""A JSON object, decoded."""


class Document:
    """An activity, decoded once for all queries that look at it, and its person, read only where a query asks.

    Args:
        activity: as `Activity.encode` writes it, decoded: `$ts`, `$type`, `$events` (a list of objects), …
        person: by link name of `UserPoint` (`profiles`, `segments`, `choices`, `scenarios`, `accounts`, `emails`,
            `devices`), what is known of the person: a list of objects. Asked at most once each.
        now_ms: what relative dates count from, ms since the epoch.
        user_point: the id of the person, or "" where nobody asks for it.
    """

    __slots__ = ("_known", "_person", "activity", "now_ms", "user_point")

    def __init__(
        self,
        activity: Values,
        *,
        now_ms: int,
        person: Callable[[str], Sequence[Values]] | None = None,
        user_point: str = "",
    ) -> None:
        self.activity = activity
        self.now_ms = now_ms
        self.user_point = user_point
        self._person = person
        self._known: dict[str, Sequence[Values]] = {}

    @property
    def events(self) -> Sequence[Values]:
        """The events of the activity."""
        found: Sequence[Values] = self.activity.get("$events") or ()
        return found

    @property
    def activities(self) -> "Sequence[Document]":
        """The activities that a query from the person looks at: the incoming one."""
        return (self,)

    def of_person(self, link: str) -> Sequence[Values]:
        """What is known of the person under a link; nothing where nobody can say."""
        if link not in self._known:
            self._known[link] = self._person(link) if self._person is not None else ()
        return self._known[link]
