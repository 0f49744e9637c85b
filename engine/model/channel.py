"""Channels: the site or mobile application an event came from, and the session rules it is accepted under."""

import re
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

ChannelKind = Literal["SITE", "MOBILE_APPLICATION"]

UUID_PATTERN: Final = r"(?:urn:uuid:)?\{?[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}\}?"
"""The ways in which people write a UUID. `uuid.UUID` takes more: digits of any script, underscores, `0x`."""

_UUID: Final = re.compile(UUID_PATTERN)


class ChannelSettings(Struct, frozen=True, kw_only=True):
    """One version of a channel's settings; every journal record names the version it was accepted under (decision 8).

    `domain` and `aliases` are the site's own hosts (decision 6). `tracker_key` names the channel in addresses of the XO
    protocol (decision 42): a UUID as `canonical_uuid` writes it, or "" in a version from before there were any. Times
    are milliseconds.
    """

    datamart: int
    kind: ChannelKind
    id: str
    version: int = 1
    name: str = ""
    token: str = ""
    tracker_key: str = ""
    domain: str = ""
    aliases: tuple[str, ...] = ()
    gap_ms: int = 30 * 60 * 1000
    grace_ms: int = 0
    max_session_ms: int = 24 * 60 * 60 * 1000
    live_window_ms: int = 60 * 1000
    max_activity_chars: int = 8000

    @property
    def key(self) -> str:
        """`site:<id>` or `app:<id>`: the name under which sessions and records know the channel."""
        return channel_key(self.kind, self.id)

    @property
    def activity_type(self) -> str:
        """`$type` of a session on this channel (decision 10)."""
        return "SITE_VISIT" if self.kind == "SITE" else "APP_VISIT"

    @property
    def id_field(self) -> str:
        """The activity field that carries the channel's id: `$site_id` or `$app_id`."""
        return "$site_id" if self.kind == "SITE" else "$app_id"


@lru_cache(4096)
def channel_key(kind: ChannelKind, channel_id: str) -> str:
    """The key of the channel with this kind and id. Asked for every event: remembered for as many as anybody has."""
    return f"{'site' if kind == 'SITE' else 'app'}:{channel_id}"


def canonical_uuid(text: str) -> str:
    """A UUID in its one usual form: lower case, with hyphens, nothing around it.

    Raises:
        ValueError: `text` is no UUID.
    """
    if not _UUID.fullmatch(text):
        raise ValueError("not a UUID")
    digits = text.removeprefix("urn:uuid:").strip("{}").replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
