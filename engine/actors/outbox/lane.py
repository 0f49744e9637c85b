"""The requests to one destination: read in slices in the order in which they are due, sent within its limits.

A lane waits for its own destination and for nothing else, so that one that is slow or dead delays no other. What it
holds is a slice of rows, and those of its open calls; the others stay in the store.

    store ─ slice ─▶ ready ─▶ busy: call … outcome in the writer's line ─▶ committed: forgotten

A row is not read again while it is busy. Where a row comes to lie before the place up to which the lane has read, or is
just reading (a new request, a retry after the clock was set back), it reads from the beginning again.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, inf
from typing import Final, Protocol

import trio

from engine.actors.outbox.breaker import Breaker
from engine.actors.outbox.calls import Answer
from engine.actors.outbox.outcome import DAMAGED, FULL, GAVE_UP, NO_DESTINATION, Outcomes, Waiting, size_of
from engine.actors.ticket import Ticket
from engine.actors.writer import Writer
from engine.definitions.declared.destinations import Destination
from engine.errors import Closing
from engine.model.delivery import OVERLOADED, Fate, fate_of, retry_after_ms
from engine.rates import Buckets
from engine.settings import OutboxSettings
from engine.store.keys import split_outbox_key
from engine.store.layout import decode_outbox
from engine.store.port import Operation, Put

SLICE_BYTES: Final = 256 << 10
"""Of the rows read at a time: a lane's share of the memory, whatever the requests are."""

NAP_S: Final = 60.0
"""Longest sleep before a lane looks at the wall clock again, which may have been set."""

SWEEP_S: Final = 600.0
"""Between two looks, while nothing is sent, at which rows have waited for as long as they may."""

Rows = Sequence[tuple[bytes, bytes]]

Post = Callable[[Destination, bytes, str, bytes], Awaitable[Answer]]
"""`Caller.post`."""


class ReadRows(Protocol):
    """Rows of the outbox behind a place; may wait for a thread."""

    async def __call__(self, *, prefix: bytes, after: bytes | None, limit: int, max_bytes: int) -> Rows:
        """As `Store.page` of OUTBOX."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all lanes share.

    Attributes:
        read: rows of the outbox.
        count: how many rows wait for a destination of a datamart.
        writer: where outcomes go.
        post: makes a call.
        outcomes: what answers mean.
        destination_of: as it is defined now; None where it is not.
        is_erased: whether the person was erased after that journal record (decision 41).
        share: how many calls this lane may have open now.
        wall_ms: the time by which rows are due.
        draw: chance.
        report: told when a destination is left alone, and when it is back.
        settings: of the outbox.
    """

    read: ReadRows
    count: Callable[[int, str], int]
    writer: Writer
    post: Post
    outcomes: Outcomes
    destination_of: Callable[[int, str], Destination | None]
    is_erased: Callable[[int, bytes, int], bool]
    share: Callable[[], int]
    wall_ms: Callable[[], int]
    draw: Callable[[], float]
    report: Callable[[str, str], None]
    settings: OutboxSettings


