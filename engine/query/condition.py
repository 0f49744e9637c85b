"""What a compiled query is to those who ask it of an activity."""

from typing import Protocol

from msgspec import Struct

from engine.query.document import Document


class Match(Struct, frozen=True, gc=False):
    """That a query holds.

    Attributes:
        score: above 0 (mediarithmics 7.5).
        event: index of the first event that it holds of; None where it speaks of no event.
    """

    score: float
    event: int | None = None


class Condition(Protocol):
    """A compiled query.

    Attributes:
        event_names: where only activities with an event of one of these names can match, these names; else None.
            Whoever has many queries asks only those that can match.
    """

    event_names: frozenset[str] | None

    def match(self, document: Document) -> Match | None:
        """Whether it holds."""
        ...
