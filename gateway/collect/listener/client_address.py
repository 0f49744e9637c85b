"""Who sent a request: the peer, or whom a trusted proxy names (`Forwarded`, `X-Forwarded-For`).

Each proxy appends the address it was called from. So the list is read from its end, as long as the one who wrote an
entry is trusted; what stands before that was written by strangers. Of the two headers only one is read: a proxy that
keeps the one leaves the other as a stranger has sent it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

MAX_REMEMBERED: Final = 4096
"""Peers of whom it is remembered whether they are trusted."""

FORWARDED: Final = "forwarded"
X_FORWARDED_FOR: Final = "x-forwarded-for"

_PAIR: Final = re.compile(r"""(?:^|;)\s*(for|proto)\s*=\s*(?:"([^"]*)"|([^;"\s]*))\s*(?=;|$)""", re.IGNORECASE)


class Proxies:
    """Whose word on the client's address is taken.

    Args:
        networks: such as `10.0.0.0/8`, or one address.
        header: the one that they keep, `forwarded` or `x-forwarded-for`; `x-forwarded-proto` belongs to the latter.
    """

    def __init__(self, networks: Sequence[str], header: str = X_FORWARDED_FOR) -> None:
        self._networks = tuple(ip_network(one) for one in networks)
        self._header = header
        self.trusts = lru_cache(MAX_REMEMBERED)(self._trusts)
        """Whether an address is one of theirs."""

    def client_of(self, peer: str, headers: Mapping[str, str], *, secure: bool) -> tuple[str, bool]:
        """The client's address, and whether it came to the outermost trusted proxy over TLS.

        Args:
            peer: a trusted proxy.
            headers: of the request.
            secure: whether the proxy came to us over TLS.
        """
        text = headers.get(self._header, "")
        is_standard = self._header == FORWARDED
        hops = _forwarded(text) if is_standard else _x_forwarded(text, headers.get("x-forwarded-proto", ""))
        client = peer
        for hop, scheme in hops:
            address = _address_of(hop)
            if address is None:
                break
            client = address
            if scheme in ("http", "https"):
                secure = scheme == "https"
            if not self.trusts(address):
                break
        return client, secure

    def _trusts(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _from_the_end(text: str) -> Iterator[str]:
    """The elements of a list, the last one first; commas in quotes are part of an element.

    Quotes too are counted from the end, so that one that a stranger left open does not swallow what a proxy wrote.
    """
    end = len(text)
    is_quoted = False
    for at in range(end - 1, -1, -1):
        if text[at] == '"':
            is_quoted = not is_quoted
        elif text[at] == "," and not is_quoted:
            yield text[at + 1 : end]
            end = at
    yield text[:end]


def _forwarded(text: str) -> Iterator[tuple[str, str]]:
    """`for` and `proto` of each element of `Forwarded` (RFC 7239, 4)."""
    for element in _from_the_end(text):
        found = {name.lower(): quoted or bare for name, quoted, bare in _PAIR.findall(element.strip())}
        yield found.get("for", ""), found.get("proto", "").lower()


def _x_forwarded(hops: str, schemes: str) -> Iterator[tuple[str, str]]:
    """Each address with its scheme. Most proxies set one scheme for all: then it is that of the outermost of them."""
    kept = [scheme.strip().lower() for scheme in reversed(schemes.split(","))]
    for index, hop in enumerate(_from_the_end(hops)):
        yield hop, kept[min(index, len(kept) - 1)]


def _address_of(hop: str) -> str | None:
    """The address in an entry such as `192.0.2.1:80`, `[2001:db8::1]:80`; None for `unknown` and the like."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return plain_address(str(ip_address(text)))
    except ValueError:
        return None


def plain_address(address: str) -> str:
    """An address as people write it: `::ffff:192.0.2.1` is an IPv4 one, and `%eth0` means something here alone."""
    address = address.partition("%")[0]
    if address.startswith("::ffff:"):
        mapped = IPv6Address(address).ipv4_mapped
        return address if mapped is None else str(mapped)
    return address
