"""`?explain=1`: what was made of a request, for who develops against it. A setting allows it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine import Engine, ItemResult
from gateway.collect.reply import Pending, Reply, ok

MAX_SHOWN: Final = 5
"""Activities of each item's user point: what is open at most, and a few of what was before."""


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
    return ok({"items": items, "answer": {"status": reply.status, "headers": dict(reply.headers)}})


async def _item(engine: Engine, datamart: int, result: ItemResult, new_events: Mapping[str, int]) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": result.status, "events": result.events}
    if result.error is not None:
        shown["reason"] = {"code": result.error.code, "error": result.error.message, "path": result.error.path}
    if result.user_point is None:
        return shown
    open_now = [
        msgspec.json.decode(activity)
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
