"""Where a client is, by its address: `$location` from a database in MaxMind's format (facts: mediarithmics 1.6).

The address is cut to its network first (/24, /48) where the settings say so, and is kept nowhere but in a bounded table
of answers in memory. A newer database is put in place of the file by renaming, never by writing into it, and is read
from the next start on: the file is mapped into memory.
"""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import maxminddb
import msgspec

from engine import BadSettings, VisitorSettings, log

MAX_REMEMBERED: Final = 20_000
"""Addresses whose location is remembered: about 8 MB. Visitors send several times within minutes."""

LANGUAGE: Final = "en"
"""Of names; the databases have no other one for all places."""

_IPV4_BITS, _IPV6_BITS = 24, 48

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Locator:
    """Knows where addresses are.

    Args:
        database: what is asked; a `maxminddb.Reader`.
        truncate: whether an address is cut to its network before.
    """

    def __init__(self, database: maxminddb.Reader, *, truncate: bool) -> None:
        self._database = database
        self._truncate = truncate
        self._knows_ipv6 = database.metadata().ip_version == 6
        self._is_broken = False
        self._remembered = lru_cache(MAX_REMEMBERED)(self._look_up)

    def __call__(self, address: str) -> bytes | None:
        """The `$location` of an address as JSON; None for one that is private, no address, or in no known place."""
        return self._remembered(address)

    def statistics(self) -> Mapping[str, float]:
        """How full the table of answers is."""
        return {"locations_remembered": self._remembered.cache_info().currsize}

    def _look_up(self, address: str) -> bytes | None:
        parsed = public_address(address)
        if parsed is None or (parsed.version == 6 and not self._knows_ipv6):
            return None
        try:
            record = self._database.get(network_of(parsed) if self._truncate else parsed)
        except maxminddb.InvalidDatabaseError as error:
            if not self._is_broken:
                log("the geolocation database cannot be read", "error", what=str(error))
            self._is_broken = True
            return None
        location = location_of(record)
        return msgspec.json.encode(location) if location else None


def open_locator(visitors: VisitorSettings) -> Locator | None:
    """The locator that the settings ask for; None when they name no database.

    Raises:
        BadSettings: it cannot be read, or is none.
    """
    if not visitors.geo_database:
        return None
    try:
        database = maxminddb.open_database(visitors.geo_database)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no database in MaxMind's format"
        raise BadSettings(f"visitors.geo_database: {visitors.geo_database} cannot be read: {reason}") from None
    return Locator(database, truncate=visitors.geo_truncate)


def public_address(text: str) -> Address | None:
    """The address, if it is one of the public network; one that is IPv4 in IPv6's clothes is IPv4."""
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed if parsed.is_global and not parsed.is_multicast else None


def network_of(address: Address) -> Address:
    """The first address of its network: /24 of IPv4, /48 of IPv6. Of whom in there it was is not to be seen."""
    bits = _IPV4_BITS if address.version == 4 else _IPV6_BITS
    return ipaddress.ip_network((address, bits), strict=False).network_address


def location_of(record: object) -> dict[str, Any]:
    """`$location` from what a database of countries or cities has for an address; empty when it says nothing of use.

    `$iso_region` is the largest part of the country. Such databases know no UN/LOCODE: there is no `$iso_city`.
    """
    found = _map(record)
    country, city = _map(found.get("country")), _map(found.get("city"))
    parts = found.get("subdivisions")
    region = _map(parts[0]) if isinstance(parts, list) and parts else {}
    iso_country, iso_part = _text(country.get("iso_code")), _text(region.get("iso_code"))
    place = _map(found.get("location"))
    latlon = [place.get("latitude"), place.get("longitude")]
    location = {
        "$country": _name(country) or iso_country,
        "$region": _name(region),
        "$iso_region": f"{iso_country}-{iso_part}" if iso_country and iso_part else "",
        "$city": _name(city),
        "$zip_code": _text(_map(found.get("postal")).get("code")),
        "$latlon": latlon if all(isinstance(one, int | float) and abs(one) <= 180 for one in latlon) else None,
    }
    known = {name: value for name, value in location.items() if value}
    return {"$source": "IP", **known} if known else {}


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _name(place: Mapping[str, Any]) -> str:
    names = _map(place.get("names"))
    return _text(names.get(LANGUAGE)) or next(filter(None, map(_text, names.values())), "")
