"""A replay that ends in the middle, by SIGKILL or a signal, and the same command again: as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from engine import StoreMissing, open_reader
from tests.replay.made_log import DOMAIN, made_lines
from tests.replay.reference import events_of, sessions_of
from tests.replay.replays import comparable, expected, statistics, stored, write

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LINES = made_lines(seed=2, users=80)
EVENTS, BROKEN = events_of([line for line in LINES if line.strip()], DOMAIN)
USERS = {event.user for event in EVENTS}
SEEN = len(LINES) // 3
"""Events on disk when a child is ended that has been given half of the lines."""
RUN_S = 60


def command(data: Path, *files: str) -> list[str]:
    main = "from gateway.cli import main; main()"
    return [sys.executable, "-c", main, "replay", "--all", "--json", "--domain", DOMAIN, "--data", str(data), *files]


def run_whole(data: Path, log: Path) -> dict:
    done = subprocess.run(command(data, str(log)), cwd=ROOT, capture_output=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def activities(data: Path) -> dict:
    return comparable(stored(data, USERS))


EXPECTED = comparable(expected(sessions_of(EVENTS)))


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_and_repeated(tmp_path, seed):
    log = write(tmp_path / "access.log", LINES)
    data = tmp_path / "data"
    random = Random(seed)
    killed_at = []
    for share in sorted(random.uniform(0.05, 0.95) for _ in range(3)):
        with start(data, str(log)) as child:
            # Received counts duplicates too: of this run it is what lies above what was there before.
            before = received(data)
            if wait_until_received(data, child, at_least=before + int(share * len(EVENTS))):
                child.kill()
                killed_at.append(share)
    assert killed_at, "the machine was never fast enough to kill one in time"
    run_whole(data, log)
    assert activities(data) == EXPECTED
    counts = statistics(data)
    assert counts["events_stored"] == len(EVENTS)
    assert counts["activities_stored"] == sum(map(len, EXPECTED.values()))
    assert counts["events_open"] == 0
    assert counts["events_dead"] == len(BROKEN)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ended_between_two_lines_and_repeated(tmp_path, number):
    data = tmp_path / "data"
    half = b"".join(line + b"\n" for line in LINES[: len(LINES) // 2])
    # The child reads half of the log and then waits for more.
    with start(data, "-") as child:
        child.stdin.write(half)
        child.stdin.flush()
        assert wait_until_received(data, child, at_least=SEEN)
        child.send_signal(number)
        out = child.stdout.read()
        errors = child.stderr.read()
    if number == signal.SIGKILL:
        assert (child.returncode, out) == (-number, b"")
    else:
        assert child.returncode == 128 + number, errors.decode()
        report = json.loads(out)
        assert report["signal"] == number
        assert report["events"] >= SEEN
        assert "request" not in report["closed"]
        assert statistics(data)["events_open"] > 0
    report = run_whole(data, write(tmp_path / "access.log", LINES))
    assert SEEN <= report["duplicates"] < len(EVENTS)
    assert activities(data) == EXPECTED
    assert statistics(data)["activities_stored"] == sum(map(len, EXPECTED.values()))


def start(data: Path, file: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(data, file), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def received(data: Path) -> int:
    try:
        return statistics(data)["events_received"]
    except StoreMissing:
        return 0


def wait_until_received(data: Path, child: subprocess.Popen, *, at_least: int) -> bool:
    """Until so many events are on disk, by what a reader beside the running engine sees; False when the child ends."""
    end = time.monotonic() + RUN_S
    while child.poll() is None and time.monotonic() < end:
        try:
            with open_reader(data) as reader:
                while child.poll() is None and time.monotonic() < end:
                    if reader.statistics()["events_received"] >= at_least:
                        return True
        except StoreMissing:
            os.sched_yield()  # The child is just making it.
    return False
