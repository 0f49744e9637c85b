"""The servers of `bench.collect`, each behind the same few lines, and one turn of load on one of them."""

import argparse
import dataclasses
import resource
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from bench.collected import BARE, BATCHES, FASTAPI, FIRST, SLOW_DISK, SLOW_SYNC, SOJOURN, Account, Run
from bench.direct import is_balanced
from bench.halves import Load
from bench.machine import all_cpu_s, child_environment, cpu_s, say
from bench.server import Server, peer, serving, stats_of
from bench.slow_fsync import NoCompiler, SlowDisk
from bench.wire import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS: Final = '[log]\nlevel = "warning"\n'

ACCEPTED: Final = '"accepted"'
"""What an answer of ours says of each event that it accepts."""

NEEDED_BY_FASTAPI: Final = ("fastapi", "uvicorn", "uvloop", "httptools")

COMMITS: Final = ("thread", "loop")
FASTEST: Final = "fastest"
"""Where FastAPI commits: tried in turns, and the faster stays. Which it is depends on what a sync costs here."""

WARM_UP_S: Final = 1.0

GIVE_UP_S: Final = 120.0
"""By so much a load generator may overstay its time."""


@dataclass(frozen=True)
class Contestant:
    """One row of the result.

    Attributes:
        what: its name.
        server: that is loaded; several may share one.
        load: what it is sent.
        disk: of the server, where it can be made slow.
        sync_ms, write_ms: how slow.
    """

    what: str
    server: Server
    load: Load
    disk: SlowDisk | None = None
    sync_ms: float = 0.0
    write_ms: float = 0.0

    def short(self) -> "Contestant":
        """The same for the round that warms up: caches, allocators, the first request of everything."""
        return dataclasses.replace(self, load=replace(self.load, seconds=min(self.load.seconds, WARM_UP_S)))


