"""How a server ends: what is acknowledged survives, whoever holds a connection, however it is stopped."""

import signal
import socket
import time
from pathlib import Path

import pytest

from tests.e2e.server import ADMIN, SITE, Server, serving, visit

pytestmark = pytest.mark.slow

SHORT = {"SOJOURN_ACTORS__DRAIN_REQUESTS_S": "0.5"}


def half_a_request(server: Server) -> socket.socket:
    """A connection that has sent the head of a request and no more."""
    host, _, port = server.collect.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    head = "POST /v1/datamarts/1/user_activities HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    connection.sendall(f"{head}Authorization: {SITE}\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_open_sessions_go_on_at_the_next_start(tmp_path: Path, number: signal.Signals):
    data = tmp_path / "data"
    with serving(data) as server:
        for index in range(20):
            assert server.post(visit(f"user-{index}", "before", status="IN_SESSION")).status_code == 200
        touches = [visit("user-0", "closed", **{"$ts": 1_700_000_000_000 + index}) for index in range(100)]
        assert server.post(touches).status_code == 200
        assert server.stop(number) == 0
    with serving(data) as server:
        path = "user_timelines/user_agent_id=user-0/user_activities"
        closed = server.get(path, limit="500", filters="$session_status==CLOSED_SESSION").json()
        assert closed["count"] == 100
        assert server.post(visit("user-0", "after", status="IN_SESSION")).status_code == 200
        found = server.get(path, live="true", limit="1").json()["data"][0]
        assert [event["$event_name"] for event in found["$events"]] == ["before", "after"]
        assert server.stop() == 0


def test_a_request_that_never_ends_is_not_waited_for(tmp_path: Path):
    with serving(tmp_path / "data", env=SHORT) as server, half_a_request(server):
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10


def test_a_reader_that_does_not_read_is_not_waited_for(tmp_path: Path):
    data = tmp_path / "data"
    with serving(data, env=SHORT) as server:
        touches = [visit("user-1", "hello", padding="x" * 7000, **{"$ts": 1 + index}) for index in range(300)]
        assert server.post(touches, **{"async": "false"}).status_code == 200
        path = "/v1/datamarts/1/user_timelines/user_agent_id=user-1/user_activities?limit=300"
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n\r\n".encode()
        host, _, port = server.api.removeprefix("http://").rpartition(":")
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((host, int(port)))
            # 2 MiB each: more than the kernel keeps for a connection.
            connection.sendall(request * 8)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            started = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started < 10
    with serving(data) as server:
        body = server.get("user_timelines/user_agent_id=user-1/user_activities", limit="1").json()
        assert body["count"] == 1


def test_a_second_signal_hurries(tmp_path: Path):
    data = tmp_path / "data"
    with serving(data) as server, half_a_request(server):
        assert server.post(visit("user-1", "hello", status="IN_SESSION")).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.stop() in (0, 3)
    with serving(data) as server:
        path = "user_timelines/user_agent_id=user-1/user_activities"
        assert len(server.get(path, live="true").json()["data"]) == 1


def test_a_killed_server_leaves_what_it_acknowledged(tmp_path: Path):
    data = tmp_path / "data"
    with serving(data) as server:
        assert server.post(visit("user-1", "hello", status="IN_SESSION")).status_code == 200
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with serving(data) as server:
        path = "user_timelines/user_agent_id=user-1/user_activities"
        assert len(server.get(path, live="true").json()["data"]) == 1
