"""A user event: a time, a name and properties (facts: mediarithmics 1.7).

`SentEvent` is what the collect plane checks; `Event` is what travels down the chain. An event stays encoded, so that
custom properties come back as they were sent, and is decoded only where a step looks inside.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta, Raw, Struct

from engine.model.limits import MAX_EVENT_ID_CHARS, MAX_EVENT_NAME_CHARS, MAX_TS_MS
from engine.model.wire import Fields, decode, decode_fields, encode, encode_fields, text_of

Ts = Annotated[int, Meta(ge=0, le=MAX_TS_MS)]
EventName = Annotated[str, Meta(min_length=1, max_length=MAX_EVENT_NAME_CHARS)]
EventId = Annotated[str, Meta(min_length=1, max_length=MAX_EVENT_ID_CHARS)]

PAGE_VIEW = "$page_view"


class SentProperties(Struct, gc=False):
    """Any JSON object: the engine keeps the properties of an event as they were sent."""


class SentEvent(Struct, rename=lambda name: "$" + name, kw_only=True, gc=False):
    """The fields of a sent event that the engine reads; all others are kept beside them."""

    event_name: EventName
    ts: Ts | None = None
    event_id: EventId | None = None
    properties: SentProperties | None = None


class _Head(Struct, rename=lambda name: "$" + name):
    ts: int
    event_name: str


_head_decoder: msgspec.json.Decoder[_Head] = msgspec.json.Decoder(_Head)


class Event(Struct, frozen=True, gc=False):
    """One event in the chain.

    Attributes:
        ts_ms: the event's time.
        name: `$event_name`.
        body: compact JSON of the whole event, as it is stored.
    """

    ts_ms: int
    name: str
    body: bytes

    def fields(self) -> Fields:
        """All members of the event, values encoded."""
        return decode_fields(self.body)

    def properties(self) -> Fields:
        """The members of `$properties`; empty where there are none."""
        found = self.fields().get("$properties")
        return {} if found is None or bytes(found) == b"null" else decode_fields(found)


def event_from(body: bytes) -> Event:
    """The event that `body`, compact JSON with `$ts` and `$event_name`, stands for."""
    head = decode(_head_decoder, body)
    return Event(head.ts, head.event_name, body)


class _Told(Struct, rename=lambda name: "$" + name):
    properties: Fields | None = None


_told_decoder: msgspec.json.Decoder[_Told] = msgspec.json.Decoder(_Told)


def properties_of(body: bytes) -> Fields:
    """The members of the `$properties` of an event; empty where there are none, or something else in their place.

    In one pass: the fold asks this of every event.
    """
    try:
        return _told_decoder.decode(body).properties or {}
    except msgspec.ValidationError:
        return {}


def address_reader(others: Iterable[str]) -> Callable[[bytes], tuple[str, str] | None]:
    """Makes a function that reads `$url` and `$referrer` among the `$properties` of an event, "" for what is not there.

    It says None where something is not of its usual type, or a property named in `others` has a value: then the event
    is to be read with `properties_of`, which takes three times as long.

    Args:
        others: names of properties.
    """
    fields: list[tuple[str, object, object]] = [("url", str | None, None), ("referrer", str | None, None)]
    renamed = {"url": "$url", "referrer": "$referrer"}
    for at, name in enumerate(others):
        # Nothing but null is of this type, so any value ends the decoding: nobody has to look for it afterwards.
        fields.append((f"other_{at}", None, None))
        renamed[f"other_{at}"] = name
    properties = msgspec.defstruct("Properties", fields, rename=renamed, gc=False)
    told = msgspec.defstruct("Told", [("properties", properties | None, None)], rename={"properties": "$properties"})
    decode_told: Callable[[bytes], Any] = msgspec.json.Decoder(told).decode

    def read(body: bytes) -> tuple[str, str] | None:
        try:
            found = decode_told(body).properties
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return (found.url or "", found.referrer or "") if found is not None else ("", "")

    return read


ABSENT: Final = Raw(b"")
"""What `page_reader` gives for a property that is not there."""

PageValues = tuple[str, str, *tuple[Raw, ...]]
"""`$url`, `$referrer`, and other properties."""


def page_reader(others: Iterable[str]) -> Callable[[bytes], PageValues]:
    """Makes a function that reads `$url` and `$referrer` among the `$properties` of an event, "" for what is no text,
    and behind them other properties, still encoded: `ABSENT` for what is not there. One pass over the event, and
    nothing is made of whatever else it holds.

    Args:
        others: names of properties, each once, neither of these two.
    """
    names = {f"other_{at}": name for at, name in enumerate(others)}
    rename = {"url": "$url", "referrer": "$referrer", **names}

    def reader(address: type) -> Callable[[bytes], tuple[Any, ...]]:
        addresses = [(name, address, "" if address is str else ABSENT) for name in ("url", "referrer")]
        fields = [*addresses, *[(name, Raw, ABSENT) for name in names]]
        properties = msgspec.defstruct("Properties", fields, rename=rename, gc=False)
        told = msgspec.defstruct(
            "Told", [("properties", properties | None, None)], rename={"properties": "$properties"}, gc=False
        )
        decode_told = msgspec.json.Decoder(told).decode
        values_of, nothing = msgspec.structs.astuple, properties()

        def read(body: bytes) -> tuple[Any, ...]:
            (found,) = values_of(decode_told(body))
            return values_of(found or nothing)

        return read

    quick, patient = reader(str), reader(Raw)
    nothing = cast("PageValues", ("", "", *(ABSENT for _ in names)))

    def read(body: bytes) -> PageValues:
        try:
            return quick(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # Nearly always an address that is no text.
        try:
            url, referrer, *found = patient(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return nothing
        return text_of(url), text_of(referrer), *found

    return read


def with_ts(body: bytes, ts_ms: int) -> bytes:
    """The same event with its time set, for an event sent without one (decision 9)."""
    fields = decode_fields(body)
    return encode_fields({"$ts": Raw(encode(ts_ms)), **{key: value for key, value in fields.items() if key != "$ts"}})
