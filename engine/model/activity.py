"""An activity: how it travels down the chain, is stored and is shown (facts: mediarithmics 1.2; decision 37)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, structs

from engine.model.event import Event, event_from
from engine.model.identifiers import Identifier, uuid_text
from engine.model.location import LOCATION_FIELDS
from engine.model.origin import ORIGIN_FIELDS
from engine.model.wire import (
    NULL,
    Fields,
    chars,
    decode_fields,
    decode_list,
    encode,
    encode_fields,
    without_nulls,
)

BASE_FIELDS = (
    "$ts",
    "$type",
    "$session_status",
    "$ttl",
    "$user_agent_id",
    "$user_account_id",
    "$compartment_id",
    "$email_hash",
    "$user_identifiers",
    "$origin",
    "$location",
    "$events",
    "$unique_key",
    "$error_analyzer_id",
)
"""Documented fields of every activity, in the order of the public JSON."""

_VISIT_FIELDS = {
    "SITE_VISIT": ("$site_id", "$session_duration", "$topics"),
    "APP_VISIT": ("$app_id", "$session_duration", "$topics"),
}
_ENGINE_FIELDS = frozenset(BASE_FIELDS) | {"$site_id", "$app_id", "$session_duration"}


_SHOWN = (
    b'{"$ts":%d,"$type":%b,"$session_status":%b,"$ttl":%b,"$user_agent_id":null,"$user_account_id":null,'
    b'"$compartment_id":null,"$email_hash":null,"$user_identifiers":%b,"$origin":%b,"$location":%b,"$events":[%b],'
    b'"$unique_key":"%b","$error_analyzer_id":%b'
)
"""`BASE_FIELDS` of public JSON, to be filled; a test holds it against them."""


class Activity(Struct, kw_only=True):
    """One activity in the chain.

    Attributes:
        ts_ms, unique_key: with datamart and user point, the storage identity.
        type, status: `$type` and `$session_status`.
        ttl_minutes: `$ttl`; 0 or None keeps the activity for ever.
        identifiers: what it was sent with, each once.
        channel_field, channel_id: `$site_id` or `$app_id` and its value, or "" and "".
        duration_s: `$session_duration` in seconds.
        origin: JSON of `$origin` without `$ts`, or None.
        location: `$location` as sent, or None.
        events: of a session or live window in the order of `(ts, sequence)`, of a sent item as sent.
        extras: all other root fields, custom ones and unknown `$` names, as sent and in their order.
    """

    ts_ms: int
    unique_key: UUID
    type: str
    status: str
    ttl_minutes: int | None = None
    identifiers: tuple[Identifier, ...] = ()
    channel_field: str = ""
    channel_id: str = ""
    duration_s: int | None = None
    origin: bytes | None = None
    location: Raw | None = None
    error_analyzer_id: str | None = None
    events: list[Event] = []
    extras: Fields = {}

    def encode(self) -> bytes:
        """Compact JSON as it is stored: absent fields are left out."""
        parts = [b'{"$ts":%d,"$type":%b,"$session_status":%b' % (self.ts_ms, _text(self.type), _text(self.status))]
        if self.ttl_minutes is not None:
            parts.append(b',"$ttl":' + encode(self.ttl_minutes))
        parts.append(b',"$user_identifiers":' + encode([one.as_json() for one in self.identifiers]))
        if self.origin is not None:
            parts.append(b',"$origin":' + _dated(self.origin, self.ts_ms))
        if self.location is not None:
            parts.append(b',"$location":' + bytes(self.location))
        parts.append(b',"$events":[' + b",".join([event.body for event in self.events]))
        parts.append(b'],"$unique_key":"%b"' % uuid_text(self.unique_key.bytes).encode())
        if self.error_analyzer_id is not None:
            parts.append(b',"$error_analyzer_id":' + encode(self.error_analyzer_id))
        if self.channel_field:
            parts.append(b",%b:%b" % (_text(self.channel_field), _text(self.channel_id)))
        if self.duration_s is not None:
            parts.append(b',"$session_duration":%d' % self.duration_s)
        if self.extras:
            parts.append(b"," + encode_fields(self.extras)[1:-1])
        parts.append(b"}")
        return b"".join(parts)

    def show(self) -> bytes:
        """As `public(self.encode())`, without reading what was just written."""
        own = {self.channel_field: _text(self.channel_id)} if self.channel_field else {}
        if self.duration_s is not None:
            own["$session_duration"] = b"%d" % self.duration_s
        visit, extras = _VISIT_FIELDS.get(self.type, ()), self.extras
        parts = [
            _SHOWN
            % (
                self.ts_ms,
                _text(self.type),
                _text(self.status),
                NULL if self.ttl_minutes is None else encode(self.ttl_minutes),
                encode([one.as_json() for one in self.identifiers]),
                NULL if self.origin is None else _with_nulls(Raw(_dated(self.origin, self.ts_ms)), ORIGIN_FIELDS),
                NULL if self.location is None else _with_nulls(self.location, LOCATION_FIELDS),
                b",".join([event.body for event in self.events]),
                uuid_text(self.unique_key.bytes).encode(),
                NULL if self.error_analyzer_id is None else encode(self.error_analyzer_id),
            )
        ]
        parts += [b"%b:%b" % (_text(name), own.pop(name, b"") or extras.get(name, _NULL)) for name in visit]
        parts += [b"%b:%b" % (_text(name), text) for name, text in own.items()]
        parts += [b"%b:%b" % (encode(name), value) for name, value in extras.items() if name not in visit]
        return b",".join(parts) + b"}"

    def replaced(self, **fields: Any) -> "Activity":  # noqa: ANN401 - of any of its fields
        """The same activity with other values of these fields."""
        return structs.replace(self, **fields)


@lru_cache(1024)
def _text(text: str) -> bytes:
    """Names of types, fields and channels as JSON: a few of them stand in every activity."""
    return encode(text)


def _dated(origin: bytes, ts_ms: int) -> bytes:
    """An origin with the activity's time (decision 21)."""
    if b'"$ts"' in origin or len(origin) <= len(b"{}"):
        return encode_fields({**decode_fields(origin), "$ts": Raw(encode(ts_ms))})
    return b'%b,"$ts":%d}' % (origin[:-1], ts_ms)


