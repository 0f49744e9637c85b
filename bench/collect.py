"""What a durable event costs a request: our listener beside a server that keeps nothing, and beside a usual one.

    python -m bench.collect                  everything, about two minutes
    python -m bench.collect --only a,b       only these; quicker
    python -m bench.collect --seconds 10 --rounds 5    for figures to publish, on an idle machine

One event a request, 64 connections kept alive, users at random among 50,000, the same bytes to

    (a) bare      Trio and httptools: parses the JSON, says 200, keeps nothing      (bench/peers/bare.py)
    (b) sojourn   `sojourn serve` on LMDB: identified, in a session, on disk before it says 200
    (c) fastapi   FastAPI on uvicorn, uvloop and httptools; each body into SQLite, synchronous=FULL, one commit a
                  request                                                           (bench/peers/fastapi_sqlite.py)

and to (b) in three more ways: `batches` of 100 events of random users; `slow sync`, with 2 ms added to every fsync and
256 connections; `slow disk`, with 2 ms added also to LMDB's second wait of a commit, its synchronous write. All servers
run all the time, and are loaded in turns, in short rounds: what else the machine does hits all alike. The ratio of two
is made in each round; shown are the median and the extremes. Then (b) gets half of the rate that it showed, at even
intervals; the time of an answer counts from when its request was due.

The load comes from one process (bench/wire.py) whose processor time is shown beside the server's. At the end `sojourn
stats` must account for every event, and SQLite must have a row for each: the exit code is 1 if not.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bench import collected
from bench.collected import BARE, BATCHES, FASTAPI, HALF, SLOW_SYNC, SOJOURN, Report
from bench.contest import FASTEST, Contest, Contestant
from bench.machine import machine, print_json, range_of

LETTERS: Final = {"a": BARE, "b": SOJOURN, "c": FASTAPI, "batches": BATCHES, "slow": SLOW_SYNC}
"""What `--only` takes."""


def measure(options: argparse.Namespace) -> Report:
    """Start the servers, load them in turns, stop them, count."""
    where = machine()
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        with ExitStack() as stack:
            contest = Contest(options, Path(name), stack)
            contestants = contest.contestants()
            for number in range(options.rounds + 1):
                for contestant in contestants:
                    contest.run(contestant if number else contestant.short(), number)
            for contestant in contestants:
                if contestant.what == SOJOURN:
                    _run_at_half(contest, contestant, options.rounds)
        accounts = contest.accounts()
    runs = contest.runs
    return Report(
        machine=where,
        connections=options.connections,
        slow_connections=options.slow_connections,
        users=options.users,
        event_bytes=max((run.tally.event_bytes for run in runs), default=0),
        batch=options.batch,
        seconds=options.seconds,
        rounds=options.rounds,
        delay_ms=options.delay_ms,
        style=options.style,
        commit=contest.commit,
        left_out=contest.left_out,
        runs=runs,
        summaries=collected.summaries(runs),
        ratios=collected.ratios(runs),
        accounts=accounts,
    )


def _run_at_half(contest: Contest, contestant: Contestant, rounds: int) -> None:
    full = range_of([run.requests_per_s for run in contest.runs if run.what == contestant.what and run.round])
    half = replace(contestant.load, rate=max(full.median / 2, 1.0))
    for number in range(1, rounds + 1):
        contest.run(dataclasses.replace(contestant, what=HALF, load=half), number)


def _names(text: str) -> frozenset[str]:
    """The contestants that `--only` names."""
    letters = text.split(",")
    if unknown := set(letters) - set(LETTERS):
        raise argparse.ArgumentTypeError(f"no such contestant: {', '.join(sorted(unknown))}")
    return frozenset(LETTERS[letter] for letter in letters)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench.collect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--only", type=_names, default=frozenset(LETTERS.values()), metavar="LIST",
        help="of a, b, c, batches and slow, with commas between (all)")  # fmt: skip
    add("--rounds", type=int, default=3, metavar="N", help="how often each has its turn (3)")
    add("--seconds", type=float, default=4.0, metavar="S", help="length of a turn (4)")
    add("--connections", type=int, default=64, metavar="N", help="kept alive, a request under way on each (64)")
    add("--users", type=int, default=50_000, metavar="N", help="users, chosen at random (50000)")
    add("--event-bytes", type=int, default=330, metavar="N", help="size of an event (330)")
    add("--batch", type=int, default=100, metavar="N", help="events of a request of `batches` (100)")
    add("--delay-ms", type=float, default=2.0, metavar="MS", help="what a wait for the slow disk takes longer (2)")
    add("--slow-connections", type=int, default=256, metavar="N", help="connections to the server on it (256)")
    add("--style", choices=("readable", "socket", "stream"), default="readable",
        help="how (a) reads its sockets: `python -m bench.peers.bare --help` (readable, the fastest)")  # fmt: skip
    add("--commit", choices=(FASTEST, "thread", "loop", "pool"), default=FASTEST,
        help="where (c) commits: `python -m bench.peers.fastapi_sqlite --help` (tried before)")  # fmt: skip
    add("--json", action="store_true", help="print the report as one line of JSON")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when events are missing at the end."""
    options = parser().parse_args(arguments)
    report = measure(options)
    print_json(report) if options.json else print(collected.described(report))
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
