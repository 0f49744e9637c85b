"""Campaigns: ids and names that complete an origin which has the technical ones (mediarithmics 2.2 and 2.6)."""

from typing import Annotated

from msgspec import Meta, Struct, field

from engine.model.types import Id, Name

TechnicalName = Annotated[str, Meta(min_length=1, max_length=255)]


class Creative(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A creative of a campaign."""

    id: Annotated[Id, Meta(description="`$creative_id`.")]
    technical_name: Annotated[TechnicalName, Meta(description="What `$crtn` says.")]
    name: Annotated[Name, Meta(description="`$creative_name`.")] = ""


class SubCampaign(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sub campaign, or ad group."""

    id: Annotated[Id, Meta(description="`$sub_campaign_id`.")]
    technical_name: Annotated[TechnicalName, Meta(description="What `$scatn` says.")]


class Campaign(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign. It completes origins that name it, and overwrites nothing."""

    id: Annotated[Id, Meta(description="`$campaign_id`.")]
    technical_name: Annotated[TechnicalName, Meta(description="What `$catn` says.")]
    name: Annotated[Name, Meta(description="`$campaign_name`.")] = ""
    channel: Annotated[Name, Meta(description="`$channel` of an origin that says none.")] = ""
    source: Annotated[Name, Meta(description="`$source` of an origin that says none.")] = ""
    sub_campaigns: Annotated[tuple[SubCampaign, ...], Meta(description="Its ad groups.")] = field(
        default=(), name="sub_campaign"
    )
    creatives: Annotated[tuple[Creative, ...], Meta(description="Its creatives.")] = field(default=(), name="creative")
