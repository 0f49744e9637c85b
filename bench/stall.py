"""How long the loop stands still when very many sessions fall due at once.

    python -m bench.stall

An engine on LMDB gets so many users with an open session each. Then its clock, which this bench moves, leaps over the
gap: all of them are due in the same second, and are closed, made into activities and stored. Meanwhile three watch:

- a heartbeat wakes every millisecond and notes how late it is: what everybody else on the loop has to wait;
- a sender sends one event at a time and notes how long the acknowledgement takes;
- each step of each task is timed, between two checkpoints: who holds the loop.

At the end every session must be stored, as one activity.
"""

import argparse
import gc
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio
from msgspec.structs import replace

from bench.direct import is_balanced
from bench.events import Events
from bench.machine import Machine, Spread, cpu_s, machine, print_json, say, spread_of, tune_gc
from engine import Engine, EventClock, Overloaded, Receipt, Settings, Unavailable, open_engine

BEAT_S = 0.001
POLL_S = 0.1
PAUSE_S = 0.02
"""Between two events of the sender."""

SHOWN_STEPS = 6
REQUESTS_UNDER_WAY = 40


@dataclass
class Steps:
    """The steps of all tasks of one name.

    Attributes:
        longest_ms: by the wall: with waiting for the interpreter, which the committing thread has, and for a processor.
        longest_cpu_ms, total_cpu_s: work.
    """

    task: str
    count: int = 0
    longest_ms: float = 0.0
    longest_cpu_ms: float = 0.0
    total_cpu_s: float = 0.0


@dataclass(frozen=True)
class Watched:
    """What was seen of the loop in some stretch of time.

    Attributes:
        seconds: its length.
        late: of the heartbeat.
        ack: of the sender's events.
        sent, refused: events of the sender that were taken, and that the engine was too busy for.
        gc_pauses, longest_gc_ms: of the garbage collector.
        loop_cpu_s, other_cpu_s: processor time of the loop's thread, and of all others: commits.
        steps: the task names with the longest steps.
    """

    seconds: float
    late: Spread
    ack: Spread
    sent: int
    refused: int
    gc_pauses: int
    longest_gc_ms: float
    loop_cpu_s: float
    other_cpu_s: float
    steps: list[Steps]


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        sessions, events: how many sessions, and events of each.
        open_s: how long it took to open them.
        quiet: the same watch beforehand, with all sessions open and nothing due: what the machine alone does.
        herd: while all close, up to the last one stored.
        stored: activities in the store afterwards; must be `sessions`.
        per_s: activities closed and stored a second.
        balanced: whether the store accounts for every event.
    """

    machine: Machine
    sessions: int
    events: int
    open_s: float
    quiet: Watched
    herd: Watched
    stored: int
    per_s: float
    balanced: bool


class StepClock(trio.abc.Instrument):
    """Times every step of every task, by the wall and by the processor time of this thread."""

    def __init__(self) -> None:
        # None until the step is over in which this instrument was added.
        self._began: tuple[float, float] | None = None
        self._steps: dict[str, Steps] = {}

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task goes on."""
        self._began = time.perf_counter(), time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """It waits, or has ended."""
        if self._began is None:
            return
        cpu_ms = (time.thread_time() - self._began[1]) * 1000
        ms = (time.perf_counter() - self._began[0]) * 1000
        steps = self._steps.get(task.name)
        if steps is None:
            steps = self._steps[task.name] = Steps(task.name)
        steps.count += 1
        steps.total_cpu_s += cpu_ms / 1000
        steps.longest_cpu_ms = max(steps.longest_cpu_ms, cpu_ms)
        steps.longest_ms = max(steps.longest_ms, ms)

    def longest(self, most: int) -> list[Steps]:
        """The names with the longest steps, at most so many."""
        return sorted(self._steps.values(), key=lambda steps: -steps.longest_cpu_ms)[:most]


@dataclass
class _GcClock:
    count: int = 0
    longest_s: float = 0.0
    _began_s: float = 0.0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._began_s = time.perf_counter()
        else:
            self.count += 1
            self.longest_s = max(self.longest_s, time.perf_counter() - self._began_s)


@contextmanager
def _gc_watched() -> Iterator[_GcClock]:
    clock = _GcClock()
    gc.callbacks.append(clock)
    try:
        yield clock
    finally:
        gc.callbacks.remove(clock)


@dataclass
class _Watch:
    """Heartbeat and sender, and what they noted."""

    late_s: list[float] = field(default_factory=list)
    acks_s: list[float] = field(default_factory=list)
    sent: int = 0
    refused: int = 0

    async def beat(self) -> None:
        """Note how much later than asked each wake-up comes."""
        while True:
            due_s = time.perf_counter() + BEAT_S
            await trio.sleep(BEAT_S)
            self.late_s.append(max(0.0, time.perf_counter() - due_s))

    async def send(self, engine: Engine, events: Events, clock: EventClock) -> None:
        """Send one event after the other, each of a user that nobody has seen before."""
        for user in range(events.users, sys.maxsize):
            await trio.sleep(PAUSE_S)
            item = events.item(user, clock.now_ms())
            began_s = time.perf_counter()
            try:
                receipt = engine.accept([item])
                self.sent += 1  # Also when the watch ends before the acknowledgement.
                await receipt.durable()
            except (Overloaded, Unavailable):
                self.refused += 1
            else:
                self.acks_s.append(time.perf_counter() - began_s)


