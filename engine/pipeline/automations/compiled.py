"""The automations of a datamart, compiled, and which of them an activity may concern at all.

An activity has a handful of event names, a datamart may have hundreds of automations: most queries can only match where
a certain event is there, and are found by its name. The others are asked every time.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from engine.definitions.declared.segments import Segment
from engine.definitions.defined import Defined
from engine.definitions.queries import compile_declared
from engine.errors import CallerError
from engine.query.condition import Condition
from engine.scenario.storyline import Exit, Known, Storyline, compile_storyline

T = TypeVar("T")


class Index(Generic[T]):
    """Things with a condition, by the event names that their conditions ask for.

    Args:
        entries: with their conditions, in their order.
    """

    def __init__(self, entries: Iterable[tuple[Condition, T]]) -> None:
        self._entries = list(entries)
        self._always: list[int] = []
        self._named: dict[str, list[int]] = {}
        for place, (condition, _) in enumerate(self._entries):
            if condition.event_names is None:
                self._always.append(place)
            for name in condition.event_names or ():
                self._named.setdefault(name, []).append(place)

    def of(self, names: Collection[str]) -> list[T]:
        """Those that can match an activity with events of these names, in their order."""
        places: list[int] = []
        for name in names:
            places += self._named.get(name, ())
        if not places and not self._always:
            return []
        return [self._entries[place][1] for place in sorted({*places, *self._always})]


class Compiled(Struct, frozen=True):
    """The automations of one version of a datamart's definitions.

    Attributes:
        storylines: by id of the automation, all of them, in their order.
        exits, triggers: what can concern an activity; triggers of active automations only.
        segments: by id.
        named_segments: by technical name, and by id where no technical name is the same.
    """

    datamart: int
    storylines: Mapping[str, Storyline]
    exits: Index[tuple[Storyline, Exit]]
    triggers: Index[Storyline]
    segments: Mapping[str, Segment]
    named_segments: Mapping[str, Segment]


def compile_automations(defined: Defined) -> Compiled:
    """Make them ready.

    Raises:
        CallerError: one of them cannot work; its path is below the datamart.
    """
    segments = _segments(defined.segments)
    known = Known(
        segments=segments.keys(),
        destinations={one.id for one in defined.destinations},
        compile=lambda query, path: compile_declared(query, defined, path),
    )
    storylines: dict[str, Storyline] = {}
    for index, automation in enumerate(defined.automations):
        path = f"automations[{index}]"
        if automation.id in storylines:
            message = f"two automations have the id {automation.id!r}"
            raise CallerError(message, code="bad_definition", path=f"{path}.id")
        storylines[automation.id] = compile_storyline(automation, path, known)
    lines = storylines.values()
    return Compiled(
        datamart=defined.datamart,
        storylines=storylines,
        exits=Index((one.condition, (line, one)) for line in lines for one in line.exits),
        triggers=Index((line.trigger, line) for line in lines if line.is_active),
        segments=segments,
        named_segments={**segments, **{one.technical_name: one for one in defined.segments if one.technical_name}},
    )


def _segments(declared: Iterable[Segment]) -> dict[str, Segment]:
    segments: dict[str, Segment] = {}
    named: set[str] = set()
    for index, one in enumerate(declared):
        if one.id in segments:
            message = f"two segments have the id {one.id!r}"
            raise CallerError(message, code="bad_definition", path=f"segments[{index}].id")
        if one.technical_name in named:
            message = f"two segments have the technical name {one.technical_name!r}"
            raise CallerError(message, code="bad_definition", path=f"segments[{index}].technical_name")
        segments[one.id] = one
        named |= {one.technical_name} - {""}
    return segments
