"""What the reading resources share: who may read, whom a selector means, how much one answer holds."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import trio

from engine import Engine, Selector
from gateway.access import require
from gateway.collect.request import Request
from gateway.errors import RequestError

MAX_ANSWER_BYTES: Final = 2 * 2**20
"""Of one answer. A reader that is slow to take it holds the connection, and a stop waits for that."""


async def user_point_of(engine: Engine, request: Request) -> tuple[int, str]:
    """The datamart and the user point that the path means.

    Raises:
        RequestError: 401, 403; 404, nobody is known by this selector.
        CallerError: it is not a selector.
    """
    datamart = request.datamart()
    require(engine, request.headers, scope="read", datamart=datamart)
    selector = Selector.parse(request.params["selector"])
    user_point = await trio.to_thread.run_sync(engine.reader.find_user_point, datamart, selector)
    if user_point is None:
        raise RequestError(404, "not_found", "Resource Not Found")
    return datamart, user_point


def limit_of(request: Request, *, default: int, most: int) -> int:
    """The `limit` parameter, or `max_results`; `default` where neither is sent, and at most `most` (decision 38).

    Raises:
        RequestError: 400, not a positive number.
    """
    name = "limit" if request.parameter("limit") is not None else "max_results"
    text = request.parameter(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and text.strip("0")):
        raise RequestError(400, "bad_parameter", f"`{name}` must be a positive number", path=name)
    return most if len(text) > 9 else min(int(text), most)


def before_ms_of(request: Request) -> int | None:
    """The `to` parameter, a day that is itself left out, as ms since the epoch; days are UTC.

    Raises:
        RequestError: 400, not `YYYY-MM-DD`.
    """
    text = request.parameter("to")
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise RequestError(400, "bad_parameter", "`to` must be a day, YYYY-MM-DD", path="to") from None
    # Before 1970 there is nothing.
    return max(0, int(day.timestamp()) * 1000)


def refuse_first_result(request: Request) -> None:
    """Refuse pages that are not the first: whoever asks for them would get the first one for ever.

    Raises:
        RequestError: 400.
    """
    if request.parameter("first_result") not in (None, "0"):
        message = "a timeline is paged by `to` or by an `end_ts` filter, `first_result` must be 0"
        raise RequestError(400, "bad_parameter", message, path="first_result")


def that_fit(items: Sequence[bytes]) -> Sequence[bytes]:
    """As many of the items, from the first, as one answer holds; always one."""
    size = 0
    for count, item in enumerate(items):
        size += len(item) + 1
        if size > MAX_ANSWER_BYTES and count:
            return items[:count]
    return items
