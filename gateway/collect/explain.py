"""`?explain=1`: what was made of a request, for who develops against it. A setting allows it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from engine import CallerError, Engine, ItemResult, decode_values
from gateway.collect.collect import DROPPED
from gateway.collect.reply import Pending, Reply, ok
from gateway.collect.request import Request
from gateway.errors import RequestError

MAX_SHOWN: Final = 5
"""Activities of each item's user point: what is open at most, and a few of what was before."""


def asks_why(request: Request) -> bool:
    """Whether a request asks what is made of it; the settings say whether it is told.

    Raises:
        RequestError: 400, its query cannot be read.
    """
    return bool(request.raw_query) and request.parameter("explain") == "1"


def drop_explained(reply: Reply, error: Exception | None = None) -> Reply:
    """Tell why nothing was taken, where the reply itself has nothing but `X-Sojourn-Dropped` for it: an image, a
    redirect, a success. Other replies stay as they are.

    Args:
        reply: what the protocol answers.
        error: what the reply was made of, where it was one.
    """
    code = dict(reply.headers).get(DROPPED)
    if code is None or reply.status >= 400:
        return reply
    reason = {"code": code}
    if isinstance(error, RequestError | CallerError):
        reason |= {"error": error.message} | ({"path": error.path} if error.path else {})
    return ok({"items": [], "reason": reason, "answer": _answer(reply)})


async def explained(engine: Engine, pending: Pending) -> Reply:
    """Wait until what was taken is on disk, and tell what became of each item instead of what the protocol answers.

    For an item that was taken: its user point, and the activities of that as they are now, newest first, with who they
    are from. A session that holds no more events than the request brought for this user was opened by it, any other was
    joined. For an item that was not taken: why.

    Raises:
        Unavailable, Broken: as `Receipt.durable`.
    """
    await pending.receipt.durable()
    reply = pending.render(pending.receipt.results)
    results = pending.receipt.results
    new_events = Counter[str]()
    for result in results:
        new_events[result.user_point or ""] += result.events
    items = [await _item(engine, pending.datamart, result, new_events) for result in results]
    return ok({"items": items, "answer": _answer(reply)})


def _answer(reply: Reply) -> dict[str, Any]:
    return {"status": reply.status, "headers": dict(reply.headers)}


async def _item(engine: Engine, datamart: int, result: ItemResult, new_events: Mapping[str, int]) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": result.status, "events": result.events}
    if result.error is not None:
        shown["reason"] = {"code": result.error.code, "error": result.error.message, "path": result.error.path}
    if result.user_point is None:
        return shown
    open_now = [
        decode_values(activity)
        for activity in await engine.activities(datamart, result.user_point, live=True, limit=MAX_SHOWN)
    ]
    return shown | {
        "user_point_id": result.user_point,
        "activities": [_activity(activity, new_events[result.user_point]) for activity in open_now],
    }


def _activity(activity: dict[str, Any], new_events: int) -> dict[str, Any]:
    is_open = activity["$session_status"] == "SESSION_SNAPSHOT"
    return {
        "session": ("opened" if len(activity["$events"]) <= new_events else "joined") if is_open else "stored",
        "type": activity["$type"],
        "status": activity["$session_status"],
        "ts": activity["$ts"],
        "channel": activity.get("$site_id") or activity.get("$app_id"),
        "identifiers": activity["$user_identifiers"],
        "origin": activity["$origin"],
        "events": [event["$event_name"] for event in activity["$events"]],
    }
