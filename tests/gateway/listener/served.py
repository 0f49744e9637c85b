"""A listener on a real port, and a client that sends what no client library would."""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import trio

from gateway.collect.listener.serve import CollectListener
from gateway.collect.reply import Pending, Reply, ok
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.listen import Listener
from tests.gateway.engines import plane_without_engine

LARGE_BYTES = 512 * 1024
"""Of an answer: more than the kernel takes for a connection whose other side does not read."""

TIMEOUT_S = 20
"""A test that takes longer hangs."""


class Receipt:
    """What a commit is waited for with; the test says when it is through, or why it never will be.

    Attributes:
        waiting: those that wait, in order of their requests.
    """

    waiting: ClassVar[list["Receipt"]] = []
    results = ()

    def __init__(self) -> None:
        self._callback: Callable[[Any], None] | None = None

    def when_durable(self, callback: Callable[[Any], None]) -> None:
        """As `engine.Receipt`."""
        self._callback = callback
        self.waiting.append(self)

    def end(self, error: Exception | None = None) -> None:
        """The commit is through, or has failed."""
        assert self._callback is not None
        self.waiting.remove(self)
        self._callback(error)


def echo(request: Request) -> Reply:
    """What was understood of a request."""
    parts = {"method": request.method, "path": request.path, "query": request.raw_query, "bytes": len(request.body)}
    return ok({**parts, "body": request.body.decode("latin-1")[:100], "client": request.client})


def large(request: Request) -> Reply:
    """More than the other side's buffers take."""
    return Reply(200, (("content-type", "text/plain"),), b"x" * LARGE_BYTES)


def empty(request: Request) -> Reply:
    """Nothing, which a status of its own says."""
    return Reply(204)


def committed(request: Request) -> Pending:
    """An answer that waits for its commit."""
    receipt: Any = Receipt()
    return Pending(receipt, lambda _: echo(request), 1)


async def slow(request: Request) -> Reply:
    """An answer that somebody works on."""
    await trio.sleep(0.02)
    return echo(request)


class Work:
    """What the work on answers waits for."""

    done = trio.Event()


async def worked(request: Request) -> Reply:
    """An answer that somebody works on until the test says that it is done."""
    await Work.done.wait()
    return echo(request)


def fail(request: Request) -> Reply:
    """A fault of ours."""
    raise RuntimeError("a fault of ours")


ROUTES = (
    *(Route(method, "/echo", echo, protocol="echo", is_public=True) for method in ("GET", "POST")),
    Route("GET", "/of/:name", echo, protocol="echo"),
    Route("GET", "/large", large, protocol="large"),
    Route("GET", "/empty", empty, protocol="empty"),
    Route("GET", "/slow", slow, protocol="slow"),
    Route("GET", "/worked", worked, protocol="worked"),
    Route("POST", "/committed", committed, protocol="committed"),
    Route("GET", "/fail", fail, protocol="fail"),
)


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """What `echo` understood."""
        return json.loads(self.body)["data"]

    @property
    def code(self) -> str:
        """Of a refusal."""
        return json.loads(self.body)["error_code"]


class Wire:
    """One connection to a server, seen from its client.

    Args:
        stream: connected.
    """

    def __init__(self, stream: trio.abc.HalfCloseableStream | trio.SSLStream) -> None:
        self.stream = stream
        self.rest = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        await self.stream.send_all(data)

    async def answer(self, method: str = "GET") -> Answer:
        """Read one answer, `100 Continue` included; that to `HEAD` has no body."""
        while b"\r\n\r\n" not in self.rest:
            more = await self.stream.receive_some()
            assert more, f"closed in the head: {self.rest!r}"
            self.rest += more
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        length = 0 if method == "HEAD" or status in (100, 204, 304) else int(headers["content-length"])
        while len(self.rest) < length:
            more = await self.stream.receive_some()
            assert more, f"closed in the body: {self.rest[:100]!r}"
            self.rest += more
        body, self.rest = self.rest[:length], self.rest[length:]
        return Answer(status, headers, body)

    async def end(self) -> bytes:
        """What still comes until the server ends the connection; nothing else may."""
        rest, self.rest = self.rest, b""
        try:
            while more := await self.stream.receive_some():
                rest += more
        except trio.BrokenResourceError:
            pass  # Reset: whoever sent behind the end.
        return rest


@dataclass
class Served:
    """A listener that serves."""

    port: int
    listener: CollectListener
    stopping: trio.Event
    done: trio.Event

    async def connect(self) -> Wire:
        """A new connection."""
        return Wire(await trio.open_tcp_stream("127.0.0.1", self.port))

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        """Send bytes on a new connection and read one answer."""
        async with await self.connect() as wire:
            await wire.send(data)
            return await wire.answer(method)

    def number(self, name: str) -> float:
        """One of the listener's statistics."""
        return self.listener.statistics().get(name, 0)

    async def until(self, name: str, value: float) -> None:
        """Wait until a number of the statistics is this."""
        while self.number(name) != value:  # noqa: ASYNC110 - nothing tells of a number
            await trio.sleep(0.005)

    @property
    def buffered_bytes(self) -> float:
        """What is on its way."""
        return self.number("connections_buffered_bytes")


@asynccontextmanager
async def listening(
    routes: Sequence[Route] = ROUTES,
    *,
    grace_s: float = 0.5,
    tls: ssl.SSLContext | None = None,
    plane: Any = None,
    **overrides: object,
) -> AsyncIterator[Served]:
    """A listener as long as the block lasts; nothing may be left of what it held.

    Args:
        routes: of a plane whose engine is nobody.
        grace_s: of the stop.
        tls: for TLS.
        plane: instead of one with `routes`.
        overrides: settings of [collect], by their names.
    """
    settings = {f"collect__{name}": value for name, value in overrides.items()}
    plane = plane or plane_without_engine(routes, **settings)
    listener = CollectListener(plane, plane._collect.settings.collect, tls)
    Receipt.waiting.clear()
    Work.done = trio.Event()
    at = Listener("127.0.0.1", 0)
    served = Served(int(at.url.rpartition(":")[2]), listener, trio.Event(), trio.Event())

    async def serve(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        await listener.serve([at.socket()], served.stopping, grace_s, task_status=task_status)
        served.done.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        try:
            with trio.fail_after(TIMEOUT_S):
                yield served
        finally:
            served.stopping.set()
    found = listener.statistics()
    assert (found["connections"], found["connections_buffered_bytes"]) == (0, 0), "something is still held"


def get(path: str, *headers: str) -> bytes:
    """A request without a body."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")


def post(path: str, body: bytes = b"", *headers: str) -> bytes:
    """A request with a body and its length."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(path: str, *chunks: bytes) -> bytes:
    """A request with a body in chunks."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(data), data) for data in (*chunks, b""))


async def until_waiting(number: int) -> None:
    """Wait until so many commits are waited for."""
    while len(Receipt.waiting) < number:  # noqa: ASYNC110 - nothing tells of it
        await trio.sleep(0.002)


async def send_until_broken(wire: Wire, data: bytes) -> None:
    """As much as is taken."""
    try:
        await wire.send(data)
    except trio.BrokenResourceError:
        return
