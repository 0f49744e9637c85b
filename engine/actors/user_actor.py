"""The actor of one active user point: a mailbox, and around it the loop that applies what arrives to the visitor.

All of its state lives in the entry, none in the task's locals, so that a merge can take the visitor over and a
failing message costs no more than itself.

    receive ▶ apply (pure, synchronous) ▶ hand over what closed (await) ▶ nothing open, nothing waiting: leave the
    registry and end, in one synchronous step

An event one instant after that step finds no entry and spawns a successor: no event falls between (decision 4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import trio

from engine.actors.mailbox import Mailbox
from engine.model.record import Record
from engine.pipeline.stage import Dead, Envelope
from engine.session.closed import Closed, Source
from engine.session.member import bare_member
from engine.session.visitor import Visitor

DRAIN: Final = 64
"""Messages taken at a time. More would make one step of a hot user long."""

UserKey = tuple[int, bytes]
"""Datamart and the 16 bytes of the user point."""


@dataclass(slots=True, eq=False)
class Handoff:
    """How a visitor moves from one actor to another (decision 3): filled and announced by the one that ends."""

    visitor: Visitor | None = None
    done: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True, frozen=True)
class Expire:
    """The wheel says that something may be due."""

    now_ms: int


@dataclass(slots=True, frozen=True)
class Release:
    """The user point was absorbed: apply what came before, hand the visitor over, end."""

    handoff: Handoff


@dataclass(slots=True, frozen=True)
class Absorb:
    """Another user point's visitor moves here; `handoff` is None when it had no actor."""

    record: Record
    handoff: Handoff | None


@dataclass(slots=True, frozen=True)
class Leave:
    """What left the visitor while the actor was idle, for the actor to hand over: that can wait, a delivery cannot."""

    envelopes: list[Envelope]


Message = Sequence[Record] | Expire | Release | Absorb | Leave


class Entry:
    """One active user point in the registry.

    Attributes:
        visitor: its open sessions.
        mailbox: what waits for its actor.
        bucket: belongs to the wheel.
        counted_sessions: belongs to the router.
        is_waiting: whether its actor waits for a message.
    """

    __slots__ = ("bucket", "counted_sessions", "is_waiting", "key", "mailbox", "visitor")

    def __init__(self, key: UserKey, visitor: Visitor, mailbox: Mailbox[Message]) -> None:
        self.key = key
        self.visitor = visitor
        self.mailbox = mailbox
        self.bucket: int | None = None
        self.counted_sessions = 0
        self.is_waiting = False

    @property
    def is_idle(self) -> bool:
        """Whether all that was ever sent has been applied and handed over: only then may somebody else apply."""
        return self.is_waiting and self.mailbox.messages == 0


class Home(Protocol):
    """What an actor needs of the router it lives in."""

    def failed(self, entry: Entry, error: Exception) -> None:
        """A message raised: count it, perhaps quarantine the user point."""
        ...

    def quarantined(self, key: UserKey) -> bool:
        """Whether events of this user point become dead letters for now."""
        ...

    def recount(self, entry: Entry, open_sessions: int) -> None:
        """Note how many sessions the user point has open now."""
        ...

    def schedule(self, entry: Entry) -> None:
        """Look at the entry again when its visitor is next due."""
        ...

    def retire(self, entry: Entry) -> None:
        """Take the entry out of the registry. Synchronous: part of the step in which the actor ends."""
        ...

    def reinstate(self, visitor: Visitor) -> None:
        """Give a visitor that could not be absorbed an actor of its own again."""
        ...

    async def hand_over(self, envelopes: list[Envelope]) -> None:
        """Send what closed into the chain; waits when the chain is full."""
        ...


async def run_user(entry: Entry, home: Home) -> None:
    """Live until there is nothing open and nothing waiting, or until released to another actor."""
    try:
        while True:
            entry.is_waiting = True
            messages = await entry.mailbox.receive_all(DRAIN)
            entry.is_waiting = False
            release = await _apply_all(entry, home, messages)
            home.recount(entry, 0 if release is not None else entry.visitor.open_sessions)
            if release is not None:
                release.handoff.visitor = entry.visitor
                release.handoff.done.set()
                return
            if entry.visitor.is_empty and entry.mailbox.is_empty():
                home.retire(entry)
                return
            home.schedule(entry)
    except trio.EndOfChannel:
        return  # The engine stops: what is open stays in the journal (house: Stop).


async def _apply_all(entry: Entry, home: Home, messages: Sequence[Message]) -> Release | None:
    """Apply messages in order and hand over what closes. Returns the release among them, which is the last."""
    leaving: list[Envelope] = []
    for message in messages:
        if isinstance(message, Release):
            await _send(home, leaving)
            return message
        if isinstance(message, Absorb):
            await _send(home, leaving)
            leaving = []
            if message.handoff is not None:
                # It has handed over all it closed before: what this merge stores comes behind it in the chain.
                await message.handoff.done.wait()
        leaving += message.envelopes if isinstance(message, Leave) else _guarded(entry, home, message)
    await _send(home, leaving)
    return None


async def _send(home: Home, envelopes: list[Envelope]) -> None:
    if envelopes:
        await home.hand_over(envelopes)


def _guarded(entry: Entry, home: Home, message: Sequence[Record] | Expire | Absorb) -> list[Envelope]:
    """What a message makes leave the visitor; where it raises, its records leave as dead letters instead."""
    if isinstance(message, Expire):
        return _attempt(entry, home, partial(entry.visitor.expire, message.now_ms), ())
    if isinstance(message, Absorb):
        return _absorb(entry, home, message)
    return apply_records(entry, home, message)


def apply_records(entry: Entry, home: Home, records: Sequence[Record]) -> list[Envelope]:
    """What leaves the visitor because of these records, in order; one that raises leaves as a dead letter itself."""
    envelopes: list[Envelope] = []
    for record in records:
        if home.quarantined(entry.key):
            envelopes.append(dead_envelope(record, "quarantined", ""))
            continue
        # Supervision is the point here, as in `_attempt`, which would cost a call for every event.
        try:
            closed = entry.visitor.apply(record)
        except Exception as error:
            home.failed(entry, error)
            envelopes.append(dead_envelope(record, "actor_failed", repr(error)))
        else:
            if closed:
                envelopes += map(Envelope, closed)
    return envelopes


def _absorb(entry: Entry, home: Home, message: Absorb) -> list[Envelope]:
    other = message.handoff.visitor if message.handoff is not None else None
    left = _attempt(entry, home, partial(entry.visitor.absorb, other, message.record), (message.record,))
    if other is not None and not other.is_empty:
        home.reinstate(other)  # It raised, and what was to move has not: it goes on by itself.
    return left


def _attempt(
    entry: Entry, home: Home, act: Callable[[], tuple[Closed, ...]], records: Sequence[Record]
) -> list[Envelope]:
    # Supervision is the point here: one poisoned record must not end the sessions of everybody else.
    try:
        return [Envelope(closed) for closed in act()]
    except Exception as error:
        home.failed(entry, error)
        return [dead_envelope(record, "actor_failed", repr(error)) for record in records]


def dead_envelope(record: Record, reason: str, detail: str) -> Envelope:
    """The record on its way to the dead letters; the user's fold state stays as it is."""
    closed = Closed(
        source=Source.ITEM,
        datamart=record.datamart,
        user_point=record.user_point,
        sequences=(record.sequence,),
        members=(bare_member(record),),
        saves_state=False,
    )
    return Envelope(closed, verdict=Dead(reason, detail), stage="session")
