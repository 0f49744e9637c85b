"""The rules of a session's boundary (decisions 5, 6, 7, 11 and 16), each one a small function; nothing else decides.

How they work together
----------------------
Events come in journal order and belong in the order of `(ts, sequence)`. Within `grace` the two may differ, so no rule
may look at what has merely come first:

* **Membership** looks at the range of times a session covers. Sessions of one channel are kept disjoint, and an event
  between two joins them, so which sessions there are does not depend on the order of arrival.
* **Cuts** look at an event and at all those before it, its *front*. They wait until the front is complete: once
  `last >= ts + grace`, every event of a smaller time that keeps within `grace` is there. So the tested events are
  always the leading ones, and whether one is tested follows from the members alone:

      members   e0   e1   e2   e3   e4           last = e4.ts
                tested ──────────▶ ◀─ grace ─▶

  An insertion behind the tested ones changes nothing; one among them has those after it tested again.
* **Closing** is final: nothing within `grace` can still join. (7b) needs an event more than `gap + grace` ahead, so
  what is to come is more than `gap` ahead; (7a) the same by the clock. So the untested tail is tested at once, as if
  grace were over, and may fall into several parts.

A session's settings are those of its member with the highest sequence, and when they change all is tested again. With
that everything about a session follows from its members, and a saved state needs only their sequences and how many
parts were cut off before.

Two tests are strict on purpose. An event exactly `gap + grace` after the last does not close the session, because one
of exactly `gap` still joins it; the clock does the same, so that timer and record agree to the millisecond.
"""

from msgspec import Struct

from engine.model.channel import ChannelSettings
from engine.model.origin import Origin
from engine.model.record import Record
from engine.session.closed import CloseReason, Member
from engine.session.root import Meter


def joins(first_ms: int, last_ms: int, ts_ms: int, gap_ms: int) -> bool:
    """Whether an event at `ts_ms` belongs to a session that covers `first_ms` to `last_ms` (decision 5)."""
    return first_ms - gap_ms <= ts_ms <= last_ms + gap_ms


def extends(last_ms: int, last_arrival_ms: int, record: Record, settings: ChannelSettings) -> bool:
    """Whether an event joins a session behind all others, is tested at once, and the clock has not closed it before.

    The usual case, in one call; False says nothing.

    Args:
        last_ms: time of the session's last event.
        last_arrival_ms: when the last of them arrived.
        record: the event's.
        settings: of the session, under which the event was accepted as well.
    """
    gap_ms = settings.gap_ms
    # With a grace, another event than this one would be tested now. What joins a session has not passed it.
    return (
        settings.grace_ms == 0
        and last_ms <= record.ts_ms <= last_ms + gap_ms
        and record.arrival_ms <= last_arrival_ms + gap_ms
    )


def passes(last_ms: int, ts_ms: int, settings: ChannelSettings) -> bool:
    """Whether an event at `ts_ms` shows that the gap behind a session's last event has passed (decision 7b)."""
    return ts_ms > last_ms + settings.gap_ms + settings.grace_ms


def idle_at_ms(last_arrival_ms: int, settings: ChannelSettings) -> int:
    """The first millisecond at which a session is closed by the clock: *more than* gap + grace behind (decision 7a)."""
    return last_arrival_ms + settings.gap_ms + settings.grace_ms + 1


def live_until_ms(first_arrival_ms: int, settings: ChannelSettings) -> int:
    """The millisecond at which a live window is over (decision 11)."""
    return first_arrival_ms + settings.live_window_ms


def is_settled(ts_ms: int, last_ms: int, settings: ChannelSettings) -> bool:
    """Whether all that comes before an event at `ts_ms` is there, if it keeps within grace (decision 6)."""
    return last_ms >= ts_ms + settings.grace_ms


def late_before_ms(settings: ChannelSettings, arrival_ms: int) -> int:
    """Events with an earlier time that arrive then are late: their session would have closed by now (decision 7)."""
    return arrival_ms - settings.gap_ms - settings.grace_ms


class Front(Struct, gc=False):
    """What the cut tests know of the tested members of a run: a function of them, kept up one by one.

    Attributes:
        first_ms: time of the first.
        origin: origin of the first, which is the session's (decision 21).
        referrer: the foreign referrer last seen, as a registrable domain, or "".
        root: root fields of the last.
        ceiling: no less than their size in code points.
        meter: their exact size, once the ceiling did not suffice.
    """

    first_ms: int = 0
    origin: Origin | None = None
    referrer: str = ""
    root: bytes = b""
    ceiling: int = 0
    meter: Meter | None = None

    def add(self, member: Member, added: int) -> None:
        """`member` has passed its tests and is in front of the next; `added` is its `ceiling_chars`."""
        if self.ceiling == 0:
            self.first_ms = member.ts_ms
            self.origin = member.origin
            self.ceiling = len('{"$events":[]}')
        if member.referrer:
            self.referrer = member.referrer
        self.ceiling += added
        self.root = member.root
        if self.meter is not None:
            self.meter.add(member)


def visit_cut(front: Front, member: Member, settings: ChannelSettings) -> CloseReason | None:
    """Why a session ends in front of `member`, as far as what it says decides (decision 6a to 6c), or None."""
    if member.origin is not None and member.origin.differs_from(front.origin):
        return CloseReason.ORIGIN
    if member.referrer and front.referrer and member.referrer != front.referrer:
        return CloseReason.REFERRER
    if member.ts_ms - front.first_ms > settings.max_session_ms:
        return CloseReason.DURATION
    return None


def goes_on(front: Front, member: Member, added: int, settings: ChannelSettings) -> bool:
    """Whether no test ends a session in front of `member`, as far as that is seen at once. False says nothing."""
    return (
        member.origin is None
        and not member.referrer
        and member.ts_ms - front.first_ms <= settings.max_session_ms
        and front.ceiling + added <= settings.max_activity_chars
    )


def fits_unmeasured(front: Front, added: int, settings: ChannelSettings) -> bool:
    """Whether the ceiling alone shows that so much more fits behind a front (decision 16). False says nothing."""
    return front.ceiling + added <= settings.max_activity_chars
