"""How stored values look as bytes.

Rows with fields are a format byte, then msgpack of their fields in order: a change of the fields or their order needs
another format. Numbers (counters, META) are eight bytes, big-endian. An activity is a format byte, the time it expires,
and its JSON as it is: what expires is known without reading the JSON.
"""

import struct
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from engine.model.identifiers import Identifier, IdentifierKind
from engine.store.keys import user_point_key
from engine.store.port import Db

FORMAT: Final = 1
"""First byte of every value that has fields."""

META_SCHEMA: Final = b"schema"
"""META: the version of the layout the store was written in."""

META_LAST_SEQUENCE: Final = b"last_sequence"
"""META: the highest sequence ever used in the journal, which may be empty (decision 8)."""

META_LAST_ARRIVAL: Final = b"last_arrival_ms"
"""META: the arrival time of the last record, below which no later one may fall (decision 7)."""

META_LAST_LETTER: Final = b"last_dead_letter"
"""META: the number of the last dead letter."""

OUTBOX_WAITING: Final = "outbox_waiting"
"""COUNTERS: requests in the outbox; with the destination behind a dot, those to it. It goes down, too."""

MAX_ALIAS_HOPS: Final = 1000
"""Far more merges in a row than one person may have; a longer chain is a circle."""

T = TypeVar("T", bound=Struct)

_NUMBER = struct.Struct(">q")
_ACTIVITY = struct.Struct(">BQ")


class Link(Struct, frozen=True, array_like=True, gc=False):
    """An identifier of a user point and when it became one (decision 3).

    Attributes:
        kind, namespace, value, email: as in `Identifier`.
        linked_ms: arrival of the record that first named it.
    """

    kind: int
    namespace: str
    value: str
    email: str
    linked_ms: int

    def identifier(self) -> Identifier:
        """The identifier itself."""
        return Identifier(IdentifierKind(self.kind), self.namespace, self.value, self.email)


class UserPointRow(Struct, frozen=True, array_like=True):
    """What is known of a user point (decisions 2 and 3).

    Attributes:
        first_sequence: the journal record that first named it; of two that merge the lower one survives.
        alias_of: the user point that absorbed it, or None.
        aliases: the user points it has absorbed, also those that these had absorbed before.
        links: its identifiers, those of its aliases included, in the order they were linked.
        merges: when it absorbed another one, ms.
    """

    first_sequence: int
    alias_of: bytes | None = None
    aliases: tuple[bytes, ...] = ()
    links: tuple[Link, ...] = ()
    merges: tuple[int, ...] = ()


class IdentifierRow(Struct, frozen=True, array_like=True, gc=False):
    """Whose identifier it is.

    Attributes:
        user_point: 16 bytes; may have become an alias since.
        first_sequence: the journal record that linked it.
        linked_ms: arrival of that record.
    """

    user_point: bytes
    first_sequence: int
    linked_ms: int = 0


class SeenRow(Struct, frozen=True, array_like=True, gc=False):
    """An id that was seen (decision 18).

    Attributes:
        expires_ms: wall clock until which it counts; the same as in the `Put` that writes it.
        digest: hash of the request's body for an `Idempotency-Key`, or b"".
        refused: of that request, the items that were refused: index, code, message and path. A repeat says so again.
    """

    expires_ms: int
    digest: bytes = b""
    refused: tuple[tuple[int, str, str, str], ...] = ()


class DeadLetter(Struct, frozen=True, array_like=True):
    """What could not be processed, and why (decision 17).

    Attributes:
        at_ms: when it died, wall clock.
        reason: stable name, also the label of a counter.
        stage: the step that gave up.
        user_point: whose it was, as text, or "".
        payload: what was lost, as it was.
        detail: the error in words.
        weight: received events it stands for.
        event_ids: ids of its events where they had one.
        sequences: journal records it was.
    """

    at_ms: int
    reason: str
    stage: str
    user_point: str
    payload: bytes
    detail: str = ""
    weight: int = 0
    event_ids: tuple[str, ...] = ()
    sequences: tuple[int, ...] = ()


