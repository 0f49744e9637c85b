"""A batch on its way to the store, seen by those whose operations travel in it, and how the store is doing.

All who submit into one batch hold the same ticket, so one event wakes them all.
"""

from collections.abc import Callable, Sequence
from typing import Final

import trio

from engine.errors import SojournError, StoreBroken, Unavailable
from engine.observe import log
from engine.store.keys import Resolution
from engine.store.port import CommitReport, Count, Operation

MAX_BATCH_OPERATIONS: Final = 4096
"""Grouping gains little beyond a thousand rows a transaction, and everybody behind a batch waits for its end."""

MAX_BATCH_BYTES: Final = 4 << 20
"""The same bound where operations are large: some 20,000 journal records of 200 bytes, about 50 ms."""

_MINUTE_MS: Final = Resolution.MINUTE.width_ms

OnCommit = Callable[[], None]

OnDurable = Callable[[SojournError | None], None]
"""Hears None when a batch is on disk, or why that is not known. It must not raise."""


class StoreState:
    """Whether the store takes writes, as the last commit found it.

    Attributes:
        full: why it has no room at the moment, or None.
        broken: why it never takes a write again, or None.
    """

    __slots__ = ("broken", "full")

    def __init__(self) -> None:
        self.full: str | None = None
        self.broken: str | None = None

    def check(self) -> None:
        """Raise `StoreBroken` or `Unavailable` when the store does not take writes."""
        self.check_broken()
        if self.full is not None:
            raise Unavailable(self.full)

    def fault(self) -> SojournError | None:
        """What `check` raises now, or None."""
        try:
            self.check()
        except (StoreBroken, Unavailable) as error:
            return error
        return None

    def check_broken(self) -> None:
        """Raise `StoreBroken` when the store will never take a write again."""
        if self.broken is not None:
            raise StoreBroken(self.broken)


class Ticket:
    """One batch. It is open for more until it is sealed, and sealed from its first commit on.

    Attributes:
        operations: what its commit does, but for counting.
        submitted: how many operations were submitted, counting included.
        is_durable: whether the batch is on disk.
        report: what its commit did, of all its operations together; empty before.
    """

    __slots__ = (
        "_counts",
        "_listeners",
        "_news",
        "_state",
        "callbacks",
        "is_durable",
        "is_sealed",
        "opened_s",
        "operations",
        "report",
        "size_bytes",
        "submitted",
    )

    def __init__(self, state: StoreState) -> None:
        self._state = state
        self._news = trio.Event()
        self._listeners: list[OnDurable] = []
        self.operations: list[Operation] = []
        self.submitted = 0
        # By datamart and minute. Counters of many small requests are most of their operations, and have no order.
        self._counts: dict[tuple[int, int], dict[str, int]] = {}
        self.callbacks: list[OnCommit] = []
        self.size_bytes = 0
        self.opened_s = trio.current_time()
        self.is_sealed = False
        self.is_durable = False
        self.report = CommitReport()

    async def durable(self) -> None:
        """Return when the batch is on disk.

        Raises:
            Unavailable: the store is full. The batch stays in line, so it may still be stored, once.
            Broken: the store takes no more writes.
        """
        await self._wait(self._state.check)

    def when_durable(self, callback: OnDurable) -> None:
        """`durable` without a task that waits: waking one costs as much as half an event.

        The callback is called once, on the Trio thread: with None when the batch is on disk, or with the error that
        `durable` would have raised. At once, inside this call, where that is known already; else by the writer, in
        the order of submitting. It must not raise: an error is logged and harms nobody else.
        """
        fault = None if self.is_durable else self._state.fault()
        if self.is_durable or fault is not None:
            call_all([callback], fault)
        else:
            self._listeners.append(callback)

    async def settled(self) -> None:
        """`durable` for the engine's own work: waits out a full store.

        Raises:
            Broken: the store takes no more writes.
        """
        await self._wait(self._state.check_broken)

    async def _wait(self, check: Callable[[], None]) -> None:
        while True:
            if not self.is_durable:
                check()
            await self._news.wait()  # Set for good when durable; before that, each time the store's state changes.
            if self.is_durable:
                return

    def takes(self, operations: int, size_bytes: int) -> bool:
        """Whether so much more may travel in this batch."""
        return (
            not self.is_sealed
            and self.submitted + operations <= MAX_BATCH_OPERATIONS
            and self.size_bytes + size_bytes <= MAX_BATCH_BYTES
        )

    def take_listeners(self) -> list[OnDurable]:
        """Those that `when_durable` was given and nobody has told yet; who takes them tells them."""
        listeners, self._listeners = self._listeners, []
        return listeners

    def add(self, operations: Sequence[Operation], size_bytes: int) -> None:
        """Take these along."""
        self.submitted += len(operations)
        self.size_bytes += size_bytes
        for operation in operations:
            if type(operation) is Count:
                place = operation.datamart, operation.at_ms - operation.at_ms % _MINUTE_MS
                counts = self._counts.get(place)
                if counts is None:
                    counts = self._counts[place] = {}
                for name, amount in operation.amounts:
                    counts[name] = counts.get(name, 0) + amount
            else:
                self.operations.append(operation)

    def seal(self) -> list[Operation]:
        """Take nothing more; returns all that the commit is to do."""
        self.is_sealed = True
        counts = [Count(datamart, tuple(amounts.items()), at_ms) for (datamart, at_ms), amounts in self._counts.items()]
        return [*self.operations, *counts]

    def state_changed(self) -> None:
        """Wake all who wait, so that they look at the store's state; who waits on waits for the next news."""
        self._news.set()
        self._news = trio.Event()

    def committed(self, report: CommitReport) -> list[OnCommit]:
        """The batch is on disk: wake all who wait, let go of the operations, return who wants to be called."""
        callbacks = self.callbacks
        self.callbacks, self.operations, self._counts = [], [], {}  # Receipts may hold the ticket for long.
        self.report = report
        self.is_durable = True
        self._news.set()
        return callbacks


def call_all(callbacks: Sequence[OnDurable], fault: SojournError | None) -> None:
    """Tell them in order; one that raises keeps no other from hearing, and is not passed over in silence."""
    failed: list[Exception] = []
    for callback in callbacks:
        try:
            callback(fault)
        except Exception as error:
            failed.append(error)
    if failed:
        log("callback failed", "error", what=repr(failed[0]), failures=len(failed))