async def measure(*, sessions: int, events: int, quiet_s: float = 2.0) -> Report:
    """Open the sessions, let all fall due, wait until they are stored.

    Args:
        sessions: how many, each of a user of its own.
        events: of each.
        quiet_s: length of the watch beforehand.
    """
    clock = EventClock(time.time_ns() // 1_000_000)
    made = Events(users=sessions)
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
        settings = Settings()
        settings = replace(settings, storage=replace(settings.storage, data_dir=str(Path(folder) / "data")))
        async with open_engine(settings, clock=clock) as engine:
            await engine.wait_recovered()
            where = machine()
            tune_gc()
            began_s = time.perf_counter()
            await open_sessions(engine, made, clock, events)
            open_s = time.perf_counter() - began_s
            say(f"{sessions:,} sessions open after {open_s:.1f} s")
            quiet = await _watched(engine, made, clock, quiet_s)
            # The sender's sessions are open, too, and fall due with the others.
            expected = sessions + quiet.sent
            clock.advance(clock.now_ms() + settings.session.gap_ms + settings.session.grace_ms + 2000)
            herd = await _watched(engine, made, clock, None, until_stored=expected)
            counts = await trio.to_thread.run_sync(engine.reader.statistics)
    return Report(
        machine=where,
        sessions=sessions,
        events=events,
        open_s=open_s,
        quiet=quiet,
        herd=herd,
        stored=counts["activities_stored"] - quiet.sent,
        per_s=sessions / herd.seconds,
        balanced=is_balanced(counts),
    )


async def open_sessions(engine: Engine, made: Events, clock: EventClock, events: int, *, batch: int = 100) -> None:
    """Give every user an open session of so many events: first one each, then the second each, and so on."""
    waiting: deque[Receipt] = deque()
    for _ in range(events):
        for start in range(0, made.users, batch):
            users = range(start, min(start + batch, made.users))
            waiting.append(engine.accept(made.items(users, clock.now_ms())))
            # Two commits' worth under way: one in the thread, one that gathers.
            if len(waiting) > REQUESTS_UNDER_WAY:
                await waiting.popleft().durable()
            await trio.lowlevel.checkpoint()
    while waiting:
        await waiting.popleft().durable()


async def _watched(
    engine: Engine, events: Events, clock: EventClock, seconds: float | None, *, until_stored: int = 0
) -> Watched:
    """Watch for so long, or until so many activities are stored."""
    watch, steps = _Watch(), StepClock()
    began_s, cpu, thread = time.perf_counter(), cpu_s(), time.thread_time()
    trio.lowlevel.add_instrument(steps)
    try:
        with _gc_watched() as collector:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch.beat, name="heartbeat")
                nursery.start_soon(watch.send, engine, events, clock, name="sender")
                if seconds is not None:
                    await trio.sleep(seconds)
                else:
                    await _wait_stored(engine, until_stored)
                took_s, thread = time.perf_counter() - began_s, time.thread_time() - thread
                cpu = cpu_s() - cpu
                nursery.cancel_scope.cancel(reason="watched long enough")
    finally:
        trio.lowlevel.remove_instrument(steps)
    return Watched(
        seconds=took_s,
        late=spread_of(watch.late_s),
        ack=spread_of(watch.acks_s),
        sent=watch.sent,
        refused=watch.refused,
        gc_pauses=collector.count,
        longest_gc_ms=collector.longest_s * 1000,
        loop_cpu_s=thread,
        other_cpu_s=max(0.0, cpu - thread),
        steps=steps.longest(SHOWN_STEPS),
    )


async def _wait_stored(engine: Engine, activities: int) -> None:
    while True:
        counts = await trio.to_thread.run_sync(engine.reader.statistics)
        if counts["activities_stored"] >= activities:
            return
        await trio.sleep(POLL_S)


def described(report: Report) -> str:
    """The report for people."""
    herd, quiet = report.herd, report.quiet
    return "\n".join(
        [
            f"machine         {report.machine}",
            f"sessions        {report.sessions:,} of {report.events} events, opened in {report.open_s:.1f} s",
            f"stored          {report.stored:,} activities after {herd.seconds:.1f} s, {report.per_s:,.0f} a second;"
            f" {'all events accounted for' if report.balanced else 'EVENTS NOT ACCOUNTED FOR'}",
            "",
            f"heartbeat late  {herd.late}   (worst stall of the loop)",
            f"  before        {quiet.late}",
            f"acknowledgement {herd.ack}, {herd.refused:,} of {herd.sent + herd.refused:,} refused",
            f"  before        {quiet.ack}",
            f"CPU             {herd.loop_cpu_s:.1f} s of the loop, {herd.other_cpu_s:.1f} s of commits:"
            f" {(herd.loop_cpu_s + herd.other_cpu_s) / report.sessions * 1e6:.0f} µs a session",
            f"gc              {herd.gc_pauses} pauses, longest {herd.longest_gc_ms:.1f} ms",
            "",
            f"{'longest step of':<20}{'CPU ms':>8}{'wall ms':>9}{'steps':>11}{'CPU s':>8}",
            *(
                f"  {one.task:<18}{one.longest_cpu_ms:>8.1f}{one.longest_ms:>9.1f}"
                f"{one.count:>11,}{one.total_cpu_s:>8.2f}"
                for one in herd.steps
            ),
        ]
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench.stall", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--sessions", type=int, default=100_000, metavar="N", help="that fall due at once (100000)")
    made.add_argument("--events", type=int, default=3, metavar="K", help="of each session (3)")
    made.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a session is missing."""
    options = parser().parse_args(arguments)
    report = trio.run(partial(measure, sessions=options.sessions, events=options.events))
    print_json(report) if options.json else print(described(report))
    return 0 if report.balanced and report.stored == report.sessions else 1


if __name__ == "__main__":
    sys.exit(main())
