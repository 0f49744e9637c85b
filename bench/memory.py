"""Bytes that an open session costs.

    python -m bench.memory

An engine gets so many users with an open session each, of small events; what its process has grown by since it had a
thousand of them, divided by the sessions, is the cost of one. Each figure comes from a process of its own. Memory is
what the kernel counts as anonymous: LMDB's map is not in it, which the kernel takes back when it needs it. The memory
store has the journal in it, so its figure holds each event twice.

Beside the whole, its parts, each made alone and as often: the actor's mailbox, its task and its place in the registry,
and the visitor, which holds the events. What is left is above all the identity cache and the allocator's waste.

`--trace` says instead which lines allocated what is alive then, as tracemalloc sees it.
"""

import argparse
import gc
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

import msgspec
import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from bench.events import Events
from bench.machine import ROOT, Machine, child_environment, machine, print_json, resident, say, tune_gc
from bench.stall import open_sessions
from engine import Engine, EventClock, MemoryStore, Settings, open_engine
from engine.actors.mailbox import Mailbox
from engine.actors.user_actor import Entry, Home, Message, run_user
from engine.model.channel import ChannelSettings
from engine.model.record import Record, RecordKind
from engine.session.visitor import Visitor

EVENT_BYTES: Final = 160
"""Of an event without the root fields around it, which a session holds once."""

ROOT_BYTES: Final = 105
"""Of the root fields and the braces, in the events of these benches."""

WARM_SESSIONS: Final = 1000
"""Opened before the first look: what is made once is made by then."""

NOW_MS: Final = 1_750_000_000_000
CHANNEL: Final = ChannelSettings(datamart=1, kind="SITE", id="1")
TRACED_LINES: Final = 25
CASE_S: Final = 1800.0


@dataclass(frozen=True)
class Case:
    """One measurement: `lmdb` and `memory` are a whole engine on that store, the others are parts.

    Attributes:
        what: `lmdb`, `memory`, `mailbox`, `actor` (mailbox, task, registry entry) or `visitor`.
        sessions, events: how many, and events of each.
    """

    what: str
    sessions: int
    events: int


@dataclass(frozen=True)
class Cost:
    """What a case found.

    Attributes:
        case: which.
        session_bytes: per session.
        map_bytes: of LMDB's map in memory, per session.
    """

    case: Case
    session_bytes: float
    map_bytes: float


@dataclass(frozen=True)
class Report:
    """What was measured."""

    machine: Machine
    event_bytes: int
    costs: list[Cost]

    def of(self, what: str, events: int) -> float:
        """Bytes per session of a case."""
        return next(one.session_bytes for one in self.costs if (one.case.what, one.case.events) == (what, events))


async def engine_cost(case: Case) -> Cost:
    """The whole engine: what it grows by with each open session."""
    clock = EventClock(NOW_MS)
    async with _engine(case.what, clock) as engine:
        await _open(engine, clock, WARM_SESSIONS, case.events, "warm")
        before = resident()
        await _open(engine, clock, case.sessions, case.events, "user")
        after = resident()
    return _cost(case, after.anonymous_bytes - before.anonymous_bytes, after.file_bytes - before.file_bytes)


@asynccontextmanager
async def _engine(store: str, clock: EventClock) -> AsyncIterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
        settings = Settings()
        settings = replace(settings, storage=replace(settings.storage, data_dir=str(Path(folder) / "data")))
        async with open_engine(settings, clock=clock, store=MemoryStore() if store == "memory" else None) as engine:
            await engine.wait_recovered()
            tune_gc()
            yield engine


async def _open(engine: Engine, clock: EventClock, sessions: int, events: int, prefix: str) -> None:
    made = Events(users=sessions, size_bytes=EVENT_BYTES + ROOT_BYTES, prefix=prefix)
    await open_sessions(engine, made, clock, events)
    await wait_all_tasks_blocked()
    gc.collect()


async def mailbox_cost(case: Case) -> Cost:
    """Mailboxes alone, empty."""
    return _part(case, lambda index: _mailbox())


async def visitor_cost(case: Case) -> Cost:
    """Visitors alone, as the user actors hold them: no task, no mailbox."""

    def visitor(index: int) -> Visitor:
        point = index.to_bytes(16, "big")
        made = Visitor(1, point, lambda key, version: CHANNEL)
        for number in range(case.events):
            made.apply(_record(point, index, number))
        return made

    return _part(case, visitor)


async def actor_cost(case: Case) -> Cost:
    """Actors that wait for a message: mailbox, task, entry and place in the registry. They share a visitor."""
    registry: dict[tuple[int, bytes], Entry] = {}
    visitor = Visitor(1, bytes(16), lambda key, version: CHANNEL)
    home = cast("Home", None)  # Who never gets a message never looks at it.
    async with trio.open_nursery() as nursery:

        def actor(index: int) -> None:
            key = (1, index.to_bytes(16, "big"))
            entry = registry[key] = Entry(key, visitor, _mailbox())
            nursery.start_soon(run_user, entry, home, name="user")

        gc.collect()
        before = resident()
        for index in range(case.sessions):
            actor(index)
        await wait_all_tasks_blocked()
        gc.collect()
        after = resident()
        nursery.cancel_scope.cancel(reason="measured")
    return _cost(case, after.anonymous_bytes - before.anonymous_bytes)


