"""Destinations: where the outbox sends to (decision 32)."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from engine.model.host import is_host
from engine.model.types import Id, Name
from engine.model.webhook_signature import key_of

RESERVED: Final = frozenset(
    (
        *("host", "connection", "content-length", "content-type", "transfer-encoding", "accept-encoding"),
        *("idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"),
    )
)
"""Headers that the outbox sets itself."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")


class Destination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An HTTP address with its own queue and limits.

    Whoever declares a destination is trusted with the network that the engine is in: private addresses are allowed.

    Attributes:
        url: where requests are posted; http or https.
        secret: signs each body (HMAC-SHA256, Standard Webhooks); "" signs none.
        headers: sent with each request, such as `Authorization`.
        timeout_ms, max_calls: of one call, its answer included; calls open at a time.
        max_per_s: calls a second; 0 for no limit.
    """

    id: Id
    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    name: Name = ""
    secret: Annotated[str, Meta(max_length=255)] = ""
    headers: Annotated[dict[str, str], Meta(max_length=32)] = field(default_factory=dict)
    timeout_ms: Annotated[int, Meta(ge=1, le=600_000)] = 10_000
    max_calls: Annotated[int, Meta(ge=1, le=1000)] = 8
    max_per_s: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0

    def __post_init__(self) -> None:
        if not self.url.isascii():
            raise ValueError("`url` has other characters than those of ASCII in it")
        parts = urlsplit(self.url)
        # First, as other faults are told with the address. It would be shown wherever destinations are.
        if "@" in parts.netloc:
            raise ValueError("`url` has a user or a password in it: use `headers`, which are not shown")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`url` must be an http or https address, not {self.url!r}")
        if parts.fragment or any(char <= " " for char in self.url):
            raise ValueError("`url` has a fragment or a blank in it")
        if not is_host(parts.hostname):
            raise ValueError(f"`url`: {parts.hostname!r} cannot be a host")
        if parts.port == 0:  # Raises for one that is no port.
            raise ValueError("`url`: there is no port 0")
        key_of(self.secret)
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"`headers`: {name!r} is no header that can be sent")
            if name.lower() in RESERVED:
                raise ValueError(f"`headers`: {name!r} is set by the outbox itself")
        if len({name.lower() for name in self.headers}) < len(self.headers):
            raise ValueError("`headers`: two have the same name; case makes no difference")

    def __repr__(self) -> str:
        return f"Destination(id={self.id!r}, url={self.url!r})"
