"""The last actor of the chain: what became of each envelope, written in one transaction with its journal records.

    keep  ─▶ the activity, effects   ┐
    drop  ─▶ a counter               ├─ and: its records leave the journal, the fold state it leaves behind is saved
    dead  ─▶ a dead letter           ┘

Nothing of an envelope is written before its verdict is known, and nothing of it is written twice (decision 8). Here the
fate of everything ahead is known too: an activity that was shown what has not come to be goes through the steps again.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import trio

from engine.actors.attaching import Attaching
from engine.actors.draft import Draft
from engine.actors.effects import stored, written
from engine.actors.stage_actor import receive_lists
from engine.actors.writer import Writer
from engine.model.activity import Activity
from engine.model.wire import encode
from engine.pipeline.stage import Dead, Drop, Envelope
from engine.session.closed import Closed, Source
from engine.store.keys import state_key
from engine.store.layout import DeadLetter, encode_dead_letter
from engine.store.port import AddDeadLetter, Count, Db, Delete, Operation, Put, RemoveJournal, StoreActivity

UserKey = tuple[int, bytes]

MAX_GROUP: Final = 500
"""Envelopes of one transaction: their activities are encoded in one step of the loop, about 20 ms."""


MAX_PASSES: Final = 8
"""Ways through the steps again on which others overtake an envelope. From then on all that is behind it waits."""


@dataclass(slots=True)
class _Aside:
    """What is known of an envelope that is set aside.

    Attributes:
        about: whom it was about so far: it only ever grows, on all its ways through the steps.
        passes: how often it was sent through the steps again.
        is_going: whether it is on its way.
    """

    about: set[UserKey] = field(default_factory=set)
    passes: int = 0
    is_going: bool = False


class Settler:
    """Turns envelopes into operations. Pure but for the wall clock it is given.

    Args:
        wall_ms: what expiry and counters go by.
        dead_letter_ms: how long dead letters are kept.
    """

    def __init__(self, wall_ms: Callable[[], int], dead_letter_ms: int) -> None:
        self._wall_ms = wall_ms
        self._dead_letter_ms = dead_letter_ms

    def operations(self, envelope: Envelope) -> list[Operation]:
        """All that the transaction of this envelope does, in order."""
        closed = envelope.closed
        now_ms = self._wall_ms()
        found: list[Operation] = []
        effects = _written(envelope, now_ms)
        if envelope.verdict is not None:
            found += self._refuse(envelope, envelope.verdict, now_ms)
            found += effects
        elif envelope.activity is not None:
            found.append(self._store(closed, envelope.activity, effects, now_ms))
        else:
            found += effects
        counts = _closing_counts(closed)
        if counts:
            found.append(Count(closed.datamart, counts, now_ms))
        if closed.sequences:
            found.append(RemoveJournal(closed.sequences, _weights(closed), closed.datamart))
        if closed.saves_state:
            key = state_key(closed.datamart, closed.user_point)
            found.append(Delete(Db.STATES, key) if closed.state is None else Put(Db.STATES, key, closed.state))
        if closed.absorbed:
            found.append(Delete(Db.STATES, state_key(closed.datamart, closed.absorbed)))
        return found

    def _store(self, closed: Closed, activity: Activity, effects: tuple[Operation, ...], now_ms: int) -> Operation:
        return stored(activity, closed.datamart, closed.user_point, now_ms, weight=closed.weight, effects=effects)

    def _refuse(self, envelope: Envelope, verdict: Drop | Dead, now_ms: int) -> list[Operation]:
        closed = envelope.closed
        if isinstance(verdict, Drop):
            counts = (("events_dropped", closed.weight), (f"events_dropped.{verdict.reason}", closed.weight))
            return [Count(closed.datamart, counts, now_ms)]
        letter = DeadLetter(
            at_ms=now_ms,
            reason=verdict.reason,
            stage=envelope.stage,
            user_point=str(UUID(bytes=closed.user_point)),
            payload=payload_of(envelope),
            detail=verdict.detail,
            weight=closed.weight,
            sequences=closed.sequences,
        )
        expires_ms = now_ms + self._dead_letter_ms
        return [
            AddDeadLetter(closed.datamart, now_ms, closed.weight, encode_dead_letter(letter), expires_ms),
            Count(closed.datamart, ((f"events_dead.{verdict.reason}", closed.weight),), now_ms),
        ]


def _weights(closed: Closed) -> tuple[int, ...] | None:
    """Of its journal records, where its members are all of them."""
    if len(closed.members) != len(closed.sequences):
        return None
    weights = {member.sequence: member.weight for member in closed.members}
    found = tuple([weights[sequence] for sequence in closed.sequences if sequence in weights])
    return found if len(found) == len(closed.sequences) else None


def _written(envelope: Envelope, now_ms: int) -> tuple[Operation, ...]:
    if not envelope.effects:
        return ()
    closed = envelope.closed
    return written(envelope.effects, now_ms, user_point=closed.user_point, sequence=max(closed.sequences, default=0))


def _closing_counts(closed: Closed) -> tuple[tuple[str, int], ...]:
    if closed.reason is None:
        return ()
    family = "sessions_closed" if closed.source is Source.SESSION else "live_windows_closed"
    return ((f"{family}.{closed.reason}", 1),)


def payload_of(envelope: Envelope) -> bytes:
    """What was lost, as it was: the activity where there is one, else the bytes as they were sent."""
    if envelope.activity is not None:
        return envelope.activity.encode()
    members = envelope.closed.members
    if len(members) == 1:
        root, event = members[0].root, members[0].event
        events = event if event.startswith(b"[") else b"[" + event + b"]"
        separator = b"," if len(root) > len(b"{}") else b""
        return root[:-1] + separator + b'"$events":' + events + b"}"
    return encode([{"root": member.root.decode(), "event": member.event.decode()} for member in members])


class StoreActor:
    """Takes envelopes from the chain, commits them in groups, and tells who waits for them.

    An envelope that goes through the steps again is set aside meanwhile, with what comes behind it of the same people:
    a step may wait for somebody outside. All others are stored. Since they may be the very people that it turns out to
    be about, it is looked at again like any other when it is through, and goes once more where they have changed what
    it was shown. That ends: what it is about only grows, and who has gone `MAX_PASSES` times is overtaken no more.

    Args:
        source: the chain's end.
        writer: group commit; this actor waits for it, and the chain behind it for this actor.
        settler: what each envelope writes.
        settled: called with the envelopes of a group right after their commit.
        again: takes an envelope as it entered the chain through all steps.
        attaching: what identifiers that steps have found link and merge; None where no step finds any.
    """

    def __init__(
        self,
        source: "trio.MemoryReceiveChannel[list[Envelope]]",
        writer: Writer,
        settler: Settler,
        settled: Callable[[Sequence[Envelope]], None],
        again: Callable[[Envelope], Awaitable[None]] | None = None,
        attaching: Attaching | None = None,
    ) -> None:
        self._source = source
        self._attaching = attaching
        self._again = again
        self._writer = writer
        self._settler = settler
        self._settled = settled
        # What was taken from the chain and is not yet in line for its commit. A restart begins with it.
        self._taken: list[Envelope] = []
        self._is_over = False  # The chain has ended; what is set aside may still be on its way.
        # Set aside, in order; what is known of them, by their ids; and whom they are about.
        self._aside: list[Envelope] = []
        self._known: dict[int, _Aside] = {}
        self._aside_keys: set[UserKey] = set()
        self._is_shut = False  # One of them is overtaken no more.
        self._is_news = False  # One of them is through the steps.
        self._listening: trio.CancelScope | None = None

    async def run(self) -> None:
        """Store until the chain ends. May be called again after it raised: nothing taken is forgotten."""
        async with trio.open_nursery() as nursery:
            for envelope in (*self._aside, *self._taken):
                if (known := self._known.get(id(envelope))) is not None and known.is_going:  # It was interrupted.
                    nursery.start_soon(self._repeat, envelope)
            while True:
                if self._is_news:
                    # All of them, in their order: who still has to wait is set aside again.
                    self._taken[:0] = self._aside
                    self._aside, self._is_news, self._is_shut = [], False, False
                    self._aside_keys.clear()
                if self._taken:
                    await self._commit(self._taken[:MAX_GROUP], nursery)
                elif self._is_over and not self._aside:
                    return
                else:
                    await self._wait()

    async def _wait(self) -> None:
        """For more from the chain, or for what was set aside."""
        with trio.CancelScope() as self._listening:
            if self._is_over:
                await trio.sleep_forever()
            try:
                self._taken += await receive_lists(self._source)
            except trio.EndOfChannel:
                self._is_over = True
        self._listening = None

    async def _commit(self, group: Sequence[Envelope], nursery: trio.Nursery) -> None:
        await self._writer.wait_for_room()
        # From here to the place in line it is one step: what identifiers link and merge is as of all that was accepted
        # before, and the sequences of merges rise with those of what is accepted.
        operations: list[Operation] = []
        drafts: list[Draft] = []
        ready: list[Envelope] = []
        for envelope in group:
            if not self._sets_aside(envelope, nursery):
                ready.append(envelope)
                operations += self._operations(envelope, drafts)
                if envelope.context is not None:
                    envelope.context.decided()
                if self._known:
                    self._known.pop(id(envelope), None)
        self._taken[: len(group)] = ready
        if not ready:
            return
        size_bytes = sum(len(operation.value) for operation in operations if isinstance(operation, StoreActivity))

        def committed() -> None:
            if self._attaching is not None:
                self._attaching.committed(drafts)
            self._settled(ready)

        ticket = self._writer.submit_at_once(operations, size_bytes + 64 * len(operations), committed)
        del self._taken[: len(ready)]
        if self._attaching is not None:
            self._attaching.route(drafts, ticket)
        # Not cut short by a full store: the batch stays in line, and this actor behind it.
        await ticket.settled()

    def _sets_aside(self, envelope: Envelope, nursery: trio.Nursery) -> bool:
        """Whether it has to wait: it goes through the steps again, or is behind one that does."""
        known = self._known.get(id(envelope)) or _Aside()
        try:
            if not known.is_going and not self._is_behind(envelope, known):
                if envelope.context is None or envelope.context.holds():
                    return False
                # What it was shown has not come to be: something ahead was dropped, or has died, or somebody is
                # somebody else. Whom it is about is asked before the steps begin.
                known.about |= self._about(envelope)
                known.passes += 1
                known.is_going = True
                nursery.start_soon(self._repeat, envelope)
        except Exception as error:
            _spoil(envelope, error)
            return False
        self._aside.append(envelope)
        self._known[id(envelope)] = known
        self._aside_keys |= known.about
        self._is_shut = self._is_shut or known.passes >= MAX_PASSES
        return True

    def _is_behind(self, envelope: Envelope, known: _Aside) -> bool:
        if not self._aside:
            return False
        known.about |= self._about(envelope)
        return self._is_shut or not self._aside_keys.isdisjoint(known.about)

    def _about(self, envelope: Envelope) -> set[UserKey]:
        """Whom an envelope is about: a merge is about two, and so is a person found out to be another one, too."""
        closed, view = envelope.closed, envelope.view
        found = {closed.user_point, closed.absorbed, view.user_point, view.absorbed} - {b""}
        if self._attaching is not None:
            found |= self._attaching.about(envelope)
        return {(closed.datamart, one) for one in found}

    async def _repeat(self, envelope: Envelope) -> None:
        try:
            if self._again is None:
                raise TypeError("an envelope was shown what is ahead, and cannot go through the steps again")
            envelope.activity, envelope.effects, envelope.verdict, envelope.stage = None, (), None, ""
            await self._again(envelope)
        except Exception as error:
            _spoil(envelope, error)
        self._known[id(envelope)].is_going = False
        self._is_news = True
        if self._listening is not None:
            self._listening.cancel(reason="somebody is through the steps")

    def _operations(self, envelope: Envelope, drafts: list[Draft]) -> list[Operation]:
        # Supervision is the point here: an activity that cannot be encoded must not stop the storing of all others.
        try:
            draft = self._attaching.draft(envelope) if self._attaching is not None else None
            # Who is who comes first: the activity is stored under the user point that survives.
            operations = draft.transaction() if draft is not None else []
            operations += self._settler.operations(envelope)
            self._writer.check(operations)
            if draft is not None and self._attaching is not None:
                self._attaching.take(draft)
                drafts.append(draft)
            return operations
        except Exception as error:
            _spoil(envelope, error)
            return self._settler.operations(envelope)


def _spoil(envelope: Envelope, error: Exception) -> None:
    envelope.activity, envelope.effects = None, ()
    envelope.verdict, envelope.stage = Dead("store_error", repr(error)), "store"
