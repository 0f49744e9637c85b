"""What an activity does, and what a wait that is over does.

Of an automation that is paused, or new, nobody is moved: nobody enters, and whose wait is over stays where it is until
it is active again. Exit conditions hold all the same: who has bought is not to be reminded then. Of an automation that
is gone, whoever is inside leaves when the wait is over; so does who waits at a node that is gone.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import structs

from engine.definitions.defined import NOTHING
from engine.model.activity import Activity
from engine.model.event import PAGE_VIEW, properties_of
from engine.model.fact import FactKind
from engine.model.scenarios import Cause, Inside, Scenarios, decode_scenarios, encode_scenarios
from engine.model.wire import text_of
from engine.pipeline.automations.compiled import Compiled, compile_automations
from engine.pipeline.automations.walk import Led, Person
from engine.pipeline.documents import values_in, values_of
from engine.pipeline.stage import Context, CountUp, Dead, Effect, Keep, KeepFact, SetTimer, Stage, Verdict
from engine.scenario.storyline import Exit, Storyline
from engine.session.closed import Closed, Move

ADD_TO_SEGMENT: Final = "$add_to_segment"
"""Event that puts a person into a segment, named by its technical name or id in `$segtn`: what the user list pixel
makes (4.2). Whoever may send events may send it."""

SEGMENT_NAME: Final = "$segtn"


class Automations:
    """The step of a datamart.

    Args:
        compiled: its automations and segments.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled

    def __call__(self, closed: Closed, activity: Activity, context: Context) -> Verdict:
        """Segments, exit conditions, triggers."""
        names = {event.name for event in activity.events}
        exits, triggers = self._compiled.exits.of(names), self._compiled.triggers.of(names)
        if not (exits or triggers or ADD_TO_SEGMENT in names or context.notes is not None):
            return Keep(activity)
        led = Led(partial(values_of, activity), partial(_sent, activity), activity.identifiers)
        person = Person(self._compiled, closed, context, led)
        if ADD_TO_SEGMENT in names and (unknown := self._add(person, activity)):
            if names == {ADD_TO_SEGMENT} and len(unknown) == len(activity.events):
                return Dead("unknown_segment", f"there is no segment {unknown[0]!r}")
            return Keep(activity, (*self._react(person, closed, activity, exits, triggers), *_unknown(closed, unknown)))
        return Keep(activity, self._react(person, closed, activity, exits, triggers))

    def _react(
        self,
        person: Person,
        closed: Closed,
        activity: Activity,
        exits: Sequence[tuple[Storyline, Exit]],
        triggers: Sequence[Storyline],
    ) -> tuple[Effect, ...]:
        self._explain(person, exits, triggers)
        for line, condition in exits:
            self._exit(person, line, condition)
        cause = Cause(closed.user_point, activity.ts_ms, activity.unique_key.bytes)
        for line in triggers:
            if line.trigger.match(person.document()) is not None:
                person.enter(line, cause)
            else:
                person.note(f"automation {line.id}", "skipped", "the trigger does not match")
        return person.effects()

    def _exit(self, person: Person, line: Storyline, condition: Exit) -> None:
        inside = person.scenarios.get(line.id)
        about = f"exit condition {condition.id} of automation {line.id}"
        if inside is None:
            person.note(about, "skipped", "the person is not inside")
        elif condition.condition.match(person.document()) is None:
            person.note(about, "skipped", "it does not match")
        else:
            person.note(about, "matched", f"the person leaves at node {inside.node}")
            person.leave(inside, line, condition.id)

    def _explain(self, person: Person, exits: Sequence[tuple[Storyline, Exit]], triggers: Sequence[Storyline]) -> None:
        if not person.explains:
            return
        asked = {(line.id, one.id) for line, one in exits}
        entered = {line.id for line in triggers}
        for line in self._compiled.storylines.values():
            for one in line.exits:
                if (line.id, one.id) not in asked:
                    person.note(f"exit condition {one.id} of automation {line.id}", "skipped", _NO_SUCH_EVENT)
            if line.id not in entered:
                why = _NO_SUCH_EVENT if line.is_active else f"it is {line.automation.status}"
                person.note(f"automation {line.id}", "skipped", why)

    def _add(self, person: Person, activity: Activity) -> list[str]:
        """Put the person into the segments that events name; returns the names that are none's."""
        unknown: list[str] = []
        for name in _named_segments(activity):
            segment = self._compiled.named_segments.get(name)
            if segment is None:
                unknown.append(name)
                person.note(f"segment {name}", "refused", "there is no such segment")
            else:
                person.join(segment)
        return unknown

    def move(self, closed: Closed, order: Move, context: Context) -> tuple[Effect, ...]:
        """What a wait that is over does, or an operator who has somebody enter."""
        person = Person(self._compiled, closed, context, _led_then(None, context.now_ms))
        line = self._compiled.storylines.get(order.scenario)
        if order.due_ms is None:
            if line is not None and line.is_active:
                person.enter(line, None)
            return person.effects()
        inside = person.scenarios.get(order.scenario)
        if inside is not None and inside.execution == order.execution:
            person.led = _led_then(order.activity, context.now_ms)
        if inside is None or inside.due_ms != order.due_ms:
            # The person has left, has moved on or has become another one since: the row is all that is left of it.
            person.drop_timer(order.scenario, order.due_ms)
        elif line is None:
            person.leave(inside, None)
        elif line.is_active:
            person.go_on(line, inside)
        return person.effects()


