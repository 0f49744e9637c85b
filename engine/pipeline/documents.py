"""An activity and its person as queries and analyzers look at them: plain values.

What is known of a person comes under the names of the links of `UserPoint` (mediarithmics 7.6). A kind of fact gets
one by a line in `OF_FACTS`; a step that is about to change something says how it will be instead (`own`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from engine.model import choices, profiles, scenarios, segments
from engine.model.activity import Activity
from engine.model.fact import FactKind
from engine.model.identifiers import Identifier, IdentifierKind
from engine.model.wire import decode_values
from engine.pipeline.stage import Context
from engine.query.document import Document, Values

Person = Callable[[str], Sequence[Values]]
"""What is known of a person under a link."""

OF_FACTS: Final[Mapping[str, tuple[FactKind, Callable[[bytes | None, int], Sequence[Values]]]]] = {
    "profiles": (FactKind.PROFILES, lambda stored, now_ms: profiles.profiles_as_values(stored)),
    "choices": (FactKind.CHOICES, lambda stored, now_ms: choices.choices_as_values(stored)),
    "segments": (
        FactKind.SEGMENTS,
        lambda stored, now_ms: segments.shown(segments.decode_segments(stored, now_ms)),
    ),
    "scenarios": (FactKind.SCENARIOS, lambda stored, now_ms: scenarios.shown(scenarios.decode_scenarios(stored))),
}
"""By link: which fact it shows, and how: of what is stored and the time, ms."""

_OF_IDENTIFIERS: Final[Mapping[str, IdentifierKind]] = {
    "accounts": IdentifierKind.ACCOUNT,
    "emails": IdentifierKind.EMAIL,
    "devices": IdentifierKind.AGENT,
}


def values_of(activity: Activity) -> dict[str, Any]:
    """The activity as it would be stored now, decoded; whoever asked may change it."""
    return values_in(activity.encode())


def values_in(stored: bytes) -> dict[str, Any]:
    """The same of the JSON of an activity; a number that is out of range is its text."""
    return decode_values(stored)


def document_of(activity: Activity, now_ms: int, person: Person | None = None) -> Document:
    """What queries look at.

    Args:
        activity: as it is now.
        now_ms: what relative dates count from.
        person: what is known of the person, by link name.
    """
    return Document(values_of(activity), now_ms=now_ms, person=person)


def person_of(
    context: Context,
    identifiers: Iterable[Identifier] = (),
    own: Mapping[str, Callable[[], Sequence[Values]]] | None = None,
) -> Person:
    """What is known of the person whose activity it is; each link is read when somebody asks.

    Args:
        context: of the activity.
        identifiers: of the activity, which count beside those that are known.
        own: links that the step itself knows better, as it is about to change what they show.
    """

    def of_link(link: str) -> Sequence[Values]:
        if own is not None and link in own:
            return own[link]()
        if link in OF_FACTS:
            kind, shown = OF_FACTS[link]
            return shown(context.read(kind), context.now_ms)
        if link in _OF_IDENTIFIERS:
            named = {(one.kind, one.namespace, one.value): one for one in (*identifiers, *context.identifiers())}
            return [one.as_json() for one in named.values() if one.kind is _OF_IDENTIFIERS[link]]
        return ()

    return of_link
