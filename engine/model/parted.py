"""An item taken apart at its events, so that root fields which are sent again and again are read once.

A visitor's items differ in their events; what stands before them (who, which channel, what kind) is the same for all
of a visit. So the text up to `$events` is a key under which everything that it says is kept.
"""

from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from engine.errors import CallerError
from engine.model.event import SentEvent
from engine.model.identifiers import Identifier
from engine.model.limits import MAX_EVENTS_PER_ITEM
from engine.model.sent import SentStatus, parse_unique_key, sent_decoder
from engine.model.wire import decode, decode_fields, encode_fields

ROOTS_KEPT: Final = 65_536
"""Root fields whose meaning is remembered: those of the visitors of the last minutes. About 700 bytes each where
nobody holds them otherwise, 2 kB at the most."""

MAX_HEAD_BYTES: Final = 512
"""Longer root fields are read anew each time: the bound of what is kept is in bytes, too."""

_EVENTS: Final = b',"$events":['

_events_decoder: msgspec.json.Decoder[list[SentEvent]] = msgspec.json.Decoder(
    Annotated[list[SentEvent], Meta(min_length=1, max_length=MAX_EVENTS_PER_ITEM)]
)


class Root(Struct, frozen=True):
    """What the root fields of an item say.

    Attributes:
        status: `$session_status`.
        channel: channel key, or "" without one.
        ts_ms: the item's own time, or None.
        identifiers: who it says it is from, each once.
        keys: `Identifier.key()` of each.
        body: compact JSON of the fields.
    """

    status: SentStatus
    channel: str
    ts_ms: int | None
    identifiers: tuple[Identifier, ...]
    keys: tuple[bytes, ...]
    body: bytes


class Parted(Struct, frozen=True):
    """An item whose events are the last of its members.

    Attributes:
        root: its other members.
        events: what the engine reads of its events, at least one.
        array: compact JSON of the events.
    """

    root: Root
    events: list[SentEvent]
    array: bytes


def part(text: bytes, default_compartment: str) -> Parted | None:
    """Take an item apart; None when it is of another form or has a fault, to be read and told the long way.

    Args:
        text: compact JSON of the item, as `wire.compact` gives it.
        default_compartment: for accounts that name none.
    """
    # If the text before `$events` is an object but for its closing brace, then this is the member of that name at
    # the root, and what is behind it must be an array and nothing else. Both are parsed, so nothing else can pass.
    at = text.find(_EVENTS)
    if at < 0 or not text.endswith(b"]}"):
        return None
    head = text[:at]
    array = text[at + len(_EVENTS) - 1 : -1]
    try:
        root = _root_of(head, default_compartment) if at <= MAX_HEAD_BYTES else read_root(head, default_compartment)
        return Parted(root, _events_decoder.decode(array), array)
    except (CallerError, msgspec.MsgspecError):
        return None


def read_root(head: bytes, default_compartment: str) -> Root:
    """What root fields say.

    Args:
        head: JSON of an object of root fields without its closing brace.
        default_compartment: for accounts that name none.

    Raises:
        CallerError: they have a fault, or `$events` is among them.
    """
    text = head + b"}"
    fields = decode_fields(text)
    sent = decode(sent_decoder, text)
    if "$events" in fields:
        raise CallerError("`$events` comes twice", code="bad_field", path="$.$events")
    if sent.has_two_channels():
        raise CallerError("an activity has one channel, `$site_id` or `$app_id`", code="two_channels", path="$.$app_id")
    if sent.is_whole():
        parse_unique_key(sent.unique_key)
    identifiers = sent.identifiers(default_compartment)
    return Root(
        status=sent.session_status,
        channel=sent.channel_key(),
        ts_ms=sent.ts,
        identifiers=identifiers,
        keys=tuple([one.key() for one in identifiers]),
        body=encode_fields(fields),
    )


_root_of = lru_cache(ROOTS_KEPT)(read_root)
