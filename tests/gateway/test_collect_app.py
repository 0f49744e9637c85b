"""The collect plane on a real socket: bodies too large, too slow or never finished, and who hangs up."""

import json
from contextlib import AbstractAsyncContextManager

import pytest
import trio

import gateway.listen
from gateway.collect.app import collect_app
from gateway.collect.reply import Reply, ok
from gateway.collect.request import Request
from gateway.collect.routes import Route
from tests.gateway.engines import plane_without_engine
from tests.gateway.http import ask, chunk, read_answer, serving

MAX_BYTES = 64 * 1024


def echo(request: Request) -> Reply:
    return ok({"bytes": len(request.body), "params": dict(request.params), "client": request.client})


def fail(request: Request) -> Reply:
    raise RuntimeError("a fault of ours")


ROUTES = (Route("POST", "/echo", echo), Route("GET", "/of/:name", echo), Route("GET", "/fail", fail))


def plane(*, body_timeout_s: float = 5.0) -> AbstractAsyncContextManager[int]:
    """The port of a collect plane whose engine is nobody."""
    return serving(collect_app(plane_without_engine(ROUTES), max_body_bytes=MAX_BYTES, body_timeout_s=body_timeout_s))


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_a_body_arrives_whole_and_the_connection_stays():
    async with plane() as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        for size in (0, 1, MAX_BYTES):
            await stream.send_all(post("/echo", b"x" * size))
            answer = await read_answer(stream)
            assert (answer.status, json.loads(answer.body)["data"]["bytes"]) == (200, size)


async def test_an_encoded_slash_stays_in_its_segment_and_the_peer_is_known():
    async with plane() as port:
        answer = await ask(port, b"GET /of/a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n")
    assert json.loads(answer.body)["data"] == {"bytes": 0, "params": {"name": "a/b"}, "client": "127.0.0.1"}


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET /nowhere", 404), ("PUT /echo", 405), ("GET /echo", 405), ("GET /fail", 500), ("GET /" + "x" * 8000, 404)],
)
async def test_every_error_has_its_envelope(request_line: str, status: int):
    async with plane() as port:
        answer = await ask(port, f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.status == status
    assert set(json.loads(answer.body)) == {"status", "error", "error_id", "error_code"}


async def test_a_body_announced_too_large_is_refused_before_it_is_sent():
    async with plane() as port:
        answer = await ask(port, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
    assert (answer.status, json.loads(answer.body)["error_code"]) == (413, "body_too_large")


async def test_a_body_counted_too_large_is_refused():
    data = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + 2 * chunk(0x10000)
    async with plane() as port:
        answer = await ask(port, data)
    assert (answer.status, json.loads(answer.body)["error_code"]) == (413, "body_too_large")


async def test_a_body_that_comes_too_slowly_is_given_up():
    async with plane(body_timeout_s=0.1) as port:
        answer = await ask(port, post("/echo", b"x" * 100)[:-1])
        assert (answer.status, json.loads(answer.body)["error_code"]) == (408, "request_timeout")
        assert (await ask(port, post("/echo", b"x"))).status == 200


async def test_a_body_that_drips_has_one_deadline():
    async def drip(stream: trio.SocketStream) -> None:
        await stream.send_all(post("/echo", b"x" * 1000)[:-1000])
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.02)

    async with (
        plane(body_timeout_s=0.2) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(drip, stream)
        assert (await read_answer(stream)).status == 408
        nursery.cancel_scope.cancel()


async def test_a_sender_that_hangs_up_in_its_body_harms_nobody():
    async with plane() as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(post("/echo", b"x" * 100)[:-50])
        assert (await ask(port, post("/echo", b"x"))).status == 200


async def test_half_a_header_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway.listen, "KEEP_ALIVE_S", 0.1)
    async with plane() as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert await stream.receive_some() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000,
    ],
)
async def test_what_is_no_http_is_answered_400(data: bytes):
    async with plane() as port:
        assert 400 <= (await ask(port, data)).status < 500
