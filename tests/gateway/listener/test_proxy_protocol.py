"""The PROXY line before a connection: read however it is cut, and not a byte more; anything else is refused."""

import socket
from ipaddress import ip_address

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.listener.proxy_protocol import MAX_BYTES, NotProxied, read_proxy_line, receive_proxy_line

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def version_2(client: str, *, command: int = 1, more: bytes = b"", kind: int | None = None) -> bytes:
    """A binary header."""
    address = ip_address(client)
    family = {4: 0x11, 6: 0x21}[address.version] if kind is None else kind
    ours = ip_address("::1" if address.version == 6 else "192.0.2.1")
    block = address.packed + ours.packed + b"\x12\x34\x00\x50" + more
    return SIGNATURE + bytes([0x20 | command, family]) + len(block).to_bytes(2, "big") + block


LINES = {
    "tcp4": (b"PROXY TCP4 203.0.113.5 192.0.2.1 4711 80\r\n", "203.0.113.5"),
    "tcp6": (b"PROXY TCP6 2001:db8::5 ::1 4711 80\r\n", "2001:db8::5"),
    "mapped": (b"PROXY TCP6 ::ffff:203.0.113.5 ::1 4711 80\r\n", "203.0.113.5"),
    "unknown": (b"PROXY UNKNOWN\r\n", None),
    "unknown with more": (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    "binary, IPv4": (version_2("203.0.113.5"), "203.0.113.5"),
    "binary, IPv6": (version_2("2001:db8::5"), "2001:db8::5"),
    "binary, mapped": (version_2("::ffff:203.0.113.5"), "203.0.113.5"),
    "binary with extensions": (version_2("203.0.113.5", more=b"\x04\x00\x03abc"), "203.0.113.5"),
    "binary, the proxy's own": (version_2("203.0.113.5", command=0), None),
    "binary, a socket file": (SIGNATURE + b"\x21\x31\x00\xd8" + b"x" * 216, None),
    "binary, nothing": (SIGNATURE + b"\x21\x00\x00\x00", None),
    "binary, IPv4 that is too short": (SIGNATURE + b"\x21\x11\x00\x04abcd", None),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_is_read_when_it_is_whole_and_not_before(name: str):
    line, client = LINES[name]
    for end in range(len(line)):
        assert read_proxy_line(line[:end]) is None
    assert read_proxy_line(line) == (len(line), client)
    assert read_proxy_line(line + b"GET / HTTP/1.1\r\n") == (len(line), client)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY  TCP4 203.0.113.5 192.0.2.1 4711 80\r\n",
        b"PROXY TCP4 203.0.113.5 192.0.2.1 4711\r\n",
        b"PROXY TCP4 203.0.113.5 192.0.2.1 4711 80 90\r\n",
        b"PROXY TCP4 2001:db8::5 ::1 4711 80\r\n",
        b"PROXY TCP6 203.0.113.5 192.0.2.1 4711 80\r\n",
        b"PROXY TCP4 example.org 192.0.2.1 4711 80\r\n",
        b"PROXY TCP4 \xff 192.0.2.1 4711 80\r\n",
        b"PROXY UDP4 203.0.113.5 192.0.2.1 4711 80\r\n",
        b"PROXY \r\n",
        b"PROXY " + b"x" * 101,
        b"\r\n\r\n\x00\r\nQUIP",
        SIGNATURE + b"\x11\x11\x00\x00",
        SIGNATURE + b"\x22\x11\x00\x00",
        SIGNATURE + b"\x21\x11\xff\xff",
        b"\x16\x03\x01",
    ],
)
def test_what_is_no_line_is_refused(data: bytes):
    with pytest.raises(NotProxied):
        read_proxy_line(data)


@given(st.builds(bytes.__add__, st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE]), st.binary(max_size=60)))
def test_nothing_else_is_an_error_and_cuts_change_nothing(data: bytes):
    found = read(data)
    for end in range(len(data)):
        # Where a beginning decides, it decides as the whole does.
        before = read(data[:end])
        assert before is None or before == found


def read(data: bytes) -> tuple[int, str | None] | str | None:
    """What is read, or that it is refused."""
    try:
        return read_proxy_line(data)
    except NotProxied:
        return "refused"


@pytest.mark.parametrize("name", ["tcp4", "binary, IPv6"])
async def test_what_stands_behind_the_line_stays(name: str):
    line, client = LINES[name]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        found: list[str | None] = []

        async def receive() -> None:
            found.append(await receive_proxy_line(ours))

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                for piece in (line[:3], line[3:9], line[9:] + b"GET"):
                    await trio.testing.wait_all_tasks_blocked()
                    theirs.send(piece)
        assert found == [client]
        assert ours.recv(100) == b"GET"


async def test_a_connection_that_ends_in_its_line_is_refused():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(NotProxied):
            await receive_proxy_line(ours)


def test_the_longest_line_is_peeked_at_whole():
    assert len(version_2("2001:db8::5", more=b"x" * (MAX_BYTES - 52))) == MAX_BYTES
    with pytest.raises(NotProxied):
        read_proxy_line(version_2("2001:db8::5", more=b"x" * (MAX_BYTES - 51)))
