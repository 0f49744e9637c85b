"""Step 4, conversions: goals that an activity reaches, and what led the person there (decision 29; mediarithmics 7).

    a goal with a query      the activity matches        ▶ a `$conversion` event behind the matching one, at its time
    any goal                 `$conversion` was sent, with `$goal_id` or `$goal_technical_name`     ▶ counts as it is

Only ACTIVE goals. A goal is reached by a query once an activity, and not where the activity brings a conversion of it.
Each conversion gets `$attribution`: the last touch within the goal's windows (`engine.model.touches`), the activity's
own among them, where there is one; nothing where there is none, or the sender has said one. Counters:
`conversions.<goal>` and, of what they are worth, `conversions_value_cents.<goal>`; `conversions.unknown` where a
conversion names no goal of ours.

Touches are kept while a goal with a window is defined, also a PAUSED one: who activates it finds them.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from msgspec import Raw, structs

from engine.definitions.declared.goals import Goal, QueryText
from engine.definitions.defined import Defined
from engine.definitions.queries import compile_declared
from engine.errors import CallerError
from engine.model.activity import Activity
from engine.model.event import Event, properties_of
from engine.model.fact import FactKind
from engine.model.touches import (
    Conversion,
    Touch,
    combine,
    decode_touches,
    encode_touches,
    last_touch,
    touch_of,
    with_conversions,
    with_touch,
)
from engine.model.wire import Fields, encode, encode_fields, number_or_text, scalar_text
from engine.pipeline.documents import document_of
from engine.pipeline.stage import Context, CountUp, Effect, Keep, KeepFact, Note, Stage, keep
from engine.query.condition import Condition
from engine.session.closed import Closed

NAME = "conversions"

CONVERSION: Final = "$conversion"
ATTRIBUTION: Final = "$attribution"

MAX_VALUE: Final = 1e10
"""What one conversion adds to its goal's sum at most: a counter has 64 bits, so it takes nine million of these to fill
it, and then it stays full."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
"""JSON's form of a number; `float` takes others, too."""

CompileQuery = Callable[[QueryText, str], Condition]
"""A query and its path in what is declared → what asks it."""


class _Made(NamedTuple):
    """A conversion of an activity: whose, which event it is, and the 16 bytes that tell it from others."""

    goal: Goal
    event: Event
    id: bytes
    was_sent: bool


class _Goals:
    """The goals of a datamart, by what they wait for.

    Attributes:
        watched: names of events that may reach a goal.
        always: whether a goal's query may match whatever the events are called.
        keeps_touches: whether a goal looks back.
    """

    def __init__(self, defined: Defined, compiled: CompileQuery) -> None:
        self._by_id: dict[str, Goal] = {}
        self._by_name: dict[str, Goal] = {}
        self._queries: list[tuple[Goal, Condition]] = []
        self._paused: list[Goal] = []
        for number, goal in enumerate(defined.goals):
            if goal.id in self._by_id:
                raise CallerError(
                    f"another goal has the id {goal.id!r}", code="bad_definition", path=f"goals[{number}].id"
                )
            self._by_id[goal.id] = goal
            if goal.technical_name:
                self._by_name.setdefault(goal.technical_name, goal)
            # Also of a PAUSED one: what cannot work is found when it is declared.
            condition = compiled(goal.query, f"goals[{number}].query") if goal.query else None
            if goal.status != "ACTIVE":
                self._paused.append(goal)
            elif condition is not None:
                self._queries.append((goal, condition))
        names = [condition.event_names for _, condition in self._queries]
        self.always = any(one is None for one in names)
        self.watched = frozenset((CONVERSION, *(name for one in names if one is not None for name in one)))
        self.keeps_touches = any(goal.post_click_window_ms or goal.post_view_window_ms for goal in defined.goals)

    def sent(self, activity: Activity, notes: list[Note] | None) -> tuple[list[_Made], set[str], int]:
        """Conversions that the activity brings: those that count, the ids of all goals they name, and how many name
        none of ours."""
        made: list[_Made] = []
        named: set[str] = set()
        strangers = 0
        for number, event in enumerate(activity.events):
            if event.name != CONVERSION:
                continue
            properties = properties_of(event.body)
            goal_id = scalar_text(properties.get("$goal_id"))
            technical_name = scalar_text(properties.get("$goal_technical_name"))
            goal = self._by_id.get(goal_id) if goal_id else self._by_name.get(technical_name)
            if goal is None:
                strangers += bool(goal_id or technical_name)
                _note(notes, goal_id or technical_name or "?", "skipped", "a conversion was sent for no goal of ours")
                continue
            named.add(goal.id)
            if goal.status != "ACTIVE":
                continue
            made.append(_Made(goal, event, _id_of(activity, goal, properties, number), True))
            _note(notes, goal.id, "matched", "a conversion was sent")
        return made, named, strangers

    def met(self, activity: Activity, names: set[str], named: set[str], context: Context) -> list[tuple[int, _Made]]:
        """Goals whose query the activity meets, each with the index of the event it goes behind; -1 for all."""
        found: list[tuple[int, _Made]] = []
        document = None
        if context.notes is not None:
            context.notes.extend(Note(f"goal {goal.id}", "skipped", "it is PAUSED") for goal in self._paused)
        for goal, condition in self._queries:
            expected = condition.event_names
            if expected is not None and expected.isdisjoint(names):
                _note(context.notes, goal.id, "skipped", "no event of a name it asks for")
                continue
            if goal.id in named:
                _note(context.notes, goal.id, "skipped", "the activity brings a conversion of it")
                continue
            document = document or document_of(activity, context.now_ms)
            match = condition.match(document)
            if match is None:
                _note(context.notes, goal.id, "skipped", "the query does not match")
                continue
            made = _converted(activity, goal, match.event)
            found.append((-1 if match.event is None else match.event, made))
            _note(context.notes, goal.id, "matched", f"a conversion at {made.event.ts_ms}")
        return found


