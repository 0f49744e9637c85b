"""From a body to items: one object, a JSON array, or lines with an object each (NDJSON). Pure."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from engine import CallerError, split_items
from gateway.errors import RequestError

JSON_TYPE: Final = "application/json"

NDJSON_TYPES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines"}
)

MAX_ITEMS: Final = 10_000
"""Of one request. They are taken or refused together, in one step of the loop: this bounds that step."""

# White space between two objects of one document never stands without a comma, and a JSON string holds no bare line
# feed: where this matches, the body is not one JSON document.
_OBJECT_AFTER_OBJECT = re.compile(rb"\}[ \t\r]*\n\s*\{")


class Items(Struct, frozen=True, gc=False):
    """What one request brings.

    Attributes:
        bodies: the bytes of each item, as sent.
        single: whether it was one object that is answered by itself.
        lines: for NDJSON the line of each item, from 1; else empty.
    """

    bodies: list[bytes]
    single: bool = False
    lines: tuple[int, ...] = ()


def items_of(body: bytes, headers: Mapping[str, str]) -> Items:
    """Take a body apart.

    NDJSON is what calls itself so (`content-type`), or what has one object behind another on a line of its own.

    Raises:
        RequestError: 400, the body is empty.
        CallerError: an array that is not JSON, or more items than one request may have.
    """
    content_type = headers.get("content-type", "")
    if content_type == JSON_TYPE and body.startswith(b"{") and b"\n" not in body:
        return Items([body], single=True)  # What the rest comes to for nearly every request.
    start = body.lstrip(b" \t\r\n")[:1]
    if not start:
        raise RequestError(400, "empty_body", "the body is empty")
    kind = content_type.partition(";")[0].strip().lower()
    if kind in NDJSON_TYPES or (start != b"[" and _OBJECT_AFTER_OBJECT.search(body)):
        return _lines(body)
    if start == b"[":
        return Items(split_items(body, max_items=MAX_ITEMS))
    return Items([body], single=True)


def _lines(body: bytes) -> Items:
    numbered = [(number, line) for number, line in enumerate(body.split(b"\n"), start=1) if line.strip(b" \t\r")]
    if len(numbered) > MAX_ITEMS:
        raise CallerError(f"{len(numbered)} items, the limit is {MAX_ITEMS}", code="too_many_items")
    return Items([line for _, line in numbered], lines=tuple(number for number, _ in numbered))
