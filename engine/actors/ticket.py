"""A batch on its way to the store, seen by those whose operations travel in it, and how the store is doing.

All who submit into one batch hold the same ticket, so one event wakes them all.
"""

from collections.abc import Callable
from typing import Final

import trio

from engine.errors import StoreBroken, Unavailable
from engine.store.port import CommitReport, Operation

MAX_BATCH_OPERATIONS: Final = 4096
"""Grouping gains little beyond a thousand rows a transaction, and everybody behind a batch waits for its end."""

MAX_BATCH_BYTES: Final = 4 << 20
"""The same bound where operations are large: some 20,000 journal records of 200 bytes, about 50 ms."""

OnCommit = Callable[[], None]


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

    def check_broken(self) -> None:
        """Raise `StoreBroken` when the store will never take a write again."""
        if self.broken is not None:
            raise StoreBroken(self.broken)


class Ticket:
    """One batch. It is open for more until it is sealed, and sealed from its first commit on.

    Attributes:
        is_durable: whether the batch is on disk.
        report: what its commit did, of all its operations together; empty before.
    """

    __slots__ = (
        "_news",
        "_state",
        "callbacks",
        "is_durable",
        "is_sealed",
        "opened_s",
        "operations",
        "report",
        "size_bytes",
    )

    def __init__(self, state: StoreState) -> None:
        self._state = state
        self._news = trio.Event()
        self.operations: list[Operation] = []
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
            and len(self.operations) + operations <= MAX_BATCH_OPERATIONS
            and self.size_bytes + size_bytes <= MAX_BATCH_BYTES
        )

    def state_changed(self) -> None:
        """Wake all who wait, so that they look at the store's state; who waits on waits for the next news."""
        self._news.set()
        self._news = trio.Event()

    def committed(self, report: CommitReport) -> list[OnCommit]:
        """The batch is on disk: wake all who wait, let go of the operations, return who wants to be called."""
        callbacks = self.callbacks
        self.callbacks, self.operations = [], []  # Receipts may hold the ticket for long.
        self.report = report
        self.is_durable = True
        self._news.set()
        return callbacks
