"""Touches: what may have led a person to a conversion, and which conversions were attributed (mediarithmics 7.4).

A touch is an activity, once:
    DISPLAY_AD, EMAIL with a click event            a click, at the time of its last click
    DISPLAY_AD, EMAIL with a view event alone       a view, at the time of its last view
    SITE_VISIT, APP_VISIT with an origin            a click, at the start of the visit
A direct visit is none, nor is any other activity. Conversions are remembered so that an activity that is made again
(sent twice, or replaced by its sender) says the same of its conversions, and counts none of them twice.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from engine.model.activity import Activity
from engine.model.types import DAY_MS
from engine.model.wire import decode_fields, encode_fields

FORMAT: Final = 1
"""First byte of every stored value. A change of the fields below or of their order needs another number."""

MAX_AGE_MS: Final = 30 * DAY_MS
"""The longest window of a goal: an older touch leads nowhere. Counted from the latest touch."""

MAX_TOUCHES: Final = 64
MAX_CONVERSIONS: Final = 32

MAX_ORIGIN_BYTES: Final = 512
"""Of the origin that is remembered with a touch; fields that do not fit are in the activity itself."""

CLICKS: Final = frozenset(("$ad_click", "$email_click"))
VIEWS: Final = frozenset(("$ad_view", "$email_view"))
_SHOWN: Final = frozenset(("DISPLAY_AD", "EMAIL"))
_VISITS: Final = frozenset(("SITE_VISIT", "APP_VISIT"))


class Touch(Struct, array_like=True, frozen=True, order=True, gc=False):
    """One touch.

    Attributes:
        ts_ms: when it happened.
        activity_ms, unique_key: the activity's identity.
        type: its `$type`.
        is_click: else it is a view.
        origin: compact JSON of the origin, at most `MAX_ORIGIN_BYTES`; b"" for none.
    """

    ts_ms: int
    activity_ms: int
    unique_key: bytes
    type: str
    is_click: bool
    origin: bytes


class Conversion(Struct, array_like=True, frozen=True, gc=False):
    """A conversion that was counted.

    Attributes:
        ts_ms: its time.
        id: 16 bytes that tell it from others.
        touch: what it was attributed to, or None.
    """

    ts_ms: int
    id: bytes
    touch: Touch | None


class Touches(Struct, array_like=True, frozen=True):
    """What is remembered of a person, both in the order of time."""

    touches: tuple[Touch, ...] = ()
    conversions: tuple[Conversion, ...] = ()


NONE: Final = Touches()

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Touches)
_PREFIX = bytes((FORMAT,))


def touch_of(activity: Activity) -> Touch | None:
    """The touch that an activity is, or None."""
    if activity.type in _VISITS:
        if activity.origin is None:
            return None
        at_ms, is_click = activity.ts_ms, True
    elif activity.type in _SHOWN:
        clicks = [event.ts_ms for event in activity.events if event.name in CLICKS]
        times = clicks or [event.ts_ms for event in activity.events if event.name in VIEWS]
        if not times:
            return None
        at_ms, is_click = max(times), bool(clicks)
    else:
        return None
    origin = _bounded(activity.origin) if activity.origin is not None else b""
    return Touch(at_ms, activity.ts_ms, activity.unique_key.bytes, activity.type, is_click, origin)


def _bounded(origin: bytes) -> bytes:
    if len(origin) <= MAX_ORIGIN_BYTES:
        return origin
    kept = {}
    size = 2
    for name, value in decode_fields(origin).items():
        size_of_one = len(name.encode()) + len(bytes(value)) + 4
        if size + size_of_one <= MAX_ORIGIN_BYTES:
            size += size_of_one
            kept[name] = value
    return encode_fields(kept)


def with_touch(known: Touches, touch: Touch) -> Touches:
    """What is remembered when this has happened too; the same activity again takes the place of what it was."""
    if touch in known.touches:
        return known
    identity = touch.activity_ms, touch.unique_key
    others = (one for one in known.touches if (one.activity_ms, one.unique_key) != identity)
    return Touches(_latest_touches((*others, touch)), known.conversions)


def with_conversions(known: Touches, made: Iterable[Conversion]) -> Touches:
    """What is remembered when these were counted too."""
    return Touches(known.touches, _latest_conversions((*known.conversions, *made)))


def combine(known: Touches, others: Touches) -> Touches:
    """Those of two user points that turn out to be one person (decision 3). Again the same changes nothing."""
    if others == NONE:
        return known
    by_activity = {(one.activity_ms, one.unique_key): one for one in sorted((*known.touches, *others.touches))}
    by_id = {one.id: one for one in (*others.conversions, *known.conversions)}
    return Touches(_latest_touches(by_activity.values()), _latest_conversions(by_id.values()))


def _latest_touches(touches: Iterable[Touch]) -> tuple[Touch, ...]:
    found = sorted(touches)
    since_ms = found[-1].ts_ms - MAX_AGE_MS if found else 0
    return tuple([one for one in found if one.ts_ms >= since_ms][-MAX_TOUCHES:])


def _latest_conversions(made: Iterable[Conversion]) -> tuple[Conversion, ...]:
    return tuple(sorted(made, key=lambda one: (one.ts_ms, one.id))[-MAX_CONVERSIONS:])


def last_touch(touches: Iterable[Touch], at_ms: int, click_window_ms: int, view_window_ms: int) -> Touch | None:
    """What a conversion is attributed to: the last click within its window, else the last view within its own.

    Args:
        touches: of the person, those of the converting activity among them.
        at_ms: time of the conversion; what came after it counts for nothing.
        click_window_ms, view_window_ms: how old the touch may be; 0 attributes to none.
    """
    for is_click, window_ms in ((True, click_window_ms), (False, view_window_ms)):
        if not window_ms:
            continue
        within = [one for one in touches if one.is_click is is_click and at_ms - window_ms <= one.ts_ms <= at_ms]
        if within:
            return max(within)
    return None


def encode_touches(known: Touches) -> bytes:
    """As they are stored; the same ones are the same bytes."""
    return _PREFIX + _encoder.encode(known)


def decode_touches(stored: bytes | None) -> Touches:
    """What `encode_touches` made; nothing where nothing is stored.

    Raises:
        ValueError: of another format, or damaged.
    """
    if stored is None:
        return NONE
    if stored[:1] != _PREFIX:
        raise ValueError(f"touches of unknown format {stored[:1]!r}")
    try:
        return _decoder.decode(memoryview(stored)[1:])
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged touches: {error}") from error
