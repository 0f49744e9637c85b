"""`POST /v1/datamarts/:datamart/user_activities`: activities from a server or an application; one, an array, or NDJSON.

(facts: mediarithmics 4.5, 4.6; decisions 18, 39, 42)
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Raw, Struct, structs

from engine import Idempotency, ItemResult, Listening, Receipt, SojournError, parse_authorization
from gateway.access import require
from gateway.collect.collect import Collect
from gateway.collect.items import JSON_TYPE, Items, items_of
from gateway.collect.reply import JSON_HEADERS, Answer, Pending, Reply, ok
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.collect.signature import body_of, signature_of, uri_of, verify
from gateway.errors import RequestError, error_reply

PATTERN: Final = "/v1/datamarts/:datamart/user_activities"

PROTOCOL: Final = "user_activities"

STORED_TIMEOUT_S: Final = 10
"""How long `async=false` waits for the activity (decision 42)."""

_TAKEN: Final = (PROTOCOL, "accepted", "")
_ACCEPTED: Final = '{"status":"ok","data":{"status":"accepted","user_point_id":"%s","events":%d}}'
_SINGLE: Final = Items([], single=True)
_BRACE: Final = ord("{")
_LINE_FEED: Final = ord("\n")

MAX_KEY_CHARS: Final = 255
"""Of `Idempotency-Key`: a longer one is somebody's payload in the wrong place."""


def routes(collect: Collect) -> tuple[Route, ...]:
    """Where activities are sent."""
    return (
        Route(
            "POST",
            PATTERN,
            partial(post_user_activities, collect),
            protocol=PROTOCOL,
            is_public=True,
            shorten=partial(short_user_activities, collect),
        ),
    )


def post_user_activities(collect: Collect, request: Request) -> Answer:
    """Take the activities of the body.

    One object is answered by itself: 200, or 400 when it is refused. An array and NDJSON are answered 200 with one
    result an item, in order, also when every item was refused: the request was read, its items say the rest.

    Raises:
        RequestError: 400, 401, 403, 404, 415.
        SojournError: the engine cannot take it, now or ever.
    """
    datamart = request.datamart()
    sender = _sender(collect, request, datamart)
    wait = request.flag("async") if request.raw_query else None
    process = not request.raw_query or request.flag("processing_pipeline") is not False
    idempotency = _idempotency(request, sender.mac)
    items = items_of(request.body, request.headers)
    if sender.channel.startswith("app:") and (place := collect.place(request.client)):
        # An application signs on the visitor's own device; a server's address says nothing about its visitors.
        items = structs.replace(items, bodies=[_placed(body, place) for body in items.bodies])
    if items.single and idempotency is None and process and wait is None and not sender.channel:
        gathered = collect.take_soon(items.bodies[0], datamart=datamart)
        return Pending(gathered, partial(_answer_soon, collect, items), datamart)

    receipt = collect.take(
        items.bodies,
        datamart=datamart,
        protocol=PROTOCOL,
        idempotency=idempotency,
        process=process,
        only_channel=sender.channel,
    )
    if wait is True:
        return _answer(items, receipt.results)
    # What stays open is not stored by waiting: of open sessions and live windows, durable is all that can be said.
    if wait is False and receipt.stores:
        return _stored(items, receipt)
    return Pending(receipt, partial(_answer, items), datamart)


class _OneByToken:
    """Takes the bodies behind a head that shows a token and asks for nothing else: one object each, mostly."""

    __slots__ = ("_accept", "_collect", "_datamart", "_engine", "_head", "_items", "_revision")

    def __init__(self, collect: Collect, head: Request, datamart: int) -> None:
        self._collect = collect
        self._head = head
        self._datamart = datamart
        self._items = collect.counters.items
        self._engine = collect.engine
        self._accept = collect.engine.accept_for
        self._revision = collect.engine.revision

    def take(self, body: bytes, listening: Listening) -> bool:
        """As `Taker.take`."""
        if body[0] != _BRACE or _LINE_FEED in body:  # As `items_of` begins.
            return False
        if self._revision != self._engine.revision and not self._is_still_allowed():
            return False
        try:
            self._accept(listening, body, self._datamart, "API")
        except SojournError:
            return False
        return True

    def _is_still_allowed(self) -> bool:
        """The definitions have changed, and tokens with them, perhaps."""
        try:
            _sender(self._collect, self._head, self._datamart)
        except (RequestError, SojournError):
            return False
        self._revision = self._engine.revision
        return True

    def render(self, results: Sequence[ItemResult]) -> Reply:
        """As `Taker.render`."""
        (result,) = results
        if result.status == "accepted":
            # What `_answer_soon` comes to, in a third of the time.
            self._items[_TAKEN] += result.events
            return Reply(200, JSON_HEADERS, (_ACCEPTED % (result.user_point, result.events)).encode())
        return _answer_soon(self._collect, _SINGLE, results)


