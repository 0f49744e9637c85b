"""`POST /:trackerKey`: one activity or an array of them (facts: wire-protocols F; decisions 17, 18, 42).

Answers: 200 `{"profiles":{}}` when an activity was taken; 401 for a key that no channel has, 422 for what is no key;
400 when none of the activities can be taken, with the path to the first fault; all errors as `{"error", "message"}`.
XO's library never sends again, and pages do not look at its answers: so each activity that is not taken is kept as a
dead letter, and where others were taken the answer says so in `X-Sojourn-Dropped`.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec

from engine import CallerError, ChannelSettings, Idempotency, ItemError, ItemResult, Original, split_items
from gateway.collect.collect import DROPPED, Collect, Step
from gateway.collect.consent import objection
from gateway.collect.protocols.xo.activity import Fields, item_of
from gateway.collect.reply import Answer, Pending, Reply, json_reply, with_headers
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.collect.surrogates import without_halves
from gateway.collect.unreadable import refuse_unreadable
from gateway.errors import RequestError, reply_for

PROTOCOL: Final = "xo"

PATTERN: Final = "/:tracker_key"

MAX_ACTIVITIES: Final = 1000
"""Of one request: they are taken in one step of the loop. A page sends a handful, an order has a line for each item."""

MAX_KEY_CHARS: Final = 255
"""Of `Idempotency-Key`: a longer one is somebody's payload in the wrong place."""

TAKEN: Final = json_reply({"profiles": {}})
"""XO's own answer has the visitor's profiles here; clients do without."""

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}")
# What of our item is which member of the activity; the first that begins the path holds.
_MEMBERS: Final = (("$.$user_identifiers", ".user.identities"), ("$.$events[0].$ts", ".timestamp"))


def routes(collect: Collect) -> tuple[Route, ...]:
    """Where activities are sent. The pattern is that of any short path: it stands behind all other routes."""
    handler = partial(post_activities, collect)
    return (Route("POST", PATTERN, handler, protocol=PROTOCOL, refusal=refusal, is_public=True, is_fallback=True),)


def post_activities(collect: Collect, request: Request) -> Answer:
    """Take the activities of the body.

    Raises:
        RequestError: 400, the body is empty or a broken array; 401, 422, a bad key; 429.
        SojournError: the engine takes nothing now.
    """
    channel = _channel(collect, request.params["tracker_key"])
    reason = objection(request.headers, collect.settings.visitors)
    is_page = "origin" in request.headers
    step: Step = "JS_TAG" if is_page else "API"
    try:
        sent, is_array = _activities(without_halves(request.body))
    except CallerError as error:
        if reason:
            raise
        return refuse_unreadable(collect, error, request.body, datamart=channel.datamart, protocol=PROTOCOL, step=step)
    if reason:
        collect.dropped(PROTOCOL, reason, len(sent))
        return with_headers(TAKEN, ((DROPPED, reason),))
    # A site's server sends for its visitors: its own address says nothing about them.
    is_device = is_page or channel.kind == "MOBILE_APPLICATION"
    more = dict(collect.place(request.client)) if is_device else {}
    read = [_read(activity, channel, more, f"$[{index}]" if is_array else "$") for index, activity in enumerate(sent)]
    receipt = collect.take(
        [item for item, _ in read],
        datamart=channel.datamart,
        protocol=PROTOCOL,
        step=step,
        idempotency=_idempotency(request),
        originals=[original for _, original in read],
    )
    return Pending(receipt, partial(_answer, is_array=is_array), channel.datamart)


def refusal(error: BaseException) -> Reply:
    """No in XO's words: `error`, `message`, and `path` where a place is known."""
    envelope = reply_for(error)
    said = msgspec.json.decode(envelope.body)
    body = {"error": _phrase(envelope.status), "message": said["error"]}
    if "path" in said:
        body["path"] = said["path"]
    if envelope.status >= 500:
        body["error_id"] = said["error_id"]
    headers = tuple((name, value) for name, value in envelope.headers if name != "content-type")
    return json_reply(body, status=envelope.status, headers=headers)


def _phrase(status: int) -> str:
    # The standard library of Python 3.13 has another word for it.
    return "Unprocessable Entity" if status == 422 else HTTPStatus(status).phrase


def _channel(collect: Collect, key: str) -> ChannelSettings:
    channel = collect.engine.channel_by_tracker_key(key)
    if channel is not None:
        collect.rates.check_token(channel.tracker_key)
        return channel
    if _UUID.fullmatch(key):
        raise RequestError(401, "unknown_tracker_key", "Unknown tracker key")
    raise RequestError(422, "bad_tracker_key", "Tracker key not valid")


def _activities(body: bytes) -> tuple[list[bytes], bool]:
    """What the body brings, and whether that is an array. What is neither array nor object is one bad activity."""
    start = body.lstrip(b" \t\r\n")[:1]
    if not start:
        raise RequestError(400, "empty_body", "the body is empty", path="$")
    return (split_items(body, max_items=MAX_ACTIVITIES), True) if start == b"[" else ([body], False)


def _read(activity: bytes, channel: ChannelSettings, more: Fields, place: str) -> tuple[bytes, Original]:
    try:
        return item_of(activity, channel, more), Original(activity, PROTOCOL)
    except CallerError as error:
        fault = ItemError(error.code, error.message, place + error.path.removeprefix("$"))
        return b"", Original(activity, PROTOCOL, fault=fault)


def _idempotency(request: Request) -> Idempotency | None:
    key = request.headers.get("idempotency-key", "")
    if len(key) > MAX_KEY_CHARS:
        message = f"`Idempotency-Key` has more than {MAX_KEY_CHARS} characters"
        raise RequestError(400, "bad_idempotency_key", message, path="Idempotency-Key")
    return Idempotency(key, hashlib.sha256(request.body).digest()) if key else None


def _answer(results: Sequence[ItemResult], *, is_array: bool) -> Reply:
    faults = [(index, one.error) for index, one in enumerate(results) if one.error is not None]
    if not faults:
        return TAKEN
    if len(faults) == len(results):
        index, first = faults[0]
        path = _place(first.path, f"$[{index}]" if is_array else "$")
        return refusal(RequestError(400, first.code, first.message, path=path))
    reasons = dict.fromkeys(fault.code for _, fault in faults)
    return with_headers(TAKEN, ((DROPPED, ", ".join(reasons)),))


def _place(path: str, activity: str) -> str:
    """Where a fault is in the body, when the engine found it in the item that we made."""
    if not path.startswith("$.$"):
        return path if path.startswith(activity) else activity
    return activity + next((member for begin, member in _MEMBERS if path.startswith(begin)), "")