def extras_of(root: Fields) -> Fields:
    """The root fields that are neither documented nor derived: they come back as they were sent."""
    return {key: value for key, value in root.items() if key not in _ENGINE_FIELDS}


def measure(root: Fields, events: Sequence[bytes]) -> int:
    """Code points of the compact JSON of an activity with these root fields and events (decision 15).

    Null fields do not count, at root, `$origin`, event and `$properties` level; neither does `$events` in `root`.
    """
    return measure_root(root) + measure_events([measure_event(event) for event in events])


def measure_root(root: Fields) -> int:
    """The part of `measure` that the root fields make, the braces and the empty `$events` list included."""
    total = len('{"$events":[]}')
    for key, value in without_nulls(root):
        if key == "$events":
            continue
        size = _measure_nested(value) if key == "$origin" else chars(value)
        total += len(encode(key).decode()) + 2 + size
    return total


def measure_events(sizes: Sequence[int]) -> int:
    """The part of `measure` that events of these sizes make, the commas between them included."""
    return sum(sizes) + max(0, len(sizes) - 1)


def measure_event(event: bytes) -> int:
    """Code points of one event, without null fields of its own or of its `$properties`."""
    if NULL not in event:
        return chars(event)
    fields = dict(without_nulls(decode_fields(event)))
    return _object_chars(
        [(key, _measure_nested(value) if key == "$properties" else chars(value)) for key, value in fields.items()]
    )


def _measure_nested(value: bytes) -> int:
    if NULL not in value or not value.startswith(b"{"):
        return chars(value)
    return _object_chars([(key, chars(inner)) for key, inner in without_nulls(decode_fields(value))])


def _object_chars(members: Sequence[tuple[str, int]]) -> int:
    return 2 + max(0, len(members) - 1) + sum(len(encode(key).decode()) + 1 + size for key, size in members)


def public(stored: bytes) -> bytes:
    """The activity as it is shown: documented fields first, null where absent, all else as sent (decision 37)."""
    fields = decode_fields(stored)
    kind = bytes(fields["$type"]).decode().strip('"')
    shown: Fields = {}
    for name in (*BASE_FIELDS, *_VISIT_FIELDS.get(kind, ())):
        shown[name] = fields.pop(name, _NULL)
    shown["$origin"] = _with_nulls(shown["$origin"], ORIGIN_FIELDS)
    shown["$location"] = _with_nulls(shown["$location"], LOCATION_FIELDS)
    shown.update(fields)
    return encode_fields(shown)


def _with_nulls(value: Raw, names: Sequence[str]) -> Raw:
    if bytes(value) == NULL:
        return value
    fields = decode_fields(value)
    shown = {name: fields.pop(name, _NULL) for name in names}
    return Raw(encode_fields({**shown, **fields}))


_NULL = Raw(NULL)


def events_from(array: bytes) -> list[Event]:
    """The events of a JSON array, in its order (decision 12)."""
    return [event_from(bytes(body)) for body in decode_list(array)]
