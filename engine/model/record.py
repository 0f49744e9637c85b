"""The journal record: one event on its way, as it is on disk before its sender hears "ok" (decisions 8 and 17).

What happens to a user is a function of their records alone, so a record carries all the fold needs: when it arrived,
whom it was routed to, under which version of the channel's settings, and the bytes that were sent.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Protocol

import msgspec
from msgspec import Struct

FORMAT = 1
"""First byte of every stored record. A change of `Record`'s fields or their order needs another number."""


class RecordKind(IntEnum):
    """What a record asks of the user's visitor."""

    EVENT = 1
    """One event of an `IN_SESSION` item, with the item's root fields."""
    LIVE = 2
    """One event of a `LIVE` item, with the item's root fields."""
    ITEM = 3
    """A `NO_SESSION` or `CLOSED_SESSION` activity, whole; `event` holds the JSON array of its events."""
    MERGE = 4
    """Another user point's sessions move here; `event` holds the 16 bytes of the absorbed one (decision 3)."""
    CLOSE = 5
    """A request to close (decision 7d); `channel` names one channel, or is empty for all."""


class Record(Struct, array_like=True, frozen=True, gc=False):
    """One journal record. The sequence is the key on disk, and is filled in when the record is read.

    Attributes:
        sequence: place in the journal; never used twice.
        kind: see `RecordKind`.
        arrival_ms: engine time of arrival, never less than the record's before it.
        datamart: id of the datamart.
        user_point: 16 bytes of the user point it was routed to.
        channel: channel key, or "" without one.
        channel_version: version of the channel's settings it was accepted under; 0 without a channel.
        ts_ms: the event's own time.
        weight: how many received events it stands for in the counters; 0 for MERGE and CLOSE.
        process: False when the sender asked to skip the steps between create and store (decision 42).
        root: compact JSON object of the item's root fields without `$events`.
        event: compact JSON of the event; see `RecordKind` for the others.
    """

    sequence: int
    kind: int
    arrival_ms: int
    datamart: int
    user_point: bytes
    channel: str
    channel_version: int
    ts_ms: int
    weight: int
    process: bool
    root: bytes
    event: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)
_PREFIX = bytes([FORMAT])


def encode_record(record: Record) -> bytes:
    """The record as it is stored: format byte, then msgpack."""
    return _PREFIX + _encoder.encode(record)


def encode_rows(records: Iterable[Record]) -> tuple[tuple[int, bytes], ...]:
    """Sequence and stored form of each record."""
    encode = _encoder.encode
    return tuple([(record.sequence, _PREFIX + encode(record)) for record in records])


def decode_record(data: bytes) -> Record:
    """The record stored as `data`.

    Raises:
        ValueError: the bytes are of another format, or damaged.
    """
    if data[:1] != _PREFIX:
        raise ValueError(f"journal record of unknown format {data[:1]!r}")
    try:
        return _decoder.decode(memoryview(data)[1:])
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged journal record: {error}") from error


RECORD_BYTES = 96
"""About what a record takes beside its root fields and its event."""


class Weighed(Protocol):
    """What a record is made of, or what is held of it."""

    @property
    def root(self) -> bytes:
        """The item's root fields."""
        ...

    @property
    def event(self) -> bytes:
        """The event."""
        ...


def record_size_bytes(record: Weighed) -> int:
    """About how many bytes a record takes in a queue or in the journal."""
    return len(record.root) + len(record.event) + RECORD_BYTES
