"""What one request would do, gathered before any of it happens: the good items of a request are taken all or none."""

from typing import Final

from msgspec import Struct

from engine.actors.examine import Examined, Unit
from engine.actors.identities import Overlay as IdentityOverlay
from engine.actors.receipt import ItemError, ItemResult, Original
from engine.actors.seen import Overlay as SeenOverlay
from engine.actors.user_actor import UserKey
from engine.errors import CallerError
from engine.identity.attach import NoUserIdentifier
from engine.model.limits import MAX_REQUEST_RECORD_BYTES
from engine.model.record import RECORD_BYTES, Record, RecordKind, encode_rows, record_size_bytes
from engine.store.layout import DeadLetter, encode_dead_letter
from engine.store.port import AddDeadLetter, AppendJournal, Count, Operation


class Delivery(Struct, gc=False):
    """Records of one user point, to be delivered as one message."""

    key: UserKey
    records: list[Record]
    size_bytes: int


_MERGE: Final = RecordKind.MERGE
_ITEM: Final = RecordKind.ITEM


class Draft:
    """One request's journal records, operations, deliveries and counts; nothing outside has changed yet.

    Attributes:
        datamart, arrival_ms, wall_ms: of the request.
        sequence: the last sequence given out, this draft's included.
        identities, seen: what it links, and which ids it brings.
        results: of its items, in order.
        records: what goes into the journal.
        operations: of its transaction, beside the journal and the counts.
        routes: what the router will do, in order: deliveries, and merges between them.
        counts: counters that it raises.
        items: sequences of records that go to the store at once.
        size_bytes: of records and payloads, about.
        journal_bytes: of it, of the records that stand for received events.
        events, repeated, late: events of the items taken, those accepted before, and those taken that came late.
    """

    __slots__ = (
        "_deliveries",
        "_open",
        "arrival_ms",
        "counts",
        "datamart",
        "events",
        "identities",
        "items",
        "journal_bytes",
        "late",
        "operations",
        "records",
        "repeated",
        "results",
        "routes",
        "seen",
        "sequence",
        "size_bytes",
        "wall_ms",
    )

    def __init__(
        self,
        datamart: int,
        arrival_ms: int,
        wall_ms: int,
        sequence: int,
        identities: IdentityOverlay,
        seen: SeenOverlay,
    ) -> None:
        self.datamart = datamart
        self.arrival_ms = arrival_ms
        self.wall_ms = wall_ms
        self.sequence = sequence
        self.identities = identities
        self.seen = seen
        self.results: list[ItemResult] = []
        self.records: list[Record] = []
        self.operations: list[Operation] = []
        self.routes: list[Delivery | Record] = []
        self.counts: dict[str, int] = {}
        self.items: list[int] = []
        self.size_bytes = 0
        self.journal_bytes = 0
        self.events = 0
        self.repeated = 0
        self.late = 0
        self._open: dict[UserKey, Delivery] = {}
        self._deliveries: list[Delivery] = []

    def check_size(self) -> None:
        """Refuse a request that grows beyond all measure.

        Raises:
            CallerError: `request_too_large`.
        """
        if self.size_bytes > MAX_REQUEST_RECORD_BYTES:
            raise CallerError(
                f"the request makes more than {MAX_REQUEST_RECORD_BYTES} bytes of journal records; send less",
                code="request_too_large",
            )

    def count(self, name: str, amount: int = 1) -> None:
        """Raise a counter with this request's transaction."""
        self.counts[name] = self.counts.get(name, 0) + amount

    def count_taken(self, step: str) -> None:
        """Count what was taken, once for all items.

        Args:
            step: of the platform's monitoring.
        """
        if self.events or self.repeated:
            self.count("events_received", self.events + self.repeated)
            self.count(f"events_step.{step}", self.events)
        if self.repeated:
            self.count("events_duplicate", self.repeated)
        if self.late:
            self.count("events_late", self.late)

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

    def lose(self, original: Original, error: CallerError, weight: int, expires_ms: int) -> None:
        """What was received is dead at once: kept with its reason, and the place of the fault."""
        reason = error.code
        letter = DeadLetter(
            at_ms=self.wall_ms,
            reason=reason,
            stage=original.stage,
            user_point="",
            payload=original.payload,
            detail=f"{error.message} (at {error.path})" if error.path else error.message,
            weight=weight,
            event_ids=(original.id,) if original.id else (),
        )
        self.operations.append(
            AddDeadLetter(self.datamart, self.wall_ms, weight, encode_dead_letter(letter), expires_ms)
        )
        self.size_bytes += len(original.payload)
        self.count("events_received", weight)
        self.count(f"events_dead.{reason}", weight)
        told = ItemError(reason, error.message or "kept as a dead letter", error.path)
        self.results.append(ItemResult("refused", weight, error=told))

    def next_sequence(self) -> int:
        """The sequence that the next added record gets."""
        return self.sequence + 1

    def add(self, record: Record) -> None:
        """Take a record whose sequence is `next_sequence()`."""
        self.sequence = record.sequence
        self.records.append(record)
        size_bytes = record_size_bytes(record)
        self.size_bytes += size_bytes
        if record.weight:
            self.journal_bytes += size_bytes
        if record.kind == _MERGE:
            self.routes.append(record)
            self._open.clear()  # What follows must reach its actor behind the merge.
            return
        if record.kind == _ITEM:
            self.items.append(record.sequence)
        key = (record.datamart, record.user_point)
        delivery = self._open.get(key)
        if delivery is None:
            self._deliver(key, record, size_bytes)
        else:
            delivery.records.append(record)
            delivery.size_bytes += size_bytes

    def _deliver(self, key: UserKey, record: Record, size_bytes: int) -> None:
        delivery = self._open[key] = Delivery(key, [record], size_bytes)
        self.routes.append(delivery)
        self._deliveries.append(delivery)

    def add_event(self, examined: Examined, unit: Unit, user_point: bytes) -> None:
        """`add` of the record of an event of a session, in a third of the time: nearly all that is added."""
        channel = examined.channel
        assert channel is not None
        datamart, arrival_ms, ts_ms = self.datamart, self.arrival_ms, unit.ts_ms
        # As `late_before_ms`, but for the call.
        if ts_ms < arrival_ms - channel.gap_ms - channel.grace_ms:
            self.late += 1
        sequence = self.sequence = self.sequence + 1
        record = Record(
            sequence,
            examined.kind,
            arrival_ms,
            datamart,
            user_point,
            channel.key,
            channel.version,
            ts_ms,
            1,
            examined.process,
            examined.root,
            unit.body,
        )
        self.records.append(record)
        size_bytes = len(examined.root) + len(unit.body) + RECORD_BYTES
        self.size_bytes += size_bytes
        self.journal_bytes += size_bytes
        key = (datamart, user_point)
        delivery = self._open.get(key)
        if delivery is None:
            # As `_deliver`, but for the call.
            delivery = self._open[key] = Delivery(key, [record], size_bytes)
            self.routes.append(delivery)
            self._deliveries.append(delivery)
        else:
            delivery.records.append(record)
            delivery.size_bytes += size_bytes

    def deliveries(self) -> list[Delivery]:
        """The deliveries among the routes."""
        return self._deliveries

    def transaction(self) -> list[Operation]:
        """All operations of the request, the journal first."""
        found: list[Operation] = []
        if self.records:
            weight = sum([record.weight for record in self.records])
            found.append(AppendJournal(encode_rows(self.records), self.arrival_ms, ((self.datamart, weight),)))
        found += self.operations
        counts = tuple([one for one in self.counts.items() if one[1]])
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
        draft.sequence + 1,
        examined.kind,
        draft.arrival_ms,
        draft.datamart,
        user_point,
        channel.key if channel is not None else "",
        channel.version if channel is not None else 0,
        ts_ms,
        weight,
        examined.process,
        examined.root,
        event,
    )
