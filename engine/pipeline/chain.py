"""The order of the steps, fixed in this one place (the platform's own order: mediarithmics 3.2).

`create` makes an activity of what a visitor closed; the steps behind it look at an activity and give a verdict; the
last step, storing, is the store actor's. Each becomes one stage actor.
"""

from collections.abc import Callable
from typing import NamedTuple

from engine.model.activity import Activity
from engine.pipeline import analyzers, automations, conversions, create, event_rules, user_choices
from engine.pipeline.stage import Context, Envelope, Keep, Verdict
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
    """One stage of the chain: its name, and what it does with an envelope that is still to be stored."""

    name: str
    run: Callable[[Envelope], Verdict]


def build_chain(default_compartment: Callable[[int], str], context: Context | None = None) -> tuple[ChainStep, ...]:
    """All steps in front of the store, ready to be put into stage actors.

    Args:
        default_compartment: of a datamart, for accounts that name none.
        context: what steps may read beside the activity.
    """

    def make(envelope: Envelope) -> Verdict:
        closed = envelope.closed
        return Keep(create.create(closed, default_compartment(closed.datamart)))

    def step(function: SyncStep) -> Callable[[Envelope], Verdict]:
        def run(envelope: Envelope) -> Verdict:
            activity = envelope.activity
            if activity is None:
                raise TypeError("an envelope reached a step before `create`")
            if skips_processing(envelope):
                return Keep(activity)
            return function(envelope.closed, activity, context)

        return run

    return (ChainStep(create.NAME, make), *(ChainStep(name, step(function)) for name, function in STEPS))


def skips_processing(envelope: Envelope) -> bool:
    """Whether the sender asked to store the activity as it is (`processing_pipeline=false`, decision 42)."""
    closed = envelope.closed
    return closed.source is Source.ITEM and not closed.members[0].process
