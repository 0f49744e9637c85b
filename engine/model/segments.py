"""Which segments a person is in, and until when (mediarithmics 4.2 and 8.2)."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

FORMAT: Final = 1
"""First byte of every stored value. A change of the fields below or of their order needs another number."""

MAX_SEGMENTS: Final = 1000
"""Segments a person is in: some 40 kB, which each change reads and writes. Whoever is in so many joins no further one,
and a counter says so."""


class Membership(Struct, array_like=True, frozen=True, gc=False):
    """That a person is in a segment.

    Attributes:
        segment: its id.
        since_ms: when the person came in, engine time.
        expires_ms: from when on the person is in it no more; None for as long as nobody takes the person out.
    """

    segment: str
    since_ms: int
    expires_ms: int | None = None

    def holds(self, now_ms: int) -> bool:
        """Whether the person is still in it."""
        return self.expires_ms is None or now_ms < self.expires_ms


Segments = dict[str, Membership]
"""All that a person is in, by id of the segment."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Membership])
_PREFIX = bytes((FORMAT,))


def encode_segments(segments: Segments) -> bytes | None:
    """As they are stored, the same ones as the same bytes; None for none."""
    return _PREFIX + _encoder.encode([segments[key] for key in sorted(segments)]) if segments else None


def decode_segments(stored: bytes | None, now_ms: int) -> Segments:
    """What `encode_segments` made, without those that are over; none where nothing is stored.

    Raises:
        ValueError: of another format, or damaged.
    """
    if stored is None:
        return {}
    if stored[:1] != _PREFIX:
        raise ValueError(f"segments of unknown format {stored[:1]!r}")
    try:
        return {one.segment: one for one in _decoder.decode(memoryview(stored)[1:]) if one.holds(now_ms)}
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged segments: {error}") from error


def joined(one: Membership | None, other: Membership) -> Membership:
    """Two memberships of one person in the same segment: since the earlier, until the later."""
    if one is None:
        return other
    never = one.expires_ms is None or other.expires_ms is None
    expires_ms = None if never else max(one.expires_ms or 0, other.expires_ms or 0)
    return Membership(one.segment, min(one.since_ms, other.since_ms), expires_ms)


def combine(segments: Segments, others: Iterable[Membership]) -> Segments:
    """Those of two user points that turn out to be one person (decision 3). Again the same changes nothing."""
    combined = dict(segments)
    for other in others:
        combined[other.segment] = joined(combined.get(other.segment), other)
    return combined


def shown(segments: Segments) -> list[dict[str, Any]]:
    """As queries and people see them, in the order of joining; a segment goes by either name (mediarithmics 7.6)."""
    return [
        {
            "id": one.segment,
            "segment_id": one.segment,
            "creation_ts": one.since_ms,
            "expiration_ts": one.expires_ms,
        }
        for one in sorted(segments.values(), key=lambda found: (found.since_ms, found.segment))
    ]
