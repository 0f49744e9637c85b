"""A session of one user on one channel, and what it has in common with a live window: members in order, cut in front.

The rules are in `boundary`; here is the bookkeeping. An event in order costs the same however long a session is.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from sys import intern
from typing import ClassVar

from msgspec import Struct

from engine.model.channel import ChannelSettings
from engine.model.record import Record
from engine.session import boundary
from engine.session.boundary import Front
from engine.session.closed import CloseReason, Member, Source
from engine.session.member import member_of
from engine.session.root import Meter, ceiling_chars

Channels = Callable[[str, int], ChannelSettings]
"""Settings of a channel by key and version. Every version that a record names must be there."""

MEMBER_BYTES = 320
"""About what a member takes in memory beside its event: a Struct, its numbers, its places."""


class Leaving(Struct, frozen=True):
    """Something that closed, before the state it leaves behind is known.

    Attributes:
        source, reason, members: as in `Closed`.
        channel: settings of its channel; of several versions those of the member with the highest sequence.
        records: journal records that leave with it beside those of its members.
        absorbed, part: as in `Closed`.
    """

    source: Source
    reason: CloseReason | None = None
    channel: ChannelSettings | None = None
    members: tuple[Member, ...] = ()
    records: tuple[int, ...] = ()
    absorbed: bytes = b""
    part: int = 0


def place(member: Member) -> tuple[int, int]:
    """Where a member stands among others (decision 10)."""
    return member.ts_ms, member.sequence


class Run:
    """Members in the order of `(ts, sequence)`, of which the leading `tested` have passed the cut tests.

    All of it but `parts` is a function of the members (see `boundary`), and none is kept that has none.

    Attributes:
        channel: channel key.
        settings: those of the member with the highest sequence.
        members: what it holds.
        parts: how many parts were cut off it; the next that leaves has this number.
        first_arrival_ms, last_arrival_ms: of the members.
        held_bytes: about what they take in memory.
    """

    __slots__ = (
        "_front",
        "_mixed",
        "_tested",
        "channel",
        "first_arrival_ms",
        "held_bytes",
        "last_arrival_ms",
        "members",
        "parts",
        "settings",
    )

    source: ClassVar[Source]

    def __init__(self, channel: str, settings: ChannelSettings, members: Sequence[Member], parts: int = 0) -> None:
        """Begin with members in any order, at least one; `settings` are those of the highest sequence."""
        self.channel = intern(channel)
        self.settings = settings
        self.parts = parts
        self.members = sorted(members, key=place) if len(members) > 1 else list(members)
        # Whether members came under several versions of the settings.
        self._mixed = any(member.channel_version != settings.version for member in members)
        self._tested = 0
        self._front = Front()
        self.first_arrival_ms = self.last_arrival_ms = self.held_bytes = 0
        self._count_again()

    @property
    def first_ms(self) -> int:
        """Time of the first event."""
        return self.members[0].ts_ms

    @property
    def last_ms(self) -> int:
        """Time of the last event."""
        return self.members[-1].ts_ms

    @property
    def due_ms(self) -> int:
        """The first millisecond at which the clock closes it."""
        raise NotImplementedError

    def insert(self, member: Member, settings: ChannelSettings) -> None:
        """Take one more member, the one with the highest sequence so far, and with it its settings."""
        if settings.version != self.settings.version:
            self.settings = settings
            self._mixed = True
            self._rewind(0)
        if member.ts_ms >= self.members[-1].ts_ms:
            self.members.append(member)
        else:
            index = bisect_left(self.members, place(member), key=place)
            self.members.insert(index, member)
            self._rewind(index)
        # Not `min` and `max`: this is done for every event.
        if member.arrival_ms < self.first_arrival_ms:
            self.first_arrival_ms = member.arrival_ms
        if member.arrival_ms > self.last_arrival_ms:
            self.last_arrival_ms = member.arrival_ms
        self.held_bytes += _held_bytes(member)

    def merge(self, other: "Run") -> None:
        """Take all members of another run of the same channel.

        The parts that leave are counted on from the larger number: none has one that a part of either had.
        """
        settings = max(self, other, key=Run._newest).settings
        if settings.version != self.settings.version:
            self._rewind(0)
        self._mixed = self._mixed or other._mixed or self.settings.version != other.settings.version
        self.settings = settings
        self.parts = max(self.parts, other.parts)
        self._rewind(bisect_left(self.members, place(other.members[0]), key=place))
        self.members = sorted((*self.members, *other.members), key=place)
        self._count_again()

    def cut(self, channels: Channels, *, ending: bool = False) -> list[Leaving]:
        """Run the cut tests that are due; the parts that leave, in order. What stays is the last part.

        Args:
            channels: where settings are looked up when members came under several versions.
            ending: test all members, as if grace were over.
        """
        leaving: list[Leaving] = []
        start = 0
        while self._tested < len(self.members):
            member = self.members[self._tested]
            if not ending and not boundary.is_settled(member.ts_ms, self.members[-1].ts_ms, self.settings):
                break
            added = ceiling_chars(member, self._front.root)
            reason = self._reason_to_cut(member, start, added) if self._tested > start else None
            if reason is not None:
                leaving.append(self._part(start, self._tested, reason, channels))
                start = self._tested
                self._front = Front()
                added = ceiling_chars(member, b"")
                self._settle_settings(start, channels)
            self._front.add(member, added)
            self._tested += 1
        if start:
            del self.members[:start]
            self._tested -= start
            self._count_again()
        return leaving

    def close(self, reason: CloseReason, channels: Channels) -> list[Leaving]:
        """All parts it ends as; the last has the closing's reason. The run is spent afterwards."""
        leaving = self.cut(channels, ending=True)
        return [*leaving, self._part(0, len(self.members), reason, channels)]

    def copy(self) -> "Run":
        """A run of the same members, to look at how it would end."""
        return type(self)(self.channel, self.settings, self.members, self.parts)

    def _reason_to_cut(self, member: Member, start: int, added: int) -> CloseReason | None:
        """Why the members from `start` to the tested ones end in front of `member`, or None.

        Args:
            member: the one behind them.
            start: where they begin.
            added: no less than what it adds to their size.
        """
        raise NotImplementedError

    def _outgrows(self, member: Member, start: int, added: int) -> bool:
        """Whether `member` does not fit into one activity with the tested members from `start` on (decision 16)."""
        front = self._front
        if boundary.fits_unmeasured(front, added, self.settings):
            return False
        if front.meter is None:
            front.meter = Meter(self.members[start : self._tested])
        return front.meter.chars_with(member) > self.settings.max_activity_chars

    def _part(self, start: int, stop: int, reason: CloseReason, channels: Channels) -> Leaving:
        members = tuple(self.members[start:stop])
        settings = self._settings_of(members, channels) if self._mixed else self.settings
        self.parts += 1
        return Leaving(self.source, reason, settings, members, part=self.parts - 1)

    def _settle_settings(self, start: int, channels: Channels) -> None:
        """The members from `start` on are the run now: take their settings."""
        if self._mixed:
            rest = self.members[start:]
            self.settings = self._settings_of(rest, channels)
            self._mixed = any(member.channel_version != self.settings.version for member in rest)

    def _settings_of(self, members: Sequence[Member], channels: Channels) -> ChannelSettings:
        return channels(self.channel, max(members, key=lambda member: member.sequence).channel_version)

    def _newest(self) -> int:
        return max(member.sequence for member in self.members)

    def _rewind(self, index: int) -> None:
        """The member at `index` has another front: test it and those after it again."""
        if index < self._tested:
            self._tested = index
            self._front = Front()
            for member in self.members[:index]:
                self._front.add(member, ceiling_chars(member, self._front.root))

    def _count_again(self) -> None:
        arrivals = [member.arrival_ms for member in self.members]
        self.first_arrival_ms = min(arrivals)
        self.last_arrival_ms = max(arrivals)
        self.held_bytes = sum(map(_held_bytes, self.members))


