"""What leaves a visitor: the closed part of a session, a live window, a touch, or only a state to save."""

from enum import StrEnum

from msgspec import Struct

from engine.model.channel import ChannelSettings
from engine.model.origin import Origin


class CloseReason(StrEnum):
    """Why a session or live window ended; also the label of its counter (decision 7)."""

    INACTIVITY = "inactivity"
    """The clock is more than gap + grace past the last arrival (7a)."""
    GAP = "gap"
    """A later event of the channel showed that the gap had passed in event time (7b)."""
    ORIGIN = "origin"
    """Cut before an event of another origin (6a)."""
    REFERRER = "referrer"
    """Cut before an event that came from another foreign domain (6b)."""
    DURATION = "duration"
    """Cut at the longest session (6c)."""
    SIZE = "size"
    """Cut at the size limit; the session goes on in a new activity (16)."""
    REQUEST = "request"
    """Somebody asked (7d)."""
    LIVE = "live"
    """The live window's minute is over (11)."""


class Source(StrEnum):
    """Which kind of thing left the visitor."""

    SESSION = "session"
    LIVE = "live"
    ITEM = "item"
    """A `NO_SESSION` or `CLOSED_SESSION` activity, as sent (decision 12)."""
    STATE = "state"
    """No activity: only the fold state is saved and `sequences` leave the journal (a merge or a request to close)."""
    MOVE = "move"
    """No activity and no record: a person moves in a scenario (decision 31). It did not leave a visitor, but goes
    through the chain to be in line with what did."""


class Member(Struct, frozen=True, gc=False):
    """One event held by a session: its record's place and bytes, and what the cut tests need to know.

    Attributes:
        ts_ms, sequence: its place in the session's order.
        arrival_ms: engine time of arrival.
        weight: received events it stands for.
        process: False when the sender asked to skip the steps between create and store.
        root: compact JSON of the item's root fields, without `$events`.
        event: compact JSON of the event (of an ITEM: the JSON array of its events).
        origin: what attribution made of it (decision 19), or None.
        referrer: registrable domain of a foreign referrer, or "" (decision 6b).
        channel_version: version of the channel's settings it was accepted under.
    """

    ts_ms: int
    sequence: int
    arrival_ms: int
    weight: int
    process: bool
    root: bytes
    event: bytes
    origin: Origin | None
    referrer: str
    channel_version: int


class Move(Struct, frozen=True):
    """A person is to move in a scenario.

    Attributes:
        scenario: id of the automation.
        due_ms: the time of the wait that is over; None where an operator has the person enter.
        execution: 16 bytes: the passage that `activity` led into.
        activity: JSON of the activity that led in, as stored; None where there is none any more.
    """

    scenario: str
    due_ms: int | None
    execution: bytes = b""
    activity: bytes | None = None


class Closed(Struct, frozen=True):
    """Something that left the visitor and enters the chain.

    Attributes:
        source: what it is.
        reason: why it closed; None for an ITEM and a STATE.
        datamart, user_point: whose it is.
        channel: settings of its channel, or None for an item without one.
        members: its events in the order of `(ts, sequence)`; one for an ITEM, none for a STATE.
        sequences: the journal records that leave the journal with it.
        state: the fold state it leaves behind (decision 8); None when nothing is open: a saved one is deleted.
        saves_state: False where the state is as it was (an ITEM): the saved one stays untouched.
        absorbed: the user point whose saved state goes away with it (a merge), or b"".
        move: of a MOVE.
        part: how many parts were cut off the same session or live window before this one. Parts may be equal byte for
            byte (the same event a thousand times, cut by size); the number keeps them apart in the store.
    """

    source: Source
    datamart: int
    user_point: bytes
    sequences: tuple[int, ...]
    reason: CloseReason | None = None
    channel: ChannelSettings | None = None
    members: tuple[Member, ...] = ()
    state: bytes | None = None
    saves_state: bool = True
    absorbed: bytes = b""
    part: int = 0
    move: Move | None = None

    @property
    def weight(self) -> int:
        """Received events it stands for (decision 17)."""
        return sum(member.weight for member in self.members)
