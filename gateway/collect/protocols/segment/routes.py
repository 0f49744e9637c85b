"""The ways in: `POST /v1/batch` and its likes, the browser's short paths and settings, RudderStack's own addresses.

(facts: wire-protocols B and C)
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from msgspec import Raw

from engine import ItemError, Original
from gateway.collect.clock_skew import corrected
from gateway.collect.collect import DROPPED, Collect, Step
from gateway.collect.consent import objection
from gateway.collect.health import ready
from gateway.collect.protocols.pixels.gif import gif, gif_refusal
from gateway.collect.protocols.segment import replies, rudder
from gateway.collect.protocols.segment.auth import sent_key, source_of
from gateway.collect.protocols.segment.batch import Batch, read_batch, read_single
from gateway.collect.protocols.segment.messages import Message, Refused, item_of, read_message
from gateway.collect.protocols.segment.place import Places, is_browser
from gateway.collect.protocols.segment.values import time_ms
from gateway.collect.reply import Answer, Pending, Reply, json_reply, with_headers
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.collect.surrogates import without_halves
from gateway.collect.unreadable import refuse_unreadable
from gateway.errors import RequestError

BATCHES: Final = ("/v1/batch", "/v1/import", "/v1/b")

SINGLES: Final = {
    **{kind: kind for kind in ("track", "page", "screen", "identify", "group", "alias", "merge")},
    # A browser's: the first letter of the type.
    **{"t": "track", "p": "page", "s": "screen", "i": "identify", "g": "group", "a": "alias"},
}
"""Last part of a path → type of the one message that is sent there."""

NOT_HERE: Final = ("/v1/webhook", "/v1/audiencelist")


def routes(collect: Collect) -> tuple[Route, ...]:
    """Where Segment's and RudderStack's clients send to."""
    batch = partial(post_batch, collect, replies.SUCCESS)
    settings = partial(get_settings, collect)
    beacon = partial(post_batch, collect, replies.TEXT_OK)
    segment, ours = rudder.SEGMENT.protocol, rudder.RUDDER.protocol
    return (
        *(Route("POST", path, batch, segment, replies.refusal, is_public=True) for path in BATCHES),
        *(
            Route("POST", f"/v1/{name}", partial(post_single, collect, kind), segment, replies.refusal, is_public=True)
            for name, kind in SINGLES.items()
        ),
        Route("GET", "/v1/projects/:key/settings", settings, segment, replies.refusal, is_public=True),
        Route("POST", "/beacon/v1/batch", beacon, ours, replies.text_refusal, is_public=True),
        *(
            Route("GET", f"/pixel/v1/{kind}", partial(get_pixel, collect, kind), ours, gif_refusal)
            for kind in rudder.PIXEL_KINDS
        ),
        *(Route("POST", path, not_here, ours, replies.text_refusal) for path in NOT_HERE),
        Route("GET", "/health", partial(ready, collect.engine), "health"),
        Route("GET", "/version", get_version, "health"),
        Route("GET", "/robots.txt", get_robots, "health"),
    )


def post_batch(collect: Collect, success: Reply, request: Request) -> Answer:
    """Take the messages of the body's `batch`.

    Args:
        collect: the plane.
        success: what the client expects.
        request: its body is JSON, whatever `content-type` says.

    Raises:
        RequestError: 400, the body is no batch, or too large; 401, a bad key; 413, 429.
        SojournError: the engine takes nothing now.
    """
    return _take(collect, request, read_batch, kind="", success=success)


def post_single(collect: Collect, kind: str, request: Request) -> Answer:
    """Take the one message that the body is; its type is what the path says.

    Raises:
        RequestError, SojournError: as `post_batch`.
    """
    return _take(collect, request, read_single, kind=kind, success=replies.SUCCESS)


def get_pixel(collect: Collect, kind: str, request: Request) -> Answer:
    """Take the message that the parameters make, and answer an image.

    Raises:
        RequestError, SojournError: as `post_batch`.
    """
    batch = read_single(rudder.pixel_message(request.query))
    return _take_batch(collect, request, batch, rudder.dialect_of(request.headers, batch.messages), kind, gif())


def get_settings(collect: Collect, request: Request) -> Reply:
    """The settings of the browser library.

    Raises:
        RequestError: 400, no host; 404, no channel has this key.
    """
    key = request.params["key"]
    token = collect.engine.public_token(key)
    if token is None or token.channel is None:
        raise RequestError(404, "unknown_write_key", "no channel has this write key")
    return replies.settings_reply(key, request.headers.get("host", ""), secure=request.secure)


def not_here(request: Request) -> Reply:
    """What RudderStack's server takes and we do not: third parties' webhooks, lists for advertisers.

    Raises:
        RequestError: 404.
    """
    raise RequestError(404, "not_supported", f"{request.path} is not supported here")


def get_version(request: Request) -> Reply:
    """Which version this is."""
    return json_reply({"version": _VERSION})


def get_robots(request: Request) -> Reply:
    """Nothing on this plane is for search engines."""
    return Reply(200, replies.TEXT_OK.headers, b"User-agent: *\nDisallow: /\n")


def _take(collect: Collect, request: Request, read: Callable[[bytes], Batch], *, kind: str, success: Reply) -> Answer:
    dialect, key = rudder.dialect_of(request.headers, ()), ""
    try:
        batch = read(without_halves(request.body))
        dialect, key = rudder.dialect_of(request.headers, batch.messages), batch.key
        if len(request.body) > dialect.max_batch_bytes:
            message = f"the body has {len(request.body)} bytes, the limit is {dialect.max_batch_bytes}"
            raise RequestError(dialect.status_of_too_large, "batch_too_large", message)
    except RequestError as error:
        return _unreadable(collect, request, error, key, dialect)
    return _take_batch(collect, request, batch, dialect, kind, success)


def _unreadable(
    collect: Collect, request: Request, error: RequestError, body_key: str, dialect: rudder.Dialect
) -> Answer:
    """Refuse a body, and keep it where we know whose it is: its client drops it."""
    key = sent_key(request, body_key)
    token = collect.engine.public_token(key) if key else None
    if (
        token is None
        or token.channel is None
        or not request.body
        or objection(request.headers, collect.settings.visitors)
    ):
        raise error
    collect.rates.check_token(key)
    step = _step(request)
    return refuse_unreadable(
        collect, error, request.body, datamart=token.datamart, protocol=dialect.protocol, step=step
    )


def _take_batch(
    collect: Collect, request: Request, batch: Batch, dialect: rudder.Dialect, kind: str, success: Reply
) -> Answer:
    source = source_of(collect, sent_key(request, batch.key))
    if not batch.messages:
        return success
    reason = objection(request.headers, collect.settings.visitors)
    if reason:
        reasons = Counter({reason: len(batch.messages)})
        collect.dropped(dialect.protocol, reason, len(batch.messages))
        return with_headers(success, ((DROPPED, replies.dropped(reasons)),))
    messages = [_read(raw, kind, batch, dialect) for raw in batch.messages]
    times_ms = corrected(
        [one.ts_ms if isinstance(one, Message) else None for one in messages], _sent_at_ms(batch), collect.now_ms()
    )
    places = Places(collect, request)
    receipt = collect.take(
        [
            item_of(one, source, ts_ms=ts_ms, place=places) if isinstance(one, Message) else b""
            for one, ts_ms in zip(messages, times_ms, strict=True)
        ],
        datamart=source.channel.datamart,
        protocol=dialect.protocol,
        step=_step(request),
        originals=[
            _original(one, bytes(raw), dialect.protocol) for one, raw in zip(messages, batch.messages, strict=True)
        ],
    )
    return Pending(receipt, partial(replies.taken, success), source.channel.datamart)


def _step(request: Request) -> Step:
    return "JS_TAG" if is_browser(request.headers) else "API"


def _read(raw: Raw, kind: str, batch: Batch, dialect: rudder.Dialect) -> Message | Refused:
    try:
        return read_message(raw, kind=kind, defaults=batch.defaults, max_bytes=dialect.max_message_bytes)
    except Refused as refused:
        return refused


def _original(message: Message | Refused, payload: bytes, protocol: str) -> Original:
    if isinstance(message, Message):
        return Original(payload, protocol, message.id)
    return Original(payload, protocol, message.id, fault=ItemError(message.reason, str(message), ""))


def _sent_at_ms(batch: Batch) -> int | None:
    """When the sender's clock says that it sent this; what is no time corrects nothing."""
    try:
        return time_ms(batch.sent_at)
    except ValueError:
        return None


def _version() -> str:
    try:
        return version("sojourn")
    except PackageNotFoundError:
        return "unknown"


_VERSION: Final = _version()
