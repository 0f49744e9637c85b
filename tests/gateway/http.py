"""An application on a real port, and a minimal HTTP client for what no client library would send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import trio
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework

from gateway.listen import Listener


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


async def read_answer(stream: trio.abc.ReceiveStream) -> Answer:
    """Read one answer with a content-length; the stream may stay open."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        assert more, f"closed in the head: {data!r}"
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        more = await stream.receive_some()
        assert more, f"closed in the body: {body!r}"
        body += more
    return Answer(int(first.split(" ")[1]), headers, body)


@asynccontextmanager
async def serving(app: ASGIFramework, *, grace_s: float = 0.1, timeout_s: float = 20) -> AsyncIterator[int]:
    """The port on which an application is served as long as the block lasts."""
    listener = Listener("127.0.0.1", 0)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, app, listener.config(grace_s), shutdown_trigger=stop.wait))
        try:
            with trio.fail_after(timeout_s):
                yield int(listener.url.rpartition(":")[2])
        finally:
            stop.set()


async def ask(port: int, data: bytes) -> Answer:
    """Send bytes on a new connection and read one answer."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        return await read_answer(stream)


def chunk(size: int) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (size, b"x" * size)
