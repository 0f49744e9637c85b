"""For tests of the writer: a store that keeps what is committed, fails when told to and stops where told to."""

import threading

import trio

from engine.actors.writer import Writer
from engine.errors import StoreBroken, StoreFull
from engine.store.port import CommitReport, Operation, StoreStatistics


class ScriptedStore:
    """Satisfies `Store`; only `commit` does anything.

    Attributes:
        batches: what was committed, a tuple for each transaction.
        attempts: every batch that was tried, committed or not.
        failures: raised by the next commits, one each; None is a success.
        full: while set, every commit finds no room.
    """

    def __init__(self, failures=()):
        self.batches = []
        self.attempts = []
        self.failures = list(failures)
        self.full = False
        self.at_once = 0
        self._gate = None
        self._begun = None

    def hold(self):
        """Make the next commit stop inside its thread; returns a function that waits until it has, and the gate."""
        self._gate = threading.Event()
        self._begun = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        return self._begun.wait, self._gate

    def check(self, operations):
        if Note(-1) in operations:
            raise ValueError("Note: -1 is out of range")

    def commit(self, operations):
        self.at_once += 1
        assert self.at_once == 1, "one transaction at a time"
        try:
            return self._commit(tuple(operations))
        finally:
            self.at_once -= 1

    def _commit(self, operations):
        self.attempts.append(operations)
        if self._gate is not None:
            gate, self._gate = self._gate, None
            self._token.run_sync_soon(self._begun.set)
            assert gate.wait(30)
        if self.full:
            raise StoreFull("no space left on device")
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.batches.append(operations)
        return CommitReport(stored=len(operations))

    def committed(self):
        return [operation for batch in self.batches for operation in batch]

    def get(self, db, key):
        return None

    def page(self, db, *, prefix=b"", after=None, limit=100, max_bytes=1 << 20, reverse=False):
        return []

    def statistics(self):
        return StoreStatistics(map_size_bytes=0, max_map_size_bytes=0, used_bytes=0, entries={})

    def close(self):
        pass


def broken():
    return StoreBroken("fsync failed")


class Note(Operation, frozen=True):
    """An operation that only tells which it is."""

    name: int


class Log(list):
    def __call__(self, name, what):
        self.append(what)


def writer_on(store, **bounds):
    log = Log()
    writer = Writer(store, report=log, **bounds)
    writer.log = log
    return writer


def notes(*names):
    return [Note(name) for name in names]


async def submitted_while_committing(store, writer, nursery, *, first=(0,)):
    """Start the writer and stop it inside its first commit; returns the ticket of that one and the gate."""
    begun, gate = store.hold()
    ticket = writer.submit(notes(*first), 10)
    nursery.start_soon(writer.run)
    await begun()
    return ticket, gate


async def tried(writer, tries):
    """Return when the writer has found the store full so many times, and sleeps.

    A task that waits for a thread looks idle to Trio's test tools, so this looks at the writer itself.
    """
    while writer.statistics().retries < tries:
        await trio.lowlevel.checkpoint()