class Lane:
    """The queue of one destination.

    Args:
        prefix: of the keys of its rows.
        means: what all lanes share.
        nursery: where its calls run.

    Attributes:
        datamart, destination: whose it is; the destination is "" until the first row was read.
        open_calls: calls that are not answered.
    """

    def __init__(self, prefix: bytes, means: Means, nursery: trio.Nursery) -> None:
        settings = means.settings
        self._prefix = prefix
        self._means = means
        self._nursery = nursery
        self._ready: deque[tuple[bytes, bytes]] = deque()
        self._busy: dict[bytes, int] = {}  # When it was due, by key: called, or its outcome is not committed.
        self._after: bytes | None = None  # Up to where it has read.
        self._reads = 0  # Raised with each new beginning: what was being read then is stale.
        self._told_ms = inf  # The earliest row that was told of since the last read began.
        self._left: set[bytes] = set()  # Rows that are gone since then: what was read may still hold them.
        self._next_due_ms: int | None = None
        self._news = trio.Event()
        self._swept_s = -inf
        self._breaker = Breaker(
            failures=settings.pause_after_failures,
            pause_s=settings.pause_ms / 1000,
            max_pause_s=settings.max_pause_ms / 1000,
        )
        self._rate: Buckets[bytes] | None = None
        self._per_s = 0.0
        self._is_undefined = False
        self._has_looked = False
        self._is_closing = False
        self.datamart = int.from_bytes(prefix[:4])
        self.destination = ""
        self.open_calls = 0

    @property
    def is_paused(self) -> bool:
        """Whether its destination is left alone: dead, or not defined."""
        return self._breaker.is_open or self._is_undefined

    @property
    def is_sending(self) -> bool:
        """Whether it has a call open, or something for one; also while it is not known yet."""
        return self.open_calls > 0 or not self._has_looked or (bool(self._ready) and not self.is_paused)

    def oldest_due_ms(self) -> int | None:
        """When the oldest of its rows that are due was due; None where none is, as far as it has read."""
        ready = [split_outbox_key(self._ready[0][0]).due_ms] if self._ready else []
        return min([*self._busy.values(), *ready], default=None)

    def wake(self, due_ms: int | None = None) -> None:
        """Something has changed; a row was added that is due at this time, wall clock."""
        if due_ms is not None:
            self._told_ms = min(self._told_ms, due_ms)
            if self._after is not None and due_ms <= split_outbox_key(self._after).due_ms:
                self._begin_again()
        self._news.set()

    def close(self) -> None:
        """Make no further call."""
        self._is_closing = True
        self._news.set()

    async def run(self) -> None:
        """Send until nothing is left, not even later, or until closed."""
        while not self._is_closing:
            news = self._news = trio.Event()
            if not self._ready:
                await self._refill()
            wait_s = self._begin() if self._ready else self._until_due_s()
            if wait_s is None:
                if not self._busy and not news.is_set():
                    if self._after is None:
                        return
                    self._begin_again()  # Once more from the beginning, to be sure that nothing is left.
                    continue
                wait_s = NAP_S
            if wait_s <= 0:
                # A row was taken; the calls that began must come to run, and others have their turn.
                await trio.lowlevel.checkpoint()
                continue
            if self.is_paused and trio.current_time() - self._swept_s >= SWEEP_S:
                await self._sweep()
            with trio.move_on_after(min(wait_s, NAP_S)):
                await news.wait()

    def _until_due_s(self) -> float | None:
        if self._next_due_ms is None:
            return None
        return max(0.001, (self._next_due_ms - self._means.wall_ms()) / 1000)

    def _begin_again(self) -> None:
        self._ready.clear()
        self._after = None
        self._reads += 1

    async def _refill(self) -> None:
        """Read the next slice of what is due, and when the first row behind it will be."""
        while True:
            reads, now_ms = self._reads, self._means.wall_ms()
            self._told_ms = inf
            rows = await self._read(self._after)
            if reads != self._reads:
                continue
            self._has_looked = True
            self._next_due_ms = None
            for key, value in rows:
                due_ms = split_outbox_key(key).due_ms
                if due_ms > now_ms:
                    self._next_due_ms = due_ms
                    break
                self._after = key
                if key not in self._busy and key not in self._left:
                    self._ready.append((key, value))
            if self._after is not None and self._told_ms <= split_outbox_key(self._after).due_ms:
                # Of a row that may have come behind the look at the store: the next one is from the beginning.
                self._after = None
            if self._ready:
                await self._trim()
                return
            if self._next_due_ms is not None or not rows:
                return

    async def _read(self, after: bytes | None) -> Rows:
        limit = self._means.settings.slice_rows
        self._left.clear()
        return await self._means.read(prefix=self._prefix, after=after, limit=limit, max_bytes=SLICE_BYTES)

    def _begin(self) -> float:
        """Take the first ready row; returns 0 when it was taken, else how long to wait unless there is news."""
        if self._is_closing:
            return 0
        key, value = self._ready[0]
        at = split_outbox_key(key)
        means = self._means
        try:
            row = decode_outbox(value)
        except ValueError as error:
            self._take(key, at.due_ms)
            operations = means.outcomes.damaged(key, at, value, str(error), means.wall_ms())
            means.report(self.destination or "outbox", f"{DAMAGED}: {error}")
            self._nursery.start_soon(self._settle, (key,), operations)
            return 0
        self.destination = row.destination
        if row.user_point and means.is_erased(at.datamart, row.user_point, row.sequence):
            self._take(key, at.due_ms)
            self._nursery.start_soon(self._settle, (key,), means.outcomes.erased((key, at, row), means.wall_ms()))
            return 0
        destination = means.destination_of(at.datamart, row.destination)
        self._is_undefined = destination is None
        if destination is None:
            return NAP_S
        wait_s = self._admit(destination)
        if wait_s > 0:
            return wait_s
        self._take(key, at.due_ms)
        self.open_calls += 1
        self._nursery.start_soon(self._call, destination, (key, at, row))
        return 0

    def _take(self, key: bytes, due_ms: int) -> None:
        self._ready.popleft()
        self._busy[key] = due_ms

    def _admit(self, destination: Destination) -> float:
        """Whether a call may begin: 0, or how long to wait unless a call ends."""
        means, now_s = self._means, trio.current_time()
        wait_s = self._breaker.wait_s(now_s)
        if wait_s > 0:
            return wait_s
        most = self._breaker.calls(min(destination.max_calls, means.share()))
        # Outcomes wait for their commit, too; a slow disk must not gather more and more of them.
        if self.open_calls >= most or len(self._busy) >= most + means.settings.slice_rows:
            return NAP_S
        if destination.max_per_s != self._per_s:
            self._per_s = destination.max_per_s
            self._rate = Buckets(self._per_s, max(1, ceil(self._per_s)), 1) if self._per_s else None
        if self._rate is None:
            return 0.0
        wait_s = self._rate.wait_s(self._prefix, now_s)
        if wait_s <= 0:
            self._rate.take(self._prefix, now_s)
        return wait_s

    async def _call(self, destination: Destination, waiting: Waiting) -> None:
        key, at, row = waiting
        try:
            answer = await self._means.post(destination, at.id, row.path, row.body)
        except Exception as error:  # A fault of ours in one call must not end all others; it is tried again.
            answer = Answer(0, repr(error))
        finally:
            self.open_calls -= 1
            self._news.set()
        means = self._means
        self._judge(answer)
        now_ms = means.wall_ms()
        await self._settle((key,), means.outcomes.answered(waiting, answer, now_ms, means.draw()))

    def _judge(self, answer: Answer) -> None:
        means, now_s = self._means, trio.current_time()
        if answer.status in OVERLOADED:
            most_ms = means.settings.max_backoff_ms
            asked_ms = retry_after_ms(answer.retry_after, means.wall_ms(), most_ms=most_ms)
            if asked_ms:
                self._breaker.hold(now_s + asked_ms / 1000)
                return
        if fate_of(answer.status) is Fate.AGAIN:
            if self._breaker.failed(now_s, means.draw()):
                means.report(self.destination, f"left alone for a while: {answer}")
            return
        if self._breaker.is_open:
            means.report(self.destination, "answers again")
        self._breaker.succeeded()

    async def _settle(self, keys: Sequence[bytes], operations: Sequence[Operation]) -> Ticket | None:
        """Put what has become of rows in the writer's line; they are busy until that is committed."""
        done = partial(self._done, keys, [one.key for one in operations if isinstance(one, Put)])
        try:
            return await self._means.writer.submit_when_possible(operations, size_of(operations), done)
        except Closing:
            return None  # The rows stay as they are; the next start sends them again.

    def _done(self, keys: Sequence[bytes], put: Sequence[bytes]) -> None:
        for key in keys:
            self._busy.pop(key, None)
        self._left.update(keys)
        # What waits for another attempt lies behind the time of this one; where the clock was set back, it need not
        # lie behind what was read.
        if self._after is not None and any(key <= self._after for key in put):
            self._begin_again()
        self._news.set()

    async def _sweep(self) -> None:
        """While nothing is sent: what has waited for as long as it may becomes a dead letter, wherever it lies."""
        self._swept_s = trio.current_time()
        reason = NO_DESTINATION if self._is_undefined else GAVE_UP
        await self._bury(reason, lambda waiting, now_ms: self._means.outcomes.is_over(waiting[2], now_ms), inf)

    async def _trim(self) -> None:
        """More waits than may: the oldest become dead letters."""
        if not self.destination:
            try:
                self.destination = decode_outbox(self._ready[0][1]).destination
            except ValueError:
                return  # It goes first, then there is another one to ask.
        excess = self._means.count(self.datamart, self.destination) - self._means.settings.max_rows_per_destination
        if excess > 0:
            self._means.report(self.destination, f"{excess} requests more than may wait for it: dead letters")
            await self._bury(FULL, lambda waiting, now_ms: True, excess)

    async def _bury(self, reason: str, which: Callable[[Waiting, int], bool], most: float) -> None:
        """Make dead letters of rows from the beginning on, slice by slice; those that cannot be read are left."""
        after: bytes | None = None
        while most > 0 and not self._is_closing and (rows := await self._read(after)):
            after = rows[-1][0]
            keys: list[bytes] = []
            operations: list[Operation] = []
            now_ms = self._means.wall_ms()
            for key, value in rows:
                at = split_outbox_key(key)
                if key in self._busy or key in self._left or len(keys) >= most:
                    continue
                try:
                    waiting = (key, at, decode_outbox(value))
                except ValueError:
                    continue
                if which(waiting, now_ms):
                    keys.append(key)
                    operations += self._means.outcomes.dead(waiting, reason, now_ms)
            if keys:
                self._busy |= {key: split_outbox_key(key).due_ms for key in keys}
                self._begin_again()
                ticket = await self._settle(keys, operations)
                if ticket is None:
                    return
                await ticket.settled()  # Or what was just buried would be counted as waiting.
                most -= len(keys)
