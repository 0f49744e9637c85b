"""What the settings declare: datamarts and their channels."""

from typing import Annotated

from msgspec import Meta, Struct, field

from engine.model.channel import channel_key
from engine.model.declarations import ChannelDeclaration, CompartmentDeclaration
from engine.model.limits import MAX_DATAMART
from engine.model.types import Host, Id, Name, Secret, Token

KeyId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")]
ChannelKey = Annotated[str, Meta(max_length=69, pattern=r"^((site|app):[A-Za-z0-9_.-]+)?$")]


class SigningKeyDeclaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key with which an application signs what it sends, in place of a token. It is kept in no store."""

    id: Annotated[KeyId, Meta(description="What the header `X-Mics-Key-Id` says.")]
    secret: Annotated[Secret, Meta(description="Long and random; only the application and this server know it.")]
    channel: Annotated[
        ChannelKey, Meta(description="The one channel it may send for, such as app:1; empty: all of the datamart.")
    ] = ""

    def __repr__(self) -> str:
        return f"SigningKeyDeclaration(id={self.id!r}, channel={self.channel!r})"


class DatamartSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A datamart: people, and what they did, apart from all others. What is left out of the list keeps its data."""

    id: Annotated[int, Meta(ge=1, le=MAX_DATAMART, description="Part of every address and of every key.")]
    name: Annotated[Name, Meta(description="For people.")] = ""
    default_compartment: Annotated[Id, Meta(description="Namespace of accounts sent without `$compartment_id`.")] = "1"
    token: Annotated[Token, Meta(description="Public token for collecting; empty: made once, then kept.")] = ""
    redirect_hosts: Annotated[
        tuple[Host, ...],
        Meta(description="Hosts that a click may lead to, with all below them, beside the sites' own."),
    ] = ()
    channels: tuple[ChannelDeclaration, ...] = field(default=(), name="channel")
    compartments: tuple[CompartmentDeclaration, ...] = field(default=(), name="compartment")
    signing_keys: tuple[SigningKeyDeclaration, ...] = field(default=(), name="signing_key")

    def __post_init__(self) -> None:
        keys = {channel_key(one.kind, one.id) for one in self.channels}
        for one in self.signing_keys:
            if one.channel and one.channel not in keys:
                raise ValueError(f"signing_key {one.id}: datamart {self.id} declares no channel {one.channel}")
