"""`bench.collect` and its parts, on a tiny scale. No test says how fast anything is."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httptools
import msgspec
import pytest

from bench.collect import parser
from bench.collected import BARE, BATCHES, FASTAPI, HALF, SLOW_DISK, SLOW_SYNC, SOJOURN, Account, Run, ratios
from bench.contest import NEEDED_BY_FASTAPI
from bench.halves import Halves, Load
from bench.peers.bare import ANSWER, Requests
from bench.slow_fsync import NoCompiler, SlowDisk, Waits
from bench.wire import Generator, Tally

ROOT = Path(__file__).parent.parent
TINY = ("--users", "60", "--rounds", "1", "--seconds", "0.2", "--connections", "4", "--slow-connections", "6")


def report_of(*options: str) -> dict[str, Any]:
    """The report of `bench.collect` on a tiny scale; its exit code must be 0."""
    command = [sys.executable, "-m", "bench.collect", *TINY, *options, "--json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, f"{command} failed:\n{run.stderr}"
    found: dict[str, Any] = msgspec.json.decode(run.stdout)
    return found


def server_of(account: dict[str, Any]) -> str:
    return str(account["what"]).removesuffix(" thread").removesuffix(" loop")


@pytest.mark.slow
def test_every_contestant_takes_its_turn_and_has_what_it_acknowledged():
    report = report_of("--batch", "5", "--delay-ms", "0.1")
    left_out = set(report["left_out"])
    assert left_out <= {FASTAPI, SLOW_SYNC}  # Where there is no FastAPI, or no compiler.
    expected = {BARE, SOJOURN, BATCHES, HALF, FASTAPI, SLOW_SYNC, SLOW_DISK} - left_out
    if SLOW_SYNC in left_out:
        expected.discard(SLOW_DISK)

    assert {summary["what"] for summary in report["summaries"]} == expected
    assert all(set(run["tally"]["statuses"]) == {"200"} and run["tally"]["events"] > 0 for run in report["runs"])
    kept = {server_of(account): account for account in report["accounts"]}
    assert set(kept) == {SOJOURN, FASTAPI, SLOW_SYNC} - left_out
    assert all(account["balanced"] for account in kept.values())
    assert all(account["acknowledged"] == account["kept"] > 0 for account in kept.values())
    batches = [run["tally"] for run in report["runs"] if run["what"] == BATCHES]
    assert all(tally["events"] == 5 * tally["requests"] for tally in batches)
    slow = [run for run in report["runs"] if run["what"] in (SLOW_SYNC, SLOW_DISK)]
    assert all(run["syncs_per_s"] > 0 for run in slow)


@pytest.mark.slow
def test_only_what_is_asked_for_is_measured():
    report = report_of("--only", "b")
    assert {summary["what"] for summary in report["summaries"]} == {SOJOURN, HALF}
    assert [account["what"] for account in report["accounts"]] == [SOJOURN]
    assert report["ratios"] == []


@pytest.mark.slow
def test_without_fastapi_the_bench_says_so_and_goes_on(tmp_path: Path):
    hide = "import sys, importlib.util as util; real = util.find_spec\n"
    hide += f"util.find_spec = lambda name, *more: None if name in {NEEDED_BY_FASTAPI} else real(name, *more)\n"
    hide += "from bench.collect import main; sys.exit(main())"
    command = [sys.executable, "-c", hide, *TINY, "--only", "a,c"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "left out       fastapi: no fastapi, uvicorn, uvloop, httptools; `pip install '.[bench]'`" in run.stdout
    assert "(a) bare" in run.stdout


def test_an_unknown_contestant_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parser().parse_args(["--only", "a,z"])
    assert "no such contestant: z" in capsys.readouterr().err


# Requests


@pytest.mark.parametrize("batch", [1, 3])
def test_a_request_is_as_long_as_it_says_and_holds_that_many_events(batch: int):
    load = Load(users=50, batch=batch)
    halves = Halves(load)
    make = halves.made()
    for _ in range(20):
        head, body = make().split(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head
        found = msgspec.json.decode(body)
        items = [found] if batch == 1 else found
        assert [len(item["$events"]) for item in items] == [1] * batch
        assert len(msgspec.json.encode(items[0])) in range(load.event_bytes - 8, load.event_bytes + 8)


def test_a_first_contact_is_one_event_of_each_user():
    requests = list(Halves(Load(users=25, batch=10)).first_contact())
    bodies = [msgspec.json.decode(request.split(b"\r\n\r\n")[1]) for request in requests]
    assert [len(body) for body in bodies] == [10, 10, 5]
    assert len({item["$user_agent_id"] for body in bodies for item in body}) == 25


# The generator, against a server that answers by a script

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
ACCEPTED = OK + b'"accepted"'


def read_request(connection: socket.socket) -> bool:
    """Read one request whole; False at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(1 << 16)):
            return False
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    missing = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]) - len(body)
    while missing > 0:
        if not (more := connection.recv(missing)):
            return False
        missing -= len(more)
    return True


Script = Callable[[socket.socket, int], None]
"""Answers a request, by its number."""


