"""The PROXY line a load balancer may put before everything else of a connection, version 1 (text) or 2 (binary).

(the protocol's own document: "The PROXY protocol", versions 1 and 2, by HAProxy's authors)
"""

import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import trio

from gateway.collect.listener.client_address import plain_address

MAX_BYTES: Final = 536
"""A text line has at most 107 bytes; of the binary form the addresses and a few extensions are all that is in use."""

PEEK_PAUSE_S: Final = 0.01
"""Between two looks at a line that came in pieces, which hardly ever happens."""

_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD: Final = 16
_KINDS: Final = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}


class NotProxied(ValueError):
    """What the connection began with is no PROXY line."""


def read_proxy_line(data: bytes) -> tuple[int, str | None] | None:
    """Take the line off the beginning of a connection.

    Args:
        data: what has come so far.

    Returns:
        How many bytes it has, and the client's address, or None for the proxy's own connections (health checks). None
        when more bytes are needed.

    Raises:
        NotProxied: it is no PROXY line.
    """
    if data.startswith(_V1) or _V1.startswith(data):
        return _version_1(data)
    if data.startswith(_V2) or _V2.startswith(data):
        return _version_2(data)
    raise NotProxied("no PROXY line")


def _version_1(data: bytes) -> tuple[int, str | None] | None:
    end = data.find(b"\r\n", 0, 107)
    if end < 0:
        if len(data) >= 107:
            raise NotProxied("the PROXY line does not end")
        return None
    words = data[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return end + 2, None
    kind = _KINDS.get(words[1])
    if len(words) != 6 or kind is None:
        raise NotProxied("a PROXY line of another kind")
    try:
        return end + 2, plain_address(str(kind(words[2].decode("ascii"))))
    except ValueError as error:
        raise NotProxied(f"a PROXY line with {error}") from None


def _version_2(data: bytes) -> tuple[int, str | None] | None:
    if len(data) < _V2_HEAD:
        return None
    command, family = data[12], data[13] >> 4
    size = _V2_HEAD + int.from_bytes(data[14:16], "big")
    if command not in (0x20, 0x21) or size > MAX_BYTES:
        raise NotProxied("a PROXY header of another version, or too long")
    if len(data) < size:
        return None
    if command == 0x20:
        return size, None
    if family == 1 and size >= _V2_HEAD + 12:
        return size, str(IPv4Address(data[16:20]))
    if family == 2 and size >= _V2_HEAD + 36:
        return size, plain_address(str(IPv6Address(data[16:32])))
    return size, None


async def receive_proxy_line(sock: socket.socket) -> str | None:
    """Take the line off a connection that has just begun, and not a byte more.

    Args:
        sock: non-blocking.

    Raises:
        NotProxied: it begins otherwise, or ends.
        OSError: the connection is gone.
    """
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            data = sock.recv(MAX_BYTES, socket.MSG_PEEK)
        except BlockingIOError:  # The kernel may wake us for nothing.
            continue
        if not data:
            raise NotProxied("the connection ended in its PROXY line")
        found = read_proxy_line(data)
        if found is not None:
            size, address = found
            sock.recv(size)
            return address
        # Peeking leaves the socket readable, so nothing but time tells of the next byte; the caller has a deadline.
        await trio.sleep(PEEK_PAUSE_S)
