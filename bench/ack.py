"""Acknowledged events a second, end to end: a server in one process, a load generator in another, HTTP in between.

    python -m bench.ack             `sojourn serve`: a first contact of every user, full load, half load
    python -m bench.ack --no-http   the engine alone, in this process

An event is acknowledged when its sender has read an answer that calls it accepted: it is then on disk. Load goes on for
some seconds at full speed; then at half of the rate that this gave, at even intervals, which shows how long an
acknowledgement takes when the server is not saturated. At the end `sojourn stats` must account for every event.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from msgspec.structs import replace

from bench import direct
from bench.direct import is_balanced
from bench.events import Events, Form
from bench.load import Outcome, Plan
from bench.machine import Machine, Spread, child_environment, cpu_s, machine, print_json, resident, say, spread_of
from bench.server import Server, serving, stats_of

GIVE_UP_S = 60.0
"""By so much a load generator may overstay its time."""


@dataclass(frozen=True)
class Phase:
    """One stretch of load.

    Attributes:
        name: what it was.
        asked_per_s: events a second that were due; None at full speed.
        seconds, events, requests: how long, and what was acknowledged.
        per_s: acknowledged events a second.
        statuses: answers by HTTP status.
        ack: time of an acknowledgement; at a rate, from when the request was due.
        late_ms: at a rate, how much too late a request was sent at most.
        server_cpu_us, generator_cpu_us: processor time an acknowledged event.
        server_cpus, generator_cpus: processors they kept busy.
        event_bytes: of a body, per event.
    """

    name: str
    asked_per_s: float | None
    seconds: float
    events: int
    requests: int
    per_s: float
    statuses: dict[str, int]
    ack: Spread
    late_ms: float
    server_cpu_us: float
    generator_cpu_us: float
    server_cpus: float
    generator_cpus: float
    event_bytes: float


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        form, batch, users, connections, event_bytes, with_ids, gap_s: how.
        phases: first contact, full load, half load.
        resident_mb: memory of the server at the end, without LMDB's map.
        sent, received: events acknowledged, and events that the store counts as received.
        balanced: whether the store accounts for every received event (decision 17).
        stats: what `sojourn stats` says after the server has ended.
    """

    machine: Machine
    form: Form
    batch: int
    users: int
    connections: int
    event_bytes: int
    with_ids: bool
    gap_s: float | None
    phases: list[Phase]
    resident_mb: float
    sent: int
    received: int
    balanced: bool
    stats: dict[str, Any]


def measure(options: argparse.Namespace) -> Report:
    """Start a server, load it, stop it, count."""
    where = machine()
    plan = Plan(
        connections=options.connections,
        form=options.form,
        batch=options.batch,
        users=options.users,
        event_bytes=options.event_bytes,
        with_ids=options.event_ids,
        seconds=options.seconds,
    )
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        with serving(folder, _settings(options.gap)) as server:
            say(f"server: process {server.pid}, port {server.port}")
            first = _phase("first contact", server, replace(plan, first_contact=True))
            full = _phase("full load", server, replace(plan, seed=2))
            half = _phase("half load", server, replace(plan, seed=3, rate=max(full.per_s / 2, 1.0)))
            resident_mb = resident(server.pid).anonymous_bytes / 2**20
        stats = stats_of(folder / "data")
    phases = [first, full, half]
    return Report(
        machine=where,
        form=options.form,
        batch=options.batch,
        users=options.users,
        connections=options.connections,
        event_bytes=options.event_bytes,
        with_ids=options.event_ids,
        gap_s=options.gap,
        phases=phases,
        resident_mb=resident_mb,
        sent=sum(phase.events for phase in phases),
        received=stats["events_received"],
        balanced=is_balanced(stats),
        stats=stats,
    )


def _settings(gap_s: float | None) -> str:
    settings = '[log]\nlevel = "warning"\n'
    return settings if gap_s is None else f"{settings}[session]\ngap_ms = {round(gap_s * 1000)}\n"


