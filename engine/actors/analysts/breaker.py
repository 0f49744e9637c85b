"""Who has failed too often in a row is left alone for a while (decision 28).

closed ── N failures in a row ──▶ open ── the pause is over ──▶ half open: one call goes through
   ▲                                ▲                              │
   └───────── a success ────────────┼──────────────────────────────┤
                                    └────────── it fails too ──────┘
"""

from typing import Final

CLOSED: Final = 0
HALF_OPEN: Final = 1
OPEN: Final = 2


class Breaker:
    """Counts failures in a row. Pure: the time is an argument, from any steady clock.

    Args:
        failures: in a row, that open it.
        pause_s: how long it is open then.

    Attributes:
        opened: how often it has opened.
    """

    __slots__ = ("_failures", "_in_a_row", "_max", "_pause_s", "_probing", "_until_s", "opened")

    def __init__(self, failures: int, pause_s: float) -> None:
        self._max = failures
        self._pause_s = pause_s
        self._in_a_row = 0
        self._until_s: float | None = None
        self._probing = False
        self.opened = 0

    def refuses(self, now_s: float) -> bool:
        """Whether a call would not go through now. Changes nothing."""
        return self._until_s is not None and (self._probing or now_s < self._until_s)

    def begin(self, now_s: float) -> bool:
        """Whether this call may go through; each one that may is to be ended with one of the three below."""
        if self.refuses(now_s):
            return False
        self._probing = self._until_s is not None
        return True

    def succeeded(self) -> None:
        """A call got its answer. Also one from before the pause: whoever answers is there."""
        self._in_a_row = 0
        self._until_s = None
        self._probing = False

    def failed(self, now_s: float) -> bool:
        """A call has failed; whether the pause begins with it."""
        self._in_a_row += 1
        if self._until_s is not None and not self._probing:
            return False  # It was on its way when the pause began.
        if not self._probing and self._in_a_row < self._max:
            return False
        self._probing = False
        self._until_s = now_s + self._pause_s
        self.opened += 1
        return True

    def interrupted(self) -> None:
        """A call was cancelled: nobody knows."""
        self._probing = False

    def state(self, now_s: float) -> int:
        """`CLOSED`, `HALF_OPEN` or `OPEN`, for a gauge."""
        if self._until_s is None:
            return CLOSED
        return OPEN if now_s < self._until_s and not self._probing else HALF_OPEN