def build(defined: Defined, compiled: CompileQuery | None = None) -> Stage:
    """The step of a datamart.

    Args:
        defined: what is declared in it.
        compiled: makes a condition of a query; the query language's compiler when None.

    Raises:
        CallerError: a query does not compile, or two goals have one id.
    """
    if not defined.goals:
        return keep
    goals = _Goals(defined, compiled or (lambda query, path: compile_declared(query, defined, path, sees_person=False)))

    def conversions(closed: Closed, activity: Activity, context: Context) -> Keep:
        names = {event.name for event in activity.events}
        own = touch_of(activity) if goals.keeps_touches else None
        if own is None and not goals.always and goals.watched.isdisjoint(names) and context.notes is None:
            return Keep(activity)
        sent, named, strangers = goals.sent(activity, context.notes) if CONVERSION in names else ([], set(), 0)
        met = goals.met(activity, names, named, context)
        effects: tuple[Effect, ...] = (CountUp(closed.datamart, "conversions.unknown", strangers),) if strangers else ()
        if own is None and not sent and not met:
            return Keep(activity, effects)
        return _attributed(closed, activity, context, own, sent, met, effects)

    return conversions


def moved(closed: Closed, context: Context) -> tuple[Effect, ...]:
    """What a merge does to what is known: the absorbed user point's touches are the survivor's from now on."""
    gone = context.read(FactKind.TOUCHES, closed.absorbed)
    if gone is None:
        return ()
    both = combine(decode_touches(context.read(FactKind.TOUCHES)), decode_touches(gone))
    return (
        KeepFact(closed.datamart, closed.user_point, FactKind.TOUCHES, encode_touches(both)),
        KeepFact(closed.datamart, closed.absorbed, FactKind.TOUCHES, None),
    )


def _attributed(
    closed: Closed,
    activity: Activity,
    context: Context,
    own: Touch | None,
    sent: Sequence[_Made],
    met: Sequence[tuple[int, _Made]],
    effects: tuple[Effect, ...],
) -> Keep:
    """The activity with its conversions and what each is attributed to, and what is remembered of all that."""
    known = decode_touches(context.read(FactKind.TOUCHES, closed.user_point))
    if closed.absorbed:
        known = combine(known, decode_touches(context.read(FactKind.TOUCHES, closed.absorbed)))
    after = with_touch(known, own) if own is not None else known
    counted = {one.id: one for one in known.conversions}
    made: list[Conversion] = []
    instead: dict[bytes, Event] = {}
    for one in (*sent, *(made_now for _, made_now in met)):
        before = counted.get(one.id)
        touch = before.touch if before is not None else _touch_for(one, (*after.touches, *((own,) if own else ())))
        instead[one.id] = _with_attribution(one.event, touch)
        _note(context.notes, one.goal.id, "attributed" if touch else "unattributed", _told_of(touch, one.goal))
        if before is None:
            made.append(Conversion(one.event.ts_ms, one.id, touch))
            effects += _counted(closed.datamart, one)
    if made:
        after = with_conversions(after, made)
    if after != known:
        effects += (KeepFact(closed.datamart, closed.user_point, FactKind.TOUCHES, encode_touches(after)),)
    if instead:
        activity = structs.replace(activity, events=_events(activity.events, sent, met, instead))
    return Keep(activity, effects)


