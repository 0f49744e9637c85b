"""Channels: the site or mobile application an event came from, and the session rules it is accepted under."""

from typing import Literal

from msgspec import Struct

ChannelKind = Literal["SITE", "MOBILE_APPLICATION"]


class ChannelSettings(Struct, frozen=True, kw_only=True):
    """One version of a channel's settings; every journal record names the version it was accepted under (decision 8).

    `domain` and `aliases` are the site's own hosts (decision 6). Times are milliseconds.
    """

    datamart: int
    kind: ChannelKind
    id: str
    version: int = 1
    name: str = ""
    token: str = ""
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


def channel_key(kind: ChannelKind, channel_id: str) -> str:
    """The key of the channel with this kind and id."""
    return f"{'site' if kind == 'SITE' else 'app'}:{channel_id}"