_NO_SUCH_EVENT: Final = "the activity has no event that it asks for"
_NONE: Final = Automations(compile_automations(NOTHING))


def move(stage: Stage, closed: Closed, context: Context) -> tuple[Effect, ...]:
    """What an envelope that moves somebody does (decision 31).

    Args:
        stage: the step of the datamart; `keep` where no automation is defined any more.
        closed, context: of the envelope.
    """
    if closed.move is None:
        raise TypeError("an envelope without a move is to move somebody")
    automations = stage if isinstance(stage, Automations) else _NONE
    return automations.move(closed, closed.move, context)


def give_up(closed: Closed, context: Context) -> tuple[Effect, ...]:
    """What is left to do for somebody who could not be moved: out of the scenario, or the timer would fire for ever.

    The envelope's verdict, a dead letter, says so.
    """
    order = closed.move
    if order is None or order.due_ms is None:
        return ()
    timer = SetTimer(closed.datamart, closed.user_point, order.scenario, None, order.due_ms)
    try:
        scenarios: Scenarios = decode_scenarios(context.read(FactKind.SCENARIOS))
    except ValueError:
        return (timer,)  # What is known of the person cannot be read: it is left as it is.
    inside: Inside | None = scenarios.pop(order.scenario, None)
    if inside is None:
        return (timer,)
    kept = KeepFact(closed.datamart, closed.user_point, FactKind.SCENARIOS, encode_scenarios(scenarios))
    return timer, kept, CountUp(closed.datamart, f"scenario_exits.{order.scenario}")


def _named_segments(activity: Activity) -> Iterator[str]:
    for event in activity.events:
        if event.name == ADD_TO_SEGMENT:
            yield text_of(properties_of(event.body).get(SEGMENT_NAME))


def _unknown(closed: Closed, unknown: Sequence[str]) -> tuple[Effect, ...]:
    return (CountUp(closed.datamart, "segments_unknown", len(unknown)),)


def _sent(activity: Activity) -> bytes:
    """The activity as it leaves, without page views: the last step takes them out of what is stored, too."""
    kept = [event for event in activity.events if event.name != PAGE_VIEW]
    return structs.replace(activity, events=kept).encode()


def _led_then(stored: bytes | None, now_ms: int) -> Led:
    """The activity that led in a while ago; one without events where there is none any more."""
    return Led(lambda: values_in(stored) if stored is not None else {"$ts": now_ms, "$events": []}, lambda: stored, ())
