"""A plugin on a real port, for tests: it answers what the test says, and remembers what it was asked."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import httptools
import trio

Answering = Callable[[dict], "bytes | Awaitable[bytes]"]


def http(body: object, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(data)}", *headers, "", ""])
    return head.encode() + data


def echo(asked: dict) -> bytes:
    return http({"status": "ok", "data": asked["activity"]})


class FakePlugin:
    """Answers each request by `answer`.

    Attributes:
        url: where it listens.
        asked: bodies, in order; `open_now` and `most_open` count requests that are being answered.
        connections: how many there were.
    """

    def __init__(self, answer: Answering = echo) -> None:
        self.answer = answer
        self.url = ""
        self.asked: list[dict] = []
        self.heads: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.open_now = self.most_open = 0
        self.connections = 0

    async def handle(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        reading = _Reading()
        parser = httptools.HttpRequestParser(reading)
        try:
            async with stream:
                while data := await stream.receive_some(65536):
                    parser.feed_data(data)
                    if not reading.complete:
                        continue
                    asked = json.loads(reading.body)
                    self.asked.append(asked)
                    self.heads.append(dict(reading.headers))
                    self.paths.append(reading.path)
                    reading.__init__()
                    self.open_now += 1
                    self.most_open = max(self.most_open, self.open_now)
                    try:
                        found = self.answer(asked)
                        text = found if isinstance(found, bytes) else await found
                    finally:
                        self.open_now -= 1
                    if text:
                        await stream.send_all(text)
                    if not text or b"connection: close" in text.lower():
                        return
        except trio.BrokenResourceError:
            pass


class _Reading:
    def __init__(self) -> None:
        self.body, self.path, self.complete = b"", "", False
        self.headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self.path = url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


@asynccontextmanager
async def listening(plugin: FakePlugin) -> AsyncIterator[FakePlugin]:
    """Let it listen, on a free port."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, plugin.handle, 0, host="127.0.0.1"))
        plugin.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield plugin
        nursery.cancel_scope.cancel()
