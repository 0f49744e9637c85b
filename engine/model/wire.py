"""The only JSON in the engine: decoding what is sent, encoding what is stored, and compact text.

Custom values travel as `msgspec.Raw`, so that number text, key order and Unicode come back as they were sent
(decision 37). So stored JSON has numbers that no float holds (`1e400`) and integers of thousands of digits: whoever
wants it as plain values takes `decode_values`, to which such a number is its text, and no decoder of their own.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from engine.errors import CallerError
from engine.model.limits import MAX_NESTING

T = TypeVar("T")

Decoder = msgspec.json.Decoder
"""Decodes into one type; made by `decoder`."""

Fields = dict[str, Raw]
"""A JSON object whose values stay encoded."""

fields_decoder: msgspec.json.Decoder[Fields] = msgspec.json.Decoder(Fields)
list_decoder: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
string_decoder: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)
_encoder = msgspec.json.Encoder()

_values_decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_any_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Any)

_STRING_OR_NUMBER = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ALWAYS_IN_RANGE_CHARS = 300  # Of a number without an exponent.
_OUT_OF_RANGE = "out of range"  # As msgspec says it, of integers and of others.

_ESCAPED_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_PATH = re.compile(r" - at `(.+)`$", re.DOTALL)

NULL = b"null"

_NUMBER_STARTS = tuple(b"-0123456789"[at : at + 1] for at in range(11))
_EXACT_DIGITS = 15  # Any JSON reader has such a number exactly.


def encode(value: Any) -> bytes:  # noqa: ANN401 - any JSON value is meant
    """Compact JSON of any value made of JSON types, Structs and `Raw`."""
    return _encoder.encode(value)


def decoder(kind: type[T]) -> "msgspec.json.Decoder[T]":
    """A decoder into this type, for rooms that have values of their own."""
    return msgspec.json.Decoder(kind)


def decode_fields(data: bytes | memoryview | Raw) -> Fields:
    """The members of a JSON object, values still encoded.

    Raises:
        CallerError: not a JSON object.
    """
    return decode(fields_decoder, data)


def decode_list(data: bytes | memoryview | Raw) -> list[Raw]:
    """The elements of a JSON array, still encoded.

    Raises:
        CallerError: not a JSON array.
    """
    return decode(list_decoder, data)


def decode(decoder: "msgspec.json.Decoder[T]", data: bytes | memoryview | Raw, *, path: str = "$") -> T:
    """Decode with one of the typed decoders; a fault becomes a `CallerError` that names its place.

    Args:
        decoder: what the bytes must be.
        data: UTF-8 JSON.
        path: JSON path of `data` in what the caller sent; the fault's path continues it.

    Raises:
        CallerError: malformed (`bad_json`), of the wrong type (`bad_field`), or nested too deeply (`nesting_too_deep`).
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _PATH.search(text)
        inner = found.group(1) if found else "$"
        raise CallerError(_PATH.sub("", text), code="bad_field", path=path + inner.removeprefix("$")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallerError(str(error), code="bad_json", path=path) from None
    except RecursionError:
        raise CallerError("arrays and objects are nested too deeply", code="nesting_too_deep", path=path) from None


def decode_values(data: bytes | memoryview | Raw) -> dict[str, Any]:
    """The members of a JSON object as plain values; a number that is out of range is its text.

    Raises:
        CallerError: not a JSON object.
    """
    try:
        return _values_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode(_values_decoder, readable(data))


def decode_value(data: bytes | memoryview | Raw) -> Any:  # noqa: ANN401 - any JSON value is meant
    """Any JSON value as a plain one, as `decode_values`.

    Raises:
        CallerError: not JSON.
    """
    try:
        return _any_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode(_any_decoder, readable(data))


def readable(data: bytes | memoryview | Raw) -> bytes:
    """The same JSON where every number that is out of range is a string, its text; for readers that take any other one.

    What is no JSON stays as it is. Takes the time of a decoding, and some ten of them where there is such a number.
    """
    text = bytes(data)
    if not is_out_of_range(text):
        return text
    return _STRING_OR_NUMBER.sub(_readable_token, text)


def is_out_of_range(data: bytes) -> bool:
    """Whether decoding JSON into plain values fails for a number that is out of range."""
    try:
        _any_decoder.decode(data)
    except msgspec.ValidationError as error:
        return _OUT_OF_RANGE in str(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return False


def _readable_token(found: "re.Match[bytes]") -> bytes:
    token = found.group()
    if token[:1] == b'"' or (len(token) <= _ALWAYS_IN_RANGE_CHARS and b"e" not in token and b"E" not in token):
        return token
    return b'"' + token + b'"' if _NUMBER.fullmatch(token) and is_out_of_range(token) else token


def text_of(value: Raw | None) -> str:
    """The text of an encoded JSON string; "" for any other value and for none."""
    if value is None:
        return ""
    try:
        return string_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def scalar_text(value: Raw | None) -> str:
    """The text of an encoded JSON string, or a number as it was written; "" for any other value and for none."""
    if value is None:
        return ""
    written = bytes(value)
    return written.decode() if written[:1] in _NUMBER_STARTS else text_of(value)


def number_or_text(value: str) -> int | str:
    """An id as the platform's interfaces have it: a number when it is written like one (mediarithmics 2.1, 7.3)."""
    is_number = (
        value.isascii() and value.isdigit() and len(value) <= _EXACT_DIGITS and (value == "0" or value[0] != "0")
    )
    return int(value) if is_number else value


def compact(data: bytes | memoryview | Raw) -> bytes:
    """The same JSON without white space between tokens and without needless escapes.

    Numbers keep their text, objects their key order. The result is valid UTF-8, nested at most `MAX_NESTING` deep.

    Raises:
        CallerError: bad JSON, bad UTF-8, a lone surrogate, or nested too deeply.
    """
    text = bytes(data)
    try:
        if not text.isascii():
            text.decode("utf-8")
        # As `check_nesting` begins, but for the call.
        if text.count(b"[") + text.count(b"{") > MAX_NESTING:
            check_nesting(text)
        text = msgspec.json.format(text, indent=-1)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallerError(str(error), code="bad_json", path="$") from None
    except RecursionError:
        raise CallerError("arrays and objects are nested too deeply", code="nesting_too_deep", path="$") from None
    # A search for one byte takes a third of the time of one for two.
    if b"\\" in text and (b"\\u" in text or b"\\/" in text):
        text = _ESCAPED_STRING.sub(_unescape, text)
    return text


def _unescape(found: "re.Match[bytes]") -> bytes:
    token = found.group()
    if b"\\" not in token:
        return token
    return encode(decode(string_decoder, token))


def check_nesting(data: bytes) -> None:
    """Refuse JSON nested deeper than `MAX_NESTING`.

    Raises:
        CallerError: `nesting_too_deep`.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_NESTING:
        return
    depth = 0
    for bracket in _BRACKETS.finditer(_ESCAPED_STRING.sub(b'""', data)):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > MAX_NESTING:
            raise CallerError(
                f"arrays and objects are nested deeper than {MAX_NESTING}", code="nesting_too_deep", path="$"
            )


def chars(data: bytes) -> int:
    """Code points of UTF-8 bytes (decision 15)."""
    return len(data) if data.isascii() else len(data.decode("utf-8"))


def without_nulls(fields: Mapping[str, Raw]) -> Iterator[tuple[str, bytes]]:
    """The members whose value is not null, as key and encoded value."""
    for key, value in fields.items():
        data = bytes(value)
        if data != NULL:
            yield key, data


def encode_fields(fields: Mapping[str, Raw]) -> bytes:
    """Compact JSON of an object whose values are encoded already."""
    return _encoder.encode(fields)