def _mailbox() -> Mailbox[Message]:
    limits = Settings().limits
    return Mailbox(limits.mailbox_messages, limits.mailbox_bytes)


def _record(point: bytes, user: int, number: int) -> Record:
    """A record as `accept` makes it: bytes of its own, nothing shared."""
    item = Events(users=1, size_bytes=EVENT_BYTES + ROOT_BYTES).item(user, NOW_MS)
    start = item.index(b'"$events":[')
    return Record(
        sequence=user * 100 + number,
        kind=RecordKind.EVENT,
        arrival_ms=NOW_MS + number,
        datamart=1,
        user_point=point,
        channel=CHANNEL.key,
        channel_version=1,
        ts_ms=NOW_MS + number,
        weight=1,
        process=True,
        root=item[: start - 1] + b"}",
        event=item[start + 11 : -2],
    )


def _part(case: Case, make: Callable[[int], object]) -> Cost:
    kept: list[object] = [make(index) for index in range(WARM_SESSIONS)]
    gc.collect()
    before = resident()
    kept += [make(index) for index in range(case.sessions)]
    gc.collect()
    return _cost(case, resident().anonymous_bytes - before.anonymous_bytes)


def _cost(case: Case, anonymous_bytes: int, map_bytes: int = 0) -> Cost:
    return Cost(case, anonymous_bytes / case.sessions, map_bytes / case.sessions)


CASES: Final = {
    "lmdb": engine_cost,
    "memory": engine_cost,
    "mailbox": mailbox_cost,
    "actor": actor_cost,
    "visitor": visitor_cost,
}


def in_child(case: Case) -> Cost:
    """Measure a case in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "bench.memory", "--case", msgspec.json.encode(asdict(case)).decode()],
        env=child_environment(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=CASE_S,
    )
    cost = msgspec.json.decode(run.stdout, type=Cost)
    say(f"{case.what}, {case.events} events: {cost.session_bytes:,.0f} bytes a session")
    return cost


def measure(sessions: int, events: Sequence[int]) -> Report:
    """All cases, one after the other."""
    where = machine()
    cases = [Case(what, sessions, 1) for what in ("mailbox", "actor")]
    cases += [Case(what, sessions, number) for number in events for what in ("visitor", "lmdb", "memory")]
    return Report(where, EVENT_BYTES, [in_child(case) for case in cases])


async def trace(case: Case) -> list[tuple[float, str]]:
    """Bytes per session by the line that allocated them, the largest first."""
    clock = EventClock(NOW_MS)
    async with _engine(case.what, clock) as engine:
        await _open(engine, clock, WARM_SESSIONS, case.events, "warm")
        tracemalloc.start()
        await _open(engine, clock, case.sessions, case.events, "user")
        found = tracemalloc.take_snapshot().statistics("lineno")
        tracemalloc.stop()
    return [
        (one.size / case.sessions, f"{_short(one.traceback[0].filename)}:{one.traceback[0].lineno}")
        for one in found[:TRACED_LINES]
    ]


def _short(filename: str) -> str:
    return filename.removeprefix(f"{ROOT}/").rpartition("site-packages/")[2]


def described(report: Report) -> str:
    """The report for people."""
    numbers = sorted({one.case.events for one in report.costs if one.case.what == "lmdb"})
    mailbox, actor = report.of("mailbox", 1), report.of("actor", 1)
    lines = [
        f"machine  {report.machine}",
        f"events   {report.event_bytes} bytes each; {report.costs[0].case.sessions:,} sessions",
        "",
        f"{'bytes a session':<28}" + "".join(f"{f'{number} events':>12}" for number in numbers),
    ]

    def row(name: str, of: Callable[[int], float]) -> None:
        lines.append(f"{name:<28}" + "".join(f"{of(number):>12,.0f}" for number in numbers))

    row("engine on LMDB", lambda number: report.of("lmdb", number))
    row("  mailbox", lambda number: mailbox)
    row("  task, registry entry", lambda number: actor - mailbox)
    row("  visitor with the events", lambda number: report.of("visitor", number))
    row("  the rest", lambda number: report.of("lmdb", number) - actor - report.of("visitor", number))
    row("engine on the memory store", lambda number: report.of("memory", number))
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--sessions", type=int, default=100_000, metavar="N", help="open at a time (100000)")
    made.add_argument("--events", type=int, nargs="+", default=[1, 3, 10], metavar="K", help="of each (1 3 10)")
    made.add_argument("--trace", action="store_true", help="which lines allocated it; slow, so take fewer sessions")
    made.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    made.add_argument("--case", help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = parser().parse_args(arguments)
    if options.case is not None:
        case = msgspec.json.decode(options.case, type=Case)
        print_json(trio.run(CASES[case.what], case))
    elif options.trace:
        for size, line in trio.run(trace, Case("lmdb", options.sessions, options.events[0])):
            print(f"{size:>8.0f}  {line}")
    else:
        report = measure(options.sessions, options.events)
        print_json(report) if options.json else print(described(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
