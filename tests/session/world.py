"""A journal, a store and the visitors between them, small enough to crash at any moment (decision 8).

Everything is committed in the order in which it left, one `Closed` at a time, as the chain does it.
"""

from collections import deque

from engine.model.channel import ChannelSettings
from engine.model.record import Record, RecordKind
from engine.pipeline.create import create
from engine.session.closed import Closed, Source
from engine.session.visitor import Visitor

Stored = tuple[bytes, str, tuple[int, ...], bytes]
"""User point, why, sequences, and the activity's bytes."""


class World:
    """What one engine does, without tasks and time.

    Attributes:
        journal: records that have not left it.
        states: saved fold states by user point.
        stored: committed activities in order.
        flying: what left a visitor and is not committed.
    """

    def __init__(self, versions: dict[int, ChannelSettings]) -> None:
        self.versions = versions
        self.journal: dict[int, Record] = {}
        self.states: dict[bytes, bytes] = {}
        self.visitors: dict[bytes, Visitor] = {}
        self.flying: deque[Closed] = deque()
        self.stored: list[Stored] = []
        self.removed: set[int] = set()

    def send(self, record: Record) -> None:
        """Journal a record, then apply it."""
        self.journal[record.sequence] = record
        self._apply(record)

    def expire(self, now_ms: int) -> None:
        """The timer looks at everybody."""
        for visitor in self.visitors.values():
            due = visitor.due_at()
            left = visitor.expire(now_ms)
            assert bool(left) == (due is not None and due <= now_ms)
            self.flying += left
        self._retire()

    def commit(self, count: int) -> None:
        """Store the next of what left."""
        for _ in range(min(count, len(self.flying))):
            closed = self.flying.popleft()
            if closed.source is not Source.STATE:
                activity = create(closed, "main").encode()
                self.stored.append((closed.user_point, str(closed.reason or "item"), closed.sequences, activity))
            for sequence in closed.sequences:
                del self.journal[sequence]
                self.removed.add(sequence)
            if closed.absorbed:
                self.states.pop(closed.absorbed, None)
            if closed.saves_state:
                self.states.pop(closed.user_point, None)
                if closed.state is not None:
                    self.states[closed.user_point] = closed.state

    def crash(self) -> None:
        """Lose all that is in memory, then recover: saved states, then the journal's records in order."""
        self.flying.clear()
        self.visitors.clear()
        held = {}
        for user, state in self.states.items():
            _, sequences = Visitor.state_sequences(state)
            held |= dict.fromkeys(sequences, user)
            self.visitors[user] = Visitor.restore(1, user, self._settings, state, self.journal)
            assert self.visitors[user].snapshot() == state
        for sequence, record in sorted(self.journal.items()):
            if sequence not in held:
                visitor = self.visitors.get(record.user_point)
                last = visitor._sequence if visitor is not None else -1
                assert sequence > last, "a saved state covers a record that it does not hold"
                self._apply(record)

    def fork(self) -> "World":
        """The same journal, store and flight in another world, which has no visitors."""
        other = World(self.versions)
        other.journal, other.states, other.stored = dict(self.journal), dict(self.states), list(self.stored)
        other.flying, other.removed = self.flying.copy(), set(self.removed)
        return other

    def bounce(self, user: bytes) -> None:
        """Put one visitor away and take it out again; nothing else happens."""
        visitor = self.visitors.get(user)
        state = visitor.snapshot() if visitor is not None else None
        if state is not None:
            self.visitors[user] = Visitor.restore(1, user, self._settings, state, self.journal)

    def check(self) -> None:
        """Decision 17: every record is in exactly one place, and memory knows where."""
        places = [sequence for closed in self.flying for sequence in closed.sequences]
        for visitor in self.visitors.values():
            state = visitor.snapshot()
            places += Visitor.state_sequences(state)[1] if state is not None else ()
        assert sorted(places) == sorted(self.journal)
        assert not self.removed & self.journal.keys()
        held = [sequence for state in self.states.values() for sequence in Visitor.state_sequences(state)[1]]
        assert len(held) == len(set(held))
        assert set(held) <= self.journal.keys()

    def _apply(self, record: Record) -> None:
        visitor = self.visitors.get(record.user_point)
        if visitor is None:
            visitor = self.visitors[record.user_point] = Visitor(1, record.user_point, self._settings)
        if record.kind == RecordKind.MERGE:
            self.flying += visitor.absorb(self.visitors.pop(record.event, None), record)
        else:
            self.flying += visitor.apply(record)
        self._retire()

    def _retire(self) -> None:
        """A visitor with nothing open ends, and the next record finds a new one (decision 4)."""
        self.visitors = {user: visitor for user, visitor in self.visitors.items() if not visitor.is_empty}

    def _settings(self, channel: str, version: int) -> ChannelSettings:
        found = self.versions[version]
        if channel == found.key:
            return found
        changed = {name: getattr(found, name) for name in found.__struct_fields__}
        return ChannelSettings(**changed | {"id": channel.partition(":")[2]})
