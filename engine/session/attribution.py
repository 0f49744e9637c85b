"""Which origin an event points to (decisions 19 and 20); the tables are in `attribution.toml`.

    `$origin` as sent ▷ predefined properties ▷ Google parameters ▷ `xtor` ▷ foreign referrer

The first source that yields anything gives the whole origin; sources are never mixed. Nothing in here raises on what an
event may hold: a value of the wrong type counts as absent.
"""

import re
import tomllib
from importlib.resources import files
from urllib.parse import unquote_plus

from engine.model.event import address_reader
from engine.model.origin import Origin, origin_from, origin_of_text
from engine.model.wire import Fields
from engine.session.domains import host_of

Names = tuple[tuple[str, tuple[str, ...]], ...]
"""A field of `$origin`, and the names it is read from, for each field of a table."""

_TABLES = tomllib.loads(files("engine.session").joinpath("attribution.toml").read_text("utf-8"))

PROPERTIES: Names = tuple((field, tuple(names)) for field, names in _TABLES["properties"].items())
PARAMETERS: Names = tuple((field, tuple(names)) for field, names in _TABLES["parameters"].items())
XTOR_CHANNELS: dict[str, str] = _TABLES["xtor_channels"]

_PROPERTY_NAMES = frozenset(name for _, names in PROPERTIES for name in names)

address_of = address_reader(sorted(_PROPERTY_NAMES))
"""`$url` and `$referrer` of an event without predefined properties; None says nothing."""

_XTOR = re.compile(r"([^-]+)-(\[[^\]]*\]|[^-]+)")
_XTOR_CUSTOM = re.compile(r"CS[0-9]+", re.IGNORECASE)


def origin_of(sent: Fields | None, properties: Fields, url: str, referrer: str) -> Origin | None:
    """The origin that an event points to, or None for a direct visit.

    Args:
        sent: the fields of the item's `$origin`, where it has one. Custom fields stay.
        properties: the event's `$properties`.
        url: its `$url`, or "".
        referrer: its `$referrer` where that is foreign (decision 6), else "".
    """
    if sent is not None and (origin := origin_from(sent)) is not None:
        return origin
    if not _PROPERTY_NAMES.isdisjoint(properties) and (origin := _from_properties(properties)) is not None:
        return origin
    if not is_direct(url) and (origin := _from_address(url)) is not None:
        return origin
    return _from_referrer(referrer) if referrer else None


def is_direct(url: str) -> bool:
    """Whether an address by itself points to no origin. False says nothing."""
    return "?" not in url and "#" not in url


def _from_properties(properties: Fields) -> Origin | None:
    found: Fields = {}
    for field, names in PROPERTIES:
        for name in names:
            value = properties.get(name)
            if value is not None and _says_something(bytes(value), is_id=field.endswith("_id")):
                found[field] = value
                break
    return origin_from(found)


def _says_something(value: bytes, *, is_id: bool) -> bool:
    """Text that is not empty; ids are also sent as numbers."""
    if value.startswith(b'"'):
        return value != b'""'
    return is_id and value[:1] in b"-0123456789"


def _from_address(url: str) -> Origin | None:
    address, _, fragment = url.partition("#")
    query = _parameters(address.partition("?")[2])
    found = {
        field: next(value for name in names if (value := query.get(name)))
        for field, names in PARAMETERS
        if any(query.get(name) for name in names)
    }
    if found:
        return origin_of_text(found)
    # A fragment may be a route of its own, with a query behind it.
    return _from_xtor(query.get("xtor") or _parameters(fragment.replace("?", "&")).get("xtor", ""))


def _parameters(query: str) -> dict[str, str]:
    """Form-decoded parameters; of several with one name the first that has a value."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if value:
            name = unquote_plus(name)
            found.setdefault(name.lower() if name[:4].lower() == "utm_" else name, unquote_plus(value))
    return found


def _from_xtor(xtor: str) -> Origin | None:
    parts = _XTOR.match(xtor)
    if parts is None:
        return None
    source, campaign = parts.groups()
    channel = source if _XTOR_CUSTOM.fullmatch(source) else XTOR_CHANNELS.get(source.upper(), "")
    numeric = campaign.isascii() and campaign.isdecimal()
    return origin_of_text(
        {
            "$channel": channel,
            "$source": source,
            "$campaign_id" if numeric else "$campaign_technical_name": campaign,
        }
    )


def _from_referrer(referrer: str) -> Origin | None:
    return origin_of_text({"$channel": "referral", "$source": host_of(referrer), "$referral_path": referrer})
