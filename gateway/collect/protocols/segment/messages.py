"""One message → one activity item, `IN_SESSION` on the write key's channel (decision 42). Pure.

    track     its name, or the predefined event that means the same; the name as sent is then the property `event`
    page      `page`, which stays. Where it has an address there is a `$page_view` before it, for the rules and catalogs
              that read addresses: that one serves them and leaves the activity at the end (mediarithmics 1.7)
    screen    `screen`
    identify  of a user: `$set_user_profile_properties` with the traits; of somebody anonymous: `identify`
    group     `group`, with `groupId` and `traits`
    alias     `alias`, by somebody who is `previousId` as well
    merge     `merge`, by somebody who is all of `mergeProperties` (RudderStack)

`properties` stay as they were sent. What else the message says comes with them under its own name (`name`, `groupId`,
`context`, …), or stands beside `$properties` in the event where the properties have that name already, or are those of
a profile. So does what this does not know.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct

from gateway.collect.protocols.segment.auth import Source
from gateway.collect.protocols.segment.batch import with_defaults
from gateway.collect.protocols.segment.identity import has_id, identifiers_of
from gateway.collect.protocols.segment.properties import (
    items_of,
    origin_properties,
    predefined_name,
    version_properties,
)
from gateway.collect.protocols.segment.values import (
    Fields,
    encoded,
    fields_of,
    id_of,
    is_null,
    object_of,
    text_of,
    time_ms,
)

KINDS: Final = ("track", "page", "screen", "identify", "group", "alias", "merge")

PROFILE: Final = "$set_user_profile_properties"
PAGE_VIEW: Final = "$page_view"

_ENVELOPE: Final = frozenset(
    (
        *("type", "messageId", "userId", "anonymousId"),
        *("timestamp", "originalTimestamp", "sentAt", "receivedAt", "writeKey", "_metadata"),
    )
)
"""Members that an activity says in its own way, and those that are about the transport."""

_OURS: Final = frozenset(("$ts", "$event_name", "$event_id", "$properties"))

Place = Callable[[Fields, Fields], Mapping[str, Raw]]
"""Root fields that tell where a message comes from, by its members and those of its `context`."""


class Refused(Exception):
    """A message that cannot be taken.

    Args:
        reason: stable name, a label of counters and dead letters.
        message: what is wrong, in one sentence.
        id: `messageId`, where that can be read.
    """

    def __init__(self, reason: str, message: str, id: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.id = id


class Message(Struct, frozen=True):
    """A message that was read.

    Attributes:
        kind: its type.
        id: its `messageId`, or "".
        ts_ms: when it says that it happened, or None.
        fields: its members, with what the batch says for all.
    """

    kind: str
    id: str
    ts_ms: int | None
    fields: Fields


def read_message(raw: Raw, *, kind: str, defaults: Fields, max_bytes: int) -> Message:
    """A message, checked as far as the protocol goes.

    Args:
        raw: as sent.
        kind: the type that the path says, or "": then the message says it.
        defaults: what the batch says for all of its messages.
        max_bytes: a larger one is refused.

    Raises:
        Refused: `bad_message`, `message_too_large`, `unknown_type`, `no_user_id`, `missing_event`,
            `missing_previous_id`, `bad_timestamp`.
    """
    data = bytes(raw)
    fields = fields_of(data)
    if fields is None:
        raise Refused("bad_message", "it is not a JSON object")
    message_id = id_of(fields.get("messageId"))
    if len(data) > max_bytes:
        raise Refused("message_too_large", f"it has {len(data)} bytes, the limit is {max_bytes}", message_id)
    kind = kind or text_of(fields.get("type"))
    if kind not in KINDS:
        raise Refused("unknown_type", "`type` is none of " + ", ".join(KINDS), message_id)
    for name in ("properties", "traits", "context"):
        value = fields.get(name)
        if not is_null(value) and fields_of(value) is None:
            raise Refused("bad_message", f"`{name}` is not an object", message_id)
    if not has_id(fields):
        raise Refused("no_user_id", "it has neither `userId` nor `anonymousId`", message_id)
    if kind == "track" and not text_of(fields.get("event")):
        raise Refused("missing_event", "a `track` has the name of its event as text in `event`", message_id)
    if kind == "alias" and not id_of(fields.get("previousId")):
        raise Refused("missing_previous_id", "an `alias` says in `previousId` who `userId` was", message_id)
    try:
        sent_ms = time_ms(fields.get("timestamp"))
        ts_ms = time_ms(fields.get("originalTimestamp")) if sent_ms is None else sent_ms
    except ValueError:
        raise Refused("bad_timestamp", "the time is not ISO 8601", message_id) from None
    return Message(kind, message_id, ts_ms, with_defaults(fields, defaults))


def item_of(message: Message, source: Source, *, ts_ms: int | None, place: Place) -> bytes:
    """The activity item that a message makes.

    Args:
        message: it.
        source: its channel.
        ts_ms: its time, corrected where its sender's clock is wrong (decision 9); None for that of arrival.
        place: where it comes from.
    """
    fields = message.fields
    context = object_of(fields.get("context"))
    name, properties, taken = _own(message.kind, fields, context, source)
    for member, value in origin_properties(message.kind, properties, context).items():
        properties.setdefault(member, value)
    head: dict[str, Any] = {} if ts_ms is None else {"$ts": ts_ms}
    event: dict[str, Any] = {**head, "$event_name": name}
    if message.id:
        event["$event_id"] = message.id
    event["$properties"] = properties
    with_properties = _SPOKEN[message.kind] if name != PROFILE else ()
    for member, value in fields.items():
        if member in _ENVELOPE or member in taken or _is_nothing(value):
            continue
        if member in with_properties and member not in properties:
            properties[member] = value
        elif member not in _OURS:
            event[member] = value
    events = [event]
    if message.kind == "page" and "$url" in properties:
        events.insert(0, _page_view(message, head, properties))
    channel = source.channel
    root = {
        "$type": channel.activity_type,
        "$session_status": "IN_SESSION",
        channel.id_field: channel.id,
        "$user_identifiers": identifiers_of(message.kind, fields, context),
        **place(fields, context),
    }
    return bytes(encoded({**root, "$events": events}))


_SPOKEN: Final[dict[str, frozenset[str]]] = {
    "track": frozenset(("context", "event")),
    "page": frozenset(("context", "name", "category")),
    "screen": frozenset(("context", "name", "category")),
    "identify": frozenset(("context",)),
    "group": frozenset(("context", "groupId", "traits")),
    "alias": frozenset(("context", "previousId")),
    "merge": frozenset(("context", "mergeProperties")),
}
"""Members of a message that come with its properties; the others stand beside them."""


def _own(kind: str, fields: Fields, context: Fields, source: Source) -> tuple[str, Fields, frozenset[str]]:
    """The name of the event, the properties that the message itself gives it, and the members these are made of."""
    if kind == "identify":
        traits = {**object_of(context.get("traits")), **object_of(fields.get("traits"))}
        user = fields.get("userId")
        if not id_of(user):
            return kind, {"traits": encoded(traits)}, frozenset(("traits",))
        profile = {"$user_account_id": encoded(id_of(user)), "$compartment_id": encoded(source.compartment)}
        # Behind the traits as well as before them: whose profile it is, the message says and no trait.
        return PROFILE, {**profile, **traits, **profile}, frozenset(("traits",))
    properties = object_of(fields.get("properties"))
    taken = frozenset(("properties",))
    if kind != "track":
        return kind, properties, taken
    event = text_of(fields.get("event"))
    name = predefined_name(event)
    items = items_of(event, properties)
    if items is not None:
        properties.setdefault("$items", items)
    if name is None:
        return event, properties, taken | {"event"}
    if name == "$app_open":
        for member, value in version_properties(context).items():
            properties.setdefault(member, value)
    return name, properties, taken


def _page_view(message: Message, head: Mapping[str, Any], properties: Fields) -> dict[str, Any]:
    """What event rules and catalogs read of a page. Its id is another: one id is one event (decision 18)."""
    event = {**head, "$event_name": PAGE_VIEW}
    if message.id:
        event["$event_id"] = f"{message.id}{PAGE_VIEW}"
    event["$properties"] = {name: properties[name] for name in ("$url", "$referrer") if name in properties}
    return event


def _is_nothing(value: Raw) -> bool:
    return bytes(value) in (b"null", b"{}", b'""')
