"""Activities a second through the chain of steps.

    python -m bench.chain

Closed sessions of three events each are handed to the chain's entrance: the same stage actors, store actor and writer
that an engine has, and a store in a temporary directory. Three times: with nothing defined, with ten event rules, a
fast Python analyzer, five goals and five automations, and with an HTTP analyzer that takes so many milliseconds.

Of the sessions of a shop, a fifth views the basket and a tenth buys; so most goals and triggers find no event that
concerns them, as it is everywhere, and some do their work.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio
from msgspec import json

from bench.machine import ROOT, Machine, Range, child_environment, machine, print_json, range_of, say, tune_gc
from engine import EventClock, Settings
from engine.actors.analysts.oracle import open_analysts
from engine.actors.facts import Facts
from engine.actors.overlapping_stage import OverlappingStageActor
from engine.actors.stage_actor import StageActor
from engine.actors.store_actor import Settler, StoreActor
from engine.actors.writer import Writer
from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.declared.automations import Automation, End, Wait
from engine.definitions.declared.event_rules import EventTemplate, PropertyToOriginCopy, UrlMatch
from engine.definitions.declared.goals import Goal
from engine.definitions.defined import Defined
from engine.model.channel import ChannelSettings
from engine.model.record import Record, RecordKind, encode_rows
from engine.pipeline.chain import build_chain, build_program
from engine.pipeline.stage import Envelope, Program
from engine.session.closed import Closed
from engine.session.visitor import Visitor
from engine.settings import StorageSettings
from engine.store.environment import LmdbStore
from engine.store.port import AppendJournal

SITE: Final = ChannelSettings(datamart=1, kind="SITE", id="1", domain="shop.example")
START_MS: Final = 1_700_000_000_000
HOUR_MS: Final = 3_600_000
PATHS: Final = ("p/:id", "c/:id", "brand/:id/items", "help/*", "search?q=:id", "sale/**", "b/:id")
LIST: Final = 100
"""Envelopes handed over at a time, as an actor that wakes up for many sessions does."""


@dataclass(frozen=True)
class Way:
    """One way through the chain.

    Attributes:
        name: what is defined.
        activities: in each round.
        per_s: activities stored a second.
        loop_us, cpu_us: processor time an activity: of the loop's thread, and of all threads; one core does
            1,000,000 / `cpu_us` a second.
        dead: dead letters of the last round; must be none.
    """

    name: str
    activities: int
    per_s: Range
    loop_us: Range
    cpu_us: Range
    dead: int


@dataclass(frozen=True)
class Report:
    """What was measured."""

    machine: Machine
    rounds: int
    ways: list[Way]


def defined(*, analyzer: Analyzer) -> Defined:
    """Ten rules, an analyzer, five goals, five automations."""
    rules = [
        UrlMatch(
            id=f"page-{number}",
            pattern=f"https://shop.example/{path}",
            event_template=EventTemplate(
                event_name=f"viewed_{number}", properties={"what": ":id" if ":id" in path else path}
            ),
        )
        for number, path in enumerate(
            ("p/:id", "c/:id", "brand/:id/items", "help/*", "search?q=:id", "sale/**", "b/:id")
        )
    ]
    copies = [
        PropertyToOriginCopy(id="partner", property_name="partner", property_source="URL", destination="partner"),
        PropertyToOriginCopy(id="mood", property_name="mood", property_source="EVENT_PROPERTY", destination="mood"),
        PropertyToOriginCopy(id="from", property_name="from", property_source="REFERRER", destination="from"),
    ]
    goals = [
        Goal(id="1", query='WHERE events { name = "$transaction_confirmed" }'),
        Goal(id="2", query='WHERE events { name = "$basket_view" AND $properties.price > 100 }'),
        Goal(id="3", query='WHERE events { name = "$item_view" AND $properties.category = "sofas" }'),
        Goal(id="4", query='WHERE $type = "SITE_VISIT" AND events { name = "viewed_9" }'),
        Goal(id="5", query='WHERE events { name = "newsletter" }'),
    ]
    automations = [
        Automation(
            id=str(10 + number),
            trigger=f'WHERE events {{ name = "{name}" }}',
            begin="wait",
            nodes=(Wait(id="wait", delay_ms=HOUR_MS, next="end"), End(id="end")),
        )
        for number, name in enumerate(("$basket_view", "$email_click", "newsletter", "sign_up", "quiz"))
    ]
    return Defined(
        datamart=1,
        event_rules=(*rules, *copies),
        analyzers=(analyzer,),
        goals=tuple(goals),
        automations=tuple(automations),
        analyzers_of={SITE.key: (analyzer.id,)},
    )


def tag(activity: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """The Python analyzer: looks at each event, and says what it has seen."""
    activity["viewed"] = sum(event["$event_name"] == "$item_view" for event in activity["$events"])
    return activity


def sessions(count: int) -> tuple[list[Record], list[Closed]]:
    """Records of so many sessions, and the sessions as they leave their visitors."""
    records: list[Record] = []
    closed: list[Closed] = []
    for user in range(count):
        point = user.to_bytes(16, "big")
        visitor = Visitor(1, point, lambda key, version: SITE)
        root = json.encode(
            {"$type": "SITE_VISIT", "$session_status": "IN_SESSION", "$site_id": "1", "$user_agent_id": f"{user:08d}"}
        )
        last = "$transaction_confirmed" if user % 10 == 0 else "$basket_view" if user % 5 == 1 else "$page_view"
        for index, name in enumerate(("$page_view", "$item_view", last)):
            ts_ms = START_MS + user * 10 + index * 1000
            event = {
                "$ts": ts_ms,
                "$event_name": name,
                "$properties": {
                    "$url": f"https://shop.example/{'p' if index else 'c'}/{(user + index) % 1000}",
                    "$referrer": "https://shop.example/",
                    "category": "chairs",
                    "price": 149.90,
                },
            }
            record = Record(
                len(records) + 1,
                RecordKind.EVENT,
                ts_ms,
                1,
                point,
                "site:1",
                1,
                ts_ms,
                1,
                True,
                root,
                json.encode(event),
            )
            records.append(record)
            visitor.apply(record)
        closed += visitor.expire(START_MS + 1000 * HOUR_MS)
    return records, closed


async def run_once(program: Program | None, count: int) -> tuple[float, float, float, int]:
    """Seconds, processor seconds of the loop and of all threads, and dead letters of one way through the chain."""
    settings, clock = Settings(), EventClock(START_MS)
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
        store = LmdbStore.open(StorageSettings(data_dir=str(Path(folder) / "data")))
        records, closed = sessions(count)
        for start in range(0, len(records), 1000):
            some = records[start : start + 1000]
            store.commit([AppendJournal(encode_rows(some), some[-1].arrival_ms)])
        tune_gc()
        writer = Writer(store, report=_report, max_pending_bytes=64 << 20, stand_aside_s=0.02)
        store.on_placed = writer.placed
        facts = Facts(store, clock.now_ms)
        dead = 0

        def settled(envelopes: Sequence[Envelope]) -> None:
            nonlocal dead
            facts.settled(envelopes)
            dead += sum(envelope.verdict is not None for envelope in envelopes)

        async with trio.open_nursery() as writing:
            writing.start_soon(writer.run)
            async with open_analysts(settings.analyzers, _report) as analysts, trio.open_nursery() as stages:
                entrance, inbox = trio.open_memory_channel[list[Envelope]](64)
                chain: list[StageActor | OverlappingStageActor] = []
                program_of: Callable[[int], Program] | None = (lambda datamart: program) if program else None
                for step in build_chain(lambda datamart: "1", facts.context, program_of, analysts):
                    outbox, behind = trio.open_memory_channel[list[Envelope]](64)
                    if step.may_wait:
                        chain.append(OverlappingStageActor(step.name, step.run, inbox, outbox, calls=4096, held=4096))
                    else:
                        chain.append(StageActor(step.name, step.run, inbox, outbox, step.merge, step.move))
                    inbox = behind

                async def again(envelope: Envelope) -> None:
                    for stage in chain:
                        await stage.again(envelope)

                storing = StoreActor(inbox, writer, Settler(clock.wall_ms, 1 << 40), settled, again)
                for stage in chain:
                    stages.start_soon(stage.run)
                stages.start_soon(storing.run)
                wall_s, loop_s, cpu_s = time.perf_counter(), time.thread_time(), time.process_time()
                async with entrance:
                    for start in range(0, len(closed), LIST):
                        await entrance.send([Envelope(one) for one in closed[start : start + LIST]])
            took = time.perf_counter() - wall_s, time.thread_time() - loop_s, time.process_time() - cpu_s
            writer.close()
        store.close()
    return *took, dead


async def measure(name: str, program: Program | None, count: int, rounds: int) -> Way:
    """One way, several times; the first round warms up and counts nowhere."""
    found = []
    for number in range(rounds + 1):
        say(f"{name}: round {number} of {rounds}")
        found.append(await run_once(program, count))
    counted = found[1:]
    return Way(
        name=name,
        activities=count,
        per_s=range_of([count / wall for wall, *_ in counted]),
        loop_us=range_of([loop / count * 1e6 for _, loop, *_ in counted]),
        cpu_us=range_of([cpu / count * 1e6 for _, _, cpu, _ in counted]),
        dead=counted[-1][3],
    )


def _report(name: str, what: str) -> None:
    say(f"{name}: {what}")


@contextmanager
def slow_plugin(delay_ms: int) -> Iterator[str]:
    """The address of an HTTP analyzer that takes so long, in a process of its own."""
    command = [sys.executable, "-m", "bench.peers.slow_analyzer", "--delay-ms", str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment(), cwd=ROOT, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def report_of(*, count: int, rounds: int, delay_ms: int) -> Report:
    """All of it."""
    python = Analyzer(id="1", callable="bench.chain:tag", fast=True)
    ways = [
        trio.run(measure, "nothing defined", None, count, rounds),
        trio.run(
            measure,
            "10 rules, a Python analyzer, 5 goals, 5 triggers",
            build_program(defined(analyzer=python)),
            count,
            rounds,
        ),
    ]
    with slow_plugin(delay_ms) as url:
        plugin = Analyzer(id="1", url=url, max_calls=256)
        name = f"the same with an HTTP analyzer of {delay_ms} ms"
        ways.append(trio.run(measure, name, build_program(defined(analyzer=plugin)), max(count // 8, 500), rounds))
    return Report(machine(), rounds, ways)


def described(report: Report) -> str:
    """The report for people."""
    lines = [f"machine  {report.machine}", f"rounds   {report.rounds}", ""]
    for way in report.ways:
        lines += [
            f"{way.name} ({way.activities:,} activities of 3 events, {way.dead} dead)",
            f"  stored    {way.per_s.median:,.0f} activities/s (min {way.per_s.min:,.0f}, max {way.per_s.max:,.0f})",
            f"  loop      {way.loop_us.median:.0f} µs an activity (min {way.loop_us.min:.0f}):"
            f" one core takes {1e6 / way.loop_us.median:,.0f}/s",
            f"  all       {way.cpu_us.median:.0f} µs with commits (min {way.cpu_us.min:.0f})",
        ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activities", type=int, default=20_000, help="of each round (20,000)")
    parser.add_argument("--rounds", type=int, default=3, help="that count, behind one that warms up (3)")
    parser.add_argument("--delay-ms", type=int, default=50, help="of the HTTP analyzer (50)")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of text")
    given = parser.parse_args(arguments)
    report = report_of(count=given.activities, rounds=given.rounds, delay_ms=given.delay_ms)
    if given.json:
        print_json(report)
    else:
        print(described(report))
    return 1 if any(way.dead for way in report.ways) else 0


if __name__ == "__main__":
    sys.exit(main())
