"""Reading JSON of strangers: every value may be of any type, and what comes back must be the bytes that came in."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Raw

Fields = dict[str, Raw]
"""A JSON object whose values stay encoded."""

MAX_SECONDS: Final = 100_000_000_000
"""A number below this is a time in seconds (until the year 5138), above it in milliseconds (since 1973)."""

_fields_decoder: Final = msgspec.json.Decoder(Fields)
_list_decoder: Final = msgspec.json.Decoder(list[Raw])
_text_decoder: Final = msgspec.json.Decoder(str)
_number_decoder: Final = msgspec.json.Decoder(float)
_encode: Final = msgspec.json.Encoder().encode

_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DIGITS: Final = b"-0123456789"


def fields_of(data: bytes | Raw | None) -> Fields | None:
    """The members of a JSON object, encoded; None for anything else, also for what is no JSON."""
    if data is None:
        return None
    try:
        return _fields_decoder.decode(data)
    except _FAULTS:
        return None


def object_of(data: bytes | Raw | None) -> Fields:
    """The members of a JSON object, encoded; none for anything else."""
    return fields_of(data) or {}


def list_of(data: bytes | Raw | None) -> list[Raw]:
    """The elements of a JSON array, encoded; none for anything else."""
    if data is None:
        return []
    try:
        return _list_decoder.decode(data)
    except _FAULTS:
        return []


def text_of(data: Raw | None) -> str:
    """The text of a JSON string; "" for anything else."""
    if data is None:
        return ""
    try:
        return _text_decoder.decode(data)
    except _FAULTS:
        return ""


def id_of(data: Raw | None) -> str:
    """An id, sent as text or as a number; "" for anything else, such as null."""
    if data is None:
        return ""
    encoded = bytes(data)
    if encoded[:1] in (b'"', b""):
        return text_of(data)
    return encoded.decode("ascii") if encoded[0] in _DIGITS else ""


def encoded(value: Any) -> Raw:  # noqa: ANN401 - any JSON value is meant
    """A value as JSON; `Raw` in it is written as it is."""
    return Raw(_encode(value))


def is_null(data: Raw | None) -> bool:
    """Whether a member is absent: null is."""
    return data is None or bytes(data) == b"null"


def time_ms(data: Raw | None) -> int | None:
    """A time as clients write it, in ms since the epoch.

    Args:
        data: ISO 8601 with any or no zone (then it is UTC) and any precision, or a number of seconds or milliseconds.

    Raises:
        ValueError: neither.
    """
    if is_null(data) or data is None:
        return None
    text = text_of(data)
    if not text:
        try:
            number = _number_decoder.decode(data)
        except _FAULTS:
            raise ValueError("not a time") from None
        if not abs(number) < 1e15:
            raise ValueError("not a time")
        return int(number * 1000 if abs(number) < MAX_SECONDS else number)
    moment = datetime.fromisoformat(text.strip().upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Integers all the way: a float of seconds loses milliseconds.
    return (moment - _EPOCH) // _MILLISECOND
