"""What becomes of one person in one step: where in which scenario, in which segments, and all that is to be written.

Nothing is written twice: a fact that changed five times on the way is one effect, and so are a scenario's counters. A
condition on the way sees the person as the nodes before it have left it.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from engine.definitions.declared.automations import AddToSegment, CustomAction, DeleteFromSegment, If, Node, Webhook
from engine.definitions.declared.segments import Segment
from engine.model.fact import FactKind
from engine.model.identifiers import Identifier, uuid_text
from engine.model.scenarios import MAX_INSIDE, Cause, Inside, Scenarios, decode_scenarios, encode_scenarios
from engine.model.scenarios import shown as scenarios_shown
from engine.model.segments import MAX_SEGMENTS, Membership, Segments, decode_segments, encode_segments, joined
from engine.model.segments import shown as segments_shown
from engine.pipeline.automations.compiled import Compiled
from engine.pipeline.automations.merging import moved
from engine.pipeline.automations.telling import Passage, Telling, activity_of, custom_action, webhook
from engine.pipeline.documents import person_of
from engine.pipeline.stage import Context, CountUp, Effect, KeepFact, Note, Send, SetTimer, StoreBeside
from engine.query.document import Document
from engine.scenario import moves
from engine.scenario.moves import Place, Told, What
from engine.scenario.storyline import Storyline
from engine.session.closed import Closed


class Led:
    """The activity that leads somebody into a scenario, or did so when the person entered it.

    Args:
        values: decoded; empty where there is none any more.
        stored: its JSON, or None.
        identifiers: of the activity.
    """

    def __init__(
        self,
        values: Callable[[], dict[str, Any]],
        stored: Callable[[], bytes | None],
        identifiers: tuple[Identifier, ...],
    ) -> None:
        self._values = values
        self._known: dict[str, Any] | None = None
        self.stored = stored
        self.identifiers = identifiers

    @property
    def values(self) -> dict[str, Any]:
        """As queries see it; decoded once."""
        if self._known is None:
            self._known = self._values()
        return self._known


class Person:
    """A person in one step.

    Args:
        compiled: the automations.
        closed, context: of the envelope.
        led: the activity that conditions and webhooks see.

    Attributes:
        led: the same.
    """

    def __init__(self, compiled: Compiled, closed: Closed, context: Context, led: Led) -> None:
        self._compiled = compiled
        self._closed = closed
        self._context = context
        self.led = led
        self._effects: list[Effect] = []
        self._counts: Counter[str] = Counter()
        self._told = 0
        # What was absorbed is the person's already, whichever part of a merge is stored first.
        gone = moved(closed, context) if closed.absorbed else ()
        self._effects += gone
        facts = {effect.kind: effect for effect in gone if isinstance(effect, KeepFact) and effect.value is not None}
        self._moved: dict[FactKind, bytes | None] = {kind: effect.value for kind, effect in facts.items()}
        self._scenarios: Scenarios | None = None
        self._segments: Segments | None = None
        self._scenarios_before: bytes | None = None
        self._segments_before: bytes | None = None

    @property
    def now_ms(self) -> int:
        """Engine time of the step."""
        return self._context.now_ms

    @property
    def explains(self) -> bool:
        """Whether somebody asked for notes."""
        return self._context.notes is not None

    @property
    def scenarios(self) -> Scenarios:
        """Where the person is, as of now."""
        if self._scenarios is None:
            self._scenarios_before = self._read(FactKind.SCENARIOS)
            self._scenarios = decode_scenarios(self._scenarios_before)
        return self._scenarios

    @property
    def segments(self) -> Segments:
        """Which segments the person is in, as of now."""
        if self._segments is None:
            self._segments_before = self._read(FactKind.SEGMENTS)
            self._segments = decode_segments(self._segments_before, self.now_ms)
        return self._segments

    def document(self) -> Document:
        """The activity and the person as of now."""
        own = {
            "scenarios": lambda: scenarios_shown(self.scenarios),
            "segments": lambda: segments_shown(self.segments),
        }
        person = person_of(self._context, self.led.identifiers, own)
        user_point = uuid_text(self._closed.user_point)
        return Document(self.led.values, now_ms=self.now_ms, person=person, user_point=user_point)

    def note(self, about: str, outcome: str, detail: str = "") -> None:
        """Say what happened, where somebody asked."""
        if self._context.notes is not None:
            self._context.notes.append(Note(about, outcome, detail))

    def join(self, segment: Segment, expires_ms: int | None = None) -> bool:
        """Put the person into a segment, or make the stay longer; False when it is in too many.

        Args:
            segment: which.
            expires_ms: after how long it ends; None for what the segment says.
        """
        known = self.segments.get(segment.id)
        if known is None and len(self.segments) >= MAX_SEGMENTS:
            self._counts["segments_full"] += 1
            self.note(f"segment {segment.id}", "refused", f"the person is in {MAX_SEGMENTS} segments")
            return False
        after_ms = expires_ms if expires_ms is not None else segment.expires_ms
        until_ms = None if after_ms is None else self.now_ms + after_ms
        self.segments[segment.id] = joined(known, Membership(segment.id, self.now_ms, until_ms))
        self.note(f"segment {segment.id}", "joined" if known is None else "stays", _until(self.segments[segment.id]))
        return True

    def quit(self, segment: str) -> None:
        """Take the person out of a segment."""
        gone = self.segments.pop(segment, None)
        self.note(f"segment {segment}", "left" if gone is not None else "skipped", "" if gone else "was not in it")

    def enter(self, line: Storyline, cause: Cause | None) -> bool:
        """Have the person enter a scenario; False when that may not be.

        Args:
            line: which.
            cause: the activity that leads in; None for an operator.
        """
        about = f"automation {line.id}"
        if line.id in self.scenarios:
            self.note(about, "refused", "the person is inside already")
            return False
        if len(self.scenarios) >= MAX_INSIDE:
            self._counts["scenarios_full"] += 1
            self.note(about, "refused", f"the person is inside {MAX_INSIDE} scenarios")
            return False
        self._counts[f"scenario_entries.{line.id}"] += 1
        self.note(about, "entered")
        walker = self._walker(line, self._execution(line.id, cause), 0)
        place = moves.begin(line, walker, self._closed.user_point, self.now_ms)
        self._settle(line.id, walker, place, self.now_ms, None, cause)
        return True

    def go_on(self, line: Storyline, inside: Inside) -> None:
        """The person's wait in a scenario is over."""
        self.note(f"automation {line.id}", "moved", f"the wait at node {inside.node} is over")
        walker = self._walker(line, inside.execution, inside.moves)
        place = moves.go_on(line, walker, self._closed.user_point, self.now_ms, inside.node, inside.previous)
        self._settle(line.id, walker, place, inside.started_ms, inside.due_ms, inside.cause)

    def leave(self, inside: Inside, line: Storyline | None, exit_condition: str = "") -> None:
        """The person leaves a scenario at once.

        Args:
            inside: where it is.
            line: the scenario; None when it is gone.
            exit_condition: id of the one that was met, if it was one.
        """
        walker = self._walker(line, inside.execution, inside.moves, inside.scenario)
        moves.leave(walker, inside.node, inside.previous, exit_condition)
        self._settle(inside.scenario, walker, None, inside.started_ms, inside.due_ms, None)

    def effects(self) -> tuple[Effect, ...]:
        """All that is to be written."""
        found = list(self._effects)
        if self._scenarios is not None and (value := encode_scenarios(self._scenarios)) != self._scenarios_before:
            found.append(self._keep(FactKind.SCENARIOS, value))
        if self._segments is not None and (value := encode_segments(self._segments)) != self._segments_before:
            found.append(self._keep(FactKind.SEGMENTS, value))
        found += [
            CountUp(self._closed.datamart, name, amount) for name, amount in sorted(self._counts.items()) if amount
        ]
        return tuple(found)

    def drop_timer(self, scenario: str, due_ms: int) -> None:
        """Remove a row of TIMERS."""
        self._effects.append(SetTimer(self._closed.datamart, self._closed.user_point, scenario, None, due_ms))

    def _walker(self, line: Storyline | None, execution: bytes, done: int, scenario: str = "") -> "_Walker":
        closed = self._closed
        self._told = max(self._told, 2 * done)  # Also behind what was told of it before, in the same millisecond.
        passage = Passage(closed.datamart, closed.user_point, line.id if line else scenario, execution, line)
        return _Walker(self, passage, done)

    def _settle(
        self,
        scenario: str,
        walker: "_Walker",
        place: Place | None,
        started_ms: int,
        was_due_ms: int | None,
        cause: Cause | None,
    ) -> None:
        closed, now_ms = self._closed, self.now_ms
        self._counts[f"scenario_moves.{scenario}"] += walker.entered
        due_ms = None if place is None else place.due_ms
        if was_due_ms is not None or due_ms is not None:
            self._effects.append(SetTimer(closed.datamart, closed.user_point, scenario, due_ms, was_due_ms))
        if place is None:
            self.scenarios.pop(scenario, None)
            self._counts[f"scenario_exits.{scenario}"] += 1
            return
        self.note(f"automation {scenario}", "waits", f"at node {place.node}, until {place.due_ms}")
        self.scenarios[scenario] = Inside(
            scenario=scenario,
            execution=walker.passage.execution,
            node=place.node,
            previous=place.previous,
            started_ms=started_ms,
            entered_ms=now_ms,
            due_ms=place.due_ms,
            moves=walker.done,
            cause=cause,
        )

    def _execution(self, scenario: str, cause: Cause | None) -> bytes:
        """This passage: the same activity leads into the same one, however often its steps are gone through."""
        what = (cause.ts_ms, cause.unique_key) if cause is not None else (self.now_ms, b"")
        parts = (self._closed.user_point, what[0].to_bytes(8, "big"), what[1], scenario.encode())
        return hashlib.sha256(b"\0".join(parts)).digest()[:16]

    def _read(self, kind: FactKind) -> bytes | None:
        return self._moved[kind] if kind in self._moved else self._context.read(kind)

    def _keep(self, kind: FactKind, value: bytes | None) -> KeepFact:
        return KeepFact(self._closed.datamart, self._closed.user_point, kind, value)

    def tell(self, passage: Passage, told: Told) -> None:
        """An activity that tells of a step."""
        telling = Telling(passage, told, self.now_ms, self._told)
        self._told += 1
        self._effects.append(StoreBeside(passage.datamart, passage.user_point, activity_of(telling)))
        self.note(f"automation {passage.scenario}", told.what.name.lower(), f"node {told.node}")

    def act(self, passage: Passage, node: Node, done: int) -> None:
        """What a node does."""
        match node:
            case AddToSegment():
                self.join(self._compiled.segments[node.segment], node.expires_ms)
            case DeleteFromSegment():
                self.quit(node.segment)
            case CustomAction():
                self._send(passage, node, done, custom_action(passage, node))
            case Webhook():
                self._send(passage, node, done, webhook(passage, node, self.now_ms, self.led.stored(), self._known()))
            case _:
                raise TypeError(f"nobody does what {type(node).__name__} does")

    def _known(self) -> list[Identifier]:
        named = (*self.led.identifiers, *self._context.identifiers())
        return list({(one.kind, one.namespace, one.value): one for one in named}.values())

    def _send(self, passage: Passage, node: CustomAction | Webhook, done: int, request: tuple[str, bytes]) -> None:
        path, body = request
        self._effects.append(
            Send(passage.datamart, node.destination, passage.request_id(node.id, done), self.now_ms, path, body)
        )
        self.note(f"automation {passage.scenario}", "sends", f"node {node.id} to destination {node.destination}")


class _Walker:
    """A person on the way through one scenario, as `engine.scenario.moves` sees it.

    Attributes:
        passage: through which.
        done: nodes entered so far, those of earlier steps included.
        entered: those of this step.
    """

    def __init__(self, person: Person, passage: Passage, done: int) -> None:
        self._person = person
        self.passage = passage
        self.done = done
        self.entered = 0

    def tell(self, told: Told) -> None:
        """As `moves.Walker.tell`."""
        if told.what is What.ENTER:
            self.done += 1
            self.entered += 1
        self._person.tell(self.passage, told)

    def act(self, node: Node) -> None:
        """As `moves.Walker.act`."""
        self._person.act(self.passage, node, self.done)

    def holds(self, node: If) -> bool:
        """As `moves.Walker.holds`."""
        line = self.passage.line
        if line is None:
            raise TypeError("nobody walks in a scenario that is gone")
        found = line.conditions[node.id].match(self._person.document()) is not None
        self._person.note(f"automation {line.id}", "matched" if found else "skipped", f"condition of node {node.id}")
        return found


def _until(membership: Membership) -> str:
    return "" if membership.expires_ms is None else f"until {membership.expires_ms}"
