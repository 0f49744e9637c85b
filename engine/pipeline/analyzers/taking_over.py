"""What of an analyzer's answer is taken over, and what is not (mediarithmics 6.1; decisions 28 and 37).

An analyzer gives a whole activity back. It may change the events, the origin, the location, the storage life and every
root property that is not the engine's own. Identifiers, `$ts`, `$unique_key` and `$type` in its answer are ignored; so
is what says where the activity comes from and how it was made: `$session_status`, `$site_id`, `$app_id`,
`$session_duration`, `$error_analyzer_id`. What is not in the answer is gone; what it leaves as it is comes back byte
for byte, although it was decoded and encoded on the way.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Raw, Struct

from engine.errors import CallerError
from engine.model.activity import Activity, extras_of, measure
from engine.model.event import Event, SentEvent, event_from, with_ts
from engine.model.location import LOCATION_FIELDS, SentLocation
from engine.model.origin import ORIGIN_FIELDS, SentOrigin, origin_from
from engine.model.restored import restored, restored_fields
from engine.model.wire import (
    NULL,
    Fields,
    check_nesting,
    compact,
    decode,
    decode_fields,
    decode_list,
    decoder,
    encode_fields,
)

_event = decoder(SentEvent)
_origin = decoder(SentOrigin)
_location = decoder(SentLocation)


class _Life(Struct, rename=lambda name: "$" + name):
    ttl: Annotated[int, Meta(ge=0, le=2**40)] | None = None


_life = decoder(_Life)

_ESCAPED = 6
"""Bytes that one character may take in JSON."""

_REST_CHARS = 1000
"""No less than what the documented fields take beside events, identifiers, origin and location; ids are 64 at most."""

_IDENTIFIER_CHARS = 100
"""No less than what an identifier takes beside its own text."""

_DERIVED = ("$unique_key", "$session_duration", "$error_analyzer_id", "$events")


def taken_over(activity: Activity, shown: bytes, answered: bytes, *, doubles: bool) -> Activity:
    """The activity as an answer changes it; the same object where it changes nothing.

    Args:
        activity: what was asked about.
        shown: how it was shown, public JSON.
        answered: JSON, as it came.
        doubles: the analyzer takes all numbers for doubles (JavaScript).

    Raises:
        CallerError: the answer is no activity; its path says where.
    """
    if answered == shown:
        return activity
    if doubles:
        answered = compact(answered)
    else:  # Of a callable: written by our own encoder, which leaves nothing to be made compact.
        check_nesting(answered)
    before, after = decode_fields(shown), decode_fields(answered)
    if not bytes(after.get("$events", Raw(b""))).startswith(b"["):
        raise CallerError("an activity has a list of `$events`", code="bad_field", path="$.$events")

    def is_other(name: str) -> bool:
        return _text(after.get(name)) != _text(before[name])

    found = activity.replaced(
        ttl_minutes=decode(_life, answered).ttl if is_other("$ttl") else activity.ttl_minutes,
        events=_events(activity, before["$events"], after["$events"], doubles),
        origin=_origin_of(activity, after.get("$origin"), doubles) if is_other("$origin") else activity.origin,
        location=(
            _location_of(activity, after.get("$location"), doubles) if is_other("$location") else activity.location
        ),
        extras=_extras(activity, before, after, doubles),
    )
    return found if changes(activity, found) else activity


def changes(before: Activity, after: Activity) -> list[str]:
    """Names of the fields in which two forms of an activity differ."""
    if before is after:
        return []
    pairs = (
        ("$events", before.events, after.events),
        ("$origin", before.origin, after.origin),
        ("$location", _text(before.location), _text(after.location)),
        ("$ttl", before.ttl_minutes, after.ttl_minutes),
    )
    found = [name for name, old, new in pairs if old != new]
    olds, news = before.extras, after.extras
    found += [name for name in {**olds, **news} if _text(olds.get(name)) != _text(news.get(name))]
    return found if found or list(olds) == list(news) else ["the order of its fields"]


def chars_above(activity: Activity, before: Activity, most: int) -> int | None:
    """The size of an activity that analyzers made larger than it may be; None for any other (decision 16).

    Args:
        activity, before: behind and in front of them.
        most: code points.
    """
    if activity is before or _ceiling(activity) <= most:
        return None
    size = _chars(activity, before)
    return size if size > most and size > _chars(before, before) else None


def _ceiling(activity: Activity) -> int:
    """No less than the size of an activity, found without encoding it: most are far from the limit."""
    size = _REST_CHARS + sum([len(event.body) + 1 for event in activity.events])
    size += sum([_ESCAPED * len(name) + len(bytes(value)) + 4 for name, value in activity.extras.items()])
    for one in activity.identifiers:
        size += _IDENTIFIER_CHARS + _ESCAPED * (len(one.namespace) + len(one.value) + len(one.email))
    for text in (activity.origin, _text(activity.location)):
        size += len(text) if text is not None else 0
    return size


def _chars(activity: Activity, before: Activity) -> int:
    """Code points of an activity as it would be sent (decision 15).

    What the engine derived does not count; an origin does where it is another than before the analyzers.
    """
    root = decode_fields(activity.encode())
    for name in _DERIVED:
        root.pop(name, None)
    if activity.origin is None or activity.origin == before.origin:
        root.pop("$origin", None)
    return measure(root, [event.body for event in activity.events])


def _events(activity: Activity, before: Raw, after: Raw, doubles: bool) -> list[Event]:
    text = restored(bytes(before), bytes(after), doubles=doubles)
    if text == bytes(before):
        return activity.events
    known = {event.body: event for event in activity.events}
    bodies = [bytes(one) for one in decode_list(text)]
    return [known.get(body) or _event_of(activity, body, at) for at, body in enumerate(bodies)]


def _event_of(activity: Activity, body: bytes, at: int) -> Event:
    """A changed or new event. One without a time happened when the activity did."""
    sent = decode(_event, body, path=f"$.$events[{at}]")
    return event_from(body if sent.ts is not None else with_ts(body, activity.ts_ms))


def _origin_of(activity: Activity, after: Raw | None, doubles: bool) -> bytes | None:
    fields = _object(after, activity.origin, ORIGIN_FIELDS, doubles)
    if fields is None:
        return None
    fields.pop("$ts", None)
    text = encode_fields(fields)
    if text == activity.origin:
        return activity.origin
    decode(_origin, text, path="$.$origin")
    made = origin_from(fields)
    return made.body if made is not None else None


def _location_of(activity: Activity, after: Raw | None, doubles: bool) -> Raw | None:
    before = _text(activity.location)
    fields = _object(after, before, LOCATION_FIELDS, doubles)
    if not fields:
        return None
    text = encode_fields(fields)
    if text == before:
        return activity.location
    decode(_location, text, path="$.$location")
    return Raw(text)


def _object(after: Raw | None, before: bytes | None, documented: Sequence[str], doubles: bool) -> Fields | None:
    """The members of an object in the answer. What was shown as null because it is absent is still absent."""
    if after is None or bytes(after) == NULL:
        return None
    old = {} if before is None else decode_fields(before)
    new = {
        name: value
        for name, value in decode_fields(after).items()
        if name in old or name not in documented or bytes(value) != NULL
    }
    return restored_fields(old, new, doubles=doubles)


def _extras(activity: Activity, before: Fields, after: Fields, doubles: bool) -> Fields:
    answered = {
        name: value
        for name, value in extras_of(after).items()
        # A documented field that is absent was shown as null, and is not there when it comes back so.
        if name in activity.extras or name not in before or bytes(value) != NULL
    }
    return restored_fields(activity.extras, answered, doubles=doubles)


def _text(value: Raw | None) -> bytes | None:
    return None if value is None else bytes(value)
