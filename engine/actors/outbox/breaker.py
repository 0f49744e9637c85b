"""When a destination is left alone: after many failures in a row, or because it asked for it.

    closed ── failures in a row ──▶ open ── its pause is over ──▶ half-open: one call ── it fails ──▶ open, twice
       ◀───────────────────────── any success ─────────────────────────┘                             as long

A hundred thousand requests to a dead destination then cost it one call every few minutes, and us no more. Pure: what
time it is, and chance, are arguments.
"""


class Breaker:
    """Of one destination.

    Args:
        failures: in a row, that open it.
        pause_s, max_pause_s: how long it stays open at first, and at the most.
    """

    __slots__ = ("_failures", "_held_until_s", "_in_a_row", "_max_pause_s", "_pause_s", "_pauses", "_until_s")

    def __init__(self, *, failures: int, pause_s: float, max_pause_s: float) -> None:
        self._failures = failures
        self._pause_s = pause_s
        self._max_pause_s = max_pause_s
        self._in_a_row = 0
        self._pauses = 0  # Since the last success; 0 when closed.
        self._until_s = 0.0
        self._held_until_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the destination counts as dead: its pause lasts, or the call that tries it is not answered."""
        return self._pauses > 0

    def wait_s(self, now_s: float) -> float:
        """How long nothing may be sent; 0 for not at all."""
        return max(0.0, self._held_until_s - now_s, self._until_s - now_s)

    def calls(self, most: int) -> int:
        """How many calls may be open when nothing is to be waited for."""
        return 1 if self._pauses else most

    def succeeded(self) -> None:
        """The destination has answered as it should."""
        self._in_a_row = self._pauses = 0
        self._until_s = 0.0

    def failed(self, now_s: float, draw: float) -> bool:
        """It has not. Returns whether this is what opened it.

        Args:
            now_s: steady clock.
            draw: a number in [0, 1): pauses of many engines should not end together.
        """
        self._in_a_row += 1
        if self._pauses == 0 and self._in_a_row < self._failures:
            return False
        if now_s < self._until_s:
            return False  # A call that began before; it tells nothing new.
        pause_s = min(self._pause_s * 2**self._pauses, self._max_pause_s) if self._pauses < 64 else self._max_pause_s
        self._until_s = now_s + pause_s * (0.75 + draw / 4)
        self._pauses += 1
        return self._pauses == 1

    def hold(self, until_s: float) -> None:
        """Send nothing before, as it has asked; that is no failure of it."""
        self._held_until_s = max(self._held_until_s, until_s)
