"""Properties that a message gets beside those that were sent: items, address and referrer, campaign, versions.

What the sender itself calls so stays as it is: nothing here replaces a property.
"""

import re
import tomllib
from importlib.resources import files
from typing import Final

from msgspec import Raw

from gateway.collect.protocols.segment.values import Fields, encoded, fields_of, is_null, list_of, object_of, text_of

_TABLES: Final = tomllib.loads(files("gateway.collect.protocols.segment").joinpath("events.toml").read_text("utf-8"))

NAMES: Final[dict[str, str]] = {name.lower(): predefined for name, predefined in _TABLES["names"].items()}
_SINGLE: Final = frozenset(name.lower() for name in _TABLES["products"]["single"])
_ITEM: Final[tuple[tuple[str, tuple[str, ...]], ...]] = tuple(
    (field, tuple(names)) for field, names in _TABLES["items"].items()
)

CAMPAIGN: Final = (
    ("$channel", "medium"),
    ("$source", "source"),
    ("$campaign_name", "name"),
    ("$keywords", "term"),
    ("$creative_name", "content"),
)
"""Property that the engine reads an origin from = member of `context.campaign`."""

ORIGIN_PROPERTIES: Final = frozenset(_TABLES["origin"]["properties"])

_GOOGLE_PARAMETERS: Final = re.compile(
    r"[?&](?:utm_(?:medium|source|campaign|content|term)|gclid|(?:\$|%24)(?:channel|keywords))=[^&]", re.IGNORECASE
)


def predefined_name(event: str) -> str | None:
    """The predefined event that means the same as this name of a `track`, or None."""
    return NAMES.get(event.lower())


def items_of(event: str, properties: Fields) -> Raw | None:
    """`$items` of a `track`: its `products`, or the one product that it is about; None when there are none."""
    if event.lower() in _SINGLE:
        products = [properties]
    else:
        products = [one for one in map(fields_of, list_of(properties.get("products"))) if one is not None]
    items = [item for item in map(_item, products) if item]
    return encoded(items) if items else None


def _item(product: Fields) -> Fields:
    item: Fields = {}
    for field, names in _ITEM:
        for name in names:
            if not is_null(value := product.get(name)) and value is not None:
                item[field] = value
                break
    return item


def origin_properties(kind: str, properties: Fields, context: Fields) -> Fields:
    """`$url`, `$referrer` and the campaign, from which the engine derives an origin in the order of decision 19.

    `context.campaign` is what the sender read of Google's parameters, so it has their rank: behind an origin that the
    sender names by properties of its own, and before `xtor` and the referrer. Where the address has such parameters
    they say it themselves, and `gclid` with it, which a campaign does not hold.

    Args:
        kind: type of the message.
        properties: as sent; of a `page` they hold its address where `context` does not.
        context: members of the message's `context`.
    """
    found: Fields = {}
    page = object_of(context.get("page"))
    for name, member in (("$url", "url"), ("$referrer", "referrer")):
        value = page.get(member)
        if not text_of(value) and kind == "page":
            value = properties.get(member)
        if value is not None and text_of(value):
            found[name] = value
    campaign = object_of(context.get("campaign"))
    if campaign and ORIGIN_PROPERTIES.isdisjoint(properties):
        address = text_of(properties.get("$url") or found.get("$url")).partition("#")[0]
        if not _GOOGLE_PARAMETERS.search(address):
            found.update((name, campaign[member]) for name, member in CAMPAIGN if text_of(campaign.get(member)))
    return found


def version_properties(context: Fields) -> Fields:
    """What the engine compares from one `$app_open` to the next (decision 14)."""
    found: Fields = {}
    for name, part in (("$app_version", "app"), ("$os_version", "os"), ("$sdk_version", "library")):
        version = object_of(context.get(part)).get("version")
        if version is not None and text_of(version):
            found[name] = version
    return found
