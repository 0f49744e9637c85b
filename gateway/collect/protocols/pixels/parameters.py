"""The parameters of one event, whichever way they came: name → JSON value, kept as it was sent. Pure.

A query or form has texts, and `jso-` in front of a text makes it JSON (mediarithmics 4.2); a JSON body has values.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from gateway.collect.surrogates import without_halves
from gateway.errors import RequestError

Parameters = dict[str, Raw]
"""Name → JSON value."""

JSON_PREFIX: Final = "jso-"

MAX_TS_DIGITS: Final = 15
"""Of a time in milliseconds: the year 33658. More are a number in some other unit."""

_encode = msgspec.json.Encoder().encode
_raw_decoder = msgspec.json.Decoder(Raw)
_text_decoder = msgspec.json.Decoder(str)
_INTEGER = re.compile(r"-?[0-9]+")


def parameters_of(query: Mapping[str, tuple[str, ...]]) -> Parameters:
    """The parameters of a query or form.

    Raises:
        RequestError: 400 `bad_parameter`: one was sent twice, or a `jso-` value is not JSON. It names the parameter.
    """
    return {name: _value(name, values) for name, values in query.items()}


def as_text(text: str) -> Raw:
    """The JSON of a text."""
    return Raw(_encode(text))


def _value(name: str, values: tuple[str, ...]) -> Raw:
    if len(values) > 1:
        # Whichever we took could be the wrong one.
        raise bad(name, f"`{name}` was sent more than once")
    text = values[0]
    return _json(name, text) if text.startswith(JSON_PREFIX) else as_text(text)


def _json(name: str, text: str) -> Raw:
    """The JSON behind `jso-`, byte for byte."""
    data = without_halves(text.removeprefix(JSON_PREFIX).encode())
    try:
        _raw_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad(name, f"`{name}` is not JSON behind `{JSON_PREFIX}`: {error}") from None
    return Raw(data.strip(b" \t\r\n"))


def structure(parameters: Parameters, name: str) -> Raw | None:
    """A parameter that is a list or an object; a JSON body may have it as `jso-` text as well. None when not sent.

    Raises:
        RequestError: 400 `bad_parameter`.
    """
    value = parameters.get(name)
    if value is None or is_nothing(value):
        return None
    if bytes(value).startswith(b'"'):
        text = text_of(parameters, name)
        return _json(name, text) if text.startswith(JSON_PREFIX) else value
    return value


def text_of(parameters: Parameters, name: str) -> str:
    """A parameter that is text, or a number read as text; "" for null, or when it was not sent.

    Raises:
        RequestError: 400 `bad_parameter`: it is something else.
    """
    value = parameters.get(name)
    if value is None or is_nothing(value):
        return ""
    data = bytes(value)
    if data.startswith(b'"'):
        try:
            return _text_decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise bad(name, f"`{name}` is no text: {error}") from None
    if data[:1] in b"-0123456789":
        return data.decode()
    raise bad(name, f"`{name}` must be text")


def flag_text(parameters: Parameters, name: str) -> str:
    """As `text_of`, for what is text in a query and may be `true` or `false` in JSON. What is neither is its JSON."""
    data = bytes(parameters.get(name, Raw(b'""')))
    if data in (b"true", b"false"):
        return data.decode()
    return text_of(parameters, name) if data[:1] in b'"n-0123456789' else "?"


def time_of(parameters: Parameters, name: str) -> int | None:
    """A parameter that is a time, milliseconds since the epoch; None when it was not sent.

    Raises:
        RequestError: 400 `bad_parameter`.
    """
    text = text_of(parameters, name)
    if not text:
        return None
    if not (_INTEGER.fullmatch(text) and len(text) <= MAX_TS_DIGITS and int(text) >= 0):
        raise bad(name, f"`{name}` must be milliseconds since 1970")
    return int(text)


def is_nothing(value: Raw) -> bool:
    """Whether a value says that there is none: null or empty text."""
    return bytes(value) in (b"null", b'""')


def bad(name: str, message: str) -> RequestError:
    """400 for a parameter with a fault."""
    return RequestError(400, "bad_parameter", message, path=name)
