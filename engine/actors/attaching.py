"""Identifiers that a step has found attach to the person when their activity is stored (decision 25).

    step ─▶ effect `Attach` ─▶ the steps behind see the survivor (`Context.meet`)
                                    │ kept, and the fate of all ahead is known
                                    ▼ one step of the loop
    who is who now? ─▶ rows of identities, a merge record with the next sequence ─▶ in line with the activity ─▶ router

All of it is in the transaction of the activity: before it nothing has happened, behind it the merge is a journal record
like any other, and a start finds it. The step in which that transaction is made is also the one in which it gets its
place in line, its sequence and its place in the mailboxes: so sequences rise in the journal and in every mailbox,
between those of what is accepted before and behind. What is dropped or dead attaches nothing, since its effects go.
"""

from collections.abc import Sequence

from engine.actors.draft import Draft, control_record
from engine.actors.identities import Identities
from engine.actors.intake import Intake
from engine.actors.ticket import Ticket
from engine.model.identifiers import Identifier
from engine.model.record import RecordKind
from engine.pipeline.stage import Attach, Envelope


class Attaching:
    """What the identifiers of envelopes link and merge.

    Args:
        identities: who is who.
    """

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._intake: Intake | None = None

    def follow(self, intake: Intake) -> None:
        """Whose sequences go up. Called once: it is built behind the chain that ends here."""
        self._intake = intake

    def about(self, envelope: Envelope) -> set[bytes]:
        """Whom the identifiers of an envelope are about now: the people it would make one, and the identifiers
        themselves, since who is first to link one says whose it is."""
        identifiers = _found(envelope)
        if not identifiers:
            return set()
        closed, context = envelope.closed, envelope.context
        now_ms = context.now_ms if context is not None else 0
        met = self._identities.meeting(closed.datamart, closed.user_point, identifiers, now_ms)
        return {*met, *(identifier.key() for identifier in identifiers)} - {b""}

    def draft(self, envelope: Envelope) -> Draft | None:
        """What the transaction of this envelope also does, or None; nothing has changed yet."""
        identifiers = _found(envelope)
        if not identifiers or self._intake is None:
            return None
        closed, context = envelope.closed, envelope.context
        draft = self._intake.own_draft(closed.datamart)
        attached, draft.operations = self._identities.attach_to(
            draft.identities,
            closed.user_point,
            identifiers,
            datamart=closed.datamart,
            now_ms=context.now_ms if context is not None else draft.arrival_ms,
            sequence=draft.next_sequence(),
        )
        for name, amount in attached.counts:
            draft.count(name, amount)
        for absorbed in attached.absorbed:
            draft.add(control_record(draft, RecordKind.MERGE, attached.user_point, absorbed))
        return draft

    def take(self, draft: Draft) -> None:
        """The draft's operations go to the writer before this step ends."""
        if self._intake is not None:
            self._intake.take_own(draft)

    def route(self, drafts: Sequence[Draft], ticket: Ticket) -> None:
        """They are in line; the merges go to the actors."""
        if self._intake is not None:
            for draft in drafts:
                self._intake.route_own(draft, ticket)

    def committed(self, drafts: Sequence[Draft]) -> None:
        """They are on disk."""
        for draft in drafts:
            self._identities.committed(draft.identities)


def _found(envelope: Envelope) -> list[Identifier]:
    """What steps have found, each once."""
    effects = [effect for effect in envelope.effects if isinstance(effect, Attach)]
    return list(dict.fromkeys([one for effect in effects for one in effect.identifiers])) if effects else []
