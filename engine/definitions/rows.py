"""How definitions are kept in the database `definitions`.

    datamart/<id u32>                            JSON of a Datamart
    channel/<datamart u32>/<key>/<version u32>   JSON of a ChannelSettings
    token/<hash>                                 JSON of an ApiToken

Numbers are big-endian, so a channel's versions stand in order. A value says all that its key does: a row is read from
its value, and a field that a newer version adds does not make older rows unreadable.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from engine.definitions.access import ApiToken
from engine.definitions.datamart import Datamart
from engine.errors import CallerError
from engine.model.channel import ChannelSettings
from engine.model.wire import decode, decoder, encode

DATAMART_PREFIX: Final = b"datamart/"
CHANNEL_PREFIX: Final = b"channel/"
TOKEN_PREFIX: Final = b"token/"

_datamart = decoder(Datamart)
_channel = decoder(ChannelSettings)
_token = decoder(ApiToken)


def datamart_row(datamart: Datamart) -> tuple[bytes, bytes]:
    """Key and value of a datamart."""
    return DATAMART_PREFIX + _u32(datamart.id), encode(datamart)


def channel_row(channel: ChannelSettings) -> tuple[bytes, bytes]:
    """Key and value of one version of a channel."""
    key = CHANNEL_PREFIX + b"/".join((_u32(channel.datamart), channel.key.encode(), _u32(channel.version)))
    return key, encode(channel)


def token_row(token: ApiToken) -> tuple[bytes, bytes]:
    """Key and value of an API token."""
    return TOKEN_PREFIX + token.hash, encode(token)


def read_datamart(value: bytes) -> Datamart:
    """The datamart of a row.

    Raises:
        ValueError: the row is damaged; so in the other readers.
    """
    with _our_own_bytes():
        return decode(_datamart, value)


def read_channel(value: bytes) -> ChannelSettings:
    """The channel version of a row."""
    with _our_own_bytes():
        return decode(_channel, value)


def read_token(value: bytes) -> ApiToken:
    """The API token of a row."""
    with _our_own_bytes():
        return decode(_token, value)


@contextmanager
def _our_own_bytes() -> Iterator[None]:
    """Nobody called with these bytes, so a fault in them is no caller's."""
    try:
        yield
    except CallerError as error:
        raise ValueError(f"damaged definition: {error}") from error


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")
