"""Where a click may lead (decision 40): never to where a stranger wants it. Pure.

A target is taken apart, checked and put together again from the checked parts, so that a browser goes to the host that
we looked at: what browsers read in other ways than we do (backslashes, control characters, a third slash, user info,
escapes in the host) is refused, and a host in Unicode leaves in its ASCII form.
"""

import hashlib
import hmac
import re
from collections.abc import Set
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from msgspec import Struct

from engine import SigningKey
from gateway.errors import RequestError

REDIRECT: Final = "$redirect"

MAX_TARGET_CHARS: Final = 8192
"""Longer than any address that browsers and servers agree on; a request line has 16 KiB by default."""

MAX_HOST_CHARS: Final = 253
"""The longest name that DNS has."""

_TARGET = re.compile(r"(https?)://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_PORT = re.compile(r"[0-9]{1,5}")
_KEPT = "%/:?#[]@!$&'()*+,;=-._~"
"""What may stand in an address behind its host (RFC 3986); all else is escaped."""


class Target(Struct, frozen=True):
    """A checked address.

    Attributes:
        address: as it was sent, decoded: what a signature covers.
        location: as it is answered, ASCII.
        host: lower-case, in its ASCII form.
    """

    address: str
    location: str
    host: str


def split_redirect(raw_query: str) -> tuple[str, str | None]:
    """The query before the parameter `$redirect`, and that parameter as it was sent; None where it is missing.

    It is the last one: what is behind it is not kept (mediarithmics 4.2).
    """
    pairs = raw_query.split("&")
    for index, pair in enumerate(pairs):
        name, _, value = pair.partition("=")
        if unquote(name) == REDIRECT:
            return "&".join(pairs[:index]), value
    return raw_query, None


def parse_target(encoded: str) -> Target:
    """Check an address.

    Args:
        encoded: as it was sent, percent-encoded once; `+` stands for itself (RFC 3986).

    Raises:
        RequestError: 400 `bad_redirect`: browsers would not go there, or not all to the same place.
    """
    try:
        address = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        raise _bad("is not UTF-8") from None
    if len(address) > MAX_TARGET_CHARS:
        raise _bad(f"has more than {MAX_TARGET_CHARS} characters")
    if _FORBIDDEN.search(address):
        raise _bad("has a control character or a backslash")
    found = _TARGET.fullmatch(address)
    if found is None:
        raise _bad("must be an http or https address with a host, percent-encoded")
    scheme, authority, rest = found.groups()
    if "@" in authority:
        raise _bad("must not have user info in front of its host")
    host, port = _host_and_port(authority)
    location = f"{scheme.lower()}://{host}{port}{quote(rest, safe=_KEPT)}"
    return Target(address, location, host)


def is_allowed(host: str, allowed: Set[str]) -> bool:
    """Whether a click may lead to a host: one of the allowed, or one below them. The port does not matter.

    Args:
        host: of a `Target`.
        allowed: hosts of the datamart, lower-case.
    """
    ascii_hosts = _ascii_hosts(frozenset(allowed))
    if host in ascii_hosts:
        return True
    if host.startswith("[") or host.rpartition(".")[2].isdecimal():
        return False  # Nothing is below an IP address.
    while host:
        host = host.partition(".")[2]
        if host in ascii_hosts:
            return True
    return False


def signature(secret: str, address: str) -> str:
    """What `$sig` has to be: hex HMAC-SHA256 of the decoded address in UTF-8.

    Signatures of whole requests (decision 39) cover several lines, which no address has: neither passes for the other.
    """
    return hmac.new(secret.encode(), address.encode(), hashlib.sha256).hexdigest()


def is_signed(target: Target, sent: str, key: SigningKey | None, datamart: int | None) -> bool:
    """Whether an address carries a valid signature.

    Args:
        target: the address.
        sent: `$sig`.
        key: that `$key_id` names, or None. One that is bound to a channel does not count: an application has its key
            in every copy, so whoever has the application could sign.
        datamart: of the token; None where the token is not known, then the key's own counts.
    """
    if key is None or key.channel or (datamart is not None and key.datamart != datamart):
        return False
    return hmac.compare_digest(signature(key.secret, target.address).encode(), sent.lower().encode())


def _host_and_port(authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        inside, closed, port = authority[1:].partition("]")
        try:
            host = f"[{IPv6Address(inside).compressed}]" if closed and "%" not in inside else ""
        except ValueError:
            host = ""
        if not host or (port and not port.startswith(":")):
            raise _bad("has a host that is no name and no IP address")
        port = port[1:]
    else:
        host, _, port = authority.partition(":")
        host = _ascii(host)
        if not host:
            raise _bad("has a host that is no name and no IP address")
    if port and not (_PORT.fullmatch(port) and int(port) <= 65535):
        raise _bad("has a port that is none")
    return host, f":{port}" if port else ""


@lru_cache(1024)
def _ascii(host: str) -> str:
    """A host in lower-case ASCII without its trailing dot; "" when it is none."""
    name = host.lower().removesuffix(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii").lower()
        except UnicodeError:
            return ""
    return name if len(name) <= MAX_HOST_CHARS and _HOST.fullmatch(name) else ""


@lru_cache(256)
def _ascii_hosts(hosts: frozenset[str]) -> frozenset[str]:
    return frozenset(name for host in hosts if (name := _ascii(host)))


def _bad(what: str) -> RequestError:
    return RequestError(400, "bad_redirect", f"`{REDIRECT}` {what}", path=REDIRECT)
