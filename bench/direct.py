"""Acknowledged events a second without HTTP: `accept` and `durable` in this process, from several senders in turn.

The difference between this and the bench over HTTP is what HTTP costs.
"""

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import trio
from msgspec.structs import replace

from bench.events import Events, Form
from bench.machine import Machine, Spread, cpu_s, machine, spread_of, tune_gc
from engine import (
    Engine,
    MemoryStore,
    Overloaded,
    Settings,
    Unavailable,
    open_engine,
    split_items,
)

StoreKind = Literal["lmdb", "memory"]

PAUSE_S = 0.05
"""What a refused sender waits."""


@dataclass(frozen=True)
class DirectReport:
    """What was measured.

    Attributes:
        events, requests: acknowledged.
        refused: requests that the engine was too busy for.
        per_s: acknowledged events a second.
        ack: from having the request's bytes to knowing that they are on disk.
        cpu_us: processor time an event, all threads: the engine, its writer, and making the events.
        making_us: of it, making the events, which a server does not do.
        accept_us: of it, inside `accept`, splitting included: checking, identifying, journaling, and applying to the
            sessions of users whose actor is idle.
        actors_us: of it, the rest of the loop's thread: actors that woke up, the chain, tickets.
        writer_us: of it, all other threads: commits.
        longest_accept_ms: the longest that one `accept` held the loop.
        balanced: whether every received event was accounted for at the end.
    """

    machine: Machine
    store: StoreKind
    form: Form
    seconds: float
    events: int
    requests: int
    refused: int
    per_s: float
    ack: Spread
    cpu_us: float
    making_us: float
    accept_us: float
    actors_us: float
    writer_us: float
    longest_accept_ms: float
    balanced: bool


@dataclass
class _Tally:
    events: int = 0
    refused: int = 0
    acks_s: list[float] = field(default_factory=list)
    making_s: float = 0.0
    accept_s: float = 0.0
    longest_accept_s: float = 0.0


async def measure(
    *,
    store: StoreKind,
    form: Form,
    events: Events,
    batch: int,
    senders: int,
    seconds: float,
    gap_s: float | None = None,
) -> DirectReport:
    """Send for so many seconds, after every user has sent once.

    Args:
        store: where the engine keeps things; `lmdb` in a temporary directory.
        form, events, batch: what a request is.
        senders: how many have a request under way at a time.
        seconds: how long to measure.
        gap_s: silence that ends a session; 30 minutes, during which none ends, when None.
    """
    with ExitStack() as stack:
        settings = Settings()
        if gap_s is not None:
            settings = replace(settings, session=replace(settings.session, gap_ms=round(gap_s * 1000)))
        if store == "lmdb":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sojourn-bench-"))
            settings = replace(settings, storage=replace(settings.storage, data_dir=str(Path(folder) / "data")))
        async with open_engine(settings, store=MemoryStore() if store == "memory" else None) as engine:
            await engine.wait_recovered()
            tune_gc()
            await first_contact(engine, events)
            tally = _Tally()
            where = machine()
            cpu, thread, started = cpu_s(), time.thread_time(), time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(senders):
                    nursery.start_soon(partial(_send, engine, form, events, batch, started + seconds, tally))
            took = time.perf_counter() - started
            cpu, thread = cpu_s() - cpu, time.thread_time() - thread
            balanced = await trio.to_thread.run_sync(_is_balanced, engine)
    count = max(tally.events, 1)
    return DirectReport(
        machine=where,
        store=store,
        form=form,
        seconds=took,
        events=tally.events,
        requests=len(tally.acks_s),
        refused=tally.refused,
        per_s=tally.events / took,
        ack=spread_of(tally.acks_s),
        cpu_us=cpu / count * 1e6,
        making_us=tally.making_s / count * 1e6,
        accept_us=tally.accept_s / count * 1e6,
        actors_us=(thread - tally.making_s - tally.accept_s) / count * 1e6,
        writer_us=max(0.0, cpu - thread) / count * 1e6,
        longest_accept_ms=tally.longest_accept_s * 1000,
        balanced=balanced,
    )


async def first_contact(engine: Engine, events: Events, *, batch: int = 100) -> None:
    """One event of every user: what follows then comes from users who are known, as nearly all traffic does."""
    for start in range(0, events.users, batch):
        users = range(start, min(start + batch, events.users))
        await engine.accept(events.items(users, time.time_ns() // 1_000_000)).durable()


async def _send(engine: Engine, form: Form, events: Events, batch: int, end: float, tally: _Tally) -> None:
    # Processor time of this thread: the other one, which commits, takes the interpreter away in between.
    now, used = time.perf_counter, time.thread_time
    while now() < end:
        begun_cpu = used()
        body = events.body(form, batch)
        made, made_cpu = now(), used()
        try:
            receipt = engine.accept(split_items(body) if form == "items" else [body])
            accepted, accepted_cpu = now(), used()
            await receipt.durable()
        except (Overloaded, Unavailable):
            tally.refused += 1
            await trio.sleep(PAUSE_S)
            continue
        tally.acks_s.append(now() - made)
        tally.events += sum(result.events for result in receipt.results if result.status == "accepted")
        tally.making_s += made_cpu - begun_cpu
        tally.accept_s += accepted_cpu - made_cpu
        tally.longest_accept_s = max(tally.longest_accept_s, accepted - made)


def _is_balanced(engine: Engine) -> bool:
    counts = engine.reader.statistics()
    return is_balanced(counts)


def is_balanced(counts: "dict[str, int]") -> bool:
    """Whether every received event is in exactly one place (decision 17)."""
    fates = ("stored", "duplicate", "refused", "dead", "dropped", "open")
    return counts["events_received"] == sum(counts[f"events_{fate}"] for fate in fates)


def described(report: DirectReport) -> str:
    """The report for people."""
    return "\n".join(
        [
            f"machine       {report.machine}",
            f"engine alone  {report.form}, {report.store}, {report.seconds:.1f} s",
            f"acknowledged  {report.per_s:,.0f} events/s ({report.events:,} events, {report.requests:,} requests,"
            f" {report.refused:,} refused)",
            f"ack           {report.ack}",
            f"CPU           {report.cpu_us:.1f} µs an event: {report.accept_us:.1f} in accept, {report.making_us:.1f}"
            f" making events, {report.actors_us:.1f} actors, {report.writer_us:.1f} writer",
            f"longest       accept {report.longest_accept_ms:.1f} ms",
            f"accounted for {'all' if report.balanced else 'NOT ALL'}",
        ]
    )
