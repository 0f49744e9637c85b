"""What somebody else decoded and encoded again comes back with the text that it had (decision 37).

Whoever reads JSON into numbers and writes it again changes texts that they never looked at: `1.50` becomes `1.5`, in
JavaScript `1.0` becomes `1`, a long integer loses its last digits, and `{"10": …, "9": …}` its order. So an answer is
laid over what was asked about: where the value is the same, the text is the old one, and an object keeps the order of
its members. Values are never changed by it; but a number that is out of range was shown as its text (`wire.readable`),
and where that comes back it is the number again.
"""

import math
from collections import deque
from collections.abc import Hashable
from typing import Final

from msgspec import Raw

from engine.model.wire import (
    Fields,
    decode_fields,
    decode_list,
    decode_value,
    encode_fields,
    is_out_of_range,
)

_NUMBER: Final = b"-0123456789"


def restored(before: bytes, after: bytes, *, doubles: bool) -> bytes:
    """`after`, with the text of `before` wherever the value is the same.

    Args:
        before, after: compact JSON.
        doubles: `after` was written by somebody to whom all numbers are doubles: two that are the same double are the
            same number.
    """
    if before == after:
        return before
    first = after[:1]
    if first == b"{" and before[:1] == b"{":
        old, new = decode_fields(before), decode_fields(after)
        fields = restored_fields(old, new, doubles=doubles)
        is_same = fields.keys() == old.keys() and all(bytes(old[name]) == bytes(one) for name, one in fields.items())
        return before if is_same else encode_fields(fields)
    if first == b"[" and before[:1] == b"[":
        return _list(before, after, doubles)
    if first == b'"' and before[:1] in _NUMBER and after[1:-1] == before and is_out_of_range(before):
        return before
    if first in _NUMBER and before[:1] in _NUMBER and _number(before, doubles) == _number(after, doubles):
        return before
    return after


def restored_fields(before: Fields, after: Fields, *, doubles: bool) -> Fields:
    """The members of an object, as `restored`: those that were there before in their order, then the new ones."""
    fields: Fields = {}
    for name, old in before.items():
        if (new := after.get(name)) is not None:
            text, kept = bytes(new), bytes(old)
            fields[name] = old if text == kept else Raw(restored(kept, text, doubles=doubles))
    for name, new in after.items():
        if name not in fields:
            fields[name] = new
    return fields


def _list(before: bytes, after: bytes, doubles: bool) -> bytes:
    """Elements are told by their value, wherever they stand now; one that changed is laid over the one it was.

    Which one that was is a guess (the same place, or the same `$ts` or `$id`). A wrong one costs nothing but texts.
    """
    old, new = [bytes(one) for one in decode_list(before)], [bytes(one) for one in decode_list(after)]
    known: dict[Hashable, deque[int]] = {}
    for index, text in enumerate(old):
        known.setdefault(_key(decode_value(text), doubles), deque()).append(index)
    found: dict[int, bytes] = {}
    left = dict.fromkeys(range(len(old)))
    for index, text in enumerate(new):
        if places := known.get(_key(decode_value(text), doubles)):
            place = places.popleft()
            found[index] = old[place]
            del left[place]
    by_mark: dict[Hashable, deque[int]] = {}
    for place in left:
        by_mark.setdefault(_mark(old[place]), deque()).append(place)
    for index, text in enumerate(new):
        if index in found:
            continue
        if len(new) == len(old) and index in left:
            found[index] = restored(old[index], text, doubles=doubles)
        else:
            places = by_mark.get(_mark(text))
            found[index] = restored(old[places.popleft()], text, doubles=doubles) if places else text
    texts = [found[index] for index in range(len(new))]
    return before if texts == old else b"[" + b",".join(texts) + b"]"


def _mark(text: bytes) -> Hashable:
    if not text.startswith(b"{"):
        return text[:1]
    fields = decode_fields(text)
    return tuple(bytes(fields[name]) for name in ("$ts", "$id", "id") if name in fields)


def _key(value: object, doubles: bool) -> Hashable:
    """Equal for equal values: `1` and `1.0` are, `1` and `true` are not."""
    match value:
        case dict():
            return frozenset((name, _key(one, doubles)) for name, one in value.items())
        case list():
            return tuple([_key(one, doubles) for one in value])
        case bool():
            return ("bool", value)
        case int():
            return _double(value) if doubles else value
        case str():
            return ("text", value)
        case _:
            return value  # A float or None: all that JSON has beside.


def _number(text: bytes, doubles: bool) -> int | float | bytes:
    """The value of a number; of one that is out of range its text."""
    if text.lstrip(b"-").isdigit() and len(text) < 4000:
        return _double(int(text)) if doubles else int(text)
    number = float(text)
    return number if math.isfinite(number) else text


def _double(number: int) -> int | float:
    try:
        return float(number)
    except OverflowError:
        return number
