"""The order of the steps, fixed in this one place (the platform's own order: mediarithmics 3.2).

`create` makes an activity of what a visitor closed; the steps behind it look at an activity and give a verdict; the
last step, storing, is the store actor's. Each becomes one stage actor. What a step does is made from the definitions of
a datamart (`build_program`), and an activity keeps the program it entered the chain with: a change of the definitions
takes effect for the next activity.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from engine.definitions.defined import NOTHING, Defined
from engine.pipeline import analyzers, app_events, automations, conversions, create, event_rules, user_choices
from engine.pipeline.asking import Nobody, Oracle, answered
from engine.pipeline.stage import Context, Drop, Effect, Envelope, Keep, NothingKnown, Program, Stage, Verdict, keep
from engine.session.closed import Closed, Source

BUILDERS: Final[tuple[tuple[str, Callable[[Defined], Stage]], ...]] = (
    (event_rules.NAME, event_rules.build),
    (analyzers.NAME, analyzers.build),
    (conversions.NAME, conversions.build),
    (automations.NAME, automations.build),
    (user_choices.NAME, user_choices.build),
)
"""The steps between create and store, in order, each with what makes it."""

WAITING: Final = frozenset((analyzers.NAME,))
"""Steps that may wait for somebody outside: their calls overlap, results leave in order per user point."""

MERGES: Final[tuple[Callable[[Closed, Context], tuple[Effect, ...]], ...]] = (app_events.moved,)
"""What a merge does to what is known of two people, one function a kind of fact."""

STORE = "store"


def build_program(defined: Defined) -> Program:
    """The steps of a datamart.

    Raises:
        CallerError: a definition cannot work; its path is that of the fault.
    """
    return Program(defined, {name: build(defined) for name, build in BUILDERS})


class ChainStep(NamedTuple):
    """One stage of the chain.

    Attributes:
        name: of the step.
        run: what it does with an envelope that is still to be stored: a verdict, or in a step that may wait, what is
            to be awaited for it.
        merge: what it does with an envelope without an activity that tells of a merge; None for nothing.
        may_wait: whether it is one of those.
    """

    name: str
    run: Callable[[Envelope], Verdict | Awaitable[Verdict]]
    merge: Callable[[Envelope], None] | None = None
    may_wait: bool = False


def build_chain(
    default_compartment: Callable[[int], str],
    context_of: Callable[[Envelope], Context] | None = None,
    program_of: Callable[[int], Program] | None = None,
    oracle: Oracle | None = None,
) -> tuple[ChainStep, ...]:
    """All steps in front of the store, ready to be put into stage actors.

    Args:
        default_compartment: of a datamart, for accounts that name none.
        context_of: what the steps of an envelope may read beside the activity; nothing is known of anybody when None.
        program_of: the steps of a datamart as they are defined now; nothing is defined anywhere when None.
        oracle: who answers the questions of steps; nobody when None, and then they fail.
    """
    nothing, undefined, asked = NothingKnown(), build_program(NOTHING), oracle or Nobody()
    context_for = context_of or (lambda envelope: nothing)

    def program_for(envelope: Envelope) -> Program:
        if envelope.program is None:
            envelope.program = program_of(envelope.closed.datamart) if program_of else undefined
        return envelope.program

    def make(envelope: Envelope) -> Verdict:
        closed = envelope.closed
        program_for(envelope)
        activity = create.create(closed, default_compartment(closed.datamart))
        return _expected(app_events.app_events(closed, activity, context_for(envelope)), envelope)

    def merge(envelope: Envelope) -> None:
        context = context_for(envelope)
        envelope.effects = tuple(effect for moved in MERGES for effect in moved(envelope.closed, context))
        context.expect(envelope.effects)

    def step(name: str) -> Callable[[Envelope], Verdict | Awaitable[Verdict]]:
        def run(envelope: Envelope) -> Verdict | Awaitable[Verdict]:
            activity = envelope.activity
            if activity is None:
                raise TypeError("an envelope reached a step before `create`")
            stage = program_for(envelope).steps[name]
            if stage is keep or skips_processing(envelope):
                return Keep(activity)
            found = stage(envelope.closed, activity, context_for(envelope))
            if isinstance(found, Verdict):
                return _expected(found, envelope)
            return answered(found, envelope, asked, partial(_expected, envelope=envelope))

        return run

    def _expected(verdict: Verdict, envelope: Envelope) -> Verdict:
        if isinstance(verdict, Keep | Drop) and verdict.effects:
            context_for(envelope).expect(verdict.effects)
        return verdict

    return (
        ChainStep(create.NAME, make, merge),
        *(ChainStep(name, step(name), may_wait=name in WAITING) for name, _ in BUILDERS),
    )


def skips_processing(envelope: Envelope) -> bool:
    """Whether the sender asked to store the activity as it is (`processing_pipeline=false`, decision 42)."""
    closed = envelope.closed
    return closed.source is Source.ITEM and not closed.members[0].process
