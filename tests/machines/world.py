"""Commands for a whole engine, and the world in which they are done: a store and a clock that outlive engines."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import trio
from msgspec import structs

from engine import Engine, Idempotency, Selector
from engine.errors import Broken
from engine.settings import ChannelDeclaration, DatamartSettings
from engine.store import reads
from engine.store.keys import activity_key, split_activity_key
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import (
    HandClock,
    MortalStore,
    check_books,
    dump,
    engine_on,
    event,
    numbers,
    once_each,
    quiet,
    settings_of,
)

AGENTS = ("a", "b", "c")
ACCOUNTS = ("x", "y")


@dataclass(frozen=True)
class Sent:
    """One item: who sends it, what it says, and how long ago each of its events was."""

    agent: str
    account: str | None
    status: str
    site: str
    origin: str
    ages_ms: tuple[int, ...]
    ids: tuple[str | None, ...]


@dataclass(frozen=True)
class Accept:
    items: tuple[Sent, ...]


@dataclass(frozen=True)
class Pass:
    ms: int


@dataclass(frozen=True)
class Go:
    """Let the tasks run for so many passes of the loop."""

    passes: int


@dataclass(frozen=True)
class Close:
    """Ask to close all that is open."""


@dataclass(frozen=True)
class Look:
    """Hold what can be seen against what was sent."""


@dataclass(frozen=True)
class Die:
    """Lose the process at the commit behind the next `commits`; it may be on disk all the same."""

    commits: int
    unheard: bool


@dataclass(frozen=True)
class Kill:
    """Lose the process here and now."""


@dataclass(frozen=True)
class Stop:
    """Leave the engine's block as a program does, and come in again."""


class Killed(Exception):
    """Leaves the engine's block with whatever is under way."""


CRASHES = Die | Kill | Stop


