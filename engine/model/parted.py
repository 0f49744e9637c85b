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
from engine.model.limits import MAX_EVENTS_PER_ITEM, MAX_NESTING
from engine.model.sent import SentStatus, parse_unique_key, sent_decoder
from engine.model.wire import compact, decode, decode_fields, encode_fields

ROOTS_KEPT: Final = 65_536
"""Root fields whose meaning is remembered: those of the visitors of the last minutes. About 700 bytes each where
nobody holds them otherwise, 2 kB at the most."""

MAX_HEAD_BYTES: Final = 512
"""Longer root fields are read anew each time: the bound of what is kept is in bytes, too."""

_EVENTS: Final = b',"$events":['
_BRACE: Final = ord("}")
_BACKSLASH: Final = ord("\\")

_FAULTS: Final = (CallerError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

decode_events: Final = msgspec.json.Decoder(
    Annotated[list[SentEvent], Meta(min_length=1, max_length=MAX_EVENTS_PER_ITEM)]
).decode


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


class Parted(Struct, frozen=True, gc=False):
    """An item whose events are the last of its members.

    Attributes:
        root: its other members.
        events: what the engine reads of its events, at least one.
        array: compact JSON of the events.
        size_bytes: of the whole, as compact JSON.
    """

    root: Root
    events: list[SentEvent]
    array: bytes
    size_bytes: int


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
    return _parted(text[:at], text[at + len(_EVENTS) - 1 : -1], default_compartment)


def part_sent(item: bytes, default_compartment: str) -> Parted | None:
    """`part` of an item as it was sent, which need not be compact: only its events have to be made so, as root fields
    that were compact before still are. None says nothing.

    Args:
        item: any bytes.
        default_compartment: for accounts that name none.
    """
    at = item.find(_EVENTS)
    # A number is found in bytes in a third of the time of a text.
    if not 0 < at <= MAX_HEAD_BYTES or item[-1] != _BRACE or _BACKSLASH in item:
        return None
    array = item[at + len(_EVENTS) - 1 : -1]
    # As `compact` does, in one pass. The events are one level below the item.
    if len(array) - len(array.translate(None, b"[{")) >= MAX_NESTING:
        return None
    try:
        if not item.isascii():
            item.decode("utf-8")
        root = _root_of(item[:at], default_compartment)
        array = msgspec.json.format(array, indent=-1)
        events = decode_events(array)
    except _FAULTS:
        return None
    return None if root is None else Parted(root, events, array, at + len(_EVENTS) + len(array))


def _parted(head: bytes, array: bytes, default_compartment: str) -> Parted | None:
    size_bytes = len(head) + len(_EVENTS) + len(array)
    try:
        root = _root_of(head, default_compartment) if len(head) <= MAX_HEAD_BYTES else _root(head, default_compartment)
        return Parted(root, decode_events(array), array, size_bytes) if root is not None else None
    except (CallerError, msgspec.MsgspecError):
        return None


def _root(head: bytes, default_compartment: str) -> Root | None:
    """`read_root` where it is compact; else None, which is worth remembering, too."""
    return read_root(head, default_compartment) if compact(head + b"}")[:-1] == head else None


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


_root_of = lru_cache(ROOTS_KEPT)(_root)
