"""A reply as protocol code makes it, and the platform's envelopes around its data (facts: mediarithmics 11.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

JSON = ("content-type", "application/json; charset=utf-8")

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply.

    Attributes:
        status: HTTP status.
        headers: lower-case names; the server adds `content-length` and `date`.
        body: the bytes.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def json_reply(
    value: Any,  # noqa: ANN401 - any JSON value is meant
    *,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """A reply with this value as JSON; `msgspec.Raw` in it is written as it is."""
    return Reply(status, (JSON, *headers), _encoder.encode(value))


def ok(data: Any, **more: Any) -> Reply:  # noqa: ANN401 - any JSON value is meant
    """The envelope of one thing: `{"status": "ok", "data": …}`, and `more` members behind."""
    return json_reply({"status": "ok", "data": data, **more})


def ok_list(items: Sequence[Any], *, max_results: int, **more: Any) -> Reply:  # noqa: ANN401 - JSON values
    """The envelope of a list: `data`, `count` of this page, `first_result`, `max_results`, and `more` members behind.

    Args:
        items: JSON values; `msgspec.Raw` for what is encoded already.
        max_results: the bound that the page was cut to.
        more: further members.
    """
    return ok(items, count=len(items), first_result=0, max_results=max_results, **more)