@dataclass
class World:
    """One run: a store and a clock that outlive engines, what was sent, and what must be somewhere."""

    grace_ms: int
    store: MortalStore = field(default_factory=MortalStore)
    clock: HandClock = field(default_factory=HandClock)
    requests: int = 0
    events: int = 0
    expected: set[int] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    sending: tuple[list[bytes], Idempotency] | None = None
    closing: tuple[int, int] | None = None

    async def run(self, commands: Iterable[object]) -> None:
        left = deque([*commands, Close(), Look()])
        channels = (ChannelDeclaration(id="1", domain="shop.test"), ChannelDeclaration(id="2"))
        config = structs.replace(
            settings_of(grace_ms=self.grace_ms), datamarts=(DatamartSettings(id=1, channels=channels),)
        )
        while left:
            with suppress(Killed, Broken):
                async with engine_on(self.store, self.clock, config) as engine:
                    await self.live(engine, left)
            self.store = self.store.reopen()

    async def live(self, engine: Engine, left: deque[object]) -> None:
        """Do commands until there are none, or until one of them ends this engine."""
        while left:
            command = left[0]
            if isinstance(command, CRASHES):
                left.popleft()  # Once each: the next life goes on behind it.
                if isinstance(command, Stop):
                    return
            await self.do(engine, command)
            if not isinstance(command, CRASHES):
                left.popleft()

    async def do(self, engine: Engine, command: object) -> None:
        match command:
            case Accept():
                await self.accept(engine, command)
            case Pass():
                self.clock.pass_ms(command.ms)
            case Go():
                for _ in range(command.passes):
                    await trio.lowlevel.checkpoint()
            case Close():
                await self.close(engine)
            case Look():
                await quiet(engine)
                self.look(engine)
            case Die():
                self.store.die_after(command.commits, unheard=command.unheard)
            case Kill():
                self.store.die_after(0)
                raise Killed

    async def accept(self, engine: Engine, command: Accept) -> None:
        if self.sending is None:
            self.requests += 1
            items = [self.item(one) for one in command.items]
            digest = hashlib.sha256(b"\n".join(items)).digest()
            self.sending = items, Idempotency(f"request {self.requests}", digest)
        items, key = self.sending
        receipt = engine.accept(items, idempotency=key)
        await receipt.durable()
        refused = [one.status == "refused" for one in receipt.results]
        assert refused == [one.site == "nowhere" for one in command.items]
        self.sending = None

    async def close(self, engine: Engine) -> None:
        """Who is active must be the same with and without crashes, and so must be what they are asked.

        What falls due while it is scheduled waits for the next second (a restart schedules everything anew), and a
        request that was on disk when the crash came is not made again.
        """
        await quiet(engine)
        last, _ = engine.reader.last_place()
        if self.closing is None:
            self.closing = last, self.clock.now_ms() + 1000
        before, at_ms = self.closing
        self.clock.advance(at_ms)
        await quiet(engine)
        if before == last:
            await engine.close_sessions()
        self.closing = None

    def item(self, sent: Sent) -> bytes:
        now_ms = self.clock.now_ms()
        events = []
        for age_ms, event_id in zip(sent.ages_ms, sent.ids, strict=True):
            self.events += 1
            source = {"$utm_source": sent.origin} if sent.origin else {}
            events.append(event(self.events, now_ms - age_ms, event_id=event_id, **source))
            if sent.site != "nowhere" and event_id not in self.ids:
                self.expected.add(self.events)
                self.ids |= {event_id} - {None}
        fields = {"$type": "SITE_VISIT", "$session_status": sent.status, "$site_id": sent.site}
        who = {"$user_agent_id": sent.agent} | ({"$user_account_id": sent.account} if sent.account else {})
        return dump(fields | who | {"$ts": now_ms, "$events": events, "custom": self.requests})

    def look(self, engine: Engine) -> None:
        """What must hold whenever nothing is on its way."""
        check_books(engine)
        found = []
        points = set(self.points(engine))
        for point in points:
            shown = engine.reader.activities(1, point, limit=100_000)
            times = [json.loads(one)["$ts"] for one in shown]
            assert times == sorted(times, reverse=True)
            found += [*map(numbers, shown), *map(numbers, engine.live_activities(1, point))]
        assert once_each(found) == dict.fromkeys(self.expected, 1)
        assert engine.reader.statistics()["user_points"] == len(points)

    def points(self, engine: Engine) -> Iterator[str]:
        """Who there is, by every identifier that was ever sent."""
        names = [f"user_agent_id={one}" for one in AGENTS]
        names += [f"compartment_id=1,user_account_id={one}" for one in ACCOUNTS]
        for name in names:
            point = engine.reader.find_user_point(1, Selector.parse(name))
            if point is not None:
                yield point

    def left(self) -> dict[str, object]:
        """What a run leaves that crashes may not change."""
        totals = reads.counter_totals(self.store, 1)
        families = ("sessions_closed", "live_windows_closed", "events_stored", "activities_stored", "events_late")
        kept = (Db.USER_POINTS, Db.IDENTIFIERS, Db.SEEN, Db.JOURNAL, Db.STATES, Db.META)
        return {
            "counters": {name: number for name, number in totals.items() if name.partition(".")[0] in families},
            "activities": sorted(map(self.as_read, rows(self.store, Db.ACTIVITIES))),
            **{db: rows(self.store, db) for db in kept},
        }

    def as_read(self, row: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """An activity under whom it is read from; whether a merge was on disk before it decides where it lies."""
        datamart, user_point, ts_ms, unique_key = split_activity_key(row[0])
        return activity_key(datamart, reads.survivor(self.store, datamart, user_point), ts_ms, unique_key), row[1]


async def crashed_as_plain(commands: Iterable[object], grace_ms: int = 0) -> World:
    """Run commands as they are and without their crashes; both must leave the same. Returns the crashed world."""
    crashed, plain = World(grace_ms), World(grace_ms)
    await crashed.run(commands)
    await plain.run([one for one in commands if not isinstance(one, CRASHES)])
    for what, found in crashed.left().items():
        assert found == plain.left()[what], what
    assert not rows(plain.store, Db.JOURNAL)
    assert not rows(plain.store, Db.STATES)
    return crashed
