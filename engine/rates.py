"""Token buckets in a bounded table: how fast somebody may go. Pure: what time it is, is an argument."""

from typing import Generic, TypeVar

Key = TypeVar("Key")


class Buckets(Generic[Key]):
    """One bucket a key, full at first; who empties theirs waits until it has refilled.

    Args:
        per_s: how fast a bucket refills; 0 is no limit.
        burst: how much one holds.
        max_tracked: buckets that are kept; who has not sent for longest is forgotten first, which can only help them.

    Attributes:
        refused: how often somebody was told to wait.
    """

    def __init__(self, per_s: float, burst: int, max_tracked: int) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._max_tracked = max_tracked
        # A dictionary keeps the order of insertion, and a bucket that is used is inserted anew.
        self._levels: dict[Key, tuple[float, float]] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._levels)

    def wait_s(self, key: Key, now_s: float) -> float:
        """0 when there is something in the bucket, else seconds until there is again; counted as refused then.

        Args:
            key: whose bucket.
            now_s: monotonic time.
        """
        missing = 1.0 - self._level(key, now_s) if self._per_s else 0.0
        if missing <= 0.0:
            return 0.0
        self.refused += 1
        self._levels[key] = self._levels.pop(key)  # Who knocks on is not forgotten, and so let in.
        return missing / self._per_s

    def take(self, key: Key, now_s: float, amount: float = 1.0) -> None:
        """Take so much from a bucket, which `wait_s` has found not empty.

        A bucket may go below zero: otherwise what is larger than the bucket could never pass.
        """
        if not self._per_s:
            return
        level = self._level(key, now_s)
        if self._levels.pop(key, None) is None and len(self._levels) >= self._max_tracked:
            del self._levels[next(iter(self._levels))]
        self._levels[key] = (level - amount, now_s)

    def _level(self, key: Key, now_s: float) -> float:
        level, at_s = self._levels.get(key, (self._burst, now_s))
        return min(self._burst, level + (now_s - at_s) * self._per_s)
