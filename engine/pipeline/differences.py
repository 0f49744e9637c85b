"""What a step has changed of an activity, and what its effects would write: both in words, for an explanation."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from engine.model.activity import Activity
from engine.model.event import Event
from engine.model.shown import cut, fact_as_text
from engine.model.wire import Fields, decode_fields
from engine.pipeline.stage import (
    Attach,
    CountUp,
    Effect,
    KeepFact,
    KeepHistory,
    Send,
    SetTimer,
    StoreBeside,
)

MAX_VALUE_CHARS: Final = 500

How = Literal["added", "removed", "changed"]


class Change(Struct, frozen=True):
    """One difference.

    Attributes:
        what: `event 2 $page_view`, `$origin.$source`, `$topics` …; events are counted from 0, in the new activity where
            they are still in it.
        how: `added`, `removed` or `changed`.
        before, after: compact JSON, cut; "" for what is not there.
    """

    what: str
    how: How
    before: str = ""
    after: str = ""


def differences(before: Activity, after: Activity) -> tuple[Change, ...]:
    """What is different, events first."""
    if before is after:
        return ()
    return (*_events(before.events, after.events), *_fields("", _root(before), _root(after)))


def in_words(effect: Effect) -> str:
    """What an effect would write."""
    match effect:
        case KeepFact(value=None):
            return f"forget {effect.kind.name.lower()} of {_point(effect.user_point)}"
        case KeepFact():
            told = fact_as_text(effect.value or b"")
            return f"keep {effect.kind.name.lower()} of {_point(effect.user_point)}: {told}"
        case KeepHistory():
            at = _moment(effect.at_ms)
            return f"add to the history of {effect.kind.name.lower()}, at {at}: {fact_as_text(effect.value)}"
        case StoreBeside():
            activity = effect.activity
            return f"store beside it {activity.type} at {_moment(activity.ts_ms)}: {cut(activity.encode().decode())}"
        case SetTimer(due_ms=None):
            return f"stop the timer of scenario {effect.scenario}"
        case SetTimer():
            return f"set the timer of scenario {effect.scenario} to {_moment(effect.due_ms or 0)}"
        case Send():
            where = f"{effect.destination}{effect.path and f' at {effect.path}'}"
            body = cut(effect.body.decode(errors="replace"))
            return f"send to {where}, not before {_moment(effect.due_ms)}, id {UUID(bytes=effect.id)}: {body}"
        case CountUp():
            return f"raise the counter {effect.name} by {effect.amount}"
        case Attach():
            names = ", ".join(f"{one.as_json()}" for one in effect.identifiers)
            return f"attach identifiers to the person: {names}"
        case _:
            return repr(effect)


def _events(before: Sequence[Event], after: Sequence[Event]) -> Iterator[Change]:
    old, new = [one.body for one in before], [one.body for one in after]
    for tag, left, left_end, right, right_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        pairs = min(left_end - left, right_end - right)
        same = [before[left + at].name == after[right + at].name for at in range(pairs)]
        if not all(same):
            pairs = 0
        for at in range(pairs):
            event = after[right + at]
            yield Change(
                f"event {right + at} {event.name}", "changed", _text(before[left + at].body), _text(event.body)
            )
        for at in range(left + pairs, left_end):
            yield Change(f"event {at} {before[at].name}", "removed", before=_text(before[at].body))
        for at in range(right + pairs, right_end):
            yield Change(f"event {at} {after[at].name}", "added", after=_text(after[at].body))


def _root(activity: Activity) -> Fields:
    return {name: value for name, value in decode_fields(activity.encode()).items() if name != "$events"}


def _fields(path: str, before: Fields, after: Fields) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        old, new = (bytes(fields[name]) if name in fields else b"" for fields in (before, after))
        if old == new:
            continue
        if name == "$origin" and not path:
            inner = (decode_fields(one) if one.startswith(b"{") else {} for one in (old, new))
            yield from _fields("$origin.", *inner)
            continue
        how: How = "changed" if old and new else ("added" if new else "removed")
        yield Change(path + name, how, _text(old), _text(new))


def _text(value: bytes) -> str:
    return cut(value.decode(errors="replace"), MAX_VALUE_CHARS)


def _point(user_point: bytes) -> str:
    return f"user point {UUID(bytes=user_point)}"


def _moment(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
