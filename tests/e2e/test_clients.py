"""Ordinary clients on kept connections: none has to be told anything about this server."""

import asyncio
import gzip
import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import SITE, Server, serving, visit

pytestmark = pytest.mark.slow

PATH = "/v1/datamarts/1/user_activities"
REQUESTS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here; each has a user of its own."""
    with serving(tmp_path_factory.mktemp("clients") / "data") as running:
        yield running


def events_of(server: Server, user: str) -> int:
    """How many events of a user are there."""
    found = server.get(f"user_timelines/user_agent_id={user}/user_activities", live="true", limit="1000").json()
    return sum(len(activity["$events"]) for activity in found["data"])


def body(user: str) -> bytes:
    """One event."""
    return json.dumps(visit(user, "hello", status="IN_SESSION")).encode()


def test_http_client(server: Server):
    connection = http.client.HTTPConnection(server.collect.removeprefix("http://"), timeout=20)
    connection.connect()
    ours = connection.sock
    for _ in range(REQUESTS):
        connection.request("POST", PATH, body("http.client"), {"Authorization": SITE})
        answer = connection.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["data"]["status"] == "accepted"
        assert connection.sock is ours, "the connection is kept"
    connection.request("POST", PATH, iter([body("http.client")]), {"Authorization": SITE}, encode_chunked=True)
    assert connection.getresponse().read().startswith(b'{"status":"ok"')
    connection.request("HEAD", "/health/live")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    assert events_of(server, "http.client") == REQUESTS + 1


def test_httpx(server: Server):
    headers = {"Authorization": SITE}
    with httpx.Client(base_url=server.collect, headers=headers) as client:
        for _ in range(REQUESTS):
            assert client.post(PATH, content=body("httpx")).status_code == 200
        zipped = {"Content-Encoding": "gzip"}
        assert client.post(PATH, content=gzip.compress(body("httpx")), headers=zipped).status_code == 200
        assert client.post(PATH, content=iter([b"", body("httpx")])).status_code == 200
        assert client.options(PATH).status_code == 204
    assert events_of(server, "httpx") == REQUESTS + 2


def test_httpx_with_many_at_once(server: Server):
    async def send_all() -> set[int]:
        limits = httpx.Limits(max_connections=8)
        async with httpx.AsyncClient(base_url=server.collect, headers={"Authorization": SITE}, limits=limits) as client:
            answers = await asyncio.gather(*(client.post(PATH, content=body("many")) for _ in range(100)))
        return {answer.status_code for answer in answers}

    assert asyncio.run(send_all()) == {200}
    assert events_of(server, "many") == 100


def test_requests(server: Server):
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        session.headers["Authorization"] = SITE
        for _ in range(REQUESTS):
            assert session.post(server.collect + PATH, data=body("requests"), timeout=20).status_code == 200
        pools = session.get_adapter(server.collect).poolmanager.pools
        (pool,) = (pools[key] for key in pools.keys())  # noqa: SIM118 - urllib3's container is no iterable
        assert (pool.num_connections, pool.num_requests) == (1, REQUESTS)
    assert events_of(server, "requests") == REQUESTS


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize(
    "option", ["--http1.1", "--http1.0", "--http2", "-HExpect: 100-continue", "-HTransfer-Encoding: chunked"]
)
def test_curl(server: Server, tmp_path: Path, option: str):
    """`--http2` asks for an upgrade with each request on a plain connection."""
    user = "curl" + option.strip("-").split(":")[0]
    (tmp_path / "body").write_bytes(body(user))
    url = server.collect + PATH
    command = ["curl", "-sS", option, "-H", f"Authorization: {SITE}", "--data-binary", f"@{tmp_path}/body", url, url]
    done = subprocess.run([*command, "-w", "%{http_code},%{num_connects} "], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("200,") == 2
    assert events_of(server, user) == 2
    if option == "--http1.1":
        assert "200,0" in done.stdout, "the connection is kept"


def test_a_client_of_http_1_0(server: Server):
    """As `ab` sends, with and without `-k`."""
    host, _, port = server.collect.removeprefix("http://").rpartition(":")
    sent = body("1.0")
    head = f"POST {PATH} HTTP/1.0\r\nAuthorization: {SITE}\r\nContent-Length: {len(sent)}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as wire:
        for _ in range(REQUESTS):
            wire.sendall(f"{head}Connection: Keep-Alive\r\n\r\n".encode() + sent)
            answer = wire.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: keep-alive\r\n" in answer
        wire.sendall(f"{head}\r\n".encode() + sent)
        answer = b""
        while more := wire.recv(10_000):
            answer += more
        assert b"connection: close\r\n" in answer
    assert events_of(server, "1.0") == REQUESTS + 1
