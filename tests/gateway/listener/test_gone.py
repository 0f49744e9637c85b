"""Clients that hang up in the middle, and faults of ours: nobody else notices."""

import socket
import struct

import pytest
import trio

from engine import Unavailable
from gateway.collect.listener import connection, poller, serve
from tests.gateway.listener.served import Receipt, Wire, get, listening, post, until_waiting

pytestmark = pytest.mark.usefixtures("polled")


def reset(wire: Wire) -> None:
    """Close so that the other side hears of a reset."""
    wire.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.stream.socket.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "data", [b"", b"GET", post("/echo", b"x" * 100)[:-50], post("/committed", b"x"), get("/slow"), get("/large") * 40]
)
async def test_a_sender_that_is_gone_harms_nobody(data: bytes):
    async with listening() as served:
        for _ in range(3):
            wire = await served.connect()
            if data:
                await wire.send(data)
            if b"committed" in data:
                await until_waiting(1)
            await trio.sleep(0.01)
            reset(wire)
            while Receipt.waiting:
                Receipt.waiting[0].end()
        await served.until("connections", 0)
        assert served.buffered_bytes == 0
        assert (await served.ask(get("/echo"))).status == 200


async def test_a_commit_that_comes_when_its_sender_is_gone_harms_nobody():
    async with listening() as served:
        for error in (None, Unavailable("full")):
            wire = await served.connect()
            await wire.send(post("/committed", b"x"))
            await until_waiting(1)
            reset(wire)
            await served.until("connections", 0)
            Receipt.waiting[0].end(error)
        assert (await served.ask(get("/echo"))).status == 200


async def test_a_fault_of_ours_ends_one_connection_only(monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    for module in (serve, poller):
        monkeypatch.setattr(module, "log", lambda message, *level, **more: lines.append(message))
    async with listening() as served:
        with monkeypatch.context() as fault:
            fault.setattr(connection.Connection, "_answer", None)
            async with await served.connect() as wire:
                await wire.send(get("/echo"))
                assert await wire.end() == b""
        assert (await served.ask(get("/echo"))).status == 200
    assert lines == ["a connection failed"]
