"""What is known of a person beside activities: profiles, choices, and the history of choices.

The functions take the store and read it in short transactions of their own; they block.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from engine.model.choices import choice_as_values, choices_as_values, decode_choice
from engine.model.fact import FactKind
from engine.model.profiles import decode_profiles, profile_as_json
from engine.store.keys import fact_key
from engine.store.port import Db, Store

PAGE_ROWS: Final = 100

MAX_HISTORY_ROWS: Final = 1000
"""Of one answer: what a reader may hold in memory at a time."""


def profiles(store: Store, datamart: int, user_point: bytes) -> list[bytes]:
    """The profiles of a person as JSON, values as they were sent.

    Args:
        store: where they are.
        datamart, user_point: whose; the survivor of merges, 16 bytes.
    """
    stored = store.get(Db.FACTS, fact_key(datamart, user_point, FactKind.PROFILES))
    return [profile_as_json(one) for one in decode_profiles(stored).values()]


def choices(store: Store, datamart: int, user_point: bytes) -> list[dict[str, Any]]:
    """The newest choice of a person about each processing; arguments as in `profiles`."""
    return choices_as_values(store.get(Db.FACTS, fact_key(datamart, user_point, FactKind.CHOICES)))


def choice_history(
    store: Store, datamart: int, family: Sequence[bytes], *, limit: int = PAGE_ROWS
) -> list[dict[str, Any]]:
    """The choices of a person, the latest first.

    Args:
        store: where they are.
        datamart: whose.
        family: all user points that are this person (decision 3): each keeps the history it had.
        limit: at most so many, and at most `MAX_HISTORY_ROWS`.
    """
    limit = min(limit, MAX_HISTORY_ROWS)
    found = [decode_choice(row) for member in family for row in _newest_rows(store, datamart, member, limit)]
    found.sort(key=lambda one: (one.ts_ms, one.created_ms, one.id), reverse=True)
    return [choice_as_values(one) for one in found[:limit]]


def _newest_rows(store: Store, datamart: int, user_point: bytes, limit: int) -> Iterator[bytes]:
    prefix = fact_key(datamart, user_point, FactKind.CHOICES)
    after: bytes | None = None
    while limit > 0:
        page = store.page(Db.HISTORY, prefix=prefix, after=after, limit=min(limit, PAGE_ROWS), reverse=True)
        if not page:
            return
        for _, value in page:
            yield value
        limit -= len(page)
        after = page[-1][0]
