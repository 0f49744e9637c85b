"""Step 1, behind its making: the campaign table completes an origin (mediarithmics 2.2 and 2.6).

    $campaign_technical_name (`$catn`) or $campaign_id    ▶ the other, $campaign_name, and $channel and $source
    $sub_campaign_technical_name (`$scatn`) or its id     ▶ the other
    $creative_technical_name (`$crtn`) or its id          ▶ the other, and $creative_name

What the origin says already stays as it is. The technical name counts before the id. Where an origin names no campaign,
one sub campaign or creative of that name in the whole table tells it; where it names one that the table does not have,
nothing is guessed. Sessions are cut before this, by origins as they were sent, so a change of the table cuts none.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Raw, structs

from engine.definitions.declared.campaigns import Campaign, Creative, SubCampaign
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.activity import Activity
from engine.model.wire import Fields, decode_fields, encode, encode_fields, number_or_text, scalar_text
from engine.pipeline.stage import Context, Keep, Note, Stage, keep
from engine.session.closed import Closed

NAME = "campaigns"

CAMPAIGN: Final = ("$campaign_technical_name", "$campaign_id")
SUB_CAMPAIGN: Final = ("$sub_campaign_technical_name", "$sub_campaign_id")
CREATIVE: Final = ("$creative_technical_name", "$creative_id")
"""What names a part of a campaign: its technical name, its id."""

_TOLD_BY: Final = (b"campaign_", b"creative_")

Found = tuple[Campaign, Any]
"""A part, and the campaign that it is of."""


class _Index:
    """Where parts are found by technical name and by id; of several with one name none is."""

    def __init__(self, parts: Iterable[Found]) -> None:
        self._by_name: dict[str, Found | None] = {}
        self._by_id: dict[str, Found | None] = {}
        for campaign, part in parts:
            for index, name in ((self._by_name, part.technical_name), (self._by_id, part.id)):
                index[name] = None if name in index else (campaign, part)

    def find(self, origin: Fields, names: tuple[str, str]) -> Found | None:
        """What the origin names, if the table has it."""
        technical_name, part_id = (scalar_text(origin.get(name)) for name in names)
        return self._by_name.get(technical_name) if technical_name else self._by_id.get(part_id) if part_id else None


def build(defined: Defined) -> Stage:
    """The step of a datamart.

    Raises:
        CallerError: two campaigns, or two parts of one, have the same technical name or id.
    """
    if not defined.campaigns:
        return keep
    campaigns = defined.campaigns
    for number, campaign in enumerate(campaigns):
        _check_unique(f"campaigns[{number}].sub_campaigns", campaign.sub_campaigns)
        _check_unique(f"campaigns[{number}].creatives", campaign.creatives)
    _check_unique("campaigns", campaigns)
    complete = _completer(campaigns)

    def complete_origin(closed: Closed, activity: Activity, context: Context) -> Keep:
        origin = activity.origin
        if origin is None or not any(part in origin for part in _TOLD_BY):
            return Keep(activity)
        before = decode_fields(origin)
        after = complete(before)
        added = [name for name in after if name not in before]
        if added:
            activity = structs.replace(activity, origin=encode_fields(after))
        if context.notes is not None:
            context.notes.append(_note(before, added))
        return Keep(activity)

    return complete_origin


def _completer(campaigns: tuple[Campaign, ...]) -> Callable[[Fields], Fields]:
    by_campaign = _Index((one, one) for one in campaigns)
    subs = _Index((one, part) for one in campaigns for part in one.sub_campaigns)
    creatives = _Index((one, part) for one in campaigns for part in one.creatives)
    own: Mapping[str, tuple[_Index, _Index]] = {
        one.id: (_Index((one, part) for part in one.sub_campaigns), _Index((one, part) for part in one.creatives))
        for one in campaigns
    }

    def complete(origin: Fields) -> Fields:
        names_campaign = any(scalar_text(origin.get(name)) for name in CAMPAIGN)
        found = by_campaign.find(origin, CAMPAIGN)
        if found is None and not names_campaign:
            found = subs.find(origin, SUB_CAMPAIGN) or creatives.find(origin, CREATIVE)
        if found is None:
            return origin
        campaign = found[0]
        own_subs, own_creatives = own[campaign.id]
        sub, creative = own_subs.find(origin, SUB_CAMPAIGN), own_creatives.find(origin, CREATIVE)
        return {**_told(campaign, sub[1] if sub else None, creative[1] if creative else None), **origin}

    # The origin's own fields first, in their order: what is added stands behind them.
    return lambda origin: {**origin, **complete(origin)}


def _told(campaign: Campaign, sub: SubCampaign | None, creative: Creative | None) -> Fields:
    told: dict[str, str | int] = {
        "$campaign_id": number_or_text(campaign.id),
        "$campaign_technical_name": campaign.technical_name,
        "$campaign_name": campaign.name,
        "$channel": campaign.channel,
        "$source": campaign.source,
    }
    if sub is not None:
        told |= {
            "$sub_campaign_id": number_or_text(sub.id),
            "$sub_campaign_technical_name": sub.technical_name,
        }
    if creative is not None:
        told |= {
            "$creative_id": number_or_text(creative.id),
            "$creative_technical_name": creative.technical_name,
            "$creative_name": creative.name,
        }
    return {name: Raw(encode(value)) for name, value in told.items() if value != ""}


def _check_unique(path: str, parts: Iterable[Campaign | SubCampaign | Creative]) -> None:
    seen: set[tuple[str, str]] = set()
    for number, part in enumerate(parts):
        for field, value in (("technical_name", part.technical_name), ("id", part.id)):
            if (field, value) in seen:
                raise CallerError(
                    f"another one has the {field} {value!r}", code="bad_definition", path=f"{path}[{number}].{field}"
                )
            seen.add((field, value))


def _note(origin: Fields, added: list[str]) -> Note:
    named = scalar_text(origin.get(CAMPAIGN[0])) or scalar_text(origin.get(CAMPAIGN[1])) or "?"
    if added:
        return Note(f"campaign {named}", "changed", f"the origin has {', '.join(added)} now")
    return Note(f"campaign {named}", "skipped", "the table adds nothing to the origin")
