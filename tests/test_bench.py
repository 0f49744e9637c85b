"""The benches run, on a tiny scale, and print what they promise. No test looks at the times they measure here."""

import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from bench.events import Events, array
from bench.load import Connection, ConnectionCut
from bench.machine import cpu_s, resident, spread_of
from engine import split_items

ROOT = Path(__file__).parent.parent
BENCHES = ("ack", "collect", "memory", "stall")


def run_bench(name: str, *options: str) -> str:
    """What `python -m bench.<name>` prints; its exit code must be 0."""
    command = [sys.executable, "-m", f"bench.{name}", *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, f"{command} failed:\n{run.stderr}"
    return run.stdout


def report_of(name: str, *options: str) -> dict[str, Any]:
    """The report of a bench, from its JSON."""
    found: dict[str, Any] = msgspec.json.decode(run_bench(name, *options, "--json"))
    assert found["machine"]["cpus"] >= 1
    assert found["machine"]["python"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("form", ["items", "events"])
def test_every_acknowledged_event_is_accounted_for(form: str):
    sizes = ("--users", "60", "--batch", "20", "--connections", "2", "--seconds", "0.2")
    report = report_of("ack", "--form", form, "--event-ids", *sizes)
    assert [phase["name"] for phase in report["phases"]] == ["first contact", "full load", "half load"]
    assert all(set(phase["statuses"]) == {"200"} and phase["events"] > 0 for phase in report["phases"])
    assert report["phases"][0]["events"] == 60
    assert report["balanced"]
    assert report["sent"] == report["received"] == report["stats"]["events_received"]
    assert report["stats"]["events_duplicate"] == 0


@pytest.mark.slow
def test_sessions_end_under_load_when_the_gap_is_short():
    sizes = ("--users", "20", "--batch", "10", "--connections", "1", "--seconds", "1.5", "--gap", "0.05")
    report = report_of("ack", *sizes)
    assert report["balanced"]
    assert report["stats"]["activities_stored"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("store", ["lmdb", "memory"])
def test_the_engine_alone_is_measured_without_http(store: str):
    report = report_of("ack", "--no-http", "--store", store, "--users", "50", "--batch", "10", "--seconds", "0.2")
    assert report["store"] == store
    assert report["events"] == report["requests"] * 10 > 0
    assert report["balanced"]


@pytest.mark.slow
def test_all_sessions_that_fall_due_at_once_are_stored():
    report = report_of("stall", "--sessions", "300", "--events", "2")
    assert report["stored"] == report["sessions"] == 300
    assert report["balanced"]
    assert report["herd"]["late"]["count"] > 0
    assert all(steps["count"] > 0 and steps["longest_cpu_ms"] > 0 for steps in report["herd"]["steps"])


@pytest.mark.slow
def test_the_memory_of_a_session_is_split_into_its_parts():
    report = report_of("memory", "--sessions", "200", "--events", "2")
    cases = {(cost["case"]["what"], cost["case"]["events"]) for cost in report["costs"]}
    assert cases == {("mailbox", 1), ("actor", 1), ("visitor", 2), ("lmdb", 2), ("memory", 2)}


@pytest.mark.slow
def test_the_lines_that_allocate_are_named():
    assert "engine/actors/mailbox.py:" in run_bench("memory", "--sessions", "100", "--events", "1", "--trace")


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_says_how_it_is_used(name: str):
    text = import_module(f"bench.{name}").parser().format_help()
    assert f"python -m bench.{name}" in text
    assert "--json" in text


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_is_in_the_readme(name: str):
    assert f"python -m bench.{name}" in (ROOT / "bench" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("size", [320, 330, 1000])
def test_events_have_the_size_asked_for(size: int, with_ids: bool):
    events = Events(users=10, size_bytes=size, with_ids=with_ids)
    assert abs(len(events.item(7, 1_700_000_000_000)) - size) < 8
    assert abs(len(events.body("events", 100)) / 100 - size) < 8


def test_event_ids_are_never_used_twice():
    events = Events(users=10, with_ids=True)
    items = msgspec.json.decode(events.body("items", 50)) + msgspec.json.decode(events.body("items", 50))
    ids = [event["$event_id"] for item in items for event in item["$events"]]
    assert len(ids) == len(set(ids)) == 100


def test_a_batch_of_items_is_what_accept_takes_apart():
    items = Events(users=10).items(range(10), 1_700_000_000_000)
    assert split_items(array(items)) == items


def test_quantiles_are_values_that_were_measured():
    spread = spread_of([number / 1000 for number in range(100, 0, -1)])
    assert (spread.count, spread.p50, spread.p90, spread.p99, spread.max) == (100, 50.0, 90.0, 99.0, 100.0)
    assert spread_of([]).max == 0.0


def test_the_machine_tells_of_a_process():
    before = cpu_s()
    assert before > 0
    assert resident().anonymous_bytes > 1 << 20
    assert cpu_s() >= before


async def answered(*chunks: bytes) -> tuple[int, bytes]:
    """What a connection reads when a server answers with these chunks and then closes."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        for chunk in chunks:
            await stream.send_all(chunk)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        connection = Connection("127.0.0.1", listener.socket.getsockname()[1])
        try:
            return await connection.exchange(b"POST / HTTP/1.1\r\n\r\n")
        finally:
            await connection.aclose()
            nursery.cancel_scope.cancel()


async def test_an_answer_in_pieces_is_read_whole():
    head = b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\nContent-Length: 9\r\n\r\n"
    assert await answered(head[:20], head[20:] + b"not", b" today") == (503, b"not today")


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnot"]
)
async def test_a_connection_that_ends_early_is_no_answer(data: bytes):
    with pytest.RaisesGroup(ConnectionCut):
        await answered(data)
