"""The order of the steps, fixed in this one place (the platform's own order: mediarithmics 3.2).

`create` makes an activity of what a visitor closed; the steps behind it look at an activity and give a verdict; the
last step, storing, is the store actor's. Each becomes one stage actor. What a step does is made from the definitions of
a datamart (`build_program`), and an activity keeps the program it entered the chain with: a change of the definitions
takes effect for the next activity.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.definitions.defined import NOTHING, Defined
from engine.pipeline import analyzers, app_events, automations, conversions, create, event_rules, user_choices
from engine.pipeline.stage import (
    Context,
    Dead,
    Drop,
    Effect,
    Envelope,
    Keep,
    NothingKnown,
    Program,
    Stage,
    Verdict,
    keep,
)
from engine.session.closed import Closed, Source

BUILDERS: Final[tuple[tuple[str, Callable[[Defined], Stage]], ...]] = (
    (event_rules.NAME, event_rules.build),
    (analyzers.NAME, analyzers.build),
    (conversions.NAME, conversions.build),
    (automations.NAME, automations.build),
    (user_choices.NAME, user_choices.build),
)
"""The steps between create and store, in order, each with what makes it."""

MERGES: Final[tuple[Callable[[Closed, Context], tuple[Effect, ...]], ...]] = (app_events.moved, automations.moved)
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
        run: what it does with an envelope that is still to be stored.
        merge: what it does with an envelope without an activity that tells of a merge; None for nothing.
        move: what it does with an envelope that moves somebody in a scenario; None for nothing. Never raises.
    """

    name: str
    run: Callable[[Envelope], Verdict]
    merge: Callable[[Envelope], None] | None = None
    move: Callable[[Envelope], None] | None = None


def build_chain(
    default_compartment: Callable[[int], str],
    context_of: Callable[[Envelope], Context] | None = None,
    program_of: Callable[[int], Program] | None = None,
) -> tuple[ChainStep, ...]:
    """All steps in front of the store, ready to be put into stage actors.

    Args:
        default_compartment: of a datamart, for accounts that name none.
        context_of: what the steps of an envelope may read beside the activity; nothing is known of anybody when None.
        program_of: the steps of a datamart as they are defined now; nothing is defined anywhere when None.
    """
    nothing, undefined = NothingKnown(), build_program(NOTHING)
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

    def place(envelope: Envelope) -> None:
        program_for(envelope)
        context_for(envelope)  # Its place among the activities of the user is the one in which it comes in.

    def move(envelope: Envelope) -> None:
        closed, context = envelope.closed, context_for(envelope)
        # Supervision is the point here, as for a step that raises: nobody else's scenario stops for it.
        try:
            envelope.effects = automations.move(program_for(envelope).steps[automations.NAME], closed, context)
        except Exception as error:
            envelope.effects = automations.give_up(closed, context)
            envelope.verdict, envelope.stage = Dead("move_failed", f"{closed.move}: {error!r}"), automations.NAME
        context.expect(envelope.effects)

    moves = {automations.NAME: move}

    def step(name: str) -> Callable[[Envelope], Verdict]:
        def run(envelope: Envelope) -> Verdict:
            activity = envelope.activity
            if activity is None:
                raise TypeError("an envelope reached a step before `create`")
            stage = program_for(envelope).steps[name]
            if stage is keep or skips_processing(envelope):
                return Keep(activity)
            return _expected(stage(envelope.closed, activity, context_for(envelope)), envelope)

        return run

    def _expected(verdict: Verdict, envelope: Envelope) -> Verdict:
        if isinstance(verdict, Keep | Drop) and verdict.effects:
            context_for(envelope).expect(verdict.effects)
        return verdict

    return (
        ChainStep(create.NAME, make, merge, place),
        *(ChainStep(name, step(name), None, moves.get(name)) for name, _ in BUILDERS),
    )


def skips_processing(envelope: Envelope) -> bool:
    """Whether the sender asked to store the activity as it is (`processing_pipeline=false`, decision 42)."""
    closed = envelope.closed
    return closed.source is Source.ITEM and not closed.members[0].process
