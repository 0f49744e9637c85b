"""Engines for tests: one on a memory store and a clock that is moved by hand, the items it is sent, what it shows.

async with engine_on(store, clock) as engine: …
store = store.reopen()          after a crash: the same rows, in a store just opened
"""

import json
import threading
from collections import Counter
from contextlib import AbstractAsyncContextManager

import trio
from msgspec import structs
from trio.testing import wait_all_tasks_blocked

from engine import Engine, EventClock, MemoryStore, Settings, open_engine
from engine.errors import StoreBroken
from engine.settings import ActorsSettings, LimitsSettings, SessionSettings
from engine.store.port import CommitReport, Operation
from tests.clocks import START_MS

MINUTE_MS = 60_000
_LET_THREADS_RUN_S = 0.0005
"""Real time in which the loop sleeps, so that a thread need not fight for the interpreter."""

GAP_MS = 30 * MINUTE_MS
DAY_MS = 24 * 60 * MINUTE_MS


class HandClock(EventClock):
    """Engine and wall time stand still until the test moves them.

    `jump` moves them either way and wakes nobody: what NTP does to a wall clock, or time of which no timer has heard.
    """

    def __init__(self, start_ms: int = START_MS) -> None:
        super().__init__(start_ms)

    def wall_ms(self) -> int:
        return self.now_ms()

    def pass_ms(self, ms: int) -> None:
        self.advance(self.now_ms() + ms)

    def jump(self, ms: int) -> None:
        self._now_ms += ms


def settings_of(**fields: object) -> Settings:
    """Settings with some fields of `[session]`, `[limits]` and `[actors]` changed, named without their section."""
    sections = {"session": SessionSettings(), "limits": LimitsSettings(), "actors": ActorsSettings()}
    for name, value in fields.items():
        (section,) = (one for one, held in sections.items() if hasattr(held, name))
        sections[section] = structs.replace(sections[section], **{name: value})
    return Settings(**sections)


def engine_on(
    store: MemoryStore, clock: object | None = None, settings: Settings | None = None, **fields: object
) -> AbstractAsyncContextManager[Engine]:
    """`open_engine` on this store; fields as for `settings_of`."""
    return open_engine(settings or settings_of(**fields), clock=clock or HandClock(), store=store)


