"""For tests of the router and its actors: one without a store, whose chain is a channel that the test empties."""

import math
from contextlib import asynccontextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from engine.actors.router import Router
from engine.actors.supervisor import Quarantine
from engine.actors.wheel import Wheel
from engine.model.channel import ChannelSettings
from engine.model.record import RecordKind
from tests.session.build import NOON, record_of


def point(number):
    """A user point."""
    return number.to_bytes(16)


class Routed:
    """A router at work, and what it handed over.

    Attributes:
        records: every record that was delivered, by sequence.
        envelopes: what was taken out of the chain so far.
        failures: what actors reported.
    """

    def __init__(self, router, wheel, inbox):
        self.router = router
        self.wheel = wheel
        self.inbox = inbox
        self.records = {}
        self.envelopes = []
        self.failures = []
        self.now_ms = NOON

    def record(self, user=1, *, ts=None, **fields):
        ts_ms = self.now_ms if ts is None else ts
        record = record_of(len(self.records) + 1, ts_ms, arrival_ms=self.now_ms, user=point(user), **fields)
        self.records[record.sequence] = record
        return record

    def deliver(self, user=1, **fields):
        """Deliver one record, an event at `now_ms` unless told otherwise."""
        record = self.record(user, **fields)
        self.router.deliver((1, point(user)), [record], 100)
        return record

    def close(self, user=1):
        return self.deliver(user, kind=RecordKind.CLOSE, channel="", root=b"{}", event=b"", weight=0)

    def merge(self, survivor, absorbed):
        record = self.record(survivor, kind=RecordKind.MERGE, channel="", root=b"{}", event=point(absorbed), weight=0)
        self.router.merge(record)
        return record

    def pass_ms(self, ms):
        """Let time pass, and turn the wheel as the reaper does."""
        self.now_ms += ms
        while due := self.wheel.pop_due(self.now_ms, 10):
            for entry in due:
                self.router.expire(entry, self.now_ms)

    def take(self, lists=1_000_000):
        """Take so many lists out of the chain."""
        for _ in range(lists):
            try:
                taken = self.inbox.receive_nowait()
            except trio.WouldBlock:
                return
            self.router.settled(taken)
            self.envelopes += taken

    async def drain(self):
        """Take all that comes, until nothing does."""
        while True:
            await wait_all_tasks_blocked()
            if not self.router.unstored:
                return
            self.take()

    def left(self):
        """Sequences of each envelope that left."""
        return [envelope.closed.sequences for envelope in self.envelopes]

    def open_in(self, user=1):
        """Sequences of each session that a user has open, in order."""
        visitor = self.router.visitor((1, point(user)))
        return [] if visitor is None else [one.sequences for one in visitor.snapshots()]


def site_at(datamart, key, version):
    return ChannelSettings(datamart=datamart, kind="SITE", id=key.partition(":")[2], version=version)


@asynccontextmanager
async def routed(
    *, queue=math.inf, channel_at=site_at, messages=64, size_bytes=1 << 20, failures=5, max_closing=10_000
):
    """A router whose chain takes `queue` lists."""
    entrance, inbox = trio.open_memory_channel(queue)
    async with trio.open_nursery() as nursery:
        wheel = Wheel()
        log = []
        router = Router(
            nursery=nursery,
            wheel=wheel,
            channel_at=channel_at,
            first_stage=entrance,
            now_ms=lambda: found.now_ms,
            report=lambda name, what: log.append((name, what)),
            quarantine=Quarantine(failures=failures, window_ms=60_000, hold_ms=600_000),
            mailbox_messages=messages,
            mailbox_bytes=size_bytes,
            max_closing=max_closing,
        )
        found = Routed(router, wheel, inbox)
        found.failures = log
        yield found
        nursery.cancel_scope.cancel()
