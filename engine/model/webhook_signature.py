"""How a request of the outbox is signed: the symmetric scheme of Standard Webhooks (`v1`, HMAC-SHA256).

    webhook-id          the request's id, the same for all attempts
    webhook-timestamp   seconds since the epoch, of this attempt
    webhook-signature   v1,<base64 of HMAC-SHA256(key, id + "." + timestamp + "." + body)>

A receiver computes the same over the bytes of the body as they came, compares in constant time, refuses timestamps that
are minutes away, and remembers ids. The libraries of Standard Webhooks do all that but the last.

A secret that begins with `whsec_` is, as theirs, base64 of the key behind that; any other is the key itself, as UTF-8.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

PREFIX: Final = "whsec_"


def key_of(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        ValueError: it begins with `whsec_`, and what follows is no base64, or nothing.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError(f"what follows {PREFIX!r} must be base64 of the key")
    return key


def signature_headers(secret: str, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt.

    Args:
        secret: of the destination.
        message_id: of the request.
        at_s: wall clock, seconds.
        body: exactly as it is sent.
    """
    signed = b".".join((message_id.encode(), str(at_s).encode(), body))
    code = base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{code}"}