class Contest:
    """Starts servers, loads them, remembers what came of it.

    Args:
        options: of the command line.
        folder: for all that servers keep.
        stack: ends the servers.

    Attributes:
        runs: what was measured, in order.
        left_out: what could not be, and why.
        commit: where FastAPI commits.
    """

    def __init__(self, options: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        self.runs: list[Run] = []
        self.left_out: dict[str, str] = {}
        self.commit: str = options.commit
        self._options = options
        self._folder = folder
        self._stack = stack
        self._load = Load(
            seconds=options.seconds,
            connections=options.connections,
            users=options.users,
            event_bytes=options.event_bytes,
        )
        self._acknowledged: Counter[int] = Counter()
        self._unsure: Counter[int] = Counter()
        self._accounts: list[Callable[[], Account]] = []

    def contestants(self) -> list[Contestant]:
        """Start all servers that are wanted and can be had; in the order in which they take their turns."""
        only: frozenset[str] = self._options.only
        found: list[Contestant] = []
        if BARE in only:
            found += self._bare()
        if only & {SOJOURN, BATCHES}:
            found += [contestant for contestant in self._sojourn() if contestant.what in only]
        if FASTAPI in only:
            found += self._fastapi()
        if SLOW_SYNC in only:
            found += self._slow()
        return found

    def run(self, contestant: Contestant, number: int) -> Run:
        """One turn, by a load generator in a process of its own; `number` is the round's, 0 warms up."""
        server, disk = contestant.server, contestant.disk
        if disk is not None:
            disk.delay(sync_ms=contestant.sync_ms, write_ms=contestant.write_ms)
        syncs = disk.waits().syncs if disk else 0
        server_s, all_s, generator_s = cpu_s(server.pid), all_cpu_s(), _children_s()
        tally = _generated(
            replace(contestant.load, host=server.host, port=server.port, token=server.token, seed=len(self.runs) + 1)
        )
        server_s, all_s, generator_s = cpu_s(server.pid) - server_s, all_cpu_s() - all_s, _children_s() - generator_s
        events, seconds = max(tally.events, 1), max(tally.seconds, 1e-9)
        made = Run(
            what=contestant.what,
            round=number,
            tally=tally,
            per_s=tally.events / seconds,
            requests_per_s=tally.requests / seconds,
            server_cpu_us=server_s / events * 1e6,
            generator_cpu_us=tally.cpu_s / events * 1e6,
            server_cpus=server_s / seconds,
            generator_cpus=tally.cpu_s / seconds,
            others_cpus=max(0.0, all_s - server_s - generator_s) / seconds,
            syncs_per_s=(disk.waits().syncs - syncs) / seconds if disk else None,
        )
        self.runs.append(made)
        self._acknowledged[server.pid] += tally.events
        unanswered = tally.statuses.get("cut", 0) + tally.statuses.get("none", 0)
        self._unsure[server.pid] += unanswered * contestant.load.batch
        stage = f"round {number}" if number else "warming up"
        say(f"{stage:<11}{made.what:<14}{made.per_s:>8,.0f} events/s, {made.server_cpu_us:.1f} µs of the server's each")
        return made

    def accounts(self) -> list[Account]:
        """Whether the servers have what they acknowledged; known when they have ended."""
        return [account() for account in self._accounts]

    def _bare(self) -> list[Contestant]:
        server = self._stack.enter_context(peer("bare", self._folder, "--style", self._options.style))
        return [Contestant(BARE, server, self._load)]

    def _fastapi(self) -> list[Contestant]:
        if missing := [name for name in NEEDED_BY_FASTAPI if find_spec(name) is None]:
            self._leave_out(FASTAPI, f"no {', '.join(missing)}; `pip install '.[bench]'` brings what is missing")
            return []
        commits = COMMITS if self.commit == FASTEST else (self.commit,)
        found = {commit: self._fastapi_with(commit) for commit in commits}
        # In turns, and the better turn of each: one noise must not decide.
        tries = [(self.run(found[commit].short(), 0).per_s, commit) for _ in range(2) for commit in commits]
        self.commit = max(tries)[1]
        say(f"{FASTAPI} commits in the {self.commit}, of {' and '.join(commits)}")
        return [found[self.commit]]

    def _fastapi_with(self, commit: str) -> Contestant:
        file = self._folder / f"fastapi-{commit}.sqlite"
        server = self._stack.enter_context(peer("fastapi_sqlite", self._folder, str(file), "--commit", commit))
        what = f"{FASTAPI} {commit}"
        self._accounts.append(lambda: self._account(what, server, _rows(file), balanced=True))
        return Contestant(FASTAPI, server, self._load)

    def _sojourn(self) -> list[Contestant]:
        load = replace(self._load, accepted=ACCEPTED)
        server = self._serving(SOJOURN, load, None)
        batches = replace(load, batch=self._options.batch)
        return [Contestant(SOJOURN, server, load), Contestant(BATCHES, server, batches)]

    def _slow(self) -> list[Contestant]:
        try:
            disk = self._stack.enter_context(closing(SlowDisk(self._folder)))
        except NoCompiler as error:
            self._leave_out(SLOW_SYNC, str(error))
            return []
        load = replace(self._load, accepted=ACCEPTED, connections=self._options.slow_connections)
        server = self._serving(SLOW_SYNC, load, disk)
        delay_ms: float = self._options.delay_ms
        return [
            Contestant(SLOW_SYNC, server, load, disk, sync_ms=delay_ms),
            Contestant(SLOW_DISK, server, load, disk, sync_ms=delay_ms, write_ms=delay_ms),
        ]

    def _serving(self, what: str, load: Load, disk: SlowDisk | None) -> Server:
        """A `sojourn serve` that every user has sent to once: what follows comes from known users, as most does."""
        folder = self._folder / what.replace(" ", "-")
        folder.mkdir()
        server = self._stack.enter_context(serving(folder, SETTINGS, disk.environment() if disk else None))

        def account() -> Account:
            stats = stats_of(folder / "data")
            return self._account(what, server, stats["events_received"], is_balanced(stats))

        self._accounts.append(account)
        contact = replace(load, first_contact=True, batch=100, connections=8)
        self.run(Contestant(FIRST, server, contact, disk), 0)
        return server

    def _account(self, what: str, server: Server, kept: int, balanced: bool) -> Account:
        return Account(what, self._acknowledged[server.pid], kept, self._unsure[server.pid], balanced)

    def _leave_out(self, what: str, why: str) -> None:
        self.left_out[what] = why
        say(f"{what} is left out: {why}")


def _generated(load: Load) -> Tally:
    """What the load generator says."""
    run = subprocess.run(
        [sys.executable, "-m", "bench.wire"],
        input=msgspec.json.encode(load),
        env=child_environment(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=load.seconds + GIVE_UP_S,
    )
    return msgspec.json.decode(run.stdout, type=Tally)


def _children_s() -> float:
    """Processor time of the load generators up to now, all of their lives."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rows(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM activities").fetchone()[0])
