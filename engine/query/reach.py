"""From an object along links to the objects behind them."""

from collections.abc import Iterable, Iterator, Sequence

from engine.query.document import Document, Values
from engine.query.schema import Link, Path
from engine.query.values import at_path, objects


class Reach:
    """The way along links.

    Args:
        links: one or more, each seen from what the one before leads to.

    Attributes:
        path: where it is nothing but keys of decoded JSON, these keys; else None.
        is_events: whether it leads from an activity to its events.
        is_events_of_person: whether it leads from a person to all events.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = tuple(links)
        inside = all(link.source == "PATH" for link in links)
        self.path: Path | None = tuple(key for link in links for key in link.path) if inside else None
        self.is_events = self.path == ("$events",)
        self.is_events_of_person = [link.source for link in links] == ["EVENTS"]

    def objects(self, values: Values, document: Document) -> Iterable[tuple[Values, Document]]:
        """The objects, each with the document of the activity that it is part of."""
        if self.path is not None:
            return [(one, document) for one in objects(at_path(values, self.path))]
        found: Iterable[tuple[Values, Document]] = [(values, document)]
        for link in self._links:
            found = _behind(link, found)
        return found

    def is_one(self, values: Values) -> bool:
        """Whether what is selected behind it is one object, or none, and not a list of them."""
        return self.path is not None and not isinstance(at_path(values, self.path), list) and not self.is_events


def _behind(link: Link, before: Iterable[tuple[Values, Document]]) -> Iterator[tuple[Values, Document]]:
    for values, document in before:
        if link.source == "PATH":
            yield from ((one, document) for one in objects(at_path(values, link.path)))
        elif link.source == "PERSON":
            yield from ((one, document) for one in document.of_person(link.path[0]))
        else:
            for of in document.activities:
                if link.source == "ACTIVITIES":
                    yield of.activity, of
                else:
                    yield from ((event, of) for event in of.events if isinstance(event, dict))


def reach_of(links: Sequence[Link]) -> Reach:
    """The way along links."""
    return Reach(links)
