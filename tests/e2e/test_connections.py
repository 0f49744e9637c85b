"""Connections to a server as a whole: thousands that say nothing, senders in full flow at a stop, no more files."""

import json
import re
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path

import httpx
import pytest
import trio

from engine import Selector, load_settings, open_engine
from tests.e2e.server import SITE, Server, serving

pytestmark = pytest.mark.slow

IDLE = 5_000
SPARE_FILES = 300
"""Of the test and of the server, beside the connections."""

MAX_IDLE_BYTES = 40_000
"""Of memory for an idle connection. About 10 kB is usual; a leak of buffers is 64 kB."""

SENDERS = 24
USERS = 16


def address(server: Server) -> tuple[str, int]:
    """Where the collect plane listens."""
    host, _, port = server.collect.removeprefix("http://").rpartition(":")
    return host, int(port)


def resident_bytes(server: Server) -> int:
    """Memory of the server's process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


def metrics(server: Server) -> dict[str, float]:
    """Numbers without labels."""
    text = httpx.get(f"{server.api}/metrics").text
    return {name: float(value) for name, value in re.findall(r"^(\w+) ([0-9.e+]+)$", text, re.MULTILINE)}


@contextmanager
def more_files(number: int) -> Iterator[None]:
    """So many may be open, here and in children; skipped where the system does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        pytest.skip(f"{number} files may not be open at once here, {hard} may")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_five_thousand_idle_connections_are_in_nobodys_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    env = {"SOJOURN_COLLECT__MAX_CONNECTIONS_PER_ADDRESS": str(2 * IDLE)}
    with (
        more_files(IDLE + SPARE_FILES),
        serving(tmp_path / "data", env=env) as server,
        ExitStack() as idle,
    ):
        assert server.post({}).status_code == 400
        before = resident_bytes(server)
        for _ in range(IDLE):
            idle.enter_context(socket.create_connection(address(server), timeout=20))
        last = idle.enter_context(socket.create_connection(address(server), timeout=20))
        started = time.monotonic()
        last.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert last.recv(1000).startswith(b"HTTP/1.1 200")
        waited_s = time.monotonic() - started
        found = metrics(server)
        assert found["sojourn_connections"] >= IDLE + 1
        assert found["sojourn_connections_peak"] >= IDLE + 1
        assert found["sojourn_connections_max"] == 20_000
        assert found["sojourn_connections_refused"] == 0
        assert found["sojourn_connections_buffered_bytes"] == 0
        each = (resident_bytes(server) - before) / IDLE
        with capsys.disabled():
            print(f"\n{IDLE} idle connections: {each:.0f} bytes each, the next answer in {1000 * waited_s:.1f} ms")
        assert each < MAX_IDLE_BYTES
        assert waited_s < 2
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10, "idle connections do not hold up the stop"


class Sender:
    """A client that sends one event after the other over kept connections.

    Attributes:
        acknowledged: ids of events that were said to be safe.
        unanswered: how many requests ended without an answer.
        closing: whether an answer said that the connection ends.
    """

    def __init__(self, number: int) -> None:
        self.acknowledged: set[str] = set()
        self.unanswered = 0
        self.closing = False
        self._ids = (f"{number}-{index}" for index in count())

    def send_until_it_stops(self, server: Server) -> None:
        """Send until the server takes no more connections."""
        while True:
            connection = HTTPConnection(*address(server), timeout=30)
            try:
                connection.connect()
            except OSError:
                return
            try:
                self._send_on(connection)
            except (OSError, HTTPException):
                self.unanswered += 1
            finally:
                connection.close()

    def _send_on(self, connection: HTTPConnection) -> None:
        while True:
            name = next(self._ids)
            event = {"$event_id": name, "$event_name": "click", "$properties": {}}
            who = {"$user_agent_id": f"user-{hash(name) % USERS}", "$site_id": "1"}
            item = {"$type": "SITE_VISIT", "$session_status": "IN_SESSION", **who, "$events": [event]}
            path = "/v1/datamarts/1/user_activities"
            connection.request("POST", path, json.dumps(item), {"Authorization": SITE})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                assert json.loads(body)["data"]["status"] == "accepted"
                self.acknowledged.add(name)
            else:
                assert answer.status == 503, body
                assert int(answer.headers["Retry-After"]) >= 1
            if answer.will_close:
                self.closing = True
                return


def test_a_stop_in_full_flow_loses_nothing_that_was_acknowledged(tmp_path: Path):
    data = tmp_path / "data"
    senders = [Sender(number) for number in range(SENDERS)]
    with serving(data) as server, ThreadPoolExecutor(SENDERS) as threads, ExitStack() as idle:
        for _ in range(50):
            idle.enter_context(socket.create_connection(address(server), timeout=20))
        stop = threading.Timer(1.0, server.process.send_signal, [signal.SIGTERM])
        stop.start()
        started = time.monotonic()
        list(threads.map(lambda sender: sender.send_until_it_stops(server), senders))
        assert server.process.wait(30) == 0
        assert time.monotonic() - started < 15
    acknowledged = set().union(*(sender.acknowledged for sender in senders))
    assert len(acknowledged) > SENDERS
    assert any(sender.closing for sender in senders), "answers of a drain say that the connection ends"
    assert sum(sender.unanswered for sender in senders) <= 2 * SENDERS
    found = trio.run(ids_in, data)
    assert acknowledged <= found, f"{len(acknowledged - found)} of {len(acknowledged)} are lost"


async def ids_in(data: Path) -> set[str]:
    """Of all events, stored and live."""
    found: set[str] = set()
    async with open_engine(load_settings(None, {}, {"storage.data_dir": str(data)})) as engine:
        await engine.wait_recovered()
        for number in range(USERS):
            point = engine.reader.find_user_point(1, Selector.parse(f"user_agent_id=user-{number}"))
            if point is not None:
                shown = await engine.activities(1, point, live=True, limit=1_000_000)
                found |= {event["$event_id"] for one in shown for event in json.loads(one)["$events"]}
    return found


def test_a_process_without_files_goes_on_when_it_has_some_again(tmp_path: Path):
    with serving(tmp_path / "data") as server, ExitStack() as stack:
        used = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 10, hard))
        wires = [stack.enter_context(socket.create_connection(address(server), timeout=20)) for _ in range(30)]
        ask = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        for wire in wires:
            wire.sendall(ask)
        answered = [wire for wire in wires[:9] if wire.recv(1000).startswith(b"HTTP/1.1 200")]
        assert len(answered) == 9
        for wire in answered:
            wire.close()
        for wire in wires[9:15]:
            assert wire.recv(1000).startswith(b"HTTP/1.1 200"), "those that waited come in"
        for wire in wires:
            wire.close()
        assert server.stop() == 0
    log = (tmp_path / "data.log").read_text()
    assert 1 <= log.count("no connection can be accepted") <= 3
