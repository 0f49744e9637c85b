"""What protocol code answers, and the platform's envelopes around its data (facts: mediarithmics 11.4).

An answer is a `Reply`, or one that holds as soon as what was taken is on disk (`Pending`), or one that somebody works
on (an awaitable). A `Pending` needs no task to wait for it: the listener is called back when the commit is through, and
writes all the answers that it covers.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from engine import Gathered, ItemResult, Receipt

JSON = ("content-type", "application/json; charset=utf-8")
JSON_HEADERS = (JSON,)

_encoder = msgspec.json.Encoder()


class Reply(Struct, frozen=True, gc=False):
    """One reply.

    Attributes:
        status: HTTP status.
        headers: lower-case names; the server adds `content-length` and `date`.
        body: the bytes.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Pending(Struct, frozen=True):
    """A reply that holds once everything in the receipt is on disk.

    Attributes:
        receipt: of what was taken, or will be at the end of this pass of the loop.
        render: makes the reply, after the commit, of what became of the items.
        datamart: whose it is.
    """

    receipt: Receipt | Gathered
    render: Callable[[Sequence[ItemResult]], Reply]
    datamart: int


Answer = Reply | Pending | Awaitable[Reply]
"""What a protocol function returns."""


def json_reply(
    value: Any,  # noqa: ANN401 - any JSON value is meant
    *,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """A reply with this value as JSON; `msgspec.Raw` in it is written as it is."""
    return Reply(status, (JSON, *headers), _encoder.encode(value))


def with_headers(reply: Reply, headers: Sequence[tuple[str, str]]) -> Reply:
    """The same reply with further headers behind its own."""
    return Reply(reply.status, (*reply.headers, *headers), reply.body) if headers else reply


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
