"""What has expired leaves the disk: activities, seen keys, old dead letters and counters (decision 36).

Reads do not depend on it, they leave out what has expired at once; this is for the disk, within minutes where an hour
is allowed. It goes by the wall clock: a replay of a log of last year must not sweep away what it has just stored.
"""

from typing import Final

import trio

from engine.actors.writer import Writer
from engine.clock import Clock
from engine.store.port import PurgeExpired

EVERY_S: Final = 60
"""Between two sweeps. Most find little, so they cost one look each."""

SLICE: Final = 1000
"""Rows a transaction: some 10 ms of the writer's thread, and what others submit goes in between."""

ROW_BYTES: Final = 64
"""What removing a row weighs in the writer's queue: a few keys."""


async def sweep(writer: Writer, clock: Clock) -> None:
    """Purge every minute, until cancelled.

    Raises:
        Broken: the store takes no more writes.
        Closing: the writer has been closed.
    """
    while True:
        await purge(writer, clock.wall_ms())
        await trio.sleep(EVERY_S)


async def purge(writer: Writer, before_ms: int) -> int:
    """Remove all that expired before `before_ms` (wall clock), slice by slice; returns how many rows were due.

    A full store is waited out: removing, too, needs pages to write on.

    Raises:
        Broken: the store takes no more writes.
        Closing: the writer has been closed.
    """
    purged = 0
    while True:
        ticket = await writer.submit_when_possible([PurgeExpired(before_ms, SLICE)], SLICE * ROW_BYTES)
        await ticket.settled()
        purged += ticket.report.purged
        if ticket.report.purged < SLICE:
            return purged
