"""An answer that goes out before the request is in: it is read, the connection ends, and nothing stays behind."""

from typing import Any

import pytest
import quart
import trio
from quart_trio import QuartTrio
from trio.testing import wait_all_tasks_blocked

import gateway.linger
from gateway.linger import lingering
from tests.gateway.http import ask, chunk, read_answer, serving

CHUNK_BYTES = 64 * 1024
CHUNKS = 40
"""More than hypercorn queues for an application that does not read: its reader would wait for ever."""


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that never reads."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no", "more_body": False})
    else:
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})


def refuse_in_quart() -> QuartTrio:
    """A Quart application that finds out while it counts."""
    app = QuartTrio("test", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = CHUNK_BYTES

    @app.post("/")
    async def count() -> str:
        await quart.request.get_data()
        raise AssertionError("the body was taken")

    return app


@pytest.mark.parametrize("app", [refuse, refuse_in_quart()], ids=["raw", "quart"])
async def test_the_sender_reads_why_and_the_server_forgets_it(app: Any):
    async with serving(lingering(app)) as port:
        at_rest = await tasks_at_rest()
        for _ in range(3):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(CHUNKS):
                    await stream.send_all(chunk(CHUNK_BYTES))
                await stream.send_all(b"0\r\n\r\n")
                answer = await read_answer(stream)
                assert (answer.status, answer.headers["connection"]) == (413, "close")
                assert await stream.receive_some() == b"", "the connection must end"
        await until_tasks_are(at_rest)


@pytest.mark.parametrize("app", [refuse, refuse_in_quart()], ids=["raw", "quart"])
async def test_a_sender_that_never_ends_is_not_waited_for(app: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway.linger, "LINGER_S", 0.05)
    async with serving(lingering(app)) as port:
        at_rest = await tasks_at_rest()
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {CHUNK_BYTES * CHUNKS}\r\n\r\n"
        await stream.send_all(head.encode() + b"x" * 1000)
        assert (await read_answer(stream)).status == 413
        assert await stream.receive_some() == b""
        await stream.aclose()
        await until_tasks_are(at_rest)


async def test_a_request_without_body_keeps_its_connection():
    async with serving(lingering(refuse)) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        for _ in range(3):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await read_answer(stream)
            assert (answer.status, answer.headers.get("connection")) == (413, None)


def answer_in_quart() -> QuartTrio:
    """A Quart application that reads, waits a little, and answers."""
    app = QuartTrio("test", static_folder=None)

    @app.route("/", methods=["GET", "POST"])
    async def echo() -> bytes:
        body = await quart.request.get_data(as_text=False)
        await trio.sleep(0.02)
        return body

    return app


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], ids=["1.0", "close"]
)
async def test_a_connection_that_is_not_kept_ends_with_its_answer(head: bytes):
    async with serving(lingering(answer_in_quart()), timeout_s=5) as port:
        at_rest = await tasks_at_rest()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(head)
            assert (await read_answer(stream)).status == 200
            assert await stream.receive_some() == b"", "the connection must end"
        await until_tasks_are(at_rest)


@pytest.mark.parametrize(
    ("head", "body"),
    [(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b""), (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", b"hi")],
    ids=["get", "post"],
)
async def test_a_sender_that_only_listens_on_is_answered(head: bytes, body: bytes):
    async with serving(lingering(answer_in_quart()), timeout_s=5) as port:
        at_rest = await tasks_at_rest()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(head + body)
            await stream.send_eof()
            answer = await read_answer(stream)
            assert (answer.status, answer.body) == (200, body)
            assert await stream.receive_some() == b""
        await until_tasks_are(at_rest)


async def test_a_sender_that_hangs_up_at_the_answer_is_no_fault():
    """The server's reader closes the connection when it sees that, perhaps in the middle of the answer."""
    hung_up, told = trio.Event(), []

    async def receive() -> Any:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message["type"])
        hung_up.set()
        raise trio.BusyResourceError("another task is currently sending data on this SocketStream")

    scope: Any = {"type": "http", "http_version": "1.1", "headers": [(b"content-length", b"5")]}
    await lingering(refuse)(scope, receive, send)
    assert told == ["http.response.start"], "nothing is sent behind a piece that is missing"


async def test_websockets_and_lifespan_pass():
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        await refuse(scope, receive, send)

    async with serving(lingering(app)) as port:
        await ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert seen == ["lifespan", "http"]


async def tasks_at_rest() -> int:
    """How many tasks a server without connections has."""
    await wait_all_tasks_blocked()
    return trio.lowlevel.current_statistics().tasks_living


async def until_tasks_are(at_most: int) -> None:
    """Wait until the tasks of closed connections have gone."""
    with trio.fail_after(5):
        while trio.lowlevel.current_statistics().tasks_living > at_most:
            await trio.lowlevel.checkpoint()
