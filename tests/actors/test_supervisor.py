"""Supervision: a passing fault is survived, a lasting one is not hidden, and the unlucky are set aside for a while."""

import gc
import itertools
import weakref

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from engine.actors.supervisor import Quarantine, supervise
from engine.errors import ActorFailed, StoreBroken


class Actor:
    """Fails as often as it is told, every so many seconds, and keeps its state through it."""

    def __init__(self, failures, every_s=0.0):
        self.failures = failures
        self.every_s = every_s
        self.runs = 0

    async def run(self):
        self.runs += 1
        await trio.sleep(self.every_s)
        if self.runs <= self.failures:
            raise ValueError(f"failure {self.runs}")


class Log(list):
    def __call__(self, name, what):
        self.append((name, what))


async def test_an_actor_that_ends_is_not_started_again():
    actor, log = Actor(0), Log()
    await supervise(actor.run, name="stage", report=log)
    assert actor.runs == 1
    assert log == []


async def test_a_passing_fault_is_survived_and_reported(autojump_clock):
    actor, log = Actor(5), Log()
    await supervise(actor.run, name="stage", report=log)
    assert actor.runs == 6
    assert log == [("stage", f"ValueError('failure {number}')") for number in range(1, 6)]


async def test_one_failure_too_many_ends_it(autojump_clock):
    actor, log = Actor(100), Log()
    with pytest.raises(ActorFailed, match=r"stage failed 6 times in 60 s: ValueError\('failure 6'\)"):
        await supervise(actor.run, name="stage", report=log)
    assert actor.runs == 6
    assert len(log) == 6


async def test_failures_far_apart_are_no_lasting_fault(autojump_clock):
    actor, log = Actor(50, every_s=12), Log()  # Five in any 60 s.
    await supervise(actor.run, name="stage", report=log)
    assert len(log) == 50


async def test_failures_a_little_nearer_are(autojump_clock):
    actor = Actor(50, every_s=11)
    with pytest.raises(ActorFailed):
        await supervise(actor.run, name="stage", report=Log())


async def test_what_is_broken_is_not_started_again():
    async def run():
        raise StoreBroken("fsync failed")

    log = Log()
    with pytest.raises(StoreBroken, match="fsync failed"):
        await supervise(run, name="writer", report=log)
    assert log == []


async def test_the_pause_before_a_restart_doubles(autojump_clock):
    starts = []

    async def run():
        starts.append(trio.current_time())
        if len(starts) <= 5:
            raise ValueError

    await supervise(run, name="stage", report=Log())
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])


async def test_cancelling_is_no_failure(autojump_clock):
    log = Log()
    with trio.move_on_after(1) as scope:
        await supervise(trio.sleep_forever, name="stage", report=log)
    assert scope.cancelled_caught
    assert log == []


async def test_a_group_of_errors_is_a_failure(autojump_clock):
    """Actors with a nursery of their own raise groups."""
    runs = []

    async def run():
        runs.append(1)
        if len(runs) == 1:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Actor(1).run)
                nursery.start_soon(trio.sleep_forever)

    log = Log()
    await supervise(run, name="stage", report=log)
    assert len(runs) == 2
    assert "failure 1" in log[0][1]


async def test_no_exception_is_kept(autojump_clock):
    """Its traceback would keep the frames it passed, and all they hold, until the next failure."""

    class Payload:
        pass

    seen = []

    async def run():
        if not seen:
            payload = Payload()
            seen.append(weakref.ref(payload))
            raise ValueError("with a frame that holds a payload")
        gc.collect()
        seen.append(seen[0]())

    await supervise(run, name="stage", report=Log())
    assert seen[1] is None


def test_five_failures_in_a_minute_set_a_key_aside_for_ten():
    quarantine = Quarantine()
    for second in (0, 10, 20, 30):
        assert not quarantine.failed("a", second * 1000)
        assert not quarantine.holds("a", second * 1000)
    assert quarantine.failed("a", 59_999)
    assert quarantine.holds("a", 60_000)
    assert not quarantine.holds("b", 60_000)
    assert quarantine.holds("a", 59_999 + 599_999)
    assert not quarantine.holds("a", 59_999 + 600_000)


def test_a_key_starts_afresh_after_its_quarantine():
    quarantine = Quarantine(failures=2, hold_ms=100)
    quarantine.failed("a", 0)
    assert quarantine.failed("a", 1)
    assert not quarantine.holds("a", 200)
    assert not quarantine.failed("a", 201)
    assert quarantine.failed("a", 202)
    assert quarantine.statistics().sentences == 2


def test_failures_far_apart_set_nobody_aside():
    quarantine = Quarantine()
    assert not any(quarantine.failed("a", number * 15_000) for number in range(100))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 500))))
def test_the_tables_are_bounded(failures):
    quarantine = Quarantine(failures=2, window_ms=1000, hold_ms=5000, max_keys=5)
    now_ms = 0
    for key, pause_ms in failures:
        now_ms += pause_ms
        aside = quarantine.failed(key, now_ms)
        assert not aside or quarantine.holds(key, now_ms), "who is set aside now is never the one forgotten"
        statistics = quarantine.statistics()
        assert statistics.failing <= 5
        assert statistics.held <= 5


def test_the_one_that_failed_longest_ago_is_forgotten_first():
    quarantine = Quarantine(failures=2, max_keys=2)
    quarantine.failed("a", 0)
    quarantine.failed("b", 1)
    quarantine.failed("c", 2)
    assert quarantine.failed("b", 3)
    assert not quarantine.failed("a", 4)