def short_user_activities(collect: Collect, request: Request) -> _OneByToken | None:
    """How requests with the head of this one, which has no query, are taken; None where their bodies do not decide it.

    Raises:
        RequestError: 401, 403, 404, as `post_user_activities`.
    """
    datamart = request.datamart()
    if request.headers.get("content-type") != JSON_TYPE or signature_of(request.headers) is not None:
        return None
    _sender(collect, request, datamart)
    return None if _idempotency(request, "") is not None else _OneByToken(collect, request, datamart)


async def _stored(items: Items, receipt: Receipt) -> Reply:
    return _answer(items, receipt.results, stored=await receipt.stored(STORED_TIMEOUT_S))


class _Sender(Struct, frozen=True):
    """Who sends.

    Attributes:
        channel: key of the one channel that they may send for; "" for all.
        mac: of a signed request; else "".
    """

    channel: str = ""
    mac: str = ""


_BY_TOKEN: Final = _Sender()


def _sender(collect: Collect, request: Request, datamart: int) -> _Sender:
    """Whom the request is from, by its signature or by its token; a signature, even a bad one, is what counts.

    Raises:
        RequestError: 401, 403, they may not send here; 429, they send too often.
    """
    signature = signature_of(request.headers)
    if signature is None:
        require(collect.engine, request.headers, scope="collect", datamart=datamart)
        collect.rates.check_token(parse_authorization(request.headers["authorization"]) or "")
        return _BY_TOKEN
    key = collect.engine.signing_key(signature.key_id)
    verify(signature, key, datamart=datamart, uri=uri_of(request), body=body_of(request), now_ms=collect.now_ms())
    collect.rates.check_token(f"key {signature.key_id}")
    return _Sender(key.channel if key is not None else "", signature.mac)


def _idempotency(request: Request, mac: str) -> Idempotency | None:
    """What the request is known again by: its key, its MAC, or both.

    The MAC does not cover the header, so the header cannot stand in for it: who has seen a request could send it again
    with another key.
    """
    key = request.headers.get("idempotency-key", "")
    if not key and not mac:
        return None
    if len(key) > MAX_KEY_CHARS:
        message = f"`Idempotency-Key` has more than {MAX_KEY_CHARS} characters"
        raise RequestError(400, "bad_idempotency_key", message, path="Idempotency-Key")
    # No header holds a line feed, so that no sender can use up the MAC of another.
    keys = (*((key,) if key else ()), *((f"mac:\n{mac}",) if mac else ()))
    return Idempotency(keys[0], hashlib.sha256(request.body).digest(), keys[1:])


def _placed(body: bytes, place: Mapping[str, Raw]) -> bytes:
    """An item with these root fields, unless it has its own: of two members of one name the later counts."""
    head, brace, rest = body.partition(b"{")
    if head.strip() or rest.lstrip()[:1] in (b"}", b""):
        return body  # No object, or nothing in it: the engine says what is wrong.
    members = b",".join([b'"%s":%s' % (name.encode(), bytes(value)) for name, value in place.items()])
    return b"%s%s%s,%s" % (head, brace, members, rest)


def _answer_soon(collect: Collect, items: Items, results: Sequence[ItemResult]) -> Reply:
    collect.count(PROTOCOL, results)
    return _answer(items, results)


def _answer(items: Items, results: Sequence[ItemResult], **more: bool) -> Reply:
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
