"""The stop of a listener: what was asked is answered, nobody who asks nothing is waited for."""

import pytest
import trio

from tests.gateway.listener.served import LARGE_BYTES, Receipt, Work, get, listening, post, until_waiting

pytestmark = pytest.mark.usefixtures("polled")


async def test_a_drain_answers_what_was_asked_and_says_that_it_ends():
    async with listening(grace_s=5) as served:
        waiting, working, half, idle, fresh = [await served.connect() for _ in range(5)]
        await waiting.send(post("/committed", b"1") + post("/committed", b"2"))
        await working.send(get("/worked"))
        data = post("/echo", b"abc")
        await half.send(data[:-1])
        await idle.send(get("/echo"))
        await idle.answer()
        await until_waiting(2)
        served.stopping.set()
        assert await idle.end() == await fresh.end() == b"", "nobody waits for them"
        await half.send(data[-1:])
        assert (await half.answer()).headers["connection"] == "close"
        Work.done.set()
        assert (await working.answer()).headers["connection"] == "close"
        Receipt.waiting[0].end()
        Receipt.waiting[0].end()
        assert "connection" not in (await waiting.answer()).headers
        assert (await waiting.answer()).headers["connection"] == "close"
        for wire in (waiting, working, half):
            assert await wire.end() == b""
        for wire in (waiting, working, half, idle, fresh):
            await wire.stream.aclose()
        with trio.fail_after(2):
            await served.done.wait()


async def test_a_drain_ends_a_connection_whose_last_answer_was_ready_before_its_turn():
    async with listening(grace_s=5) as served, await served.connect() as wire:
        await wire.send(post("/committed", b"1") + get("/echo"))
        await until_waiting(1)
        served.stopping.set()
        await trio.sleep(0.02)
        Receipt.waiting[0].end()
        assert [(await wire.answer()).status for _ in range(2)] == [200, 200]
        with trio.fail_after(2):
            assert await wire.end() == b""
        await wire.stream.aclose()
        with trio.fail_after(2):
            await served.done.wait()


async def test_a_drain_ends_a_connection_that_has_read_the_last_answer():
    async with listening(grace_s=5) as served, await served.connect() as wire:
        await wire.send(get("/large") * 20)
        await served.until("connections", 1)
        while not served.buffered_bytes:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.002)
        served.stopping.set()
        await trio.sleep(0.02)
        for _ in range(20):
            assert len((await wire.answer()).body) == LARGE_BYTES
        with trio.fail_after(2):
            assert await wire.end() == b""
        await wire.stream.aclose()
        with trio.fail_after(2):
            await served.done.wait()


async def test_a_drain_does_not_wait_longer_than_its_grace():
    async with listening(grace_s=0.1) as served:
        half, waiting, unread = [await served.connect() for _ in range(3)]
        await half.send(b"GET")
        await waiting.send(post("/committed", b"1"))
        await unread.send(get("/large") * 40)
        await until_waiting(1)
        served.stopping.set()
        with trio.fail_after(2):
            await served.done.wait()
        assert await waiting.end() == b"", "what was not acknowledged is not said to be"
        Receipt.waiting[0].end()
        for wire in (half, waiting, unread):
            await wire.stream.aclose()


async def test_a_request_that_came_before_the_drain_is_answered():
    async with listening(grace_s=5) as served, await served.connect() as wire:
        await wire.send(get("/echo"))
        await wire.answer()
        # In one step, so before the listener can look.
        wire.stream.socket._sock.send(get("/echo"))
        served.stopping.set()
        assert (await wire.answer()).status == 200
        assert await wire.end() == b""
