"""What is known of users, as of all activities ahead in the chain, stored yet or not (house: Effects are values).

Two places know a fact, and are asked in this order: the envelopes ahead that are not settled, the latest of them first,
and the store. An envelope that was dropped or has died shows its effects no more. Whoever was shown them before that is
found out at the chain's end, when the fate of all that is ahead is known, and goes through the steps once more.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import structs

from engine.model.fact import FactKind
from engine.model.identifiers import Identifier
from engine.pipeline.stage import Context, Effect, Envelope, FactKey, KeepFact, Note
from engine.session.closed import Closed
from engine.store.keys import fact_key
from engine.store.layout import follow
from engine.store.port import Db, Store

DECIDED: Final = -(2**62)
"""Places from here on up to 0 are those of envelopes whose fate is known, in the order in which it was."""

Meeting = Callable[[int, bytes, Sequence[Identifier], int], tuple[bytes, bytes]]
"""Who survives when identifiers attach to a user point of a datamart at a time, and who is absorbed, or b""."""


class Facts:
    """The overlay over the store. All of it belongs to the Trio thread.

    Args:
        store: where facts are kept; a look-up is a point read.
        now_ms: engine time.
        meeting: as `Identities.meeting`; nobody meets anybody when None.
    """

    def __init__(self, store: Store, now_ms: Callable[[], int] = lambda: 0, meeting: Meeting | None = None) -> None:
        self._store = store
        self.meeting = meeting
        self._now_ms = now_ms
        # By fact, in the order of the chain: the contexts of envelopes that change it and are not settled.
        self._ahead: dict[FactKey, list[_Shown]] = {}
        self._places = 0
        self._decided = DECIDED

    def __len__(self) -> int:
        """How many facts are about to change. No more than activities on their way, which are bounded."""
        return len(self._ahead)

    def context(self, envelope: Envelope) -> Context:
        """What the steps of this envelope may see; its place in the order is that of the first call."""
        if envelope.context is None:
            self._places += 1
            envelope.context = _Shown(self, envelope, self._places, self._now_ms())
        return envelope.context

    def settled(self, envelopes: Iterable[Envelope]) -> None:
        """These envelopes were committed, with what has become of their effects."""
        for envelope in envelopes:
            context, envelope.context = envelope.context, None
            if isinstance(context, _Shown):
                self._forget(context)

    def as_of(self, place: int, key: FactKey) -> bytes | None:
        """A fact as of everything ahead of a place."""
        for shown in reversed(self._ahead.get(key, ())):
            if shown.place < place and (effect := _last(shown.envelope, key)) is not None:
                return effect.value
        return self._store.get(Db.FACTS, fact_key(*key))

    def identifiers(self, datamart: int, user_point: bytes) -> tuple[Identifier, ...]:
        """By what a user point is known; of one that was absorbed, the person it has become."""
        _, row = follow(self._store.get, datamart, user_point)
        return tuple([link.identifier() for link in row.links]) if row is not None else ()

    def expect(self, context: "_Shown", key: FactKey) -> None:
        """From now on a fact is what this envelope's effects say. To be said once."""
        insort(self._ahead.setdefault(key, []), context, key=_place)

    def decided(self, context: "_Shown") -> None:
        """The fate of this envelope is known, and it is in line for its commit: as if it were stored already."""
        self._decided += 1
        context.place = self._decided
        for key in context.changes:
            waiting = self._ahead[key]
            if waiting[0] is not context:
                waiting.remove(context)
                insort(waiting, context, key=_place)

    def _forget(self, context: "_Shown") -> None:
        for key in context.changes:
            waiting = self._ahead[key]
            waiting.remove(context)  # The first, nearly always: they settle in order.
            if not waiting:
                del self._ahead[key]


class _Shown:
    """The context of one envelope: what it was shown, and what it changes."""

    __slots__ = ("_facts", "_met", "_seen", "changes", "envelope", "notes", "now_ms", "place")

    def __init__(self, facts: Facts, envelope: Envelope, place: int, now_ms: int) -> None:
        self._facts = facts
        self.envelope = envelope
        self.place = place
        self.now_ms = now_ms
        self.notes: list[Note] | None = None
        # Tuples: nearly always empty, and an empty one takes no memory.
        self.changes: tuple[FactKey, ...] = ()
        self._seen: tuple[tuple[FactKey, bytes | None], ...] = ()
        self._met: tuple[Sequence[Identifier], tuple[bytes, bytes]] | None = None

    def read(self, kind: FactKind, user_point: bytes | None = None) -> bytes | None:
        """As `Context.read`."""
        closed = self.envelope.view
        key = closed.datamart, user_point or closed.user_point, kind
        own = _last(self.envelope, key)
        if own is not None:
            return own.value
        value = self._facts.as_of(self.place, key)
        self._seen += ((key, value),)
        return value

    def identifiers(self) -> Sequence[Identifier]:
        """As `Context.identifiers`."""
        return self._facts.identifiers(self.envelope.view.datamart, self.envelope.view.user_point)

    def expect(self, effects: Sequence[Effect]) -> None:
        """As `Context.expect`."""
        for effect in effects:
            if isinstance(effect, KeepFact) and effect.key not in self.changes:
                self.changes += (effect.key,)
                self._facts.expect(self, effect.key)

    def meet(self, closed: Closed, identifiers: Sequence[Identifier]) -> Closed:
        """As `Context.meet`."""
        if self._facts.meeting is None:
            return closed
        survivor, other = self._facts.meeting(closed.datamart, closed.user_point, identifiers, self.now_ms)
        self._met = identifiers, (survivor, other)
        return structs.replace(closed, user_point=survivor, absorbed=other or closed.absorbed)

    def holds(self) -> bool:
        """As `Context.holds`."""
        if self._meets() and all(self._facts.as_of(self.place, key) == value for key, value in self._seen):
            return True
        self._seen, self._met = (), None
        return False

    def decided(self) -> None:
        """As `Context.decided`."""
        self._facts.decided(self)

    def _meets(self) -> bool:
        """Whether the person is still who it was found out to be."""
        if self._met is None or self._facts.meeting is None:
            return True
        closed, (identifiers, found) = self.envelope.closed, self._met
        return self._facts.meeting(closed.datamart, closed.user_point, identifiers, self.now_ms) == found


def _place(shown: _Shown) -> int:
    return shown.place


def _last(envelope: Envelope, key: FactKey) -> KeepFact | None:
    """What the effects of an envelope leave of a fact, where they touch it."""
    found = (effect for effect in reversed(envelope.effects) if isinstance(effect, KeepFact) and effect.key == key)
    return next(found, None)
