"""Addresses as rules compare them (decision 23): host, path segments, query.

    https://user@WWW.Shop.Test:443/Caf%C3%A9/7/?q=a+b#top  ▶  www.shop.test   Café, 7   q=a+b

The scheme is ignored, and with it a port that a scheme implies; the host ignores case, `www.` counts; the path keeps
case, its segments are percent-decoded *after* they were parted, and a trailing `/` is ignored; what stands behind `#`
is not looked at. Addresses are what strangers send: any text gives an answer, and None is the answer for one without a
host.
"""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, unquote_plus

from msgspec import Struct

from engine.session.domains import MAX_AUTHORITY_CHARS, host_of

CACHED: Final = 8192
"""Authorities that are remembered: a site has a few hosts, and each of its pages names one."""

Parameters = tuple[tuple[str, str], ...]
Page = tuple[str, tuple[str, ...]]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_AUTHORITY_END = re.compile(r"[/?#\\]")
_PORT = re.compile(r":([0-9]+)$")
_IMPLIED_PORTS: Final = ("80", "443")


class Address(Struct, frozen=True, gc=False):
    """A parted address.

    Attributes:
        host: in lower case, with its port unless that is 80 or 443.
        segments: of the path, decoded; none for `/`.
        query: as it was sent.
    """

    host: str
    segments: tuple[str, ...]
    query: str

    @property
    def page(self) -> "Page":
        """Host and path: equal for the addresses of one page, whatever their query."""
        return self.host, self.segments


def address_of(url: str) -> Address | None:
    """The parts of an address, with or without a scheme; None where it names no host."""
    if url.startswith("https://"):  # Nearly always, and then with a path: the same in half the time.
        end = url.find("/", len("https://"))
        host = _plain_host_in(url[len("https://") : end]) if 0 < end < MAX_AUTHORITY_CHARS else ""
        if host:
            return _address(host, url[end:])
    rest = without_scheme(url.strip())
    ends = _AUTHORITY_END.search(rest)
    at = ends.start() if ends is not None else len(rest)
    if at > MAX_AUTHORITY_CHARS:
        return None
    host = _host_in(rest[:at])
    return _address(host, rest[at:]) if host else None


def _address(host: str, rest: str) -> Address:
    if "#" in rest:
        rest = rest.partition("#")[0]
    if "?" not in rest:
        return Address(host, segments_of(rest), "")
    path, _, query = rest.partition("?")
    return Address(host, segments_of(path), query)


def without_scheme(url: str) -> str:
    """An address from its host on."""
    head, slashes, rest = url.partition("//")
    return rest if slashes and (not head or _SCHEME.fullmatch(head) is not None) else url


def segments_of(path: str) -> tuple[str, ...]:
    """The decoded segments of a path."""
    path = path[1:].removesuffix("/")
    if not path:
        return ()
    if "%" in path:
        return tuple([unquote(segment) for segment in path.split("/")])
    return tuple(path.split("/"))


def parameters_of(query: str) -> Parameters:
    """Names and values of a query, form-decoded, in their order."""
    if not query:
        return ()
    parts = [pair.partition("=") for pair in query.split("&") if pair]
    if "%" not in query and "+" not in query:
        return tuple([(name, value) for name, _, value in parts])
    return tuple([(unquote_plus(name), unquote_plus(value)) for name, _, value in parts])


@lru_cache(CACHED)
def _plain_host_in(authority: str) -> str:
    """The host, or "" where it is none or ends before a `/`."""
    return "" if _AUTHORITY_END.search(authority) else _host_in(authority)


@lru_cache(CACHED)
def _host_in(authority: str) -> str:
    host = host_of(f"//{authority}")
    if not host:
        return ""
    if not host.isascii():
        with suppress(UnicodeError):
            host = host.encode("idna").decode("ascii")  # As browsers send it.
    port = _PORT.search(authority)
    return host if port is None or port[1] in _IMPLIED_PORTS else f"{host}:{int(port[1][:9])}"
