"""The thread that commits: one for the writer's whole life, since to borrow one for each commit costs twice as much.

While a batch's rows are put in place, the loop stands aside: both need the interpreter, and LMDB gives it away with
every row. The loop begins to wait in the step in which it hands the batch over: neither takes it from the other.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue

import trio

from engine.store.port import CommitReport, Operation

Commit = Callable[[Sequence[Operation]], CommitReport]


class CommitThread:
    """Calls `commit` in a thread of its own, one batch at a time.

    Args:
        commit: the store's.
        stand_aside_s: how long the loop waits at the most for `placed`; 0 when nobody calls it.
    """

    def __init__(self, commit: Commit, stand_aside_s: float) -> None:
        self._commit = commit
        self._stand_aside_s = stand_aside_s
        self._batches: SimpleQueue[Sequence[Operation] | None] = SimpleQueue()
        self._changed = trio.lowlevel.ParkingLot()
        self._is_busy = False
        self._report = CommitReport()
        self._error: Exception | None = None
        # Held while rows are being placed; a bare lock, as an `Event` costs ten times as much to wait for.
        self._placing = threading.Lock()

    def start(self) -> None:
        """Begin to take batches. Called in the Trio thread."""
        token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._run, args=(token,), name="sojourn-writer", daemon=True).start()

    def stop(self) -> None:
        """End the thread, which must not be at work."""
        self._batches.put(None)

    def placed(self) -> None:
        """Let the loop go on: the rows of the batch are in place. Called in the thread; more than once is no fault."""
        with suppress(RuntimeError):  # It was let go before.
            self._placing.release()

    def hand_over(self, operations: Sequence[Operation]) -> None:
        """Have a batch committed. Holds the loop until its rows are in place, or for so long that it must go on."""
        self._is_busy, self._error = True, None
        self._placing.acquire(blocking=False)
        self._batches.put(operations)
        if self._stand_aside_s and self._placing.acquire(timeout=self._stand_aside_s):
            self.placed()

    async def result(self) -> CommitReport:
        """What became of the batch. A commit cannot be interrupted, so neither can this.

        Raises:
            Exception: as the store raised it.
        """
        with trio.CancelScope(shield=True):
            while self._is_busy:
                await self._changed.park()
        if self._error is not None:
            raise self._error
        return self._report

    def _run(self, token: trio.lowlevel.TrioToken) -> None:
        while (operations := self._batches.get()) is not None:
            try:
                self._report = self._commit(operations)
            except Exception as error:
                self._error = error
            self.placed()
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._finished)

    def _finished(self) -> None:
        self._is_busy = False
        self._changed.unpark()
