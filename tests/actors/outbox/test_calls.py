"""A call, as a receiver sees it, and as a bad receiver treats it."""

import base64
import hashlib
import hmac
from uuid import UUID

import pytest
import trio

from engine.actors.outbox.calls import MAX_READ_BYTES, USER_AGENT, Caller, open_client
from engine.definitions.declared.destinations import Destination
from tests.actors.outbox.server import response, serving

ID = UUID("11112222-3333-4444-5555-666677778888")
BODY = b'{"a":"\xc3\xa9"}'
NOW_MS = 1_700_000_000_123


def called(destination, path="", times=1):
    async def run():
        async with open_client(8) as client:
            caller = Caller(client, lambda: NOW_MS)
            return [await caller.post(destination, ID.bytes, path, BODY) for _ in range(times)]

    return run()


async def test_what_a_receiver_is_sent():
    async with serving() as server:
        destination = Destination(
            id="a",
            url=server.url + "/hook?key=1",
            secret="open sesame",
            headers={"Authorization": "Bearer x", "User-Agent": "mine"},
        )
        first, second = await called(destination, "/v1/x", times=2)
        assert (first.status, second.status) == (200, 200)
        one, two = server.received
    assert one.target == "/hook/v1/x?key=1"
    assert one.body == BODY
    assert one.headers["content-type"] == "application/json"
    assert one.headers["idempotency-key"] == one.headers["webhook-id"] == str(ID)
    assert (one.headers["authorization"], one.headers["user-agent"]) == ("Bearer x", "mine")
    assert two.headers == one.headers, "the same for all attempts"
    signed = b"%s.%s.%s" % (str(ID).encode(), one.headers["webhook-timestamp"].encode(), one.body)
    code = base64.b64encode(hmac.new(b"open sesame", signed, hashlib.sha256).digest()).decode()
    assert one.headers["webhook-signature"] == f"v1,{code}"
    assert one.headers["webhook-timestamp"] == "1700000000"
    assert server.connections == 1, "connections are kept"


async def test_without_a_secret_nothing_is_signed():
    async with serving() as server:
        await called(Destination(id="a", url=server.url))
        headers = server.received[0].headers
    assert not any(name.startswith("webhook-") for name in headers)
    assert headers["user-agent"] == USER_AGENT
    assert headers["idempotency-key"] == str(ID)


async def test_redirects_are_not_followed_and_cookies_not_kept():
    async with serving() as server:
        server.answer = lambda request: response(302, location=server.url + "/elsewhere", set_cookie="a=1; Path=/")
        answers = await called(Destination(id="a", url=server.url + "/hook"), times=2)
        assert [answer.status for answer in answers] == [302, 302]
        assert [one.target for one in server.received] == ["/hook", "/hook"]
        assert all("cookie" not in one.headers for one in server.received)


@pytest.mark.parametrize(
    ("sent", "status", "detail", "retry_after"),
    [
        (response(204, content_length=None), 204, "", ""),
        (response(422, b'{"error":"no such field"}'), 422, '{"error":"no such field"}', ""),
        (response(503, b"\xff later", retry_after=7), 503, "\ufffd later", "7"),
        (response(500, b"x" * 1000), 500, "x" * 300, ""),
        (response(200, b"not gzip", content_encoding="gzip"), 200, "not gzip", ""),
    ],
)
async def test_what_is_read_of_an_answer(sent, status, detail, retry_after):
    async with serving(lambda request: sent) as server:
        (answer,) = await called(Destination(id="a", url=server.url))
    assert (answer.status, answer.detail, answer.retry_after) == (status, detail, retry_after)


async def test_an_answer_without_end_is_cut():
    endless = response(200, b"y" * (4 * MAX_READ_BYTES), content_length=10**9)
    async with serving(lambda request: endless) as server:
        with trio.fail_after(10):
            (answer,) = await called(Destination(id="a", url=server.url, timeout_ms=600_000))
    assert (answer.status, len(answer.detail)) == (200, 300)


@pytest.mark.parametrize("sent", [None, b"HTTP/1.1 200 OK\r\n", response(200, b"half", content_length=8)])
async def test_who_does_not_answer_to_the_end_has_not_answered(sent):
    async with serving(lambda request: sent) as server:
        (answer,) = await called(Destination(id="a", url=server.url, timeout_ms=50))
    assert answer.status == 0
    assert "50 ms" in answer.detail


async def test_who_talks_nonsense_has_not_answered():
    async with serving(lambda request: b"220 smtp.example ESMTP\r\n\r\n") as server:
        (answer,) = await called(Destination(id="a", url=server.url))
    assert (answer.status, answer.detail.split(":")[0]) == (0, "RemoteProtocolError")


async def test_who_is_not_there_has_not_answered():
    async with serving() as server:
        url = server.url
    (answer,) = await called(Destination(id="a", url=url))
    assert (answer.status, answer.detail.split(":")[0]) == (0, "ConnectError")
    (answer,) = await called(Destination(id="a", url="http://no-such-host.invalid/"))
    assert (answer.status, str(answer)[:9]) == (0, "no answer")