class OutboxRow(Struct, frozen=True, array_like=True, gc=False):
    """A request that waits to be sent (decision 32).

    Attributes:
        destination: id of it.
        path: behind the destination's address.
        body: as it is sent.
        first_due_ms: when it was due for the first time: from then on it is tried for so long.
        attempts: how often it was tried.
        last_error: why the last one failed, or "".
        user_point: whose activity it came of, 16 bytes, or b"": an erasure discards what came before it (decision
            41).
        sequence: the last journal record of that activity; 0 where it had none.
    """

    destination: str
    path: str
    body: bytes
    first_due_ms: int
    attempts: int = 0
    last_error: str = ""
    user_point: bytes = b""
    sequence: int = 0


class _Codec(Generic[T]):
    """Format byte and msgpack of one kind of row."""

    __slots__ = ("_decoder", "_encoder", "_name")

    def __init__(self, row: type[T]) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(row)
        self._name = row.__name__

    def encode(self, row: T) -> bytes:
        return _PREFIX + self._encoder.encode(row)

    def decode(self, data: bytes) -> T:
        if data[:1] != _PREFIX:
            raise ValueError(f"{self._name} of unknown format {data[:1]!r}")
        try:
            return self._decoder.decode(memoryview(data)[1:])
        except msgspec.DecodeError as error:
            raise ValueError(f"damaged {self._name}: {error}") from error


_PREFIX = bytes((FORMAT,))
_user_points = _Codec(UserPointRow)
_identifiers = _Codec(IdentifierRow)
_seen = _Codec(SeenRow)
_dead_letters = _Codec(DeadLetter)
_outbox = _Codec(OutboxRow)

encode_user_point = _user_points.encode
decode_user_point = _user_points.decode
encode_identifier = _identifiers.encode
decode_identifier = _identifiers.decode
encode_seen = _seen.encode
decode_seen = _seen.decode
encode_dead_letter = _dead_letters.encode
decode_dead_letter = _dead_letters.decode
encode_outbox = _outbox.encode
decode_outbox = _outbox.decode


def encode_activity(value: bytes, expires_ms: int | None) -> bytes:
    """An activity as it is stored.

    Args:
        value: its JSON.
        expires_ms: wall clock at which it disappears (decision 36); None keeps it for ever.
    """
    return _ACTIVITY.pack(FORMAT, expires_ms or 0) + value


def activity_value(stored: bytes) -> bytes:
    """The JSON of a stored activity.

    Raises:
        ValueError: it is of another format.
    """
    _check_activity(stored)
    return stored[_ACTIVITY.size :]


def activity_expires_ms(stored: bytes) -> int | None:
    """When a stored activity disappears, or None.

    Raises:
        ValueError: it is of another format.
    """
    _check_activity(stored)
    return _ACTIVITY.unpack_from(stored)[1] or None


def _check_activity(stored: bytes) -> None:
    if stored[:1] != _PREFIX or len(stored) < _ACTIVITY.size:
        raise ValueError(f"activity of unknown format {stored[:1]!r}")


def encode_number(number: int) -> bytes:
    """A counter or a META row."""
    return _NUMBER.pack(number)


def decode_number(stored: bytes | None) -> int:
    """The number in a row; 0 where there is none."""
    return 0 if stored is None else int(_NUMBER.unpack(stored)[0])


def follow(
    get: Callable[[Db, bytes], bytes | None], datamart: int, user_point: bytes
) -> tuple[bytes, UserPointRow | None]:
    """The user point that `user_point` has become, and its row, if it has one.

    Args:
        get: `Store.get` or `Transaction.get`.
        datamart, user_point: who is looked for; 16 bytes.

    Raises:
        ValueError: the aliases go in a circle.
    """
    for _ in range(MAX_ALIAS_HOPS):
        stored = get(Db.USER_POINTS, user_point_key(datamart, user_point))
        row = None if stored is None else decode_user_point(stored)
        if row is None or row.alias_of is None:
            return user_point, row
        user_point = row.alias_of
    raise ValueError(f"the aliases of user point {user_point.hex()} go in a circle")
