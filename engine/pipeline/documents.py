"""An activity as queries and analyzers look at it: plain values."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.model.activity import Activity
from engine.model.wire import decode, decoder
from engine.query.document import Document, Values

_values = decoder(dict[str, Any])


def values_of(activity: Activity) -> dict[str, Any]:
    """The activity as it would be stored now, decoded; whoever asked may change it."""
    return decode(_values, activity.encode())


def document_of(activity: Activity, now_ms: int, person: Callable[[str], Sequence[Values]] | None = None) -> Document:
    """What queries look at.

    Args:
        activity: as it is now.
        now_ms: what relative dates count from.
        person: what is known of the person, by link name.
    """
    return Document(values_of(activity), now_ms=now_ms, person=person)