class GatedStore(MemoryStore):
    """A slow disk: commits wait in their thread for as long as `gate` is shut."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.gate = threading.Event()
        self.gate.set()

    def commit(self, operations: list[Operation]) -> CommitReport:
        assert self.gate.wait(30)
        return super().commit(operations)


class MortalStore(MemoryStore):
    """A process that dies at one of its commits: before it is on disk, or after, when nobody hears of it any more.

    Attributes:
        commits: how many there were.
        left: how many succeed from now on; None is any number.
        unheard: whether the one behind them is on disk all the same.
    """

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.commits = 0
        self.left: int | None = None
        self.unheard = False

    def die_after(self, commits: int, *, unheard: bool = False) -> None:
        self.left, self.unheard = commits, unheard

    def commit(self, operations: list[Operation]) -> CommitReport:
        if self.left is not None:
            if self.left <= 0:
                if self.left == 0 and self.unheard:
                    super().commit(operations)
                self.left = -1
                raise StoreBroken("the process was killed")
            self.left -= 1
        report = super().commit(operations)
        self.commits += 1
        return report

    def reopen(self) -> "MortalStore":
        store = MortalStore(capacity_bytes=self.capacity_bytes)
        store._tables = self._tables
        return store


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event(number: int, ts_ms: int | None = None, *, event_id: str | None = None, **properties: object) -> dict:
    """An event that says which one it is."""
    head = {"$event_name": "seen"} | ({} if ts_ms is None else {"$ts": ts_ms})
    return head | ({} if event_id is None else {"$event_id": event_id}) | {"$properties": {"n": number} | properties}


def item(*events: dict, user: str = "vec:1", status: str = "IN_SESSION", **fields: object) -> bytes:
    """A visit of site 1 with these events; keyword `ttl` is `$ttl`."""
    base = {"$type": "SITE_VISIT", "$session_status": status, "$site_id": "1", "$user_agent_id": user}
    return dump(base | {f"${name}": value for name, value in fields.items()} | {"$events": list(events)})


def visit(number: int, ts_ms: int | None = None, **fields: object) -> bytes:
    """A visit in a session with one event."""
    return item(event(number, ts_ms), **fields)


def touch(number: int, ts_ms: int | None = None, *, user: str = "vec:1", **fields: object) -> bytes:
    """A touch with one event; it needs no session."""
    base = {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": user}
    head = {} if ts_ms is None else {"$ts": ts_ms}
    more = {f"${name}": value for name, value in fields.items()}
    return dump(base | head | more | {"$events": [event(number, ts_ms)]})


def gauges(engine: Engine) -> dict[str, float]:
    """How near each bound is."""
    return engine._metrics._gauges()


async def quiet(engine: Engine) -> None:
    """Return when recovery is over and nothing is on its way any more: all that is left is open, and at rest.

    A task that waits for a thread looks idle to Trio's test tools, so this also asks who would have to have work.
    """
    await wait_all_tasks_blocked()
    while True:
        found = gauges(engine)
        if engine.recovered and not found["activities_unstored"] and not found["writer_pending_bytes"]:
            return
        await wait_all_tasks_blocked(_LET_THREADS_RUN_S)


async def until(condition) -> None:
    """Return as soon as it holds, looking at it in each pass of the loop; later, when only threads are at work."""
    for _ in range(100):
        if condition():
            return
        await trio.lowlevel.checkpoint()
    with trio.fail_after(60):
        while not condition():
            await wait_all_tasks_blocked(_LET_THREADS_RUN_S)


async def take(engine: Engine, *items: bytes, **options: object):
    """Accept items and wait until they are on disk and at rest; returns the receipt."""
    receipt = engine.accept(items, **options)
    await receipt.durable()
    await quiet(engine)
    check_books(engine)
    return receipt


async def taken(engine: Engine, *items: bytes, **options: object) -> str:
    """`take`, but returns the user point of the first item."""
    return point_of(await take(engine, *items, **options))


async def later(engine: Engine, clock: HandClock, ms: int) -> None:
    """Let time pass, and wait until all that falls due then is at rest."""
    clock.pass_ms(ms)
    await quiet(engine)
    check_books(engine)


def point_of(receipt, index: int = 0) -> str:
    """The user point that an accepted item counts for."""
    point = receipt.results[index].user_point
    assert point is not None, receipt.results
    return point


def numbers(shown: bytes) -> list[int]:
    """Which events an activity holds, in its order."""
    return [one["$properties"]["n"] for one in json.loads(shown)["$events"]]


def stored(engine: Engine, point: str) -> list[list[int]]:
    """The events of each stored activity of a user point, oldest first."""
    return [numbers(shown) for shown in reversed(engine.reader.activities(1, point, limit=100_000))]


def open_now(engine: Engine, point: str) -> list[list[int]]:
    """The events of each open session and live window of a user point."""
    return [numbers(shown) for shown in engine.live_activities(1, point)]


def statistics(engine: Engine) -> dict:
    return engine.reader.statistics()


def check_books(engine: Engine) -> None:
    """Decision 17: every received event is counted by the fate of its activity, and `events_open` tells the truth."""
    totals = statistics(engine)
    fates = ("stored", "duplicate", "refused", "dead", "dropped", "open")
    assert totals["events_received"] == sum(totals[f"events_{fate}"] for fate in fates), totals
    assert totals["events_open"] == sum(engine.reader.count_open_events().values())


def letters(engine: Engine) -> list[tuple[str, str]]:
    """Reason and stage of each dead letter, oldest first."""
    return [(one.reason, one.stage) for one in reversed(engine.reader.dead_letters())]


def closed_by(engine: Engine) -> dict[str, int]:
    """Sessions closed, by reason; those at 0 left out."""
    return {reason: number for reason, number in statistics(engine)["sessions_closed"].items() if number}


def error_of(kind, call, *arguments):
    """The error of this kind that the call raises, or None when it raises none."""
    try:
        call(*arguments)
    except kind as error:
        return error
    return None


def once_each(lists: list[list[int]]) -> Counter[int]:
    return Counter(number for one in lists for number in one)
