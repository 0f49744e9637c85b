"""Whose site an address belongs to: its host, its registrable domain, and the test for a foreign referrer (decision 6).

Addresses are what strangers send: any text must give an answer, and "" is the answer for text without a host.
"""

import re
from functools import cache, lru_cache
from ipaddress import IPv6Address

from publicsuffixlist import PublicSuffixList

MAX_AUTHORITY_CHARS = 512
"""User info, host and port together. Longer ones are no address that anybody visits, and would fill the caches."""

MAX_HOST_CHARS = 253
"""The longest name that DNS has."""

CACHED = 8192
"""Authorities and hosts whose parts are remembered: a busy server's referrers come from few places."""

_WEB = ("https://", "http://")

_AUTHORITY = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.\-]*:)?[/\\]{2}([^/?#\\]*)")
_NO_HOST_CHARACTER = re.compile(r'[\x00-\x20\x7f"#%/:<>?@\[\\\]^`{|}]')


def host_of(url: str) -> str:
    """The host of an address in lower case, without user info, port and trailing dot; "" where there is none.

    An address needs `//` in front of its host. An IPv6 host comes in its short form without brackets.
    """
    found = _AUTHORITY.match(url)
    if found is None:
        return ""
    authority = found.group(1)
    return _host_in(authority) if len(authority) <= MAX_AUTHORITY_CHARS else ""


@lru_cache(CACHED)
def _host_in(authority: str) -> str:
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        return _ipv6(host)
    if ":" in host:
        host, _, port = host.partition(":")
        if not (port == "" or (port.isascii() and port.isdecimal())):
            return ""
    host = host.lower().removesuffix(".")
    if len(host) > MAX_HOST_CHARS or "" in host.split(".") or _NO_HOST_CHARACTER.search(host):
        return ""
    return host


def _ipv6(host: str) -> str:
    address, closed, port = host[1:].partition("]")
    if not closed or not re.fullmatch(r"(:[0-9]*)?", port):
        return ""
    try:
        return IPv6Address(address).compressed
    except ValueError:
        return ""


@lru_cache(CACHED)
def registrable_domain(host: str) -> str:
    """The domain somebody registered, by the public suffix list; a host without one, and an IP address, whole.

    Args:
        host: as `host_of` gives it.
    """
    if ":" in host or host.rpartition(".")[2].isdecimal():
        return host
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return host
    return _suffixes().privatesuffix(host) or host


@cache
def _suffixes() -> PublicSuffixList:
    # Reading the list takes 50 ms: not for a process that never looks at a referrer.
    return PublicSuffixList()


def site_of(url: str) -> str:
    """The registrable domain of an address, or ""."""
    if url.startswith(_WEB):
        # The path says nothing of the site, and addresses without it are few: half the time, remembered.
        end = url.find("/", len("https://"))
        if 0 < end < MAX_AUTHORITY_CHARS:
            return _site_at(url[:end])
    return _site_of(url)


def _site_of(url: str) -> str:
    host = host_of(url)
    return registrable_domain(host) if host else ""


_site_at = lru_cache(CACHED)(_site_of)


def foreign_site(referrer: str, url: str, domain: str, aliases: tuple[str, ...]) -> str:
    """The registrable domain of a referrer that is not the site's own, else "".

    Args:
        referrer: the event's `$referrer`, or "".
        url: the event's `$url`, or "". It tells the own site where the channel has neither domain nor alias.
        domain, aliases: hosts of the channel.
    """
    if not referrer:
        return ""
    if not domain and not aliases and referrer.startswith(_WEB):
        # Nearly always a page of the same host, which is told without a look at what a host is.
        end = referrer.find("/", len("https://"))
        if end > 0 and url.startswith(referrer[: end + 1]):
            return ""
    site = site_of(referrer)
    if not site:
        return ""
    own = _own_sites(domain, aliases)
    if own:
        return "" if site in own else site
    return "" if site == site_of(url) else site


@lru_cache(1024)
def _own_sites(domain: str, aliases: tuple[str, ...]) -> frozenset[str]:
    sites = (site_of(host if "//" in host else "//" + host.strip()) for host in (domain, *aliases))
    return frozenset(site for site in sites if site)