@contextmanager
def scripted(script: Script) -> Iterator[int]:
    """A server for one connection at a time; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            number = 0
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    while connection.fileno() >= 0 and read_request(connection):
                        script(connection, number)
                        number += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def sent(script: Script, **load: Any) -> Tally:
    """What the generator says of a scripted server, over one connection."""
    with scripted(script) as port:
        return Generator(Load(port=port, connections=1, users=20, accepted='"accepted"', **load)).run()


def accept(connection: socket.socket, number: int) -> None:
    connection.sendall(ACCEPTED)


def test_each_request_is_answered_and_counted():
    tally = sent(accept, first_contact=True, batch=2)
    assert (tally.requests, tally.events, tally.statuses) == (10, 10, {"200": 10})
    assert tally.ack.count == 10


def test_an_answer_in_pieces_is_read_whole():
    def drip(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in ACCEPTED:
            connection.sendall(bytes([byte]))

    tally = sent(drip, first_contact=True)
    assert (tally.requests, tally.events) == (20, 20)


def test_a_request_that_the_kernel_takes_in_pieces_is_sent_whole(monkeypatch: pytest.MonkeyPatch):
    connect = socket.create_connection

    def narrow(*arguments: Any, **more: Any) -> socket.socket:
        made = connect(*arguments, **more)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return made

    monkeypatch.setattr(socket, "create_connection", narrow)
    tally = sent(accept, first_contact=True, batch=20, event_bytes=50_000)
    assert tally.statuses == {"200": 1}


def test_what_is_refused_or_cut_is_no_event():
    def refuse(connection: socket.socket, number: int) -> None:
        if number == 0:
            connection.sendall(b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 4\r\n\r\nbusy")
        elif number == 1:
            connection.sendall(ACCEPTED[:-1])
            connection.close()
        elif number == 2:
            connection.sendall(OK + b'"refused!"')
        else:
            accept(connection, number)

    tally = sent(refuse, first_contact=True)
    assert tally.statuses == {"503": 1, "cut": 1, "200": 18}
    assert tally.events == 17


def test_at_a_rate_every_request_is_sent_though_it_found_no_connection_free():
    tally = sent(accept, rate=1e6, seconds=20e-6)  # All are due before the first answer can be there.
    assert tally.requests == tally.late.count == 20
    assert tally.starved == 19
    assert tally.ack.max > tally.ack.p50


def test_at_full_speed_the_next_request_follows_the_answer():
    tally = sent(accept, seconds=0.01)
    assert tally.requests == tally.events > 0
    assert tally.starved == tally.late.count == 0


# The bare server


def test_the_bare_server_answers_what_is_complete():
    request = Halves(Load(users=1)).made()()
    assert Requests().answers(request * 3) == ANSWER * 3
    requests = Requests()
    found = [requests.answers(request[at : at + 1]) for at in range(len(request))]
    assert found == [b""] * (len(request) - 1) + [ANSWER]


def test_the_bare_server_parses_what_it_is_sent():
    with pytest.raises(httptools.HttpParserCallbackError):
        Requests().answers(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n{")


# The slow disk

COMMITS = """
import sys, time, lmdb
with lmdb.open(sys.argv[1]) as env:
    begun = time.perf_counter()
    for number in range(int(sys.argv[2])):
        with env.begin(write=True) as txn:
            txn.put(b"%d" % number, b"value")
    print(time.perf_counter() - begun)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SlowDisk]:
    try:
        made = SlowDisk(tmp_path)
    except NoCompiler as error:
        pytest.skip(str(error))
    with closing(made):
        yield made


def committed_s(folder: Path, disk: SlowDisk, commits: int) -> float:
    command = [sys.executable, "-c", COMMITS, str(folder / "db"), str(commits)]
    run = subprocess.run(command, env=os.environ | disk.environment(), check=True, stdout=subprocess.PIPE)
    return float(run.stdout)


@pytest.mark.slow
def test_lmdb_waits_for_its_disk_by_a_sync_and_a_write_each_commit(tmp_path: Path, disk: SlowDisk):
    committed = partial(committed_s, tmp_path, disk)
    committed(1)  # Makes the file.
    before = disk.waits()
    committed(7)
    after = disk.waits()
    assert Waits(after.syncs - before.syncs, after.writes - before.writes) == Waits(7, 7)


@pytest.mark.slow
@pytest.mark.parametrize(("sync_ms", "write_ms"), [(20, 0), (0, 20)])
def test_each_wait_takes_as_much_longer_as_asked_for(tmp_path: Path, disk: SlowDisk, sync_ms: float, write_ms: float):
    disk.delay(sync_ms=sync_ms, write_ms=write_ms)
    assert committed_s(tmp_path, disk, 5) >= 5 * 0.020  # A lower bound: the kernel lets nobody sleep less.


def test_without_a_compiler_there_is_no_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "false")
    with pytest.raises(NoCompiler, match="false cannot build it"):
        SlowDisk(tmp_path)


# The report


def run_at(what: str, number: int, per_s: float) -> Run:
    return Run(what, number, Tally(), per_s, per_s, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_ratios_are_made_round_by_round_and_without_the_one_that_warms_up():
    runs = [run_at(BARE, 0, 1), run_at(SOJOURN, 0, 9)]
    runs += [run_at(BARE, 1, 100), run_at(SOJOURN, 1, 40), run_at(BARE, 2, 200), run_at(SOJOURN, 2, 60)]
    (ratio,) = ratios(runs)
    assert (ratio.of, ratio.to, ratio.value.min, ratio.value.max) == (SOJOURN, BARE, 0.3, 0.4)


@pytest.mark.parametrize(
    ("acknowledged", "kept", "unsure", "balanced", "holds"),
    [
        (10, 10, 0, True, True),
        (10, 9, 0, True, False),  # Lost.
        (10, 11, 0, True, False),  # Twice.
        (10, 11, 1, True, True),  # Sent, cut before the answer, and kept.
        (10, 10, 0, False, False),
    ],
)
def test_an_account_holds_when_nothing_is_missing_and_nothing_too_many(
    acknowledged: int, kept: int, unsure: int, balanced: bool, holds: bool
):
    assert Account(SOJOURN, acknowledged, kept, unsure, balanced).holds is holds
