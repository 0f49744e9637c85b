"""The order of the steps, fixed in this one place (the platform's own order: mediarithmics 3.2).

`create` makes an activity of what a visitor closed; the steps behind it look at an activity and give a verdict; the
last step, storing, is the store actor's. Each becomes one stage actor. What a step does is made from the definitions of
a datamart (`build_program`), and an activity keeps the program it entered the chain with: a change of the definitions
takes effect for the next activity.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from msgspec import structs

from engine.definitions.defined import NOTHING, Defined
from engine.pipeline import (
    analyzers,
    app_events,
    automations,
    campaigns,
    conversions,
    create,
    event_rules,
    profiles,
    user_choices,
)
from engine.pipeline.asking import Nobody, Oracle, answered
from engine.pipeline.in_turn import decided, in_turn
from engine.pipeline.stage import (
    Attach,
    Context,
    Dead,
    Drop,
    Effect,
    Envelope,
    Keep,
    KeepFact,
    KeepHistory,
    NothingKnown,
    Program,
    SetTimer,
    Stage,
    StoreBeside,
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

WAITING: Final = frozenset((analyzers.NAME,))
"""Steps that may wait for somebody outside: their calls overlap, results leave in order per user point."""

MERGES: Final[tuple[Callable[[Closed, Context], tuple[Effect, ...]], ...]] = (
    app_events.moved,
    profiles.moved,
    user_choices.moved,
    conversions.moved,
    automations.moved,
)
"""What a merge does to what is known of two people, one function a kind of fact."""

STORE = "store"


def build_program(defined: Defined) -> Program:
    """The steps of a datamart.

    Raises:
        CallerError: a definition cannot work; its path is that of the fault.
    """
    steps = {name: build(defined) for name, build in BUILDERS}
    scenarios = steps.get(automations.NAME, keep)
    # Conditions of automations see the profile as the activity leaves it.
    steps[automations.NAME] = in_turn(profiles.build(defined), scenarios)
    return Program(defined, steps, campaigns.build(defined), scenarios)


class ChainStep(NamedTuple):
    """One stage of the chain.

    Attributes:
        name: of the step.
        run: what it does with an envelope that is still to be stored: a verdict, or in a step that may wait, what is
            to be awaited for it.
        merge: what it does with an envelope without an activity that tells of a merge; None for nothing.
        move: what it does with an envelope that moves somebody in a scenario; None for nothing. Never raises.
        may_wait: whether it is one that may wait.
    """

    name: str
    run: Callable[[Envelope], Verdict | Awaitable[Verdict]]
    merge: Callable[[Envelope], None] | None = None
    move: Callable[[Envelope], None] | None = None
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
        envelope.met = None
        complete, context = program_for(envelope).campaigns, context_for(envelope)
        activity = create.create(closed, default_compartment(closed.datamart))
        if complete is not keep:
            completed = decided(complete(closed, activity, context))
            if not isinstance(completed, Keep):
                return completed
            activity = completed.activity
        return _expected(app_events.app_events(closed, activity, context), envelope)

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
            envelope.effects = automations.move(program_for(envelope).scenarios, closed, context)
        except Exception as error:
            envelope.effects = automations.give_up(closed, context)
            envelope.verdict, envelope.stage = Dead("move_failed", f"{closed.move}: {error!r}"), automations.NAME
        context.expect(envelope.effects)

    moves = {automations.NAME: move}

    def step(name: str) -> Callable[[Envelope], Verdict | Awaitable[Verdict]]:
        def run(envelope: Envelope) -> Verdict | Awaitable[Verdict]:
            activity = envelope.activity
            if activity is None:
                raise TypeError("an envelope reached a step before `create`")
            stage = program_for(envelope).steps[name]
            if stage is keep or skips_processing(envelope):
                return Keep(activity)
            found = stage(envelope.view, activity, context_for(envelope))
            if isinstance(found, Verdict):
                return _expected(found, envelope)
            return answered(found, envelope, asked, partial(_expected, envelope=envelope))

        return run

    def _expected(verdict: Verdict, envelope: Envelope) -> Verdict:
        if isinstance(verdict, Drop) and envelope.met is not None and verdict.effects:
            # What is dropped attaches nothing: what it still says is about whom it was from.
            verdict = Drop(verdict.reason, _own_effects(verdict.effects, envelope))
        if isinstance(verdict, Keep | Drop) and verdict.effects:
            context_for(envelope).expect(verdict.effects)
            _meet(verdict, envelope)
        return verdict

    def _meet(verdict: Keep | Drop, envelope: Envelope) -> None:
        new = [one for effect in verdict.effects if isinstance(effect, Attach) for one in effect.identifiers]
        if new:
            before = [one for effect in envelope.effects if isinstance(effect, Attach) for one in effect.identifiers]
            envelope.met = context_for(envelope).meet(envelope.closed, [*before, *new])

    return (
        ChainStep(create.NAME, make, merge, place),
        *(ChainStep(name, step(name), None, moves.get(name), name in WAITING) for name, _ in BUILDERS),
    )


def _own_effects(effects: Sequence[Effect], envelope: Envelope) -> tuple[Effect, ...]:
    """The effects of a drop on whom the activity was from; where it says what is known of that user point itself, what
    it says of the others is not so."""
    own = envelope.closed.user_point
    said = {effect.kind for effect in effects if isinstance(effect, KeepFact) and effect.user_point == own}
    return tuple(
        [
            _own(effect, envelope)
            for effect in effects
            if not (isinstance(effect, KeepFact) and effect.kind in said and effect.user_point != own)
        ]
    )


def _own(effect: Effect, envelope: Envelope) -> Effect:
    """An effect on the survivor of a merge that will not be, on the activity's own user point."""
    own, survivor = envelope.closed.user_point, envelope.view.user_point
    if isinstance(effect, KeepFact | KeepHistory | StoreBeside | SetTimer) and effect.user_point == survivor:
        return structs.replace(effect, user_point=own)
    return effect


def skips_processing(envelope: Envelope) -> bool:
    """Whether the sender asked to store the activity as it is (`processing_pipeline=false`, decision 42)."""
    closed = envelope.closed
    return closed.source is Source.ITEM and not closed.members[0].process
