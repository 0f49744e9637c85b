"""Requests on real sockets: each is understood, however it is sent, and answered in its turn."""

import pytest

from tests.gateway.listener.served import LARGE_BYTES, Receipt, chunked, get, listening, post, until_waiting

BODY_BYTES = 64 * 1024
"""The least that the settings allow."""

pytestmark = pytest.mark.usefixtures("polled")


async def test_a_body_arrives_whole_however_it_is_sent():
    async with listening(max_body_bytes=BODY_BYTES) as served, await served.connect() as wire:
        for size in (0, 1, BODY_BYTES):
            await wire.send(post("/echo", b"x" * size))
            assert (await wire.answer()).data["bytes"] == size
        await wire.send(chunked("/echo", *[b"x" * 1000] * 10))
        assert (await wire.answer()).data["bytes"] == 10_000
        for byte in post("/echo", b"one by one"):
            await wire.send(bytes([byte]))
        assert (await wire.answer()).data["body"] == "one by one"
        assert served.buffered_bytes == 0


async def test_what_a_handler_sees():
    async with listening() as served:
        answer = await served.ask(get("/of/a%2Fb?c=d"))
    assert answer.data == {
        **{"method": "GET", "path": "/of/a%2Fb", "query": "c=d"},
        **{"bytes": 0, "body": "", "client": "127.0.0.1"},
    }


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /nowhere", 404),
        ("PUT /echo", 405),
        ("GET /fail", 500),
        ("GET /" + "x" * 8000, 404),
        ("OPTIONS /echo", 204),
    ],
)
async def test_every_error_has_its_envelope_and_the_connection_stays(request_line: str, status: int):
    async with listening() as served, await served.connect() as wire:
        for _ in range(2):
            await wire.send(f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = await wire.answer()
            assert answer.status == status
            assert "connection" not in answer.headers
            if status >= 400:
                assert answer.code


async def test_head_is_answered_as_get_is_without_the_body():
    async with listening() as served, await served.connect() as wire:
        await wire.send(get("/large").replace(b"GET", b"HEAD") + get("/echo"))
        answer = await wire.answer("HEAD")
        assert (answer.status, answer.headers["content-length"]) == (200, str(LARGE_BYTES))
        assert (await wire.answer()).status == 200


async def test_http_1_0_is_told_whether_the_connection_stays():
    async with listening() as served, await served.connect() as wire:
        for _ in range(2):
            await wire.send(b"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (await wire.answer()).headers["connection"] == "keep-alive"
        await wire.send(b"GET /echo HTTP/1.0\r\n\r\n")
        assert (await wire.answer()).headers["connection"] == "close"
        assert await wire.end() == b""


async def test_100_continue_comes_in_its_turn():
    async with listening() as served, await served.connect() as wire:
        expecting = post("/echo", b"abc", "Expect: 100-continue")
        await wire.send(get("/slow") + expecting[:-3])
        assert (await wire.answer()).data["path"] == "/slow"
        assert (await wire.answer()).status == 100
        await wire.send(b"abc" + expecting)
        assert [(await wire.answer()).data["body"] for _ in range(2)] == ["abc", "abc"]
        await wire.send(post("/echo", b"", "Expect: 100-continue"))
        assert (await wire.answer()).status == 200, "nothing is waited for"


async def test_a_sender_that_only_listens_on_is_answered():
    async with listening() as served:
        for data in (get("/slow"), post("/committed", b"abc"), get("/large")):
            async with await served.connect() as wire:
                await wire.send(data)
                await wire.stream.send_eof()
                if data.startswith(b"POST"):
                    await until_waiting(1)
                    Receipt.waiting[0].end()
                assert (await wire.answer()).status == 200
                assert await wire.end() == b""
