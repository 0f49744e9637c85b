"""An outbox on a memory store, whose destinations are functions and whose clock is Trio's.

A commit happens inside `submit_when_possible`, and rows are read inline: no thread, so that the autojump clock tells
the time of everything that waits.
"""

from contextlib import asynccontextmanager

import trio

from engine.actors.outbox.calls import Answer
from engine.actors.outbox.service import Outbox
from engine.definitions.declared.destinations import Destination
from engine.pipeline.stage import CountUp, Send
from engine.settings import OutboxSettings
from engine.store import reads
from engine.store.keys import outbox_key, split_outbox_key
from engine.store.layout import OutboxRow, decode_dead_letter, decode_outbox, encode_outbox
from engine.store.memory import MemoryStore
from engine.store.port import Db, Put
from tests.clocks import START_MS, TrioClock
from tests.contract.harness import rows


class Committed:
    async def settled(self):
        await trio.lowlevel.checkpoint()


class InlineWriter:
    """Commits what is submitted at once."""

    def __init__(self, store):
        self.store = store
        self.commits = 0

    async def submit_when_possible(self, operations, size_bytes, on_commit=None):
        assert size_bytes > 0
        await trio.lowlevel.checkpoint()
        self.store.check(operations)
        self.store.commit(operations)
        self.commits += 1
        if on_commit is not None:
            on_commit()
        return Committed()


class SlowWriter(InlineWriter):
    """Takes at once what is submitted; each is on disk a second later."""

    class Ticket:
        def __init__(self):
            self.done = trio.Event()

        async def settled(self):
            await self.done.wait()

    async def submit_when_possible(self, operations, size_bytes, on_commit=None):
        ticket = self.Ticket()
        trio.lowlevel.spawn_system_task(self._commit_later, operations, size_bytes, on_commit, ticket)
        await trio.lowlevel.checkpoint()
        return ticket

    async def _commit_later(self, operations, size_bytes, on_commit, ticket):
        await trio.sleep(1)
        await super().submit_when_possible(operations, size_bytes, on_commit)
        ticket.done.set()


class World:
    """Attributes:
    answers: by destination, an async function of (path, body) that gives a status or an `Answer`.
    calls: (destination, number, ms since the start), as they began.
    open, peak: calls open now, and at most, by destination.
    """

    def __init__(self, *destinations, store=None, **settings):
        self.store = store or MemoryStore()
        self.clock = TrioClock()
        self.writer = InlineWriter(self.store)
        self.defined = {one.id: one for one in destinations}
        self.answers = {}
        self.calls = []
        self.open = dict.fromkeys(self.defined, 0)
        self.peak = dict.fromkeys(self.defined, 0)
        self.reports = []
        self.reads = 0
        self.most_read = 0
        self.erased = set()
        self.draw = 0.5
        self.settings = OutboxSettings(**settings)

    @asynccontextmanager
    async def running(self):
        outbox = self.outbox = Outbox(
            store=self.store,
            writer=self.writer,
            clock=self.clock,
            settings=self.settings,
            dead_letter_ms=90 * 86_400_000,
            destination_of=lambda datamart, one: self.defined.get(one),
            is_erased=lambda datamart, point, sequence: (point, sequence) in self.erased,
            report=lambda name, what: self.reports.append((name, what)),
            read=self._read,
            connect=self._connect,
            draw=lambda: self.draw,
        )
        async with trio.open_nursery() as nursery:
            assert self.now() >= 0  # The clock begins when it is first looked at.
            nursery.start_soon(outbox.run)
            await trio.testing.wait_all_tasks_blocked()
            yield outbox
            nursery.cancel_scope.cancel()

    def now(self):
        return self.clock.now_ms() - START_MS

    def send(self, destination, number, *, due=0, first=None, **fields):
        """Put a row into the store, as the transaction of an activity does."""
        first_due_ms = START_MS + (due if first is None else first)
        row = OutboxRow(destination, f"/{number}", b'{"n":%d}' % number, first_due_ms, **fields)
        key = outbox_key(1, destination, START_MS + due, number.to_bytes(16))
        self.store.commit([Put(Db.OUTBOX, key, encode_outbox(row))])

    def waiting(self):
        """(number, due ms, attempts) of each row, by destination and due time."""
        found = []
        for key, value in rows(self.store, Db.OUTBOX):
            at = split_outbox_key(key)
            found.append((int.from_bytes(at.id), at.due_ms - START_MS, decode_outbox(value).attempts))
        return found

    def letters(self):
        return [decode_dead_letter(value) for _, value in rows(self.store, Db.DEAD_LETTERS)]

    def reasons(self):
        return [one.reason for one in self.letters()]

    def counts(self, prefix="outbox_"):
        totals = reads.counter_totals(self.store, 1)
        return {name.removeprefix("outbox_"): n for name, n in totals.items() if n and name.startswith(prefix)}

    def called(self, destination):
        return [number for one, number, _ in self.calls if one == destination]

    async def _read(self, *, prefix, after, limit, max_bytes):
        await trio.lowlevel.checkpoint()
        found = self.store.page(Db.OUTBOX, prefix=prefix, after=after, limit=limit, max_bytes=max_bytes)
        self.reads += 1
        self.most_read = max(self.most_read, len(found))
        return found

    @asynccontextmanager
    async def _connect(self):
        yield self._post

    async def _post(self, destination, request_id, path, body):
        one = destination.id
        self.calls.append((one, int.from_bytes(request_id), self.now()))
        self.open[one] += 1
        self.peak[one] = max(self.peak[one], self.open[one])
        answer = Answer(0, "no answer")
        try:
            with trio.move_on_after(destination.timeout_ms / 1000):
                answer = await self.answers.get(one, at_once)(path, body)
        finally:
            self.open[one] -= 1
        return answer if isinstance(answer, Answer) else Answer(answer)


def told(world, name, number, due=0):
    """As when an activity was stored that asks for it."""
    world.send(name, number, due=due)
    effect = Send(1, name, number.to_bytes(16), START_MS + due, f"/{number}", b"{}")
    world.outbox.told([CountUp(1, "x"), effect])


async def at_once(path, body):
    await trio.lowlevel.checkpoint()
    return 200


async def never(path, body):
    await trio.sleep_forever()


def always(status, after_s=0.0, **fields):
    async def answer(path, body):
        await trio.sleep(after_s)
        return Answer(status, **fields)

    return answer


def destination(name, **fields):
    return Destination(id=name, url=f"https://{name}.example/hook", **fields)
