"""The one task that writes to the store, in groups.

What is submitted while a commit runs is the next commit: no timer, and batches grow by themselves under load. A
hundred senders then share one fsync.

    submit ─▶ ticket (still open) … ticket (sealed, in the store's thread) ─▶ durable, callbacks in order
                 next batch                  this batch

The order of operations is the order of submitting, always: a batch that found the store full stays the first in line
and is tried again until it succeeds. Meanwhile its senders hear `Unavailable`, and nothing more is taken. A store that
is broken ends the writer, and with it the engine.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from engine.actors.commit_thread import CommitThread
from engine.actors.ticket import OnCommit, OnDurable, StoreState, Ticket, call_all
from engine.errors import Broken, Closing, Overloaded, SojournError, StoreFull
from engine.store.port import CommitReport, Operation, Store

MAX_PENDING_BYTES: Final = 64 << 20
"""Default bound of what waits for its commit: a second or two of a disk that still keeps up."""

TELL_SLICE: Final = 128
"""Listeners of a batch that are told in one step of the loop: what they do is answer a sender, some 10 µs each."""

RETRY_S: Final = 0.5
"""Pause before a batch that found no room is tried again."""


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """What the writer has done and how near it is to its bound.

    Attributes:
        batches, operations: committed since the start.
        last_operations, last_commit_ms: of the last batch.
        retries: commits that found the store full.
        pending_operations, pending_bytes: submitted and not yet committed, the batch in the thread included.
        max_pending_bytes, peak_pending_bytes: the bound, and the most that ever waited.
        oldest_pending_ms: how long the first of these has been waiting; 0 when nothing waits.
    """

    batches: int
    operations: int
    last_operations: int
    last_commit_ms: float
    retries: int
    pending_operations: int
    pending_bytes: int
    max_pending_bytes: int
    peak_pending_bytes: int
    oldest_pending_ms: int


class Writer:
    """Commits what is submitted, in order, one transaction at a time.

    Args:
        store: whose `commit` is called, in a thread of its own, never two at a time.
        report: told when the store is found full and when it takes writes again.
        max_pending_bytes: bound of what waits, by what the submitters say.
        stand_aside_s: how long the loop stands aside at the most while rows are put in place; 0 with a store that does
            not call `placed`.
    """

    def __init__(
        self,
        store: Store,
        *,
        report: Callable[[str, str], None],
        max_pending_bytes: int = MAX_PENDING_BYTES,
        stand_aside_s: float = 0.0,
    ) -> None:
        self._store = store
        self._report = report
        self._thread = CommitThread(store.commit, stand_aside_s)
        self._queue: deque[Ticket] = deque()  # The first may be in the thread, the last may be open.
        self._work = trio.lowlevel.ParkingLot()  # The loop, when there is nothing to do.
        self._room = trio.lowlevel.ParkingLot()  # Patient submitters.
        self._untold: deque[tuple[list[OnDurable], SojournError | None]] = deque()  # Who listens to what is known.
        self._closing = False
        self._state = StoreState()
        self._pending_operations = 0
        self._pending_bytes = 0
        self._max_pending_bytes = max_pending_bytes
        self._peak_pending_bytes = 0
        self._batches = 0
        self._operations = 0
        self._last_operations = 0
        self._last_commit_ms = 0.0
        self._retries = 0

    def placed(self) -> None:
        """The store has put a batch's rows in place: the loop goes on. Called in the thread of the commit."""
        self._thread.placed()

    @property
    def unavailable(self) -> str | None:
        """Why the store takes no writes at the moment, or None: readiness asks."""
        return self._state.broken or self._state.full

    @property
    def pending_bytes(self) -> int:
        """Bytes submitted and not yet committed."""
        return self._pending_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Whether `submit` would take so many bytes now, as far as the bound goes. An idle writer takes anything."""
        return self._pending_operations == 0 or self._pending_bytes + size_bytes <= self._max_pending_bytes

    def check_store(self) -> None:
        """Raise `StoreBroken` or `Unavailable` when the store does not take writes."""
        state = self._state
        if state.broken is not None or state.full is not None:
            state.check()

    def check(self, operations: Sequence[Operation]) -> None:
        """Raise ValueError for what could never be written. All that is submitted is checked so."""
        self._store.check(operations)

    def submit(self, operations: Sequence[Operation], size_bytes: int, on_commit: OnCommit | None = None) -> Ticket:
        """Put operations in line; they travel in one transaction, behind all that was submitted before.

        Args:
            operations: applied in order.
            size_bytes: about what they weigh.
            on_commit: called on the Trio thread right after the commit, in the order of submitting.

        Raises:
            Overloaded: too much is waiting; nothing was taken.
            Unavailable: the store is full; nothing was taken.
            Broken: the store takes no more writes.
            Closing: the writer is to end, or has ended.
            ValueError: an operation is out of range; nothing was taken, and nobody else's batch is harmed.
        """
        if self._closing:
            self._check_open()
        self.check_store()
        self._store.check(operations)
        if not self.has_room(size_bytes):
            raise Overloaded(f"{self._pending_bytes} bytes wait to be written, the bound is {self._max_pending_bytes}")
        return self._enqueue(operations, size_bytes, on_commit)

    async def submit_when_possible(
        self,
        operations: Sequence[Operation],
        size_bytes: int,
        on_commit: OnCommit | None = None,
    ) -> Ticket:
        """`submit` for the engine's own work, which has nobody to refuse it to: waits for room, and out a full store.

        It goes ahead as soon as there is any room, so that a stream of small requests cannot keep a large batch of
        stored activities waiting for ever; the bound is overshot by one submission of each such task.

        Raises:
            Broken: the store takes no more writes.
            Closing: the writer is to end, or has ended.
            ValueError: an operation is out of range; nothing was taken.
        """
        self.check(operations)
        await self.wait_for_room()
        return self._enqueue(operations, size_bytes, on_commit)

    async def wait_for_room(self) -> None:
        """Return when `submit_at_once` may be called, in the same step.

        Raises:
            Broken: the store takes no more writes.
            Closing: the writer is to end, or has ended.
        """
        await trio.lowlevel.checkpoint()
        while True:
            self._check_open()
            if self._state.full is None and self.has_room(1):
                return
            await self._room.park()

    def submit_at_once(
        self, operations: Sequence[Operation], size_bytes: int, on_commit: OnCommit | None = None
    ) -> Ticket:
        """`submit_when_possible` in two steps: for operations that must be made in the very step in which they get
        their place in line. Only right behind `wait_for_room`, and `check` must have seen each of them.
        """
        return self._enqueue(operations, size_bytes, on_commit)

    def close(self) -> None:
        """Take nothing more; `run` commits what is in line, then returns."""
        self._closing = True
        self._work.unpark_all()
        self._room.unpark_all()

    async def run(self) -> None:
        """Commit until closed. May be called again after it raised: what is in line is still there.

        Cancelling interrupts no commit. It takes effect where nothing waits to be written, or where the store is
        full: everything submitted before is on disk, or its senders have heard that it is not.

        Raises:
            Broken: as the store raised it; the writer is of no more use.
            Exception: as a commit or a callback raised it. A batch is first in line until it is committed.
        """
        self._thread.start()
        try:
            while (ticket := await self._next()) is not None:
                self._finish(ticket, await self._commit(ticket))
        except trio.Cancelled:
            self.close()
            raise
        finally:
            self._thread.stop()

    def statistics(self) -> WriterStatistics:
        waiting_s = trio.current_time() - self._queue[0].opened_s if self._queue else 0.0
        return WriterStatistics(
            batches=self._batches,
            operations=self._operations,
            last_operations=self._last_operations,
            last_commit_ms=self._last_commit_ms,
            retries=self._retries,
            pending_operations=self._pending_operations,
            pending_bytes=self._pending_bytes,
            max_pending_bytes=self._max_pending_bytes,
            peak_pending_bytes=self._peak_pending_bytes,
            oldest_pending_ms=round(waiting_s * 1000),
        )

    def _check_open(self) -> None:
        self._state.check_broken()
        if self._closing:
            raise Closing("the writer is closing")

    def _enqueue(self, operations: Sequence[Operation], size_bytes: int, on_commit: OnCommit | None) -> Ticket:
        if not self._queue:
            self._work.unpark()
        if not self._queue or not self._queue[-1].takes(len(operations), size_bytes):
            self._queue.append(Ticket(self._state))
        ticket = self._queue[-1]
        ticket.add(operations, size_bytes)
        if on_commit is not None:
            ticket.callbacks.append(on_commit)
        self._pending_operations += len(operations)
        self._pending_bytes += size_bytes
        self._peak_pending_bytes = max(self._peak_pending_bytes, self._pending_bytes)
        return ticket

    async def _next(self) -> Ticket | None:
        while not self._queue:
            await self._tell()
            if self._queue:
                break
            if self._closing:
                return None
            await self._work.park()
        return self._queue[0]

    async def _commit(self, ticket: Ticket) -> CommitReport:
        """Return when the batch is on disk, however long the store is full."""
        operations = ticket.seal()
        while True:
            started_s = trio.current_time()
            self._thread.hand_over(operations)
            await self._tell()  # Of the last commit, while this one is synced.
            try:
                report = await self._thread.result()
            except StoreFull as error:
                self._retries += 1
                self._set_unavailable(str(error))
            except Broken as error:
                self._state.broken = str(error)
                self._tell_everybody()
                self._room.unpark_all()
                await self._tell()
                raise
            else:
                self._last_commit_ms = (trio.current_time() - started_s) * 1000
                return report
            await self._tell()
            await trio.sleep(RETRY_S)

    def _set_unavailable(self, reason: str) -> None:
        if self._state.full is None:
            self._report("writer", f"the store takes no writes: {reason}")
        self._state.full = reason
        self._tell_everybody()

    def _tell_everybody(self) -> None:
        fault = self._state.fault()
        for ticket in self._queue:
            ticket.state_changed()
            self._untold.append((ticket.take_listeners(), fault))

    async def _tell(self) -> None:
        """Tell all who listen, in slices. It is not interrupted: each of them hears once."""
        while self._untold:
            listeners, fault = self._untold.popleft()
            for start in range(0, len(listeners), TELL_SLICE):
                if start:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                call_all(listeners[start : start + TELL_SLICE], fault)

    def _finish(self, ticket: Ticket, report: CommitReport) -> None:
        """Book a batch that is on disk and tell all concerned, in one synchronous step."""
        if self._state.full is not None:
            self._state.full = None
            self._report("writer", "the store takes writes again")
        self._queue.popleft()
        self._batches += 1
        self._last_operations = ticket.submitted
        self._operations += self._last_operations
        self._pending_operations -= self._last_operations
        self._pending_bytes -= ticket.size_bytes
        self._room.unpark_all()
        self._untold.append((ticket.take_listeners(), None))
        _call_all(ticket.committed(report))


def _call_all(callbacks: Sequence[OnCommit]) -> None:
    """Call them in order; one that raises keeps no other from being called, and is not passed over in silence."""
    errors: list[Exception] = []
    for callback in callbacks:
        try:
            callback()
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("callbacks after a commit", errors)
