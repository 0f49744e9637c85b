"""The way in: check, recognise, identify, journal, route. Synchronous, so that a request is one step or none.

    items ─▶ examine ─▶ seen before? ─▶ whose? ─▶ draft ──▶ is there room for all of it? ─▶ journal + route
                │ refused, singly                                 │ no: Overloaded, nothing was taken

Up to the question nothing outside the draft has changed; behind it nothing can fail.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.actors.arrivals import ArrivalClock
from engine.actors.draft import Delivery, Draft, control_record, item_record
from engine.actors.examine import Examined, Rules, Unit, events_array, examine, weight_of
from engine.actors.identities import Identities
from engine.actors.identities import Overlay as IdentityOverlay
from engine.actors.receipt import Idempotency, ItemResult, Original, Receipt
from engine.actors.router import Router
from engine.actors.seen import SeenKeys
from engine.actors.writer import Writer
from engine.errors import CallerError, Closing, HotUser, IdempotencyConflict, Overloaded
from engine.model.identifiers import uuid_text
from engine.model.limits import MAX_REQUEST_RECORD_BYTES
from engine.model.record import Record, RecordKind, record_size_bytes
from engine.store.layout import SeenRow

if TYPE_CHECKING:
    from engine.actors.ticket import Ticket
    from engine.actors.user_actor import UserKey


@dataclass(frozen=True, slots=True)
class Bounds:
    """What `accept` refuses above (house: How it fails)."""

    max_live_users: int
    max_unstored_activities: int
    max_journal_bytes: int
    max_kept_bytes: int
    dead_letter_ms: int


class Intake:
    """Takes items in.

    Args:
        clock: stamps arrivals; it never goes backwards.
        rules: what items of a datamart are checked against; None for an unknown datamart.
        stored: waits until the records of these sequences have left the journal.
        last_sequence: the last one ever used.
    """

    def __init__(
        self,
        *,
        clock: ArrivalClock,
        writer: Writer,
        router: Router,
        identities: Identities,
        seen: SeenKeys,
        bounds: Bounds,
        rules: Callable[[int], Rules | None],
        stored: Callable[[tuple[int, ...]], Awaitable[None]],
        last_sequence: int,
    ) -> None:
        self._clock = clock
        self._writer = writer
        self._router = router
        self._identities = identities
        self._seen = seen
        self._bounds = bounds
        self._rules = rules
        self._stored = stored
        self._sequence = last_sequence
        self._found_sequence = last_sequence
        self.journal_bytes = 0
        """Bytes of records accepted and not yet settled, about."""
        self.closing = False
        self._routing = False
        self._kept: list[Delivery | Record] | None = None
        self._kept_bytes = 0
        self._last_ticket: Ticket | None = None

    def hold_back(self) -> int:
        """Keep at hand what is accepted from now on, and journal it; returns the last sequence before that."""
        self._kept = []
        return self._sequence

    async def flushed(self) -> None:
        """Return when everything accepted so far is on disk.

        Raises:
            Broken: the engine takes no more writes.
        """
        if self._last_ticket is not None:
            await self._last_ticket.settled()

    def found(self, records: Sequence[Record]) -> None:
        """Recovery has read these: what the last run left counts for the journal's bound as well."""
        self.journal_bytes += sum(
            record_size_bytes(record) for record in records if record.weight and record.sequence <= self._found_sequence
        )

    def open(self) -> None:
        """Route what was kept, and everything from now on as it comes: recovery has caught up."""
        self._routing = True
        self._route(self._kept or ())
        self._kept = None

    def survivor(self, datamart: int, user_point: bytes) -> bytes:
        """What a user point has become: itself, or the one that absorbed it, as soon as that was accepted."""
        return self._identities.survivor(datamart, user_point)

    def check(self) -> None:
        """Raise when nothing can be taken now.

        Raises:
            Closing: the engine stops.
            Unavailable, Broken: the store takes no writes.
            Overloaded: a bound is reached.
        """
        self._check_flow()
        if self.journal_bytes > self._bounds.max_journal_bytes:
            raise Overloaded(f"the journal holds {self.journal_bytes} bytes of open sessions", retry_after_s=30)

    def _check_flow(self) -> None:
        """`check`, but for the bound of what may be open: who asks to close makes room there."""
        if self.closing:
            raise Closing("the engine is stopping")
        self._writer.check_store()
        bounds = self._bounds
        if self._router.unstored > bounds.max_unstored_activities:
            raise Overloaded(f"{self._router.unstored} closed activities wait to be stored", retry_after_s=2)
        if self._kept_bytes > bounds.max_kept_bytes and not self._routing:
            raise Overloaded("the engine is still reading its journal")

    def accept(
        self,
        items: Sequence[bytes],
        *,
        datamart: int,
        idempotency: Idempotency | None,
        process: bool,
        step: str,
        originals: Sequence[Original] | None = None,
    ) -> Receipt:
        """Take the good items, all or none, and say of each what became of it.

        Args:
            items: JSON of one activity each.
            datamart: id of the datamart.
            idempotency: key and body digest of the request, if it has a key.
            process: False to skip the processing steps (decision 42).
            step: counter of the platform's monitoring the items come in under, such as `API`.
            originals: what each item was made from: a refused one becomes a dead letter.

        Raises:
            CallerError: the datamart is unknown, or the idempotency key was used with another body.
            Overloaded, HotUser, Closing, Unavailable, Broken: nothing was taken.
        """
        self.check()
        rules = self._rules(datamart)
        if rules is None:
            raise CallerError(f"no datamart {datamart}", code="unknown_datamart")
        draft = self._draft(datamart)
        before = self._before(draft, idempotency) if idempotency is not None else None
        if before is not None:
            return self._repeat(draft, items, before)
        looked_at = [_look(item, rules, arrival_ms=draft.arrival_ms, process=process) for item in items]
        event_ids = [
            unit.event_id for one in looked_at if isinstance(one, Examined) for unit in one.units if unit.event_id
        ]
        if event_ids:
            self._seen.look_up(draft.seen, datamart=datamart, event_ids=event_ids)
        for index, found in enumerate(looked_at):
            error = self._add_item(draft, found, step) if isinstance(found, Examined) else found
            if error is not None and originals is None:
                draft.refuse(weight_of(items[index]), error)
            elif error is not None and originals is not None:
                self._lost(draft, originals[index], error.code, str(error), weight_of(items[index]))
            if draft.size_bytes > MAX_REQUEST_RECORD_BYTES:
                raise CallerError(
                    f"the request makes more than {MAX_REQUEST_RECORD_BYTES} bytes of journal records; send less",
                    code="request_too_large",
                )
        # Of a request that brought nothing, nothing has to be known again.
        if idempotency is not None and any(one.status != "refused" for one in draft.results):
            self._note_request(draft, idempotency)
        return self._take(draft)

    def reject(self, payload: bytes, *, reason: str, stage: str, datamart: int, event_id: str | None) -> Receipt:
        """Keep something that cannot be read as a dead letter, once by its id (decision 17).

        Raises:
            Overloaded, Closing, Unavailable, Broken: nothing was taken.
        """
        self.check()
        draft = self._draft(datamart)
        self._lost(draft, Original(payload, stage, event_id or ""), reason, "", 1)
        return self._take(draft)

    def close_sessions(self, datamart: int, user_points: Sequence[bytes]) -> Receipt:
        """Journal a request to close for each of these user points (decision 7d).

        Raises:
            Overloaded, HotUser, Closing, Unavailable, Broken: nothing was taken.
        """
        self._check_flow()
        draft = self._draft(datamart)
        for user_point in user_points:
            draft.add(control_record(draft, RecordKind.CLOSE, user_point, b""))
        return self._take(draft)

    def _draft(self, datamart: int) -> Draft:
        return Draft(
            datamart, self._clock.now_ms(), self._clock.wall_ms(), self._sequence, IdentityOverlay(), self._seen.draft()
        )

    def _before(self, draft: Draft, idempotency: Idempotency) -> SeenRow | None:
        found = self._seen.request(
            draft.seen, datamart=draft.datamart, idempotency_key=idempotency.key, wall_ms=draft.wall_ms
        )
        if found is not None and found.digest != idempotency.body_digest:
            raise IdempotencyConflict("this Idempotency-Key was used with another body")
        return found

    def _repeat(self, draft: Draft, items: Sequence[bytes], before: SeenRow) -> Receipt:
        """Answer as the first time: what was refused then was never taken, and is no duplicate now."""
        refused = {index: CallerError(message, code=code, path=path) for index, code, message, path in before.refused}
        for index, item in enumerate(items):
            if index in refused:
                draft.refuse(weight_of(item), refused[index])
            else:
                draft.repeat(weight_of(item))
        return self._take(draft)

    def _note_request(self, draft: Draft, idempotency: Idempotency) -> None:
        refused = tuple(
            (index, result.error.code, result.error.message, result.error.path)
            for index, result in enumerate(draft.results)
            if result.error is not None
        )
        draft.operations.append(
            self._seen.note_request(
                draft.seen,
                datamart=draft.datamart,
                idempotency_key=idempotency.key,
                body_digest=idempotency.body_digest,
                refused=refused,
                wall_ms=draft.wall_ms,
            )
        )

    def _lost(self, draft: Draft, original: Original, reason: str, detail: str, weight: int) -> None:
        """Received, and dead at once: kept with its reason, but for a repeat."""
        datamart, wall_ms = draft.datamart, draft.wall_ms
        if original.id:
            if self._seen.knows(draft.seen, datamart=datamart, event_id=original.id, wall_ms=wall_ms):
                draft.repeat(weight)
                return
            draft.operations.append(
                self._seen.note(draft.seen, datamart=datamart, event_id=original.id, wall_ms=wall_ms)
            )
        draft.lose(original, reason, detail, weight, wall_ms + self._bounds.dead_letter_ms)

    def _add_item(self, draft: Draft, examined: Examined, step: str) -> CallerError | None:
        """Take an item into the draft, or say why not."""
        units = self._new_units(draft, examined.units)
        repeated = len(examined.units) - len(units)
        if repeated and not units:
            draft.repeat(repeated)
            return None
        try:
            attached, operations = self._identities.attach(
                draft.identities,
                examined.identifiers,
                datamart=draft.datamart,
                now_ms=draft.arrival_ms,
                sequence=draft.next_sequence(),
            )
        except CallerError as error:
            return error
        draft.operations += operations
        for name, amount in attached.counts:
            draft.count(name, amount)
        for absorbed in attached.absorbed:
            draft.add(control_record(draft, RecordKind.MERGE, attached.user_point, absorbed))
        for unit in units:
            if unit.event_id:
                draft.operations.append(
                    self._seen.note(draft.seen, datamart=draft.datamart, event_id=unit.event_id, wall_ms=draft.wall_ms)
                )
        weight = self._add_records(draft, examined, units, attached.user_point)
        draft.count("events_received", weight + repeated)
        draft.count("events_duplicate", repeated)
        draft.count(f"events_step.{step}", weight)
        draft.results.append(ItemResult("accepted", weight, uuid_text(attached.user_point)))
        return None

    def _new_units(self, draft: Draft, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
        if not any(unit.event_id for unit in units):
            return units
        here: set[str] = set()
        found: list[Unit] = []
        for unit in units:
            if unit.event_id:
                if unit.event_id in here or self._seen.knows(
                    draft.seen, datamart=draft.datamart, event_id=unit.event_id, wall_ms=draft.wall_ms
                ):
                    continue
                here.add(unit.event_id)
            found.append(unit)
        return tuple(found)

    def _add_records(self, draft: Draft, examined: Examined, units: tuple[Unit, ...], user_point: bytes) -> int:
        """Add the item's records; returns how many received events they stand for."""
        channel = examined.channel
        if examined.kind is RecordKind.ITEM:
            weight = max(1, len(units))
            event = events_array(units)
            draft.add(item_record(draft, examined, user_point, examined.ts_ms, weight, event))
            return weight
        late = 0
        for unit in units:
            draft.add(item_record(draft, examined, user_point, unit.ts_ms, 1, unit.body))
            if examined.kind is RecordKind.EVENT and channel is not None:
                late += draft.arrival_ms - unit.ts_ms > channel.gap_ms + channel.grace_ms
        draft.count("events_late", late)
        return len(units)

    def _take(self, draft: Draft) -> Receipt:
        """Journal and route the draft. What can be refused is refused before anything outside has changed."""
        deliveries = draft.deliveries()
        if self._routing:
            self._check_room(deliveries)
        identities, seen = draft.identities, draft.seen

        def committed() -> None:
            self._identities.committed(identities)
            self._seen.committed(seen)

        operations = draft.transaction()
        ticket = self._writer.submit(operations, draft.size_bytes + 64 * len(operations), committed)
        self._sequence = draft.sequence
        self._identities.keep(identities)
        self._seen.keep(seen)
        self.journal_bytes += sum(record_size_bytes(record) for record in draft.records if record.weight)
        self._last_ticket = ticket
        if self._routing:
            self._route(draft.routes)
        elif self._kept is not None:
            self._kept += draft.routes
            self._kept_bytes += draft.size_bytes
        return Receipt(tuple(draft.results), ticket, tuple(draft.items), self._stored)

    def _route(self, routes: Iterable[Delivery | Record]) -> None:
        for route in routes:
            if isinstance(route, Delivery):
                self._router.deliver(route.key, route.records, route.size_bytes)
            else:
                self._router.merge(route)

    def _check_room(self, deliveries: Sequence[Delivery]) -> None:
        wanted: dict[UserKey, tuple[int, int]] = {}
        for delivery in deliveries:
            messages, size_bytes = wanted.get(delivery.key, (0, 0))
            wanted[delivery.key] = (messages + 1, size_bytes + delivery.size_bytes)
        new_users = 0
        for key, (messages, size_bytes) in wanted.items():
            if self._router.visitor(key) is None:
                new_users += 1
            elif not self._router.has_room(key, size_bytes, messages):
                raise HotUser("this user sends faster than their events are taken")
        if new_users and self._router.live_users + new_users > self._bounds.max_live_users:
            raise Overloaded(f"{self._router.live_users} users are active", retry_after_s=10)


def _look(item: bytes, rules: Rules, *, arrival_ms: int, process: bool) -> Examined | CallerError:
    try:
        return examine(item, rules, arrival_ms=arrival_ms, process=process)
    except CallerError as error:
        return error
