"""Requests that are too large, bodies that are too many, and more requests at once than may wait."""

import pytest
import trio

from engine import Unavailable
from gateway.collect.reply import Reply
from gateway.collect.routes import Route
from tests.gateway.listener.served import Receipt, chunked, get, listening, post, send_until_broken, until_waiting

BODY_BYTES = 64 * 1024
"""The least that the settings allow."""

KERNEL_BYTES = 8 * 2**20
"""More than both ends' buffers of a connection on this machine take together."""

LIMITS = {"max_body_bytes": BODY_BYTES, "max_request_line_bytes": 1024, "max_header_bytes": 1024, "max_headers": 8}


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (get("/" + "x" * 1024), 414, "request_line_too_long"),
        (b"GET /" + b"x" * 100_000, 414, "request_line_too_long"),
        (get("/echo", "X: " + "x" * 1024), 431, "headers_too_large"),
        (get("/echo", *["X: x"] * 8), 431, "headers_too_large"),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000, 431, "headers_too_large"),
        (post("/echo", b"x" * (BODY_BYTES + 1))[:100], 413, "body_too_large"),
        (chunked("/echo", b"x" * BODY_BYTES, b"x"), 413, "body_too_large"),
    ],
)
async def test_what_is_too_large_is_said_to_be_and_nothing_more_is_read(data: bytes, status: int, code: str):
    async with listening(**LIMITS) as served, await served.connect() as wire:
        await send_until_broken(wire, data)
        answer = await wire.answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (status, code, "close")
        assert await wire.end() == b""


async def test_a_refusal_is_read_although_the_sender_goes_on():
    async with listening(**LIMITS) as served, await served.connect() as wire, trio.open_nursery() as nursery:
        data = post("/echo", b"x" * KERNEL_BYTES)
        nursery.start_soon(send_until_broken, wire, data)
        answer = await wire.answer()
        assert (answer.status, answer.code) == (413, "body_too_large")
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_who_goes_on_sending_behind_a_refusal_is_closed_in_the_end():
    async with listening(**LIMITS) as served, await served.connect() as wire:
        with trio.fail_after(5):
            try:
                await wire.send(b"nonsense\r\n\r\n")
                while True:
                    await wire.send(b"x" * 1000)
                    await trio.sleep(0.005)
            except trio.BrokenResourceError:
                pass
        assert served.number("connections_timed_out_linger") == 1


async def test_a_refusal_is_said_in_the_words_of_its_route_and_to_its_page():
    def words(error: BaseException) -> Reply:
        return Reply(413, (), b"too much")

    routes = (Route("POST", "/echo", lambda request: Reply(200), refusal=words, is_public=True),)
    async with listening(routes, cors_origins=("*",), **LIMITS) as served:
        answer = await served.ask(post("/echo", b"x" * (BODY_BYTES + 1), "Origin: https://a.example")[:130])
    assert (answer.status, answer.body) == (413, b"too much")
    assert answer.headers["access-control-allow-origin"] == "https://a.example"


async def test_bodies_on_their_way_are_bounded_together():
    async with listening(max_body_bytes=BODY_BYTES, max_buffered_bytes=2 * BODY_BYTES) as served:
        half = post("/echo", b"x" * BODY_BYTES)
        wires = [await served.connect() for _ in range(3)]
        for wire in wires[:2]:
            await wire.send(half[:-1])
        await served.until("connections_buffered_bytes", 2 * BODY_BYTES - 2)
        await wires[2].send(half)
        answer = await wires[2].answer()
        assert (answer.status, answer.code) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert served.number("connections_buffer_refusals") == 1
        for wire in wires[:2]:
            await wire.send(b"x")
            assert (await wire.answer()).data["bytes"] == BODY_BYTES
        assert served.buffered_bytes == 0
        for wire in wires:
            await wire.stream.aclose()


async def test_more_requests_than_may_wait_are_read_when_there_is_room():
    async with listening(max_pipelined=3) as served, await served.connect() as wire:
        await wire.send(b"".join(post("/committed", b"%d" % number) for number in range(10)))
        for number in range(10):
            await until_waiting(1)
            assert len(Receipt.waiting) <= 3
            Receipt.waiting[0].end()
            assert (await wire.answer()).data["body"] == str(number)


async def test_pipelined_requests_are_answered_in_order_whatever_is_ready_first():
    async with listening() as served, await served.connect() as wire:
        await wire.send(
            post("/committed", b"1") + get("/slow") + get("/echo") + post("/committed", b"2") + get("/empty")
        )
        await until_waiting(2)
        Receipt.waiting[1].end(Unavailable("full"))
        await trio.sleep(0.05)
        Receipt.waiting[0].end()
        found = [await wire.answer() for _ in range(5)]
    assert [answer.status for answer in found] == [200, 200, 200, 503, 204]
    assert int(found[3].headers["retry-after"]) >= 1
    assert [answer.data["path"] for answer in found[:3]] == ["/committed", "/slow", "/echo"]
