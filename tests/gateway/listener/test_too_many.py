"""Connections: too many of them, who they come from, and what the process does without files for them."""

import errno
import socket

import pytest
import trio

from gateway.collect.listener import serve
from gateway.listen import Listener
from tests.gateway.listener import served as served_module
from tests.gateway.listener.served import get, listening, post


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "code"),
    [("max_connections", "too_many_connections"), ("max_connections_per_address", "too_many_connections_of_address")],
)
async def test_one_connection_too_many_reads_why(setting: str, code: str):
    async with listening(**{setting: 2}) as served:
        wires = [await served.connect() for _ in range(2)]
        for wire in wires:
            await wire.send(get("/echo"))
            assert (await wire.answer()).status == 200
        async with await served.connect() as third:
            await trio.sleep(0.05)  # It is turned away before it has asked.
            data = post("/echo", b"x" * 1000)
            for piece in (data[:100], data[100:]):
                await third.send(piece)
                await trio.sleep(0.02)  # Had it been closed, the first piece would be its end.
            answer = await third.answer()
            assert (answer.status, answer.code, answer.headers["connection"]) == (503, code, "close")
            assert int(answer.headers["retry-after"]) >= 1
            assert await third.end() == b""
        assert served.number("connections_refused") == 1
        await wires.pop().stream.aclose()
        await served.until("connections", 1)
        assert (await served.ask(get("/echo"))).status == 200
        await wires.pop().stream.aclose()


@pytest.mark.slow
async def test_who_is_turned_away_is_not_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve, "MAX_TURNED_AWAY", 3)
    monkeypatch.setattr(serve, "TURNED_AWAY_S", 0.2)
    async with listening(max_connections=1) as served, await served.connect() as first:
        await first.send(get("/echo"))
        await first.answer()
        others = [await served.connect() for _ in range(10)]
        for other in others:
            assert (await other.answer()).status == 503
        assert len(served.listener._turned_away) <= 3
        while served.listener._turned_away:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)
        for other in others:
            await other.stream.aclose()


async def test_a_proxy_that_is_trusted_may_have_more():
    async with listening(max_connections_per_address=1, trusted_proxies=("127.0.0.0/8",)) as served:
        wires = [await served.connect() for _ in range(3)]
        for wire in wires:
            await wire.send(get("/echo", "X-Forwarded-For: 203.0.113.5"))
            assert (await wire.answer()).data["client"] == "203.0.113.5"
            await wire.stream.aclose()


async def test_a_strangers_word_on_its_address_is_not_taken():
    async with listening() as served:
        answer = await served.ask(get("/echo", "X-Forwarded-For: 203.0.113.5", "Forwarded: for=203.0.113.5"))
    assert answer.data["client"] == "127.0.0.1"


PROXIED = {"trusted_proxies": ("127.0.0.0/8",), "proxy_protocol": True}


async def test_a_proxy_line_says_who_it_is():
    async with listening(**PROXIED) as served:
        answer = await served.ask(
            b"PROXY TCP4 203.0.113.5 192.0.2.1 4711 80\r\n" + get("/echo", "X-Forwarded-For: 1.1.1.1")
        )
        assert answer.data["client"] == "203.0.113.5", "what the client says of itself does not count"
        answer = await served.ask(b"PROXY UNKNOWN\r\n" + get("/echo"))
        assert answer.data["client"] == "127.0.0.1"


@pytest.mark.parametrize("data", [get("/echo"), b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4", b""])
async def test_a_connection_without_its_proxy_line_is_closed(data: bytes):
    async with listening(head_timeout_s=0.1, **PROXIED) as served:
        async with await served.connect() as wire:
            if data:
                await wire.send(data)
            assert await wire.end() == b""
        assert served.number("connections_timed_out_handshake") == 1


async def test_no_more_files_is_waited_out(monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setattr(serve, "log", lambda message, *level, **more: lines.append(message))
    monkeypatch.setattr(serve, "NO_FILES_S", 0.01)
    left = 5

    class Scarce(socket.socket):
        """A listening socket of a process that may open no more files for a while."""

        def accept(self) -> tuple[socket.socket, object]:
            nonlocal left
            left -= 1
            if left > 0:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    class Address(Listener):
        """Where such a socket listens."""

        def socket(self) -> socket.socket:
            return Scarce(fileno=super().socket().detach())

    monkeypatch.setattr(served_module, "Listener", Address)
    async with listening() as served:
        assert (await served.ask(get("/echo"))).status == 200
    assert left <= 0
    assert lines == ["no connection can be accepted"], "once, not for each attempt"
