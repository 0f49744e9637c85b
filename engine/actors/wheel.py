"""When to look at whom: a timer for each of a hundred thousand actors at the price of a dictionary entry.

Time is cut into buckets of one second. An entry lies in at most one bucket and knows which (its slot `bucket`), and
no bucket is handed out before its second has come, so that

* nothing fires before it is due,
* everything fires at most one second after it is due (or, if it was overdue when scheduled, after that).

Work that puts an entry's due time *off* need not touch the wheel: the entry fires at the old time, is looked at
again, and is scheduled anew. That makes an event for an actor cost nothing here, where moving a Trio deadline would
cost 4 µs and stall the loop when its heap is pruned.

The wheel reads no clock and knows no task; `engine.actors.reaper` turns it.
"""

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKET_MS: Final = 1000
"""One second: 0.06 % of half an hour, and a closing has two seconds to show (decision 7)."""


class WheelEntry(Protocol):
    """What can be scheduled: hashed by identity, with a slot that belongs to the wheel. It starts as None."""

    bucket: int | None


E = TypeVar("E", bound=WheelEntry)


@dataclass(frozen=True, slots=True)
class WheelStatistics:
    """How much waits on the wheel; `next_due_ms` is the end of the first bucket, None when nothing waits."""

    entries: int
    buckets: int
    next_due_ms: int | None


class Wheel(Generic[E]):
    """Entries by the second in which they are to be looked at again.

    Attributes:
        on_earlier: called, when set, as soon as an entry is scheduled before all others: who sleeps until
            `next_due_ms` has to get up earlier.
    """

    __slots__ = ("_buckets", "_entries", "_keys", "_turned_to", "on_earlier")

    def __init__(self) -> None:
        # A dictionary is an insertion-ordered set: removing is exact, and the order is the same in every run.
        self._buckets: dict[int, dict[E, None]] = {}
        self._keys: list[int] = []  # Heap of exactly the keys of `_buckets`.
        self._entries = 0
        self._turned_to = -1  # The second of the last `pop_due`.
        self.on_earlier: Callable[[], None] | None = None

    def schedule(self, entry: E, due_ms: int) -> None:
        """See to it that `entry` fires at `due_ms` or is looked at before.

        An entry that already waits for the same second or an earlier one stays where it is.
        """
        # Rounded up, so never early. What is overdue waits for the next second: an `expire` that schedules its entry
        # for now must not keep the reaper turning on the spot.
        key = max(-(-due_ms // BUCKET_MS), self._turned_to + 1)
        if entry.bucket is not None:
            if entry.bucket <= key:
                return
            self.remove(entry)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = {}
            heapq.heappush(self._keys, key)
        bucket[entry] = None
        entry.bucket = key
        self._entries += 1
        if self.on_earlier is not None and key == self._keys[0] and len(bucket) == 1:
            self.on_earlier()

    def remove(self, entry: E) -> None:
        """Forget `entry`; nothing happens when it is not scheduled."""
        if entry.bucket is None:
            return
        del self._buckets[entry.bucket][entry]
        entry.bucket = None
        self._entries -= 1

    def next_due_ms(self) -> int | None:
        """When `pop_due` will next have something, in ms; None when nothing is scheduled."""
        self._drop_empty()
        return self._keys[0] * BUCKET_MS if self._keys else None

    def pop_due(self, now_ms: int, limit: int) -> list[E]:
        """Take out at most `limit` entries whose second has come. Call again until it returns none."""
        self._turned_to = now_ms // BUCKET_MS
        due: list[E] = []
        while len(due) < limit:
            self._drop_empty()
            if not self._keys or self._keys[0] > self._turned_to:
                break
            bucket = self._buckets[self._keys[0]]
            while bucket and len(due) < limit:
                # From the end: taking from the front of a dictionary walks over everything taken before.
                entry, _ = bucket.popitem()
                entry.bucket = None
                due.append(entry)
        self._entries -= len(due)
        return due

    def statistics(self) -> WheelStatistics:
        next_due_ms = self.next_due_ms()  # First: it clears away buckets that were emptied.
        return WheelStatistics(entries=self._entries, buckets=len(self._buckets), next_due_ms=next_due_ms)

    def _drop_empty(self) -> None:
        while self._keys and not self._buckets[self._keys[0]]:
            del self._buckets[heapq.heappop(self._keys)]
