"""What clients are answered. Success is 200 with JSON for both families: RudderStack's take nothing else for one.

A refusal has `code` and `message` in its JSON: the Python clients of both read them, and the one of RudderStack sends a
batch again and again where `code` is missing.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine import ItemResult
from gateway.collect.collect import DROPPED
from gateway.collect.reply import Reply, json_reply, with_headers
from gateway.errors import RequestError, reply_for

RESET: Final = "x-ratelimit-reset"
"""Seconds until a limit is lifted, for Segment's browser library: it does not read `Retry-After`."""

SUCCESS: Final = json_reply({"success": True})
TEXT_OK: Final = Reply(200, (("content-type", "text/plain; charset=utf-8"),), b"OK")

DUPLICATE: Final = "duplicate"

_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")


def taken(success: Reply, results: Sequence[ItemResult]) -> Reply:
    """The reply to what is durable; where not all of it was taken it says so (`X-Sojourn-Dropped`).

    Args:
        success: what the client expects.
        results: what became of each message.
    """
    reasons = Counter(
        one.error.code if one.error is not None else DUPLICATE for one in results if one.status != "accepted"
    )
    return with_headers(success, ((DROPPED, dropped(reasons)),) if reasons else ())


def dropped(reasons: "Counter[str]") -> str:
    """Value of `X-Sojourn-Dropped`: each reason, and how often where that is more than once."""
    return ", ".join(reason if count == 1 else f"{reason};count={count}" for reason, count in sorted(reasons.items()))


def refusal(error: BaseException) -> Reply:
    """A request that is refused, in JSON: `success`, `code`, `message`, and `path` where a place is known."""
    reply = reply_for(error)
    said = msgspec.json.decode(reply.body)
    body = {"success": False, "code": said["error_code"], "message": said["error"], "error_id": said["error_id"]}
    if "path" in said:
        body["path"] = said["path"]
    kept = tuple((name, value) for name, value in reply.headers if name != "content-type")
    if reply.status == 429:
        kept += tuple((RESET, value) for name, value in kept if name == "retry-after")
    return json_reply(body, status=reply.status, headers=kept)


def text_refusal(error: BaseException) -> Reply:
    """The same in text, as RudderStack's own addresses have it."""
    reply = reply_for(error)
    kept = tuple((name, value) for name, value in reply.headers if name != "content-type")
    message = msgspec.json.decode(reply.body)["error"].encode()
    return Reply(reply.status, (*TEXT_OK.headers, *kept), message)


def settings_reply(write_key: str, host: str, *, secure: bool) -> Reply:
    """What Segment's browser library asks for before it sends anything: where to, and which other tools to load (none).

    Args:
        write_key: whose settings.
        host: as the browser calls us, with the port.
        secure: whether it came over TLS: then events go that way as well.

    Raises:
        RequestError: 400, the host is none.
    """
    if not _HOST.fullmatch(host):
        raise RequestError(400, "bad_host", "the request does not say by which host it came", path="Host")
    ours: dict[str, Any] = {
        "apiKey": write_key,
        "apiHost": f"{host}/v1",
        "protocol": "https" if secure else "http",
        "addBundledMetadata": True,
        "unbundledIntegrations": [],
        "maybeBundledConfigIds": {},
        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
    }
    allowed = {"__default": {"enabled": True, "integrations": {}}}
    settings = {
        "integrations": {"Segment.io": ours},
        "plan": {"track": allowed, "identify": allowed, "group": allowed},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        # It would measure itself, and send that to Segment.
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
    return json_reply(settings, headers=(("cache-control", "public, max-age=120"), ("vary", "origin")))
