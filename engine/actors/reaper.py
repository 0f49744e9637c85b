"""The one task that turns the wheel.

It sleeps until the next second in which somebody is due, and no longer; when many are due at once it takes them in
slices, so that a hundred thousand sessions that end together delay no request by more than one slice.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from engine.actors.wheel import E, Wheel
from engine.clock import Clock

SLICE: Final = 200
"""Entries between two checkpoints: a stall of a few ms, where all 100,000 in one step were 1.2 s."""

RETRY_MS: Final = 60_000
"""An entry whose expiry failed is tried again after this; until then its events still come and go."""


async def reap(
    wheel: Wheel[E],
    clock: Clock,
    expire: Callable[[E, int], None],
    *,
    failed: Callable[[E, str], None],
    room: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Turn the wheel until cancelled.

    Args:
        wheel: whose entries fire. One reaper a wheel: it listens to `wheel.on_earlier`.
        clock: whose engine time decides what is due.
        expire: called with each due entry and the time it was found due, ms. Synchronous. It schedules the entry
            again if it is to be looked at again; when it cannot act now (a full mailbox), it schedules it for now,
            which means the next second.
        room: awaited before each slice; until it returns, the wheel stands still.
        failed: told of an entry whose `expire` raised, with the error as text; its neighbours are not affected.
    """
    while True:
        if room is not None:
            await room()
        now_ms = clock.now_ms()
        for entry in (due := wheel.pop_due(now_ms, SLICE)):
            try:
                expire(entry, now_ms)
            except Exception as error:
                wheel.schedule(entry, now_ms + RETRY_MS)
                failed(entry, repr(error))
        if due:
            await trio.lowlevel.checkpoint()
        else:
            await _sleep(wheel, clock)


async def _sleep(wheel: Wheel[E], clock: Clock) -> None:
    """Until somebody is due. Nothing can be scheduled between the look at the wheel and falling asleep: no await."""
    due_ms = wheel.next_due_ms()
    with trio.CancelScope() as nap:
        wheel.on_earlier = partial(nap.cancel, reason="somebody is due earlier")
        try:
            if due_ms is None:
                await trio.sleep_forever()
            else:
                await clock.sleep_until_ms(due_ms)
        finally:
            wheel.on_earlier = None
