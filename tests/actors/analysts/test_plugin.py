"""The HTTP protocol (mediarithmics 6.4) over real sockets: what is sent, what is understood, what is tried again."""

import ssl
from functools import partial

import pytest
import trio
import trustme

from engine.actors.analysts import http_client, plugin
from engine.actors.analysts.calls import CallFailed
from engine.actors.analysts.http_client import HttpClient, Unreachable
from engine.actors.analysts.plugin import Plugin
from engine.settings import AnalyzersSettings
from tests.actors.analysts.asking import plugin_of, question, told
from tests.actors.analysts.plugins import FakePlugin, echo, http, listening

OK = http({"status": "ok", "data": {"$events": []}})
SETTINGS = AnalyzersSettings()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(plugin, "FIRST_PAUSE_S", 0.001)


async def asked(fake, settings=SETTINGS, **fields):
    """One call of a plugin; its answer, or its failure."""
    async with listening(fake):
        analyzer = plugin_of(fake.url, **fields)
        caller = Plugin(analyzer, settings)
        try:
            return await caller.call(question(analyzer, own=1))
        except CallFailed as error:
            return str(error)
        finally:
            await caller.aclose()


def in_turn(*answers):
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


async def test_what_is_sent():
    fake = FakePlugin()
    answer = await asked(fake)
    assert answer.outcome == "ok"
    assert told(answer)["own"] == 1
    (body,) = fake.asked
    assert list(body) == ["activity_analyzer_id", "datamart_id", "channel_id", "activity"]
    assert (body["activity_analyzer_id"], body["datamart_id"], body["channel_id"]) == ("7", "1", "site")
    assert fake.paths == ["/v1/activity_analysis"]
    assert fake.heads[0]["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http({"status": "ok"}), "the answer is `ok` without `data`"),
        (http({"status": "ok", "data": None}), "the answer is `ok` without `data`"),
        (http({"status": "error"}), "the answer's status is 'error'"),
        (http({}), "the answer's status is ''"),
        (http(b"<html>"), "cannot be read"),
        (http(b"[1]"), "cannot be read"),
        (http({"error": "Missing request body"}, "500 Internal Server Error"), 'HTTP 500: {"error": "Missing request'),
        (http(b"", "404 Not Found"), "HTTP 404"),
        (http(b"", "302 Found", "location: http://elsewhere/"), "HTTP 302"),
        (http({"status": "ok", "data": {}}, "201 Created"), "HTTP 201"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "headers are longer"),
        (http(b"x" * 70_000), "the answer is longer than 65536 bytes"),
    ],
)
async def test_what_is_a_failure_and_not_tried_again(answer, reason):
    fake = FakePlugin(lambda asked: answer)
    assert reason in await asked(fake, AnalyzersSettings(max_answer_bytes=65536))
    assert len(fake.asked) == 1


async def test_drop():
    assert (await asked(FakePlugin(lambda asked: http({"status": "drop"})))).outcome == "drop"


@pytest.mark.parametrize(
    "refusal",
    [
        http({"status": "RETRY", "message": "I'm busy right now, sorry."}, "429 Too Many Requests"),
        http(b"", "503 Service Unavailable"),
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{",
    ],
    ids=["429", "503", "the connection is closed", "it breaks in the middle"],
)
async def test_what_is_tried_again_three_times(refusal):
    fake = FakePlugin(in_turn(refusal, refusal, refusal, OK))
    assert (await asked(fake)).outcome == "ok"
    assert len(fake.asked) == 4
    fake = FakePlugin(lambda asked: refusal)
    assert "4 times" in await asked(fake)
    assert len(fake.asked) == 4


async def test_nobody_listens():
    caller = Plugin(analyzer := plugin_of("http://127.0.0.1:1"), SETTINGS)
    with pytest.raises(CallFailed, match=r"no connection to 127\.0\.0\.1:1: .*Connection refused, 4 times"):
        await caller.call(question(analyzer))
    assert caller.gauges()["retries"] == 3


async def test_who_does_not_answer_in_time_is_not_asked_again():
    async def never(asked):
        await trio.sleep_forever()

    fake = FakePlugin(never)
    assert await asked(fake, timeout_ms=20) == "no answer within 20 ms"
    assert len(fake.asked) == 1


def test_pauses_grow_and_a_retry_after_is_obeyed_within_its_bound():
    caller = Plugin(plugin_of("http://plugin"), AnalyzersSettings(max_retry_after_s=5.0))
    plugin.FIRST_PAUSE_S = 0.1
    for number in range(3):
        pauses = [caller._pause_s(number, "") for _ in range(200)]
        assert 0.05 * 2**number <= min(pauses) < max(pauses) <= 0.15 * 2**number
    assert caller._pause_s(0, "2") == 2
    assert caller._pause_s(0, "86400") == 5
    assert caller._pause_s(0, "Wed, 21 Oct 2015 07:28:00 GMT") < 1
    assert caller._pause_s(0, "9" * 5000) < 1


class TestConnections:
    async def test_one_is_used_again(self):
        fake = FakePlugin()
        async with listening(fake):
            client = HttpClient(fake.url, 10_000)
            for _ in range(5):
                await client.post(b'{"activity":{}}')
            assert (fake.connections, client.connects, client.idle) == (1, 1, 1)
            await client.aclose()

    async def test_what_was_closed_while_idle_is_no_failure(self):
        fake = FakePlugin(lambda asked: echo(asked).replace(b"\r\n\r\n", b"\r\nx: y\r\n\r\n"))
        async with listening(fake):
            client = HttpClient(fake.url, 10_000)
            await client.post(b'{"activity":{}}')
            for _, connection in client._idle:
                connection.stream.socket.shutdown(1)
            assert (await client.post(b'{"activity":{}}')).status == 200
            assert client.connects == 2
            await client.aclose()

    async def test_what_is_old_is_not_used_again(self, monkeypatch):
        monkeypatch.setattr(http_client, "KEPT_S", 0.0)
        fake = FakePlugin()
        async with listening(fake):
            client = HttpClient(fake.url, 10_000)
            await client.post(b'{"activity":{}}')
            await client.post(b'{"activity":{}}')
            assert client.connects == 2
            await client.aclose()

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nwhole",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nwho\r\n2\r\nle\r\n0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole",
        ],
        ids=["until the end", "in chunks", "after 100 Continue"],
    )
    async def test_each_way_to_say_how_long_an_answer_is(self, answer):
        async with listening(FakePlugin(lambda asked: answer)) as fake:
            client = HttpClient(fake.url, 10_000)
            response = await client.post(b'{"activity":{}}')
            assert (response.status, response.body) == (200, b"whole")
            await client.aclose()

    async def test_https(self):
        authority = trustme.CA()
        theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        authority.issue_cert("localhost").configure_cert(theirs)
        authority.configure_trust(ours)
        fake = FakePlugin()
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_ssl_over_tcp, fake.handle, 0, theirs, host="127.0.0.1", https_compatible=True)
            )
            port = listeners[0].transport_listener.socket.getsockname()[1]
            client = HttpClient(f"https://localhost:{port}", 10_000, ours)
            for _ in range(2):
                assert (await client.post(b'{"activity":{}}')).status == 200
            assert client.connects == 1
            await client.aclose()
            stranger = HttpClient(f"https://localhost:{port}", 10_000)
            with pytest.raises(Unreachable, match="no TLS"):
                await stranger.post(b"{}")
            nursery.cancel_scope.cancel()
