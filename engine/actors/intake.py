"""The way in: check, recognise, identify, journal, route. Synchronous, so that a request is one step or none.

    items ─▶ examine ─▶ seen before? ─▶ whose? ─▶ draft ──▶ is there room for all of it? ─▶ journal + route
                │ refused, singly                                 │ no: Overloaded, nothing was taken

Up to the question nothing outside the draft has changed; behind it nothing can fail.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from engine.actors.arrivals import ArrivalClock
from engine.actors.draft import Delivery, Draft, control_record
from engine.actors.examine import Examined, Rules, weight_of
from engine.actors.identities import Identities
from engine.actors.identities import Overlay as IdentityOverlay
from engine.actors.receipt import Idempotency, ItemResult, Original, Receipt
from engine.actors.room import Bounds, UserRates, check_room
from engine.actors.router import Router
from engine.actors.seen import Overlay as SeenOverlay
from engine.actors.seen import SeenKeys
from engine.actors.taking import Taking, look_at
from engine.actors.writer import Writer
from engine.errors import CallerError, Closing, HotUser, IdempotencyConflict, Overloaded
from engine.model.identifiers import uuid_text
from engine.model.limits import MAX_REQUEST_RECORD_BYTES
from engine.model.record import RECORD_BYTES, Record, RecordKind, encode_record, record_size_bytes
from engine.session.boundary import late_before_ms
from engine.store.layout import SeenRow
from engine.store.port import AppendJournal, Count

if TYPE_CHECKING:
    from engine.actors.ticket import Ticket

_EVENT: Final = RecordKind.EVENT
_NOTHING_LINKED: Final = IdentityOverlay()
"""Of a request that links nobody: only read."""


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
        user_rates: UserRates,
        rules: Callable[[int], Rules | None],
        stored: Callable[[tuple[int, ...]], Awaitable[None]],
        last_sequence: int,
    ) -> None:
        self._clock = clock
        self._writer = writer
        self._router = router
        self._identities = identities
        self._seen = seen
        self._taking = Taking(identities, seen)
        self._bounds = bounds
        self._user_rates = user_rates
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

    @property
    def user_rates(self) -> UserRates:
        """How fast users may send, and how often one was told to wait."""
        return self._user_rates

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
        only_channel: str = "",
    ) -> Receipt:
        """Take the good items, all or none, and say of each what became of it.

        Args:
            items: JSON of one activity each.
            datamart: id of the datamart.
            idempotency: key and body digest of the request, if it has a key.
            process: False to skip the processing steps (decision 42).
            step: counter of the platform's monitoring the items come in under, such as `API`.
            originals: what each item was made from: a refused one becomes a dead letter.
            only_channel: key of the one channel whose items are taken; "" for all.

        Raises:
            CallerError: the datamart is unknown, or the idempotency key was used with another body.
            Overloaded, HotUser, Closing, Unavailable, Broken: nothing was taken.
        """
        self.check()
        rules = self._rules(datamart)
        if rules is None:
            raise CallerError(f"no datamart {datamart}", code="unknown_datamart")
        arrival_ms = self._clock.now_ms()
        draft: Draft | None = None
        if idempotency is not None:
            draft = self._draft(datamart, arrival_ms)
            before = self._before(draft, idempotency)
            if before is not None:
                return self._repeat(draft, items, before)
        looked_at = look_at(items, originals, rules, arrival_ms, process=process, only=only_channel)
        if draft is None:
            lone = self._take_lone(looked_at[0], datamart, arrival_ms, step) if len(looked_at) == 1 else None
            if lone is not None:
                return lone
            draft = self._draft(datamart, arrival_ms)
        self._taking.look_up(draft, looked_at)
        index, count = 0, len(looked_at)
        while (index := self._taking.add_usual(draft, looked_at, index)) < count:
            found = looked_at[index]
            error = self._taking.add(draft, found) if isinstance(found, Examined) else found
            if error is not None and originals is None:
                draft.refuse(weight_of(items[index]), error)
            elif error is not None and originals is not None:
                self._lost(draft, originals[index], error, weight_of(items[index]))
            draft.check_size()
            index += 1
        draft.check_size()
        draft.count_taken(step)
        # Of a request that brought nothing, nothing has to be known again.
        if idempotency is not None and any(one.status != "refused" for one in draft.results):
            refused = tuple(
                (index, one.error.code, one.error.message, one.error.path)
                for index, one in enumerate(draft.results)
                if one.error is not None
            )
            self._note_request(draft, idempotency.keys, idempotency.body_digest, refused)
        return self._take(draft)

    def reject(self, payload: bytes, *, reason: str, stage: str, datamart: int, event_id: str | None) -> Receipt:
        """Keep something that cannot be read as a dead letter, once by its id (decision 17).

        Raises:
            Overloaded, Closing, Unavailable, Broken: nothing was taken.
        """
        self.check()
        draft = self._draft(datamart, self._clock.now_ms())
        self._lost(draft, Original(payload, stage, event_id or ""), CallerError("", code=reason), 1)
        return self._take(draft)

    def close_sessions(self, datamart: int, user_points: Sequence[bytes]) -> Receipt:
        """Journal a request to close for each of these user points (decision 7d).

        Raises:
            Overloaded, HotUser, Closing, Unavailable, Broken: nothing was taken.
        """
        self._check_flow()
        draft = self._draft(datamart, self._clock.now_ms())
        for user_point in user_points:
            draft.add(control_record(draft, RecordKind.CLOSE, user_point, b""))
        return self._take(draft)

    def own_draft(self, datamart: int) -> Draft:
        """A draft of what the engine itself has found out (decision 25). To be taken in the same step."""
        return self._draft(datamart, self._clock.now_ms())

    def take_own(self, draft: Draft) -> None:
        """The operations of this draft go to the writer before this step ends: what it says is so from now on."""
        self._identities.keep(draft.identities)
        self._sequence = draft.sequence

    def route_own(self, draft: Draft, ticket: "Ticket") -> None:
        """They are in line, in this ticket. As with what is accepted, nothing waits for the commit: what depends on
        them is committed behind them. In a stop the actors end, and the next start finds the records.
        """
        self._last_ticket = ticket
        if self._routing and not self.closing:
            self._route(draft.routes)
        elif self._kept is not None:
            self._kept += draft.routes

    def _draft(self, datamart: int, arrival_ms: int) -> Draft:
        return Draft(datamart, arrival_ms, self._clock.wall_ms(), self._sequence, IdentityOverlay(), self._seen.draft())

    def _take_lone(self, found: Examined | CallerError, datamart: int, arrival_ms: int, step: str) -> Receipt | None:
        """An event of an active user, alone in its request and without an id of its own: most requests of browsers.

        What a draft would do is known here without one; to make and read it costs a third of such a request. None for
        anything else: nothing has happened then.
        """
        if isinstance(found, CallerError) or found.kind is not _EVENT or len(found.units) != 1 or not self._routing:
            return None
        unit, channel = found.units[0], found.channel
        user_point = self._identities.at_hand(_NOTHING_LINKED, datamart, found.keys)
        if user_point is None or channel is None or unit.event_id or self._user_rates.is_limited:
            return None
        key = (datamart, user_point)
        size_bytes = len(found.root) + len(unit.body) + RECORD_BYTES
        if not self._router.is_at_leisure(key) or size_bytes > MAX_REQUEST_RECORD_BYTES:
            return None
        sequence = self._sequence + 1
        record = Record(
            sequence,
            found.kind,
            arrival_ms,
            datamart,
            user_point,
            channel.key,
            channel.version,
            unit.ts_ms,
            1,
            found.process,
            found.root,
            unit.body,
        )
        amounts: tuple[tuple[str, int], ...] = (("events_received", 1), (f"events_step.{step}", 1))
        if unit.ts_ms < late_before_ms(channel, arrival_ms):
            amounts += (("events_late", 1),)
        operations = (
            AppendJournal(((sequence, encode_record(record)),), arrival_ms, ((datamart, 1),)),
            Count(datamart, amounts, self._clock.wall_ms()),
        )
        ticket = self._writer.submit(operations, size_bytes + 64 * len(operations))
        self._sequence = sequence
        self.journal_bytes += size_bytes
        self._last_ticket = ticket
        self._router.deliver(key, (record,), size_bytes)
        return Receipt((ItemResult("accepted", 1, uuid_text(user_point)),), ticket, (), self._stored)

    def _before(self, draft: Draft, idempotency: Idempotency) -> SeenRow | None:
        known: SeenRow | None = None
        unknown: list[str] = []
        for key in idempotency.keys:
            found = self._seen.request(draft.seen, datamart=draft.datamart, idempotency_key=key, wall_ms=draft.wall_ms)
            if found is None:
                unknown.append(key)
            elif found.digest != idempotency.body_digest:
                raise IdempotencyConflict("this Idempotency-Key was used with another body")
            known = known or found
        if known is not None:  # From now on it is known by all of its keys.
            self._note_request(draft, unknown, known.digest, known.refused)
        return known

    def _repeat(self, draft: Draft, items: Sequence[bytes], before: SeenRow) -> Receipt:
        """Answer as the first time: what was refused then was never taken, and is no duplicate now."""
        refused = {index: CallerError(message, code=code, path=path) for index, code, message, path in before.refused}
        for index, item in enumerate(items):
            if index in refused:
                draft.refuse(weight_of(item), refused[index])
            else:
                draft.repeat(weight_of(item))
        return self._take(draft)

    def _note_request(
        self, draft: Draft, keys: Iterable[str], body_digest: bytes, refused: tuple[tuple[int, str, str, str], ...]
    ) -> None:
        draft.operations += [
            self._seen.note_request(
                draft.seen,
                datamart=draft.datamart,
                idempotency_key=key,
                body_digest=body_digest,
                refused=refused,
                wall_ms=draft.wall_ms,
            )
            for key in keys
        ]

    def _lost(self, draft: Draft, original: Original, error: CallerError, weight: int) -> None:
        """Received, and dead at once: kept with its reason, but for a repeat."""
        datamart, wall_ms = draft.datamart, draft.wall_ms
        if original.id:
            if self._seen.knows(draft.seen, datamart=datamart, event_id=original.id, wall_ms=wall_ms):
                draft.repeat(weight)
                return
            draft.operations.append(
                self._seen.note(draft.seen, datamart=datamart, event_id=original.id, wall_ms=wall_ms)
            )
        draft.lose(original, error, weight, wall_ms + self._bounds.dead_letter_ms)

    def _take(self, draft: Draft) -> Receipt:
        """Journal and route the draft. What can be refused is refused before anything outside has changed."""
        try:
            entries = check_room(self._router, self._bounds, draft) if self._routing else None
            self._user_rates.check(draft)
        except HotUser as error:
            whose = uuid_text(error.user_point)
            error.items = tuple([index for index, one in enumerate(draft.results) if one.user_point == whose])
            raise
        identities, seen = draft.identities, draft.seen
        # Nearly always nothing was linked and no id brought: then nobody has to be called when it is committed.
        is_news = bool(identities.links or identities.points or seen.keys)
        operations = draft.transaction()
        ticket = self._writer.submit(
            operations,
            draft.size_bytes + 64 * len(operations),
            partial(self._committed, identities, seen) if is_news else None,
        )
        self._user_rates.count(draft)
        if is_news:
            self._identities.keep(identities)
            self._seen.keep(seen)
        self._sequence = draft.sequence
        self.journal_bytes += draft.journal_bytes
        self._last_ticket = ticket
        if entries is not None:
            deliver_to = self._router.deliver_to
            for entry, delivery in zip(entries, draft.deliveries(), strict=True):
                deliver_to(entry, delivery.records, delivery.size_bytes)
        elif self._routing:
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

    def _committed(self, identities: IdentityOverlay, seen: SeenOverlay) -> None:
        self._identities.committed(identities)
        self._seen.committed(seen)
