"""Stored values in words, for people who ask why: whatever kind of fact it is."""

from typing import Any, Final

import msgspec

from engine.model.wire import encode

MAX_CHARS: Final = 2000
"""Of a value; the rest is cut."""


def fact_as_text(value: bytes) -> str:
    """What a fact says: a format byte and msgpack, as JSON; of anything else, how long it is."""
    try:
        text = encode(_plain(msgspec.msgpack.decode(value[1:]))).decode()
    except (msgspec.DecodeError, ValueError, TypeError):
        return f"{len(value)} bytes"
    return cut(text)


def cut(text: str, most: int = MAX_CHARS) -> str:
    """At most so many characters of a text."""
    return text if len(text) <= most else text[: most - 2] + " …"


def _plain(value: Any) -> Any:  # noqa: ANN401 - any decoded value is meant
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return value.hex()
        return text if text.isprintable() else value.hex()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(_plain(name)): _plain(one) for name, one in value.items()}
    return value
