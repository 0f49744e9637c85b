"""The service behind the outbox: one lane a destination, born when there is something to send, gone when there is not.

It looks at the store once, when it starts; from then on it is told what was committed (`told`). Nothing is polled.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from engine.actors.outbox.calls import Answer, Caller, open_client
from engine.actors.outbox.lane import Lane, Means, Post, ReadRows, Rows
from engine.actors.outbox.outcome import Outcomes
from engine.actors.writer import Writer
from engine.clock import Clock
from engine.definitions.declared.destinations import Destination
from engine.model.delivery import label_of
from engine.pipeline.stage import Effect, Envelope, Send
from engine.settings import OutboxSettings
from engine.store.keys import ID_BYTES, Resolution, counter_key, outbox_prefix
from engine.store.layout import OUTBOX_WAITING, decode_number
from engine.store.port import Db, Store

READ_THREADS: Final = 2
"""Threads that read rows for all lanes: pages may come from disk, and the loop does not wait for that."""

_BEHIND: Final = b"\xff" * (ID_BYTES + 8)
"""Behind a prefix: no row of its destination lies beyond."""


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """How one destination is doing.

    Attributes:
        open_calls: not answered yet.
        is_paused: whether it is left alone: it failed too often, or is not defined.
        oldest_ms: how long the oldest request that is due has been so; 0 where none is.
    """

    datamart: int
    destination: str
    open_calls: int
    is_paused: bool
    oldest_ms: int


class Outbox:
    """Sends what the rows of OUTBOX say.

    Args:
        store: where they are.
        writer: where outcomes go.
        clock: wall time is what rows are due by.
        settings: of the outbox.
        dead_letter_ms: how long dead letters are kept.
        destination_of: a destination as it is defined now, by datamart and id; asked before each attempt.
        is_erased: whether a user point was erased after a journal sequence; rows of one that was are discarded
            (decision 41).
        report: told when a destination is left alone, and when it is back.
        read: rows of the outbox; by default in a thread.
        connect: makes what posts; by default a client of HTTP.
        draw: chance, a number in [0, 1).

    Attributes:
        ended: set when it was closed and no call is open any more.
    """

    def __init__(
        self,
        *,
        store: Store,
        writer: Writer,
        clock: Clock,
        settings: OutboxSettings,
        dead_letter_ms: int,
        destination_of: Callable[[int, str], Destination | None],
        is_erased: Callable[[int, bytes, int], bool] = lambda datamart, user_point, sequence: False,
        report: Callable[[str, str], None],
        read: ReadRows | None = None,
        connect: Callable[[], AbstractAsyncContextManager[Post]] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._read = read or _reading_in_threads(store)
        self._connect = connect or partial(_connected, settings.max_calls, clock.wall_ms)
        self._writer = writer
        self._outcomes = Outcomes(settings, dead_letter_ms)
        self._destination_of = destination_of
        self._is_erased = is_erased
        self._report = report
        self._draw = draw
        self._lanes: dict[bytes, Lane] = {}
        self._means: Means | None = None
        self._nursery: trio.Nursery | None = None
        self._scope: trio.CancelScope | None = None
        self._closing = trio.Event()
        self._deadline_s = 0.0
        self.ended = trio.Event()

    async def run(self) -> None:
        """Send until closed. May be called again after it raised: what is to be sent is in the store.

        Raises:
            Broken: the store takes no more writes.
        """
        try:
            if not self._closing.is_set():
                async with AsyncExitStack() as stack:
                    with trio.CancelScope() as self._scope:
                        await self._serve(_Connection(self._connect, stack).post)
        finally:
            self._lanes.clear()
            self._nursery = self._means = self._scope = None
            if self._closing.is_set():
                self.ended.set()

    async def _serve(self, post: Post) -> None:
        self._means = Means(
            read=self._read,
            count=self._count,
            writer=self._writer,
            post=post,
            outcomes=self._outcomes,
            destination_of=self._destination_of,
            is_erased=self._is_erased,
            share=self._share,
            wall_ms=self._clock.wall_ms,
            draw=self._draw,
            report=self._report,
            settings=self._settings,
        )
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self._find_lanes()
            await self._closing.wait()

    def told(self, effects: Iterable[Effect]) -> None:
        """These effects were committed: what is to be sent is in the store now. Cheap where nothing is."""
        for effect in effects:
            if isinstance(effect, Send):
                self._wake(outbox_prefix(effect.datamart, effect.destination), effect.due_ms)

    def settled(self, envelopes: Iterable[Envelope]) -> None:
        """`told` of all that these envelopes have brought."""
        for envelope in envelopes:
            if envelope.effects:
                self.told(envelope.effects)

    def definitions_changed(self) -> None:
        """A destination may be defined now that was not, or have other limits."""
        for lane in self._lanes.values():
            lane.wake()

    def close(self) -> None:
        """Make no further call; those that are open have their time (`drain_s`), then `ended` is set."""
        self._closing.set()
        if self._scope is not None:
            self._scope.deadline = trio.current_time() + self._settings.drain_s
        for lane in self._lanes.values():
            lane.close()

    def statistics(self) -> list[LaneStatistics]:
        """How each destination is doing for which something waits."""
        now_ms = self._clock.wall_ms()
        found: list[LaneStatistics] = []
        for lane in list(self._lanes.values()):
            oldest_ms = lane.oldest_due_ms()
            age_ms = max(0, now_ms - oldest_ms) if oldest_ms is not None else 0
            found.append(LaneStatistics(lane.datamart, lane.destination, lane.open_calls, lane.is_paused, age_ms))
        return found

    def gauges(self) -> dict[str, float]:
        """The same as gauges by name; behind a dot, datamart and destination."""
        lanes = self.statistics()
        found: dict[str, float] = {
            "outbox_destinations": len(lanes),
            "outbox_destinations_paused": sum(lane.is_paused for lane in lanes),
            "outbox_open_calls": sum(lane.open_calls for lane in lanes),
            "outbox_open_calls_max": self._settings.max_calls,
            "outbox_rows_of_destination": max([self._count(one.datamart, one.destination) for one in lanes], default=0),
            "outbox_rows_of_destination_max": self._settings.max_rows_per_destination,
            "outbox_oldest_due_ms": max([lane.oldest_ms for lane in lanes], default=0),
        }
        for lane in lanes:
            of = f"{lane.datamart}/{label_of(lane.destination)}"
            found[f"outbox_destination_open_calls.{of}"] = lane.open_calls
            found[f"outbox_destination_paused.{of}"] = float(lane.is_paused)
            found[f"outbox_destination_oldest_due_ms.{of}"] = lane.oldest_ms
        return found

    async def _find_lanes(self) -> None:
        """One look a destination, however many rows there are."""
        after: bytes | None = None
        prefix_bytes = len(outbox_prefix(0, ""))
        while rows := await self._read(prefix=b"", after=after, limit=1, max_bytes=1):
            prefix = rows[0][0][:prefix_bytes]
            self._wake(prefix, None)
            after = prefix + _BEHIND

    def _wake(self, prefix: bytes, due_ms: int | None) -> None:
        if self._nursery is None or self._means is None or self._closing.is_set():
            return  # It looks at the store when it starts.
        lane = self._lanes.get(prefix)
        if lane is None:
            lane = self._lanes[prefix] = Lane(prefix, self._means, self._nursery)
            self._nursery.start_soon(self._run_lane, prefix, lane)
        lane.wake(due_ms)

    async def _run_lane(self, prefix: bytes, lane: Lane) -> None:
        # Between its last look and its removal nothing happens, so no news is lost.
        await lane.run()
        if self._lanes.get(prefix) is lane and not self._closing.is_set():
            del self._lanes[prefix]

    def _share(self) -> int:
        """Calls that a lane may have open: an even share, and always one (decision 32)."""
        working = sum(lane.is_sending for lane in self._lanes.values())
        return max(1, self._settings.max_calls // max(1, working))

    def _count(self, datamart: int, destination: str) -> int:
        key = counter_key(datamart, Resolution.TOTAL, 0, f"{OUTBOX_WAITING}.{label_of(destination)}")
        return decode_number(self._store.get(Db.COUNTERS, key))


class _Connection:
    """Made with the first call: most engines never make one."""

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[Post]], stack: AsyncExitStack) -> None:
        self._connect = connect
        self._stack = stack
        self._post: Post | None = None
        self._making = trio.Lock()

    async def post(self, destination: Destination, request_id: bytes, path: str, body: bytes) -> Answer:
        if self._post is None:
            async with self._making:
                if self._post is None:
                    self._post = await self._stack.enter_async_context(self._connect())
        return await self._post(destination, request_id, path, body)


def _reading_in_threads(store: Store) -> ReadRows:
    limiter = trio.CapacityLimiter(READ_THREADS)

    async def read(*, prefix: bytes, after: bytes | None, limit: int, max_bytes: int) -> Rows:
        page = partial(store.page, Db.OUTBOX, prefix=prefix, after=after, limit=limit, max_bytes=max_bytes)
        return await trio.to_thread.run_sync(page, limiter=limiter)

    return read


@asynccontextmanager
async def _connected(keep: int, wall_ms: Callable[[], int]) -> AsyncIterator[Post]:
    async with open_client(keep) as client:
        yield Caller(client, wall_ms).post
