"""Signed requests: how an application says who it is without a token inside it (decision 39, mediarithmics 11.5).

    X-Mics-Key-Id: <id of a signing key>
    X-Mics-Ts:     <ms since the epoch, no more than five minutes from this server's clock>
    X-Mics-Mac:    <hex HMAC-SHA256 with the key's secret over `uri \\n key id \\n ts \\n body`>

`uri` is the path behind `/v1/` with the query, as sent. `body` is the bytes that are sent: of a compressed body, the
compressed ones, since those are what both sides see alike. Pure; what time it is comes from outside.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from engine import SigningKey
from gateway.collect.request import Request
from gateway.errors import RequestError

KEY_ID: Final = "x-mics-key-id"
TS: Final = "x-mics-ts"
MAC: Final = "x-mics-mac"
HEADERS: Final = (KEY_ID, TS, MAC)

MAX_SKEW_MS: Final = 5 * 60 * 1000
"""A phone's clock may be so wrong; so long a request that somebody else has seen may be sent again (decision 39)."""

API_ROOT: Final = "/v1/"

_TS = re.compile(r"[0-9]{1,15}")
_MAC = re.compile(r"[0-9a-f]{64}")


class Signature(Struct, frozen=True):
    """The three headers, as they were sent; the MAC in lower case."""

    key_id: str
    ts: str
    mac: str


def signature_of(headers: Mapping[str, str]) -> Signature | None:
    """The signature of a request, or None where it has none of the headers.

    Args:
        headers: by lower-case name.

    Raises:
        RequestError: 401, one of them is missing, or is not what it must be.
    """
    if headers.keys().isdisjoint(HEADERS):
        return None
    found = {name: headers.get(name, "").strip() for name in HEADERS}
    if not any(found.values()):
        return None
    for name, value in found.items():
        if not value:
            raise _refusal("signature_incomplete", f"a signature is made of three headers, {_shown(name)} is missing")
    if not _TS.fullmatch(found[TS]):
        raise _refusal("bad_signature_time", f"{_shown(TS)} must be a time in whole milliseconds since 1970")
    return Signature(found[KEY_ID], found[TS], found[MAC].lower())


def verify(signature: Signature, key: SigningKey | None, *, datamart: int, uri: str, body: bytes, now_ms: int) -> None:
    """Let a signed request pass or refuse it.

    Args:
        signature: what it says.
        key: the signing key that it names, or None where nobody knows that.
        datamart: what the request is for.
        uri, body: what the MAC covers; see `uri_of` and `body_of`.
        now_ms: wall time.

    Raises:
        RequestError: 401, with a code for each way in which it fails.
    """
    if key is None or key.datamart != datamart:
        raise _refusal("unknown_signing_key", "the signing key is not known for this datamart")
    ahead_ms = int(signature.ts) - now_ms
    if abs(ahead_ms) > MAX_SKEW_MS:
        side = "ahead of" if ahead_ms > 0 else "behind"
        message = f"{_shown(TS)} is {abs(ahead_ms) // 1000} seconds {side} this server's clock, 300 are allowed"
        raise _refusal("stale_signature", message)
    expected = mac_of(key.secret, uri, signature.key_id, signature.ts, body)
    if not _MAC.fullmatch(signature.mac) or not hmac.compare_digest(signature.mac, expected):
        raise _refusal("bad_signature", f"{_shown(MAC)} does not fit the request: its path, query or body, or the key")


def mac_of(secret: str, uri: str, key_id: str, ts: str, body: bytes) -> str:
    """The MAC that a request must have, in lower-case hex."""
    signed = "\n".join((uri, key_id, ts, "")).encode() + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def uri_of(request: Request) -> str:
    """Path and query as they were sent, behind `/v1/`."""
    path = request.path.removeprefix(API_ROOT)
    return f"{path}?{request.raw_query}" if request.raw_query else path


def body_of(request: Request) -> bytes:
    """The body as it was sent."""
    return request.body if request.compressed_body is None else request.compressed_body


def _shown(name: str) -> str:
    return f"`{'-'.join(part.capitalize() for part in name.split('-'))}`"


def _refusal(code: str, message: str) -> RequestError:
    return RequestError(401, code, message, headers={"www-authenticate": "X-Mics"})
