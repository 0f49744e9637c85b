"""The order of the steps, fixed in this one place (the platform's own order: mediarithmics 3.2).

`create` makes an activity of what a visitor closed; the steps behind it look at an activity and give a verdict; the
last step, storing, is the store actor's. Each becomes one stage actor.
"""

from collections.abc import Callable
from typing import NamedTuple

from engine.model.activity import Activity
from engine.pipeline import analyzers, app_events, automations, conversions, create, event_rules, user_choices
from engine.pipeline.stage import Context, Drop, Envelope, Keep, NothingKnown, Verdict
from engine.session.closed import Closed, Source

SyncStep = Callable[[Closed, Activity, Context], Verdict]

STEPS: tuple[tuple[str, SyncStep], ...] = (
    (event_rules.NAME, event_rules.event_rules),
    (analyzers.NAME, analyzers.analyzers),
    (conversions.NAME, conversions.conversions),
    (automations.NAME, automations.automations),
    (user_choices.NAME, user_choices.user_choices),
)
"""The steps between create and store, in order."""

STORE = "store"


class ChainStep(NamedTuple):
    """One stage of the chain.

    Attributes:
        name: of the step.
        run: what it does with an envelope that is still to be stored.
        merge: what it does with an envelope without an activity that tells of a merge; None for nothing.
    """

    name: str
    run: Callable[[Envelope], Verdict]
    merge: Callable[[Envelope], None] | None = None


def build_chain(
    default_compartment: Callable[[int], str], context_of: Callable[[Envelope], Context] | None = None
) -> tuple[ChainStep, ...]:
    """All steps in front of the store, ready to be put into stage actors.

    Args:
        default_compartment: of a datamart, for accounts that name none.
        context_of: what the steps of an envelope may read beside the activity; nothing is known of anybody when None.
    """
    nothing = NothingKnown()
    context_for = context_of or (lambda envelope: nothing)

    def make(envelope: Envelope) -> Verdict:
        closed = envelope.closed
        activity = create.create(closed, default_compartment(closed.datamart))
        return _expected(app_events.app_events(closed, activity, context_for(envelope)), envelope)

    def merge(envelope: Envelope) -> None:
        context = context_for(envelope)
        envelope.effects = app_events.moved(envelope.closed, context)
        context.expect(envelope.effects)

    def step(function: SyncStep) -> Callable[[Envelope], Verdict]:
        def run(envelope: Envelope) -> Verdict:
            activity = envelope.activity
            if activity is None:
                raise TypeError("an envelope reached a step before `create`")
            if skips_processing(envelope):
                return Keep(activity)
            return _expected(function(envelope.closed, activity, context_for(envelope)), envelope)

        return run

    def _expected(verdict: Verdict, envelope: Envelope) -> Verdict:
        if isinstance(verdict, Keep | Drop) and verdict.effects:
            context_for(envelope).expect(verdict.effects)
        return verdict

    return (ChainStep(create.NAME, make, merge), *(ChainStep(name, step(function)) for name, function in STEPS))


def skips_processing(envelope: Envelope) -> bool:
    """Whether the sender asked to store the activity as it is (`processing_pipeline=false`, decision 42)."""
    closed = envelope.closed
    return closed.source is Source.ITEM and not closed.members[0].process