def _phase(name: str, server: Server, plan: Plan) -> Phase:
    """One stretch of load, by a load generator in a process of its own."""
    cpu = cpu_s(server.pid)
    run = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=msgspec.json.encode(replace(plan, host=server.host, port=server.port, token=server.token)),
        env=child_environment(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=plan.seconds + GIVE_UP_S,
    )
    cpu = cpu_s(server.pid) - cpu
    outcome = msgspec.json.decode(run.stdout, type=Outcome)
    acknowledged = max(outcome.acknowledged, 1)
    answered = max(sum(outcome.statuses.values()), 1)
    phase = Phase(
        name=name,
        asked_per_s=plan.rate,
        seconds=outcome.seconds,
        events=outcome.acknowledged,
        requests=len(outcome.acks_s),
        per_s=outcome.acknowledged / outcome.seconds,
        statuses=outcome.statuses,
        ack=spread_of(outcome.acks_s),
        late_ms=outcome.late_s * 1000,
        server_cpu_us=cpu / acknowledged * 1e6,
        generator_cpu_us=outcome.cpu_s / acknowledged * 1e6,
        server_cpus=cpu / outcome.seconds,
        generator_cpus=outcome.cpu_s / outcome.seconds,
        event_bytes=outcome.sent_bytes / answered / plan.batch,
    )
    say(f"{name}: {phase.per_s:,.0f} events/s")
    return phase


def described(report: Report) -> str:
    """The report for people."""
    lines = [
        f"machine        {report.machine}",
        f"requests       {report.form} × {report.batch}, {report.users:,} users, {report.connections} connections",
    ]
    for phase in report.phases:
        asked = f" of {phase.asked_per_s:,.0f} asked for" if phase.asked_per_s else ""
        statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(phase.statuses.items()))
        lines += [
            "",
            f"{phase.name:<14} {phase.per_s:,.0f} events/s acknowledged{asked} ({phase.seconds:.1f} s, {statuses})",
            f"  ack          {phase.ack}",
            f"  CPU          server {phase.server_cpu_us:.1f} µs an event ({phase.server_cpus:.2f} CPUs),"
            f" generator {phase.generator_cpu_us:.1f} µs ({phase.generator_cpus:.2f} CPUs)",
        ]
    fates = ("stored", "duplicate", "refused", "dead", "dropped", "open")
    counts = ", ".join(f"{report.stats[f'events_{fate}']:,} {fate}" for fate in fates)
    lines += [
        "",
        f"memory         {report.resident_mb:,.0f} MB in the server at the end",
        f"stats          {report.sent:,} acknowledged, {report.received:,} received = {counts}:"
        f" {'accounted for' if report.balanced else 'NOT ACCOUNTED FOR'}",
    ]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench.ack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--form", choices=("items", "events"), default="items", help="array of items with one event each, each of some"
        " user; or one item of one user with all events (default: items)")  # fmt: skip
    add("--batch", type=int, default=100, metavar="N", help="events of a request (100)")
    add("--users", type=int, default=50_000, metavar="N", help="users, chosen at random (50000)")
    add("--connections", type=int, default=8, metavar="N", help="requests under way at a time (8)")
    add("--seconds", type=float, default=10.0, metavar="S", help="length of full and of half load (10)")
    add("--event-bytes", type=int, default=330, metavar="N", help="size of an event (330)")
    add("--event-ids", action="store_true", help="give each event an id, so that repeats would be found")
    add("--gap", type=float, metavar="S", help="silence that ends a session (30 minutes: none ends meanwhile);"
        " a few seconds put the closing and storing of sessions under the same load")  # fmt: skip
    add("--no-http", action="store_true", help="the engine alone, in this process")
    add("--store", choices=("lmdb", "memory"), default="lmdb", help="with --no-http (lmdb)")
    add("--json", action="store_true", help="print the report as one line of JSON")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when events are missing at the end."""
    options = parser().parse_args(arguments)
    if options.no_http:
        events = Events(users=options.users, size_bytes=options.event_bytes, with_ids=options.event_ids)
        alone = trio.run(
            partial(
                direct.measure,
                store=options.store,
                form=options.form,
                events=events,
                batch=options.batch,
                senders=options.connections,
                seconds=options.seconds,
                gap_s=options.gap,
            )
        )
        print_json(alone) if options.json else print(direct.described(alone))
        return 0 if alone.balanced else 1
    report = measure(options)
    print_json(report) if options.json else print(described(report))
    return 0 if report.balanced and report.sent <= report.received else 1


if __name__ == "__main__":
    sys.exit(main())
