"""Step 6, user choices: may this activity be kept, and which of its events are shown (decisions 33 to 35).

First the choices that the activity brings are the person's (`engine.pipeline.user_choices.told`): they are stored
whatever becomes of the activity. Then all processings that its channel is subject to must allow it (9.3):

    legal basis                                  accepted    refused           no choice
    CONSENT                                      keep        choice_refused    consent_missing
    LEGITIMATE_INTEREST, PUBLIC_INTEREST_…       keep        choice_refused    keep
    CONTRACTUAL_PERFORMANCE, LEGAL_OBLIGATION    keep        keep              keep

The two words are the reasons of a drop; which processing decided is counted as `dropped_by_processing.<id>`.
Processings are linked to channels, so an activity without one (a touch or an e-mail sent with the datamart's token) is
subject to none; a touch that names a site is subject to that site's. After the choice, `$page_view` events have served
their purpose, aggregation and URL rules, and leave the activity.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from engine.definitions.declared.processings import Processing
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.activity import Activity
from engine.model.choices import Choices, combine, decode_choices, encode_choices
from engine.model.event import PAGE_VIEW
from engine.model.fact import FactKind
from engine.pipeline.stage import Context, CountUp, Drop, Effect, Keep, KeepFact, Note, Stage, Verdict
from engine.pipeline.user_choices.told import Listener, Told
from engine.session.closed import Closed

NAME = "user_choices"

REFUSED: Final = "choice_refused"
MISSING: Final = "consent_missing"

OPT_IN: Final = frozenset(("CONSENT",))
OPT_OUT: Final = frozenset(("LEGITIMATE_INTEREST", "PUBLIC_INTEREST_OR_EXERCISE_OF_OFFICIAL_AUTHORITY"))


def build(defined: Defined) -> Stage:
    """The step of a datamart: whether an activity may be kept, then its page views leave it.

    A visit without events left is stored all the same (decision 35).

    Raises:
        CallerError: two processings have one name, a TCF vendor has no meaning, or a channel is subject to a processing
            that is not defined.
    """
    if not defined.processings and not any(defined.processings_of.values()):
        return _unasked
    listener = Listener(defined.processings)
    asked = {key: asking for key, ids in defined.processings_of.items() if (asking := _asked_on(key, ids, defined))}

    def user_choices(closed: Closed, activity: Activity, context: Context) -> Verdict:
        told = listener.listen(closed, activity, context)
        asking = asked.get(closed.channel.key, ()) if closed.channel is not None else ()
        if not told.choices and not asking:
            return Keep(without_page_views(activity), told.effects)
        known = _known(closed, context)
        choices = combine(known, told.choices)
        for processing in asking:
            reason = _decide(processing, choices, context)
            if reason:
                counted = CountUp(closed.datamart, f"dropped_by_processing.{processing.id}")
                # What is dropped merges nobody: its choices go to those of its own user point alone.
                own = decode_choices(context.read(FactKind.CHOICES))
                return Drop(reason, (*told.effects, *_kept(closed, told, own), counted))
        return Keep(without_page_views(activity), (*told.effects, *_kept(closed, told, known)))

    return user_choices


def _unasked(closed: Closed, activity: Activity, context: Context) -> Verdict:
    """The step of a datamart without processings."""
    return Keep(without_page_views(activity))


def moved(closed: Closed, context: Context) -> tuple[Effect, ...]:
    """What a merge does to what is known: the absorbed user point's choices are the survivor's, the newest of each.

    Its history stays under its own name: who reads it looks under all names of a person.
    """
    gone = context.read(FactKind.CHOICES, closed.absorbed)
    if gone is None:
        return ()
    known, others = decode_choices(context.read(FactKind.CHOICES)), decode_choices(gone)
    both = combine(known, others)
    return (
        KeepFact(closed.datamart, closed.user_point, FactKind.CHOICES, encode_choices(both)),
        KeepFact(closed.datamart, closed.absorbed, FactKind.CHOICES, None),
        *_left_out(closed, known, others, both),
    )


def without_page_views(activity: Activity) -> Activity:
    """The activity without its `$page_view` events; the custom name `page_view` is not one of them."""
    kept = [event for event in activity.events if event.name != PAGE_VIEW]
    return activity if len(kept) == len(activity.events) else structs.replace(activity, events=kept)


def _kept(closed: Closed, told: Told, known: Choices) -> tuple[Effect, ...]:
    """What keeps the choices that were told, beside those that are known."""
    choices = combine(known, told.choices)
    if choices == known:
        return told.history(known)
    kept = KeepFact(closed.datamart, closed.user_point, FactKind.CHOICES, encode_choices(choices))
    return (*told.history(known), kept, *_left_out(closed, known, {one.processing: one for one in told.all}, choices))


def _left_out(closed: Closed, known: Choices, others: Choices, choices: Choices) -> tuple[Effect, ...]:
    """Counts those beyond `MAX_CHOICES`, of which only the history tells from now on."""
    lost = len(known.keys() | others.keys()) - len(choices)
    return (CountUp(closed.datamart, "choices_left_out", lost),) if lost else ()


def _known(closed: Closed, context: Context) -> Choices:
    known = decode_choices(context.read(FactKind.CHOICES, closed.user_point))
    if closed.absorbed:
        known = combine(known, decode_choices(context.read(FactKind.CHOICES, closed.absorbed)))
    return known


def _asked_on(channel: str, ids: Sequence[str], defined: Defined) -> tuple[Processing, ...]:
    by_id = {one.id: one for one in defined.processings}
    for number, processing in enumerate(ids):
        if processing not in by_id:
            raise CallerError(
                f"no processing has the id {processing!r}",
                code="bad_definition",
                path=f"processings_of[{channel}][{number}]",
            )
    return tuple(by_id[one] for one in ids)


def _decide(processing: Processing, choices: Choices, context: Context) -> str:
    """Why the processing does not allow the activity; "" when it does."""
    choice = choices.get(processing.id)
    reason = ""
    if processing.legal_basis in OPT_IN:
        reason = MISSING if choice is None else "" if choice.accepted else REFUSED
    elif processing.legal_basis in OPT_OUT:
        reason = REFUSED if choice is not None and not choice.accepted else ""
    if context.notes is not None:
        said = f"{'accepted' if choice.accepted else 'refused'} at {choice.ts_ms}" if choice else "no choice"
        outcome = "refused" if reason else "allowed"
        context.notes.append(Note(f"processing {processing.id}", outcome, f"{processing.legal_basis}, {said}"))
    return reason
