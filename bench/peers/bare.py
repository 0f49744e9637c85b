"""The least that a Python server can do for an event: read HTTP, parse the JSON, say 200. Nothing is kept.

What a server on Trio and httptools can reach on a machine, and so the yardstick for what the rest of ours costs. One
task a connection, TCP_NODELAY, the answer made beforehand, the garbage collector tuned like ours. By default a task
waits with `trio.lowlevel.wait_readable` and reads the socket itself: one pass of the scheduler a request.
`--style socket` uses `trio.socket`, `--style stream` `trio.SocketStream`: the same with more checkpoints, some 14 and
27 percent slower. The fastest of the three is the yardstick, so that the ratio flatters nobody.

It is no server for the world: no limits, no timeouts, no errors.
"""

import argparse
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import httptools
import msgspec
import trio

from bench.machine import tune_gc
from bench.peers.port import bound, tell

BODY: Final = b'{"status":"ok"}'
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)  # fmt: skip
_CHUNK: Final = 1 << 16

Serve = Callable[[socket.socket], Awaitable[None]]


class Requests:
    """What the parser calls. `answers` takes bytes in and gives the answers to what they completed."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._complete = 0
        self._feed = httptools.HttpRequestParser(self).feed_data

    def on_message_begin(self) -> None:
        self._parts.clear()

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        msgspec.json.decode(b"".join(self._parts))
        self._complete += 1

    def answers(self, data: bytes) -> bytes:
        """The answers to the requests that end in `data`."""
        self._feed(data)
        complete, self._complete = self._complete, 0
        return ANSWER * complete


async def serve_readable(connection: socket.socket) -> None:
    """Wait until there is something, read it, answer."""
    answers, wait = Requests().answers, trio.lowlevel.wait_readable
    with connection:
        while True:
            await wait(connection)
            if not (data := connection.recv(_CHUNK)):
                return
            if answer := answers(data):
                connection.send(answer)  # A hundred bytes to somebody who waits for them: there is room.


async def serve_socket(connection: socket.socket) -> None:
    """The same with `trio.socket`."""
    answers, ours = Requests().answers, trio.socket.from_stdlib_socket(connection)
    with ours:
        while data := await ours.recv(_CHUNK):
            if answer := answers(data):
                await ours.send(answer)


async def serve_stream(connection: socket.socket) -> None:
    """The same with `trio.SocketStream`."""
    answers, stream = Requests().answers, trio.SocketStream(trio.socket.from_stdlib_socket(connection))
    async with stream:
        while data := await stream.receive_some(_CHUNK):
            if answer := answers(bytes(data)):
                await stream.send_all(answer)


STYLES: Final[dict[str, Serve]] = {"readable": serve_readable, "socket": serve_socket, "stream": serve_stream}


async def run(serve: Serve) -> None:
    """Serve until the process is ended."""
    listener = bound()
    listener.setblocking(False)
    tune_gc()
    tell(listener)
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(listener)
            connection, _ = listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            nursery.start_soon(_until_gone, serve, connection)


async def _until_gone(serve: Serve, connection: socket.socket) -> None:
    try:
        await serve(connection)
    except (ConnectionError, trio.BrokenResourceError):
        return


def main() -> None:
    """Serve in the style asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers.bare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--style", choices=tuple(STYLES), default="readable", help="how a task reads (readable)")
    serve = STYLES[parser.parse_args().style]
    # Asked to end, it ends well: there is nothing to save.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    trio.run(run, serve)


if __name__ == "__main__":
    main()
