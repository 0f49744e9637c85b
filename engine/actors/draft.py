"""What one request would do, gathered before any of it happens: the good items of a request are taken all or none."""

from dataclasses import dataclass, field

from engine.actors.examine import Examined
from engine.actors.identities import Overlay as IdentityOverlay
from engine.actors.receipt import ItemError, ItemResult, Original
from engine.actors.seen import Overlay as SeenOverlay
from engine.actors.user_actor import UserKey
from engine.errors import CallerError
from engine.identity.attach import NoUserIdentifier
from engine.model.record import Record, RecordKind, encode_record, record_size_bytes
from engine.store.layout import DeadLetter, encode_dead_letter
from engine.store.port import AddDeadLetter, AppendJournal, Count, Operation


@dataclass(slots=True)
class Delivery:
    """Records of one user point, to be delivered as one message."""

    key: UserKey
    records: list[Record]
    size_bytes: int


@dataclass(slots=True)
class Draft:
    """One request's journal records, operations, deliveries and counts; nothing outside has changed yet.

    Attributes:
        datamart, arrival_ms, wall_ms: of the request.
        sequence: the last sequence given out, this draft's included.
        routes: what the router will do, in order: deliveries, and merges between them.
    """

    datamart: int
    arrival_ms: int
    wall_ms: int
    sequence: int
    identities: IdentityOverlay
    seen: SeenOverlay
    results: list[ItemResult] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    routes: list[Delivery | Record] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    items: list[int] = field(default_factory=list)
    size_bytes: int = 0
    _open: dict[UserKey, Delivery] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1) -> None:
        """Raise a counter with this request's transaction."""
        self.counts[name] = self.counts.get(name, 0) + amount

    def repeat(self, weight: int) -> None:
        """An item of this weight was accepted before."""
        self.count("events_received", weight)
        self.count("events_duplicate", weight)
        self.results.append(ItemResult("duplicate", weight))

    def refuse(self, weight: int, error: CallerError) -> None:
        """Nothing of an item of this weight is taken."""
        self.count("events_received", weight)
        self.count("events_refused", weight)
        self.count(f"events_refused.{error.code}", weight)
        if isinstance(error, NoUserIdentifier):
            self.count("identifiers_placeholder", error.placeholders)
        self.results.append(ItemResult("refused", weight, error=ItemError(error.code, error.message, error.path)))

    def lose(self, original: Original, reason: str, detail: str, weight: int, expires_ms: int) -> None:
        """What was received is dead at once: kept with its reason."""
        letter = DeadLetter(
            at_ms=self.wall_ms,
            reason=reason,
            stage=original.stage,
            user_point="",
            payload=original.payload,
            detail=detail,
            weight=weight,
            event_ids=(original.id,) if original.id else (),
        )
        self.operations.append(
            AddDeadLetter(self.datamart, self.wall_ms, weight, encode_dead_letter(letter), expires_ms)
        )
        self.size_bytes += len(original.payload)
        self.count("events_received", weight)
        self.count(f"events_dead.{reason}", weight)
        error = ItemError(reason, detail or "kept as a dead letter", "")
        self.results.append(ItemResult("refused", weight, error=error))

    def next_sequence(self) -> int:
        """The sequence that the next added record gets."""
        return self.sequence + 1

    def add(self, record: Record) -> None:
        """Take a record whose sequence is `next_sequence()`."""
        self.sequence = record.sequence
        self.records.append(record)
        size_bytes = record_size_bytes(record)
        self.size_bytes += size_bytes
        if record.kind == RecordKind.MERGE:
            self.routes.append(record)
            self._open.clear()  # What follows must reach its actor behind the merge.
            return
        if record.kind == RecordKind.ITEM:
            self.items.append(record.sequence)
        key = (record.datamart, record.user_point)
        delivery = self._open.get(key)
        if delivery is None:
            delivery = self._open[key] = Delivery(key, [], 0)
            self.routes.append(delivery)
        delivery.records.append(record)
        delivery.size_bytes += size_bytes

    def deliveries(self) -> list[Delivery]:
        """The deliveries among the routes."""
        return [route for route in self.routes if isinstance(route, Delivery)]

    def transaction(self) -> list[Operation]:
        """All operations of the request, the journal first."""
        found: list[Operation] = []
        if self.records:
            rows = tuple((record.sequence, encode_record(record)) for record in self.records)
            found.append(AppendJournal(rows, self.arrival_ms))
        found += self.operations
        counts = tuple((name, amount) for name, amount in self.counts.items() if amount)
        if counts:
            found.append(Count(self.datamart, counts, self.wall_ms))
        return found


def control_record(draft: Draft, kind: RecordKind, user_point: bytes, body: bytes) -> Record:
    """The draft's next record, one of the engine's own: a MERGE or a CLOSE."""
    return Record(
        sequence=draft.next_sequence(),
        kind=kind,
        arrival_ms=draft.arrival_ms,
        datamart=draft.datamart,
        user_point=user_point,
        channel="",
        channel_version=0,
        ts_ms=draft.arrival_ms,
        weight=0,
        process=True,
        root=b"{}",
        event=body,
    )


def item_record(draft: Draft, examined: Examined, user_point: bytes, ts_ms: int, weight: int, event: bytes) -> Record:
    """The draft's next record, with an event of an item, or with all of it."""
    channel = examined.channel
    return Record(
        sequence=draft.next_sequence(),
        kind=examined.kind,
        arrival_ms=draft.arrival_ms,
        datamart=draft.datamart,
        user_point=user_point,
        channel=channel.key if channel is not None else "",
        channel_version=channel.version if channel is not None else 0,
        ts_ms=ts_ms,
        weight=weight,
        process=examined.process,
        root=examined.root,
        event=event,
    )
