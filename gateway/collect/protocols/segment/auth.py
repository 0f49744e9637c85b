"""Whose key a request carries: the write key of Segment and RudderStack is a channel's public token (decision 42)."""

import binascii
from base64 import b64decode
from typing import Final

from msgspec import Struct

from engine import ChannelSettings
from gateway.collect.collect import Collect
from gateway.collect.request import Request
from gateway.errors import RequestError

WRITE_KEY: Final = "writeKey"
"""Name of the key in bodies and queries."""


class Source(Struct, frozen=True):
    """Where messages of a request belong to; Segment calls it a source.

    Attributes:
        channel: of which site or application they are.
        compartment: that accounts without one are of.
    """

    channel: ChannelSettings
    compartment: str


def source_of(collect: Collect, key: str) -> Source:
    """The channel that a write key stands for; counts against the key's rate.

    Raises:
        RequestError: 401, no channel's key; 429, it is used too often.
    """
    if not key:
        raise RequestError(401, "no_write_key", "no write key was sent")
    token = collect.sender(key)
    if token.channel is None:
        raise RequestError(401, "not_a_channel", "this is the token of a datamart; a write key is a channel's token")
    return Source(token.channel, collect.engine.default_compartment(token.datamart))


def sent_key(request: Request, body_key: str) -> str:
    """The key that a request carries, or "".

    Args:
        request: the key may be the user name of its Basic authorization, or its parameter `writeKey`. An OAuth token
            (`Bearer`) says nothing to us: who sends one has the key in the body as well.
        body_key: `writeKey` of the body, or "".
    """
    return _basic_user(request.headers.get("authorization", "")) or body_key or request.parameter(WRITE_KEY) or ""


def _basic_user(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")[0]
    except (binascii.Error, ValueError):
        return ""
