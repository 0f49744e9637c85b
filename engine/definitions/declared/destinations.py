"""Destinations: where the outbox sends to (decision 32)."""

from typing import Annotated

from msgspec import Meta, Struct, field

from engine.model.types import Id, Name


class Destination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An HTTP address with its own queue and limits.

    Attributes:
        url: where requests are posted.
        secret: signs each body (HMAC-SHA256); "" signs none.
        headers: sent with each request.
        timeout_ms, max_calls: of one call; calls open at a time.
        max_per_s: calls a second; 0 for no limit.
    """

    id: Id
    url: str
    name: Name = ""
    secret: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    timeout_ms: Annotated[int, Meta(ge=1, le=600_000)] = 10_000
    max_calls: Annotated[int, Meta(ge=1, le=1000)] = 8
    max_per_s: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0

    def __repr__(self) -> str:
        return f"Destination(id={self.id!r}, url={self.url!r})"
