"""What a person chose about processings: the newest choice about each, and how one looks as bytes (decision 33).

Of two choices about one processing the one with the later `$choice_ts` counts; at the same time the refusing one does.
So the same choices in any order leave the same behind.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.model.wire import decode_values

FORMAT: Final = 1
"""First byte of every stored value. A change of the fields below or of their order needs another number."""

MAX_CHOICES: Final = 256
"""Processings of one person. A datamart has a dozen; where definitions come and go, the newest choices stay."""

MAX_FIELDS_BYTES: Final = 4096
"""Of the sender's own fields of one choice, a consent string among them; what does not fit is left out, and counted."""

ID_BYTES: Final = 16


class Choice(Struct, array_like=True, frozen=True, gc=False):
    """One choice.

    Attributes:
        processing: id of what it is about.
        ts_ms: `$choice_ts`.
        accepted: `$choice_acceptance_value`.
        id: `ID_BYTES` that tell it from others: the same choice told again has the same.
        created_ms: time of the event that told it.
        channel: id of the channel it was told on, or "".
        fields: compact JSON object of all else the event said.
    """

    processing: str
    ts_ms: int
    accepted: bool
    id: bytes
    created_ms: int
    channel: str = ""
    fields: bytes = b"{}"


Choices = Mapping[str, Choice]
"""The newest choice about each processing, by its id."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Choice])
_one_decoder = msgspec.msgpack.Decoder(Choice)
_PREFIX = bytes((FORMAT,))


def choice_id(processing: str, accepted: bool, *told: bytes) -> bytes:
    """What tells a choice from others.

    Args:
        processing, accepted: what was chosen.
        told: what else makes it this one: its time and fields, or the consent string that it was read from.
    """
    digest = hashlib.blake2b(digest_size=ID_BYTES)
    for part in (processing.encode(), b"yes" if accepted else b"no", *told):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def newest(choices: Iterable[Choice]) -> Choices:
    """Of each processing the newest one; in whatever order they come, the same ones."""
    found: dict[str, Choice] = {}
    for one in choices:
        known = found.get(one.processing)
        if known is None or _age(one) > _age(known):
            found[one.processing] = one
    if len(found) > MAX_CHOICES:
        latest = sorted(found.values(), key=lambda one: (one.ts_ms, one.processing))[-MAX_CHOICES:]
        return {one.processing: one for one in latest}
    return found


def combine(choices: Choices, others: Choices) -> Choices:
    """Those of two user points that turn out to be one person (decision 3)."""
    return newest((*choices.values(), *others.values())) if others else choices


def _age(choice: Choice) -> tuple[int, bool, int, str, bytes, bytes]:
    return choice.ts_ms, not choice.accepted, choice.created_ms, choice.channel, choice.id, choice.fields


def encode_choices(choices: Choices) -> bytes:
    """As they are stored; the same choices are the same bytes."""
    return _PREFIX + _encoder.encode([choices[processing] for processing in sorted(choices)])


def decode_choices(stored: bytes | None) -> Choices:
    """What `encode_choices` made; no choices where nothing is stored.

    Raises:
        ValueError: of another format, or damaged.
    """
    return {one.processing: one for one in _decoded(stored, _decoder)} if stored is not None else {}


def encode_choice(choice: Choice) -> bytes:
    """A row of the history."""
    return _PREFIX + _encoder.encode(choice)


def decode_choice(stored: bytes) -> Choice:
    """What `encode_choice` made.

    Raises:
        ValueError: of another format, or damaged.
    """
    found: Choice = _decoded(stored, _one_decoder)
    return found


def _decoded(stored: bytes, decoder: "msgspec.msgpack.Decoder[Any]") -> Any:  # noqa: ANN401 - what the decoder makes
    if stored[:1] != _PREFIX:
        raise ValueError(f"choices of unknown format {stored[:1]!r}")
    try:
        return decoder.decode(memoryview(stored)[1:])
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged choices: {error}") from error


def choice_as_values(choice: Choice) -> dict[str, Any]:
    """A choice as the platform shows it (mediarithmics 9.1), plain values; the sender's own fields come last."""
    return {
        "$processing_id": choice.processing,
        "$choice_ts": choice.ts_ms,
        "$choice_acceptance_value": choice.accepted,
        "$creation_ts": choice.created_ms,
        "$channel_id": choice.channel or None,
        **decode_values(choice.fields),
    }


def choices_as_values(stored: bytes | None) -> list[dict[str, Any]]:
    """The stored choices of a person as plain values, for queries (`choices` of `UserPoint`) and readers."""
    return [choice_as_values(one) for one in decode_choices(stored).values()]