def _held_bytes(member: Member) -> int:
    return len(member.root) + len(member.event) + MEMBER_BYTES


class Session(Run):
    """The open session of one user on one channel that covers `first_ms` to `last_ms` (decisions 5 to 7)."""

    __slots__ = ()

    source = Source.SESSION

    def extend(self, record: Record) -> bool:
        """Take the event of a record that joins behind all others, where nothing is cut in front of it: most events.

        It comes to what `insert` and `cut` do, in a third of the time. False: nothing has happened.
        """
        settings, members, front = self.settings, self.members, self._front
        last = members[-1]
        if (
            self.channel != record.channel
            or settings.version != record.channel_version
            or self._tested != len(members)
            or front.meter is not None
            or not boundary.extends(last.ts_ms, self.last_arrival_ms, record, settings)
        ):
            return False
        member = member_of(record, settings, last)
        root = member.root
        added = len(record.event) + 1 if root is front.root else ceiling_chars(member, front.root)
        if not boundary.goes_on(front, member, added, settings):
            return False
        members.append(member)
        self._tested += 1
        front.ceiling += added
        front.root = root
        if record.arrival_ms > self.last_arrival_ms:
            self.last_arrival_ms = record.arrival_ms
        self.held_bytes += len(root) + len(record.event) + MEMBER_BYTES
        return True

    @property
    def due_ms(self) -> int:
        """When the silence has been long enough (decision 7a)."""
        return boundary.idle_at_ms(self.last_arrival_ms, self.settings)

    def _reason_to_cut(self, member: Member, start: int, added: int) -> CloseReason | None:
        reason = boundary.visit_cut(self._front, member, self.settings)
        if reason is None and self._outgrows(member, start, added):
            return CloseReason.SIZE
        return reason
