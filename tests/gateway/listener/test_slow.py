"""Clients that are slow: half a request, a request that dribbles, nothing at all, answers that are not read."""

import pytest
import trio

from gateway.collect.listener.connection import MAX_UNWRITTEN_BYTES
from tests.gateway.listener.served import (
    LARGE_BYTES,
    Receipt,
    Wire,
    chunked,
    get,
    listening,
    post,
    send_until_broken,
    until_waiting,
)

KERNEL_BYTES = 8 * 2**20
"""More than both ends' buffers of a connection on this machine take together."""


async def dribble(wire: Wire, data: bytes) -> None:
    """One byte from time to time, until nobody takes it."""
    for byte in data:
        try:
            await wire.send(bytes([byte]))
        except trio.BrokenResourceError:
            return
        await trio.sleep(0.02)


@pytest.mark.parametrize(
    "half",
    [b"G", b"GET /echo HTT", get("/echo")[:-2], get("/echo")[:-1], post("/echo", b"x")[:-1], chunked("/echo")[:-1]],
)
async def test_half_a_request_is_not_waited_for(half: bytes):
    async with listening(head_timeout_s=0.1, body_timeout_s=0.1) as served, await served.connect() as wire:
        await wire.send(half)
        answer = await wire.answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (408, "request_timeout", "close")
        assert await wire.end() == b""
        kind = "head" if answer.body.count(b"the request") else "body"
        assert served.number(f"connections_timed_out_{kind}") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "rest"), [(b"", get("/echo", "X: " + "x" * 500)), (post("/echo", b"x" * 500)[:-500], b"x" * 500)]
)
async def test_a_request_that_dribbles_has_one_deadline(start: bytes, rest: bytes):
    async with (
        listening(head_timeout_s=0.2, body_timeout_s=0.2) as served,
        await served.connect() as wire,
        trio.open_nursery() as nursery,
    ):
        await wire.send(start)
        nursery.start_soon(dribble, wire, rest)
        assert (await wire.answer()).status == 408
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_refused_request_behind_one_that_waits_is_refused_once_and_in_its_turn():
    async with listening(head_timeout_s=0.1) as served, await served.connect() as wire:
        await wire.send(post("/committed", b"1") + b"GET /echo HT")
        await until_waiting(1)
        await trio.sleep(0.3)
        assert served.number("connections_timed_out_head") == 0, "who waits for an answer is not timed"
        Receipt.waiting[0].end()
        assert (await wire.answer()).status == 200
        assert (await wire.answer()).status == 408
        assert await wire.end() == b""


@pytest.mark.parametrize("data", [b"", get("/echo"), b"\r\n\r\n"])
async def test_a_connection_that_says_nothing_is_closed_without_a_word(data: bytes):
    async with listening(idle_timeout_s=0.1, head_timeout_s=5) as served, await served.connect() as wire:
        if data:
            await wire.send(data)
        if data.startswith(b"GET"):
            assert (await wire.answer()).status == 200
        assert await wire.end() == b""
        await served.until("connections", 0)
        assert served.number("connections_timed_out_idle") == 1


@pytest.mark.slow
async def test_a_request_keeps_an_idle_connection():
    async with listening(idle_timeout_s=0.2) as served, await served.connect() as wire:
        for _ in range(6):
            await wire.send(get("/echo"))
            assert (await wire.answer()).status == 200
            await trio.sleep(0.1)


@pytest.mark.slow
async def test_who_does_not_read_is_given_up_and_what_is_kept_is_bounded():
    number = 2000
    async with listening(write_timeout_s=0.3, max_pipelined=4) as served, await served.connect() as wire:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_until_broken, wire, get("/large") * number)
            with trio.move_on_after(0.2):
                while True:
                    assert served.buffered_bytes <= MAX_UNWRITTEN_BYTES + 4 * (LARGE_BYTES + 1000)
                    await trio.sleep(0.005)
            await served.until("connections", 0)
            nursery.cancel_scope.cancel()
        assert served.number("connections_timed_out_write") == 1
        assert served.buffered_bytes == 0
        assert len(await wire.end()) < KERNEL_BYTES + 4 * LARGE_BYTES


@pytest.mark.slow
async def test_a_slow_reader_gets_everything():
    async with listening(write_timeout_s=5) as served, await served.connect() as wire:
        await wire.send(get("/large") * 20 + get("/echo"))
        await trio.sleep(0.1)
        for _ in range(20):
            assert len((await wire.answer()).body) == LARGE_BYTES
        assert (await wire.answer()).data["path"] == "/echo"
