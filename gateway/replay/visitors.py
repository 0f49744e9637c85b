"""From a line of a log to the activity that is sent: who it was, and what they did.

A log knows no cookie. Its visitor is the address together with the user agent; two people behind one address with the
same browser are one, and one person in two networks is two. Where the server knew who it was, the account *replaces*
that guess: named beside it, it would merge everybody who ever signed in from one office.

The same line always gives the same bytes: the key of a session is a hash of its events' bytes (decision 13).
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec

from gateway.replay.access_log import LogLine

EVENT_NAME: Final = "page_view"
"""Without the dollar sign: `$page_view` would leave the activity before it is stored (decision 35)."""

_NOBODY: Final = frozenset(("anonymous", "guest", "(null)", "n/a", "null", "nil", "none", "undefined", "unknown"))
"""User names that servers write for someone they do not know; these visitors are guessed like any other."""
_AGENT_BYTES: Final = 12
_ABSOLUTE: Final = ("http://", "https://")

_encoder = msgspec.json.Encoder()


def user_fields(line: LogLine) -> dict[str, str]:
    """The root field that names the visitor: the account, or a hash of address and user agent."""
    if line.user and line.user.lower() not in _NOBODY:
        return {"$user_account_id": line.user}
    name = f"{line.address}\0{line.agent}".encode()
    return {"$user_agent_id": "log:" + blake2b(name, digest_size=_AGENT_BYTES).hexdigest()}


def properties(line: LogLine, domain: str) -> dict[str, str | int]:
    """What the event tells: `$url`, `$referrer`, `method`, `status`, `bytes`, each where the log has it.

    A request line that asks for no page (a TLS handshake, `OPTIONS *`) is kept whole as `request`, without `$url`.

    Args:
        line: the line read.
        domain: host of the site, on which the log's paths are.
    """
    found: dict[str, str | int] = {}
    if line.target.startswith("/"):
        found["$url"] = f"https://{domain}{line.target}"
    elif line.target.lower().startswith(_ABSOLUTE):
        found["$url"] = line.target
    if line.referrer:
        found["$referrer"] = line.referrer
    if "$url" in found:
        found["method"] = line.method
    elif line.request not in ("", "-"):
        found["request"] = line.request
    if line.status:
        found["status"] = line.status
    if line.size_bytes is not None:
        found["bytes"] = line.size_bytes
    return found


def activity(line: LogLine, *, event_id: str, site: str, domain: str) -> bytes:
    """One `IN_SESSION` visit with one event, as compact JSON.

    Args:
        line: the line read.
        event_id: id of the event; see `line_ids`.
        site: `$site_id` of the channel.
        domain: host of the site.
    """
    item: dict[str, Any] = {
        "$type": "SITE_VISIT",
        "$session_status": "IN_SESSION",
        "$site_id": site,
        **user_fields(line),
        "$events": [
            {
                "$ts": line.ts_ms,
                "$event_id": event_id,
                "$event_name": EVENT_NAME,
                "$properties": properties(line, domain),
            }
        ],
    }
    return _encoder.encode(item)
