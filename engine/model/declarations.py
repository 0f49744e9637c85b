"""What people declare of channels and compartments: in the settings, and in a file of definitions."""

from typing import Annotated

from msgspec import Meta, Struct, structs

from engine.model.channel import UUID_PATTERN, ChannelKind, canonical_uuid, channel_key
from engine.model.types import (
    ActivityChars,
    GapMs,
    GraceMs,
    HostName,
    Id,
    LiveWindowMs,
    MaxSessionMs,
    Name,
    Token,
)

TrackerKey = Annotated[str, Meta(max_length=47, pattern=f"^({UUID_PATTERN})?$")]


class ChannelDeclaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site or an application. Changing one starts a new version of it: what came before keeps the old rules."""

    id: Annotated[Id, Meta(description="What `$site_id` or `$app_id` says.")]
    kind: Annotated[ChannelKind, Meta(description="A site's sessions are SITE_VISIT, an application's APP_VISIT.")] = (
        "SITE"
    )
    name: Annotated[Name, Meta(description="For people.")] = ""
    token: Annotated[Token, Meta(description="Public token for collecting; empty: made once, then kept.")] = ""
    tracker_key: Annotated[
        TrackerKey, Meta(description="UUID in the addresses of the XO protocol; empty: made once, then kept.")
    ] = ""
    domain: Annotated[HostName, Meta(description="The site's own host: coming from there is no new visit.")] = ""
    aliases: Annotated[tuple[HostName, ...], Meta(description="Its other hosts.")] = ()
    gap_ms: Annotated[GapMs | None, Meta(description="Unless given, as in [session].")] = None
    grace_ms: Annotated[GraceMs | None, Meta(description="Likewise.")] = None
    max_session_ms: Annotated[MaxSessionMs | None, Meta(description="Likewise.")] = None
    live_window_ms: Annotated[LiveWindowMs | None, Meta(description="Likewise.")] = None
    max_activity_chars: Annotated[ActivityChars | None, Meta(description="Likewise.")] = None

    def __post_init__(self) -> None:
        if self.tracker_key:
            structs.force_setattr(self, "tracker_key", canonical_uuid(self.tracker_key))

    @property
    def key(self) -> str:
        """`site:<id>` or `app:<id>`."""
        return channel_key(self.kind, self.id)


class CompartmentDeclaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A namespace of user accounts, for pixels that name it by its token. Others need not be declared."""

    id: Annotated[Id, Meta(description="What `$compartment_id` says.")]
    name: Annotated[Name, Meta(description="For people.")] = ""
    token: Annotated[Token, Meta(description="Public; a pixel's `$comp_token`; empty: made once, then kept.")] = ""
