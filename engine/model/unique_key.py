"""The key the platform generates for an activity that brings none: a UUIDv1 that says when and what (decision 13)."""

import hashlib
from collections.abc import Iterable
from typing import Final
from uuid import UUID

_GREGORIAN_TO_UNIX_100NS = 0x01B21DD213814000
_TIME_MASK = (1 << 60) - 1
_MULTICAST_BIT = 1 << 40
"""Set in the node of a UUIDv1 that is no network card's address (RFC 9562, 6.10)."""


_VERSION_1 = 0x1000
_RFC_9562 = 0x8000
"""The variant, in the two highest bits of the clock sequence."""

MAX_TICK: Final = 9999
"""The last of the 100 ns within a millisecond, which is what a UUIDv1 counts in."""


def generated_key(ts_ms: int, parts: Iterable[bytes], tick: int = 0) -> UUID:
    """A UUIDv1 with the activity's time; clock sequence and node are a hash of `parts`.

    Args:
        ts_ms: the activity's `$ts`.
        parts: what makes the activity this one. Each is hashed with its length, so that no two lists run together.
        tick: which one it is of several of the same time, which then lie in this order; beyond `MAX_TICK` in any.
    """
    hashed = b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "big"), part)])
    code = hashlib.sha256(hashed).digest()
    time_100ns = (ts_ms * 10_000 + min(tick, MAX_TICK) + _GREGORIAN_TO_UNIX_100NS) & _TIME_MASK
    clock = int.from_bytes(code[:2], "big") & 0x3FFF | _RFC_9562
    node = int.from_bytes(code[2:8], "big") | _MULTICAST_BIT
    low, middle, high = time_100ns & 0xFFFFFFFF, (time_100ns >> 32) & 0xFFFF, (time_100ns >> 48) | _VERSION_1
    return UUID(int=low << 96 | middle << 80 | high << 64 | clock << 48 | node)
