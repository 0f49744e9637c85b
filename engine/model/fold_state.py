"""The saved fold state of one user point: what was open, as journal sequences; no payloads (decision 8).

A state says "all records up to `sequence` are covered, and of those these are still held". With the journal's records
for the held sequences and those behind `sequence`, the visitor goes on as if it had never stopped.
"""

import msgspec
from msgspec import Struct

FORMAT = 1
"""First byte of every saved state. A change of the fields below or of their order needs another number."""


class SavedRun(Struct, array_like=True, frozen=True, gc=False):
    """An open session or live window.

    Attributes:
        source: `session` or `live`.
        channel: channel key.
        members: sequences of its events, in the order of `(ts, sequence)`.
        parts: how many parts were cut off it.
    """

    source: str
    channel: str
    members: tuple[int, ...]
    parts: int = 0


class SavedLeaving(Struct, array_like=True, frozen=True, gc=False):
    """Something that had closed and was on its way to the store, behind the closing that saved the state.

    Attributes:
        source, reason: as in `Closed`; reason "" for none.
        channel: channel key, or "".
        members: sequences of its events.
        records: other journal records that leave the journal with it: a merge or a request to close.
        absorbed: user point whose saved state goes away with it, or b"".
        part: how many parts of the same session had left before it.
    """

    source: str
    reason: str
    channel: str
    members: tuple[int, ...]
    records: tuple[int, ...]
    absorbed: bytes
    part: int = 0


class FoldState(Struct, array_like=True, frozen=True):
    """What a user point's visitor held when a closing was stored.

    Attributes:
        sequence: last record that is covered.
        open: sessions and live windows.
        pending: what leaves before anything else happens, in order.
    """

    sequence: int
    open: tuple[SavedRun, ...]
    pending: tuple[SavedLeaving, ...]

    def sequences(self) -> tuple[int, ...]:
        """All journal records that the state holds."""
        held = [sequence for run in self.open for sequence in run.members]
        for leaving in self.pending:
            held += leaving.members
            held += leaving.records
        return tuple(held)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FoldState)
_PREFIX = bytes([FORMAT])


def encode_fold_state(state: FoldState) -> bytes:
    """The state as it is stored: format byte, then msgpack."""
    return _PREFIX + _encoder.encode(state)


def decode_fold_state(data: bytes) -> FoldState:
    """The state stored as `data`.

    Raises:
        ValueError: the bytes are of another format, or damaged.
    """
    if data[:1] != _PREFIX:
        raise ValueError(f"fold state of unknown format {data[:1]!r}")
    try:
        return _decoder.decode(memoryview(data)[1:])
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged fold state: {error}") from error
