"""Campaigns: ids and names that complete an origin which has the technical ones (mediarithmics 2.2 and 2.6)."""

from msgspec import Struct, field

from engine.model.types import Id, Name


class Creative(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A creative: `$crtn` names it."""

    id: Id
    technical_name: Name
    name: Name = ""


class SubCampaign(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sub campaign, or ad group: `$scatn` names it."""

    id: Id
    technical_name: Name


class Campaign(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign: `$catn` names it. `channel` and `source` fill the origin where it says none."""

    id: Id
    technical_name: Name
    name: Name = ""
    channel: Name = ""
    source: Name = ""
    sub_campaigns: tuple[SubCampaign, ...] = field(default=(), name="sub_campaign")
    creatives: tuple[Creative, ...] = field(default=(), name="creative")
