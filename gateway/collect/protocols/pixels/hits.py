"""One hit of a pixel as one activity's JSON. Pure (facts: mediarithmics 4.2, 4.4; decision 42).

A visit is `IN_SESSION` on the channel of its token: SITE_VISIT, or APP_VISIT for an application's. A touch is
`NO_SESSION`, of the type that its event's name says. Which parameters are the envelope's and which the event's own is a
matter of names alone: what is not known here is a property of the event, as it was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw

from engine import ChannelSettings
from gateway.collect.protocols.pixels.identifiers import LONG_NAMES, NAMES
from gateway.collect.protocols.pixels.parameters import Parameters, bad, text_of, time_of
from gateway.errors import RequestError

PAGE_VIEW: Final = "$page_view"
CONVERSION: Final = "$conversion"
EMAIL_CLICK: Final = "$email_click"
PROFILE_EVENT: Final = "$set_user_profile_properties"
"""Its properties name the profile's owner (mediarithmics 4.6), so what identifies stays among them."""

TYPES: Final[Mapping[str, str]] = {
    "$ad_view": "DISPLAY_AD",
    "$ad_click": "DISPLAY_AD",
    "$email_view": "EMAIL",
    "$email_click": "EMAIL",
}
"""Event name → `$type` of a touch; any other is a TOUCH (mediarithmics 4.4)."""

TOKENS: Final = ("$site_token", "$dat_token")

_CACHE_BUSTER: Final = "$cb"
_EXPLAIN: Final = "explain"
"""Of the plane (`?explain=1`), where the settings allow it; else it is a property like any other."""

_OWN: Final = frozenset(
    {
        *TOKENS,
        *NAMES,
        "$ev",
        "$event_name",
        "$ts",
        "$event_id",
        "$session_status",
        "$sent_at",
        "$consent",
        _CACHE_BUSTER,
    }
)
_SIGNATURE: Final = frozenset({"$sig", "$key_id"})

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Way:
    """One of the pixel's addresses.

    Attributes:
        protocol: label of counters and stage of dead letters.
        is_visit: whether its hits are events of a visit, or touches.
        default_event: name of an event that says none; "" when it must.
        is_click: whether a person's click led here: the browser itself asks, and will keep a cookie.
    """

    protocol: str
    is_visit: bool = False
    default_event: str = ""
    is_click: bool = False

    def reserved(self, *, explains: bool) -> frozenset[str]:
        """Parameters that are no properties of the event."""
        return _OWN | (_SIGNATURE if self.is_click else frozenset()) | ({_EXPLAIN} if explains else frozenset())


VISITS: Final = Way("visits_pixel", is_visit=True, default_event=PAGE_VIEW)
TOUCHES: Final = Way("touches_pixel")
CLICKS: Final = Way("click", default_event=EMAIL_CLICK, is_click=True)


@dataclass(frozen=True, slots=True)
class Hit:
    """One event of somebody.

    Attributes:
        parameters: what it says.
        identifiers: elements of `$user_identifiers`.
        channel: of its token, or None when that is the datamart's.
        ts_ms: of the event, or None for its arrival.
    """

    parameters: Parameters
    identifiers: list[Any]
    channel: ChannelSettings | None
    ts_ms: int | None


def item_of(hit: Hit, way: Way, place: Mapping[str, Raw], *, explains: bool = False) -> bytes:
    """The activity's JSON.

    Args:
        hit: the event.
        way: where it came in.
        place: root fields that tell where the client is.
        explains: whether `explain` is the plane's word.

    Raises:
        RequestError: 400, a parameter has a fault, the event has no name, or a visit has no channel.
    """
    parameters, channel = hit.parameters, hit.channel
    time = {"$ts": hit.ts_ms} if hit.ts_ms is not None else {}
    name = event_name(parameters, way)
    root: dict[str, Any] = {
        "$type": _type(name, way, channel),
        "$session_status": _status(parameters, way),
        **({channel.id_field: channel.id} if channel is not None else {}),
        **({} if way.is_visit else time),
        "$user_identifiers": hit.identifiers,
        **place,
    }
    event: dict[str, Any] = {**time, "$event_name": name}
    if event_id := text_of(parameters, "$event_id"):
        event["$event_id"] = event_id
    reserved = way.reserved(explains=explains)
    if name == PROFILE_EVENT:
        reserved -= LONG_NAMES
    event["$properties"] = {key: value for key, value in parameters.items() if key not in reserved}
    root["$events"] = [event]  # The engine reads an activity quickest when its events come last.
    return _encode(root)


def event_name(parameters: Parameters, way: Way) -> str:
    """The event's name: as sent, or `$conversion` for who names a goal alone, or the default of the way.

    Raises:
        RequestError: 400 `no_event_name`.
    """
    name = text_of(parameters, "$ev") or text_of(parameters, "$event_name")
    if not name and text_of(parameters, "$goal_id"):
        name = CONVERSION
    name = name or way.default_event
    if not name:
        raise RequestError(400, "no_event_name", "`$ev`, the event's name, is missing", path="$ev")
    return name


def event_time(parameters: Parameters) -> int | None:
    """`$ts` of the event, ms, by the sender's clock.

    Raises:
        RequestError: 400 `bad_parameter`.
    """
    return time_of(parameters, "$ts")


def _type(name: str, way: Way, channel: ChannelSettings | None) -> str:
    if not way.is_visit:
        return TYPES.get(name, "TOUCH")
    if channel is None:
        raise RequestError(
            400, "unknown_channel", "a visit needs the token of a site or application, not the datamart's"
        )
    return channel.activity_type


def _status(parameters: Parameters, way: Way) -> str:
    sent = text_of(parameters, "$session_status")
    allowed = ("IN_SESSION", "LIVE") if way.is_visit else ("NO_SESSION",)
    if sent and sent not in allowed:
        raise bad("$session_status", f"`$session_status` can only be {' or '.join(allowed)} here")
    return sent or allowed[0]
