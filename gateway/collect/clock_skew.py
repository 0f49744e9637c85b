"""Clocks of devices: times of a batch, corrected by what its sender says about the moment of sending (decision 9).

Many devices run ahead, and what they send would lie in the future. A time of sending in the past is no such fault: the
batch has waited in a queue. Correction is by whole minutes, the same for the whole batch, so that the distances between
its events stay and a small jitter of the line changes nothing. Pure.
"""

from collections.abc import Sequence
from typing import Final

MINUTE_MS: Final = 60_000

TOLERATED_MS: Final = 5 * MINUTE_MS
"""How far a clock may be ahead before anything is corrected."""

ON_THE_WAY_MS: Final = 10_000
"""How long a request may take to us. By that a clock seems to be less ahead than it is, and most that are wrong are so
by whole hours: a minute that lacks no more than this is a whole one."""


def correction_ms(times_ms: Sequence[int | None], sent_at_ms: int | None, arrival_ms: int) -> int:
    """What to add to each time of a batch: 0, or a negative number of whole minutes.

    Corrected is when the clock was more than 5 minutes ahead of arrival at sending, or when the batch was sent before
    its newest event happened: then the clock was set in between, and only the events themselves tell by how much it was
    ahead. In both cases the later of the two is taken for the moment of arrival; the minute that is not whole stays.

    Args:
        times_ms: of the events, by the sender's clock; None for one that says none.
        sent_at_ms: of the sending, by the same clock, or None when it does not say.
        arrival_ms: of the batch, by ours.
    """
    if sent_at_ms is None:
        return 0
    newest_ms = max((time_ms for time_ms in times_ms if time_ms is not None), default=sent_at_ms)
    if sent_at_ms <= arrival_ms + TOLERATED_MS and newest_ms <= sent_at_ms:
        return 0
    ahead_ms = max(sent_at_ms, newest_ms) - arrival_ms
    return -((max(0, ahead_ms) + ON_THE_WAY_MS) // MINUTE_MS) * MINUTE_MS


def corrected(times_ms: Sequence[int | None], sent_at_ms: int | None, arrival_ms: int) -> list[int | None]:
    """The times of a batch by our clock; arguments as of `correction_ms`. None stays None, nothing goes below 0."""
    by_ms = correction_ms(times_ms, sent_at_ms, arrival_ms)
    if not by_ms:
        return list(times_ms)
    return [None if time_ms is None else max(0, time_ms + by_ms) for time_ms in times_ms]
