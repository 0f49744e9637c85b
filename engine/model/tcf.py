"""Reads consent strings of IAB Europe's Transparency & Consent Framework, version 2 (TCF 2.0 to 2.2).

    <core>[.<segment>…]        each part base64url without padding; only the core says what vendors may do

A string is what somebody's browser sent: any text gives a value or a `ValueError` that says what is wrong with it. The
core is read into one number and its bits are sliced out, so nothing is unpacked that nobody asks for.
"""

import base64
import binascii
from functools import lru_cache
from typing import Final

from msgspec import Struct

MAX_TC_STRING_CHARS: Final = 16_384
"""A string with a bit for each of 65,535 vendors twice has 22,000; one of today's thousand vendors has about 400, one
with many restrictions some thousands. What is longer is refused unread."""

MAX_VENDOR: Final = 65_535
MAX_PURPOSE: Final = 24

NOT_ALLOWED: Final = 0
REQUIRES_CONSENT: Final = 1
REQUIRES_INTEREST: Final = 2

_VERSION: Final = 2
_MS_PER_DECISECOND: Final = 100


class VendorSet(Struct, frozen=True, gc=False):
    """Vendors, as the string lists them: a bit each, the first vendor's highest, or ranges.

    Attributes:
        size: how many vendors have a bit.
        bits: their bits.
        ranges: first and last vendor of each.
    """

    size: int = 0
    bits: int = 0
    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, vendor: object) -> bool:
        if not isinstance(vendor, int) or vendor < 1:
            return False
        if vendor <= self.size:
            return bool(self.bits >> (self.size - vendor) & 1)
        return any(first <= vendor <= last for first, last in self.ranges)


class Restriction(Struct, frozen=True, gc=False):
    """What a publisher does not let some vendors do: `kind` is `NOT_ALLOWED`, `REQUIRES_CONSENT` or
    `REQUIRES_INTEREST`."""

    purpose: int
    kind: int
    vendors: VendorSet


class TcString(Struct, frozen=True, gc=False):
    """What a consent string says of vendors and purposes.

    Attributes:
        created_ms, updated_ms: when it was made and last changed; by TCF 2.2 both are the start of a day.
        cmp, policy: ids of the consent dialogue and of the policy's version.
        purposes, interest_purposes: a bit each, the first purpose's highest: consent given; interest not objected to.
        vendors, interest_vendors: the same of vendors.
        restrictions: of the publisher.
    """

    created_ms: int
    updated_ms: int
    cmp: int
    policy: int
    purposes: int
    interest_purposes: int
    vendors: VendorSet
    interest_vendors: VendorSet
    restrictions: tuple[Restriction, ...] = ()

    def consents(self, vendor: int, purposes: tuple[int, ...]) -> bool:
        """Whether there is consent for the vendor and for all of these purposes."""
        return vendor in self.vendors and all(
            _has(self.purposes, purpose) and not self._restricted(vendor, purpose, REQUIRES_INTEREST)
            for purpose in purposes
        )

    def tolerates(self, vendor: int, purposes: tuple[int, ...]) -> bool:
        """Whether the vendor was made known and not objected to, for all of these purposes (legitimate interest)."""
        return vendor in self.interest_vendors and all(
            _has(self.interest_purposes, purpose) and not self._restricted(vendor, purpose, REQUIRES_CONSENT)
            for purpose in purposes
        )

    def _restricted(self, vendor: int, purpose: int, kind: int) -> bool:
        return any(
            one.purpose == purpose and one.kind in (NOT_ALLOWED, kind) and vendor in one.vendors
            for one in self.restrictions
        )


def _has(purposes: int, purpose: int) -> bool:
    return 1 <= purpose <= MAX_PURPOSE and bool(purposes >> (MAX_PURPOSE - purpose) & 1)


@lru_cache(256)
def read_tc_string(text: str) -> TcString:
    """What a consent string says. The last few are remembered: a browser sends the same one with each event.

    Raises:
        ValueError: it is too long, no base64url, of another version, or ends too early.
    """
    if len(text) > MAX_TC_STRING_CHARS:
        raise ValueError(f"{len(text)} characters are more than {MAX_TC_STRING_CHARS}")
    bits = _Bits(_decoded(text.partition(".")[0]))
    version = bits.take(6, "the version")
    if version != _VERSION:
        raise ValueError(f"version {version}, not {_VERSION}")
    created, updated = bits.take(36, "the times"), bits.take(36, "the times")
    cmp = bits.take(12, "the consent dialogue")
    bits.take(12 + 6 + 12 + 12, "the consent dialogue")  # Its version and screen, language, version of the vendor list.
    policy = bits.take(6, "the policy")
    bits.take(1 + 1 + 12, "the special features")  # Service-specific, texts of its own, special features.
    purposes, interest_purposes = bits.take(24, "the purposes"), bits.take(24, "the purposes")
    bits.take(1 + 12, "the publisher's country")  # With whether purpose 1 was left out.
    return TcString(
        created_ms=created * _MS_PER_DECISECOND,
        updated_ms=updated * _MS_PER_DECISECOND,
        cmp=cmp,
        policy=policy,
        purposes=purposes,
        interest_purposes=interest_purposes,
        vendors=_vendors(bits, "the vendors' consents"),
        interest_vendors=_vendors(bits, "the vendors' legitimate interests"),
        restrictions=_restrictions(bits),
    )


class _Bits:
    """Bits from the front of some bytes."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int, what: str) -> int:
        if count > self._left:
            raise ValueError(f"it ends within {what}")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)


def _decoded(core: str) -> bytes:
    if not core:
        raise ValueError("it is empty")
    if len(core) % 4 == 1:
        raise ValueError("no base64url: a character is missing")
    try:
        return base64.b64decode(core + "=" * (-len(core) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not even ASCII.
        raise ValueError(f"no base64url: {error}") from None


def _vendors(bits: _Bits, what: str) -> VendorSet:
    size = bits.take(16, what)
    if bits.take(1, what):
        return VendorSet(ranges=_ranges(bits, what))
    return VendorSet(size, bits.take(size, what))


def _ranges(bits: _Bits, what: str) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for _ in range(bits.take(12, what)):
        is_range = bits.take(1, what)
        first = bits.take(16, what)
        last = bits.take(16, what) if is_range else first
        if not 1 <= first <= last:
            raise ValueError(f"vendors {first} to {last} are no range in {what}")
        found.append((first, last))
    return tuple(found)


def _restrictions(bits: _Bits) -> tuple[Restriction, ...]:
    what = "the publisher's restrictions"
    return tuple(
        [
            Restriction(bits.take(6, what), bits.take(2, what), VendorSet(ranges=_ranges(bits, what)))
            for _ in range(bits.take(12, what))
        ]
    )