def _events(
    events: Sequence[Event],
    sent: Iterable[_Made],
    met: Iterable[tuple[int, _Made]],
    instead: dict[bytes, Event],
) -> list[Event]:
    """Those of the activity, each conversion that was sent as it is now, each that was made behind its event."""
    replaced = {id(one.event): instead[one.id] for one in sent}
    behind: dict[int, list[Event]] = {}
    for index, one in met:
        behind.setdefault(index if index >= 0 else _latest(events), []).append(instead[one.id])
    found = list(behind.get(-1, ()))  # Of an activity without events.
    for index, event in enumerate(events):
        found += (replaced.get(id(event), event), *behind.get(index, ()))
    return found


def _latest(events: Sequence[Event]) -> int:
    """Index of the last of the latest events; -1 where there are none."""
    return max(range(len(events)), key=lambda index: (events[index].ts_ms, index), default=-1)


def _converted(activity: Activity, goal: Goal, index: int | None) -> _Made:
    """The conversion of a goal that an activity meets: at the matching event's time, else at the latest event's."""
    latest = _latest(activity.events) if index is None else index
    ts_ms = activity.events[latest].ts_ms if latest >= 0 else activity.ts_ms
    conversion_id = uuid5(activity.unique_key, goal.id)
    properties: dict[str, Any] = {"$goal_id": number_or_text(goal.id)}
    if goal.technical_name:
        properties["$goal_technical_name"] = goal.technical_name
    properties["$conversion_id"] = str(conversion_id)
    if goal.value is not None:
        properties["$conversion_value"] = int(goal.value) if goal.value.is_integer() else goal.value
    body = encode({"$ts": ts_ms, "$event_name": CONVERSION, "$properties": properties})
    return _Made(goal, Event(ts_ms, CONVERSION, body), conversion_id.bytes, False)


def _id_of(activity: Activity, goal: Goal, properties: Fields, number: int) -> bytes:
    """What tells a conversion that was sent from others; one that we made, and read back, is still that one."""
    own_id = scalar_text(properties.get("$conversion_id"))
    ours = uuid5(activity.unique_key, goal.id)
    if own_id == str(ours):
        return ours.bytes
    return uuid5(activity.unique_key, f"sent\0{goal.id}\0{own_id or number}").bytes


def _touch_for(one: _Made, touches: Iterable[Touch]) -> Touch | None:
    goal = one.goal
    return last_touch(touches, one.event.ts_ms, goal.post_click_window_ms, goal.post_view_window_ms)


def _with_attribution(event: Event, touch: Touch | None) -> Event:
    properties = properties_of(event.body)
    if touch is None or ATTRIBUTION in properties:
        return event
    told: Fields = {
        "$attribution_type": Raw(b'"DIRECT"'),
        "$kind": Raw(b'"click"' if touch.is_click else b'"view"'),
        "$touch_ts": Raw(encode(touch.ts_ms)),
        "$ts": Raw(encode(touch.activity_ms)),
        "$unique_key": Raw(encode(str(UUID(bytes=touch.unique_key)))),
        "$type": Raw(encode(touch.type)),
        "$origin": Raw(touch.origin or b"null"),
    }
    properties = {**properties, ATTRIBUTION: Raw(encode_fields(told))}
    body = encode_fields({**event.fields(), "$properties": Raw(encode_fields(properties))})
    return Event(event.ts_ms, event.name, body)


def _counted(datamart: int, one: _Made) -> tuple[Effect, ...]:
    name = f"conversions.{one.goal.id}"
    value = _value(one)
    cents = round(max(-MAX_VALUE, min(MAX_VALUE, value)) * 100) if value is not None else 0
    counts: tuple[Effect, ...] = (CountUp(datamart, name),)
    return (*counts, CountUp(datamart, f"conversions_value_cents.{one.goal.id}", cents)) if cents else counts


def _value(one: _Made) -> float | None:
    """What a conversion is worth: as it says, else as its goal does (mediarithmics 7.3). Pixels say it as text, in the
    same form; what is no number, or none that is finite, says nothing."""
    said = scalar_text(properties_of(one.event.body).get("$conversion_value")) if one.was_sent else ""
    if _NUMBER.fullmatch(said) and math.isfinite(value := float(said)):
        return value
    return one.goal.value


def _told_of(touch: Touch | None, goal: Goal) -> str:
    if touch is None:
        return f"no click within {goal.post_click_window_ms} ms before it, no view within {goal.post_view_window_ms} ms"
    kind = "click" if touch.is_click else "view"
    return f"the {kind} of the {touch.type} {UUID(bytes=touch.unique_key)} at {touch.ts_ms}"


def _note(notes: list[Note] | None, goal: str, outcome: str, detail: str) -> None:
    if notes is not None:
        notes.append(Note(f"goal {goal}", outcome, detail))
