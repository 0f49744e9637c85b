"""Callables in processes of their own: what one does harms its own activity, and nothing is left behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from engine.actors.analysts.calls import CallFailed
from engine.actors.analysts.worker_pool import WorkerPool
from engine.settings import AnalyzersSettings
from tests.actors.analysts.asking import QUICK, callable_of, question, told

pytestmark = pytest.mark.slow


class Pool:
    """A pool, and the processes it was seen with."""

    def __init__(self, name="by_wish", settings=QUICK, **fields):
        self.analyzer = callable_of(name, **fields)
        self.pool = WorkerPool(self.analyzer, settings)
        self.pids = set()

    async def ask(self, **activity):
        try:
            answer = await self.pool.call(question(self.analyzer, **activity))
        except CallFailed as error:
            return str(error)
        if answer.outcome != "ok":
            return answer.outcome
        found = told(answer)
        self.pids.add(found.get("pid"))
        return found

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.pool.aclose()
        for pid in self.pids - {None}:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_one_process_serves_many_calls():
    async with Pool() as pool:
        first, second = await pool.ask(), await pool.ask()
        assert first["pid"] == second["pid"] != os.getpid()
        assert pool.pool.gauges() == {"workers": 1, "workers_max": 1, "worker_restarts": 0}


async def test_what_it_gets_and_gives():
    async with Pool("renaming") as pool:
        found = await pool.ask(own={"a": [1.5, None]})
        assert found["$events"][0]["$event_name"] == "hello"
        assert (found["processed_by"], found["own"]) == ("nobody", {"a": [1.5, None]})
    async with Pool("alone") as pool:
        assert (await pool.ask())["seen"] is True
    async with Pool("dropping") as pool:
        assert await pool.ask() == "drop"


@pytest.mark.parametrize(
    ("wish", "reason", "is_lost"),
    [
        ("loop", "no answer within 300 ms, its process was killed", True),
        ("exit", "the process ended with exit code 7", True),
        ("crash", "the process ended by signal 6", True),
        ("raise", "ValueError('poison')", False),
        ("large", "the answer is longer than 1048576 bytes", False),
        ("odd", "TypeError", False),
    ],
)
async def test_what_goes_wrong_harms_its_own_activity(wish, reason, is_lost):
    async with Pool(timeout_ms=300) as pool:
        before = await pool.ask()
        assert reason in await pool.ask(wish=wish)
        after = await pool.ask()
        assert (before["pid"] != after["pid"]) == is_lost
        assert pool.pool.gauges()["worker_restarts"] == is_lost


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("forgetful", "it returned NoneType, and no activity"),
        ("leaving", "the process ended with exit code 3"),
        ("nowhere", "cannot import"),
        ("NOT_CALLABLE", "has no function NOT_CALLABLE"),
    ],
)
async def test_what_cannot_be_used(name, reason):
    async with Pool(name) as pool:
        assert reason in await pool.ask()
        assert pool.pool.gauges()["workers"] == 0 or name == "forgetful"


async def test_what_it_prints_is_no_answer():
    async with Pool() as pool:
        assert "pid" in await pool.ask(wish="print")


async def test_no_more_processes_than_allowed_and_who_waits_has_its_time_still_before_it():
    async with Pool(settings=AnalyzersSettings(workers=2), timeout_ms=1000) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(40):  # 50 ms each, two at a time: the last waits for a second.
                nursery.start_soon(lambda: pool.ask(wish="sleep"))
        assert len(pool.pids) == 2
        assert pool.pool.gauges()["workers"] == 2


async def test_a_process_that_was_killed_from_outside_is_replaced():
    async with Pool() as pool:
        first = await pool.ask()
        os.kill(first["pid"], 9)
        with trio.fail_after(30):
            await pool.pool._idle[0]._process.wait()
        assert (await pool.ask())["pid"] != first["pid"]


async def test_a_call_that_is_cancelled_leaves_no_process():
    async with Pool() as pool:
        pid = (await pool.ask())["pid"]
        with trio.move_on_after(0.1):
            await pool.ask(wish="loop")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert pool.pool.gauges()["workers"] == 0


async def test_at_rest_there_is_none_and_the_next_call_makes_one():
    async with Pool() as pool:
        await pool.ask()
        await pool.pool.rest()
        assert pool.pool.gauges()["workers"] == 0
        assert "pid" in await pool.ask()


ORPHANS = """
import trio
from tests.actors.analysts.test_worker_pool import Pool

async def main():
    pool = Pool(timeout_ms=600_000)
    print((await pool.ask())["pid"], flush=True)
    await pool.ask(wish="loop")

trio.run(main)
"""


def is_running(pid):
    """Whether a process is there and no zombie, which whoever inherits it may leave for a while."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it is looked up in /proc")
def test_an_endless_loop_ends_when_the_engine_was_killed():
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True) as engine:
        pid = int(engine.stdout.readline())
        assert is_running(pid)
        engine.kill()
    end = time.monotonic() + 20
    while is_running(pid):  # Nobody tells when another process ends.
        assert time.monotonic() < end
        time.sleep(0.05)
