"""`POST /v1/datamarts/:datamart/user_activities`: activities from a server, one, an array, or NDJSON.

(facts: mediarithmics 4.6; decisions 18, 39, 42)
"""

import hashlib
from typing import Any, Final

from engine import Engine, Idempotency, ItemResult, Receipt
from gateway.access import require
from gateway.collect.items import Items, items_of
from gateway.collect.reply import Reply, ok
from gateway.collect.request import Request
from gateway.errors import RequestError, error_reply

PATTERN: Final = "/v1/datamarts/:datamart/user_activities"

STORED_TIMEOUT_S: Final = 10
"""How long `async=false` waits for the activity (decision 42)."""

MAX_KEY_CHARS: Final = 255
"""Of `Idempotency-Key`: a longer one is somebody's payload in the wrong place."""


async def post_user_activities(engine: Engine, request: Request) -> Reply:
    """Take the activities of the body.

    One object is answered by itself: 200, or 400 when it is refused. An array and NDJSON are answered 200 with one
    result an item, in order, also when every item was refused: the request was read, its items say the rest.

    Raises:
        RequestError: 400, 401, 403, 404, 415.
        SojournError: the engine cannot take it, now or ever.
    """
    datamart = request.datamart()
    require(engine, request.headers, scope="collect", datamart=datamart)
    wait = request.flag("async")
    process = request.flag("processing_pipeline") is not False
    idempotency = _idempotency(request)
    items = items_of(request.body, request.headers)

    receipt = engine.accept(items.bodies, datamart=datamart, idempotency=idempotency, process=process)
    if wait is True:
        return _answer(items, receipt)
    await receipt.durable()
    # What stays open is not stored by waiting: of open sessions and live windows, durable is all that can be said.
    if wait is False and receipt.stores:
        return _answer(items, receipt, stored=await receipt.stored(STORED_TIMEOUT_S))
    return _answer(items, receipt)


def _idempotency(request: Request) -> Idempotency | None:
    key = request.headers.get("idempotency-key", "")
    if len(key) > MAX_KEY_CHARS:
        message = f"`Idempotency-Key` has more than {MAX_KEY_CHARS} characters"
        raise RequestError(400, "bad_idempotency_key", message, path="Idempotency-Key")
    return Idempotency(key, hashlib.sha256(request.body).digest()) if key else None


def _answer(items: Items, receipt: Receipt, **more: bool) -> Reply:
    results = receipt.results
    if items.single:
        (result,) = results
        if result.error is not None:
            return error_reply(400, result.error.code, result.error.message, path=result.error.path)
        return ok(_result(result) | more)
    shown = [_result(result) for result in results]
    for line, one in zip(items.lines, shown, strict=False):
        one["line"] = line
    return ok({"results": shown} | more, count=len(shown))


def _result(result: ItemResult) -> dict[str, Any]:
    if result.error is not None:
        error = {"status": "refused", "error_code": result.error.code, "error": result.error.message}
        return error | ({"path": result.error.path} if result.error.path else {})
    return {"status": result.status, "user_point_id": result.user_point, "events": result.events}
