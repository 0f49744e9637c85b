"""The order of the steps, fixed in this one place (the platform's own order: mediarithmics 3.2).

`create` makes an activity of what a visitor closed; the steps behind it look at an activity and give a verdict; the
last step, storing, is the store actor's. Each becomes one stage actor. What a step does is made from the definitions of
a datamart (`build_program`), and an activity keeps the program it entered the chain with: a change of the definitions
takes effect for the next activity.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from engine.definitions.defined import NOTHING, Defined
from engine.model.activity import Activity
from engine.model.fact import FactKind
from engine.model.identifiers import Identifier
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
from engine.pipeline.stage import (
    Attach,
    Context,
    Drop,
    Effect,
    Envelope,
    Keep,
    KeepFact,
    KeepHistory,
    Note,
    NothingKnown,
    Program,
    SetTimer,
    Stage,
    StoreBeside,
    Verdict,
    keep,
)
from engine.session.closed import Closed, Source


def in_turn(
    build_first: Callable[[Defined], Stage], build_second: Callable[[Defined], Stage]
) -> Callable[[Defined], Stage]:
    """What makes one step of two: the second gets what the first keeps, and sees its effects; the effects add up.

    A verdict of the first that is not to keep is the verdict of both.
    """

    def build(defined: Defined) -> Stage:
        first, second = build_first(defined), build_second(defined)
        if keep in (first, second):
            return second if first is keep else first

        def both(closed: Closed, activity: Activity, context: Context) -> Verdict:
            verdict = first(closed, activity, context)
            if not isinstance(verdict, Keep):
                return verdict
            if not verdict.effects:
                return second(closed, verdict.activity, context)
            after = second(closed, verdict.activity, _Behind(context, closed, verdict.effects))
            if isinstance(after, Keep):  # A drop has only its own effects (decision 34).
                return Keep(after.activity, (*verdict.effects, *after.effects))
            return after

        return both

    return build


class _Behind:
    """A context in which effects are seen that are not yet the envelope's."""

    def __init__(self, context: Context, closed: Closed, effects: Sequence[Effect]) -> None:
        self._context = context
        self._user_point = closed.user_point
        self._facts = {effect.key[1:]: effect.value for effect in effects if isinstance(effect, KeepFact)}
        self.now_ms = context.now_ms
        self.notes: list[Note] | None = context.notes

    def read(self, kind: FactKind, user_point: bytes | None = None) -> bytes | None:
        """As `Context.read`."""
        key = user_point or self._user_point, kind
        return self._facts[key] if key in self._facts else self._context.read(kind, user_point)

    def expect(self, effects: Sequence[Effect]) -> None:
        """As `Context.expect`."""
        self._context.expect(effects)

    def holds(self) -> bool:
        """As `Context.holds`."""
        return self._context.holds()

    def meet(self, closed: Closed, identifiers: Sequence[Identifier]) -> Closed:
        """As `Context.meet`."""
        return self._context.meet(closed, identifiers)


BUILDERS: Final[tuple[tuple[str, Callable[[Defined], Stage]], ...]] = (
    (event_rules.NAME, event_rules.build),
    (analyzers.NAME, analyzers.build),
    (conversions.NAME, conversions.build),
    (automations.NAME, in_turn(profiles.build, automations.build)),
    (user_choices.NAME, user_choices.build),
)
"""The steps between create and store, in order, each with what makes it."""

MERGES: Final[tuple[Callable[[Closed, Context], tuple[Effect, ...]], ...]] = (
    app_events.moved,
    profiles.moved,
    user_choices.moved,
    conversions.moved,
)
"""What a merge does to what is known of two people, one function a kind of fact."""

STORE = "store"


def build_program(defined: Defined) -> Program:
    """The steps of a datamart.

    Raises:
        CallerError: a definition cannot work; its path is that of the fault.
    """
    builders = ((campaigns.NAME, campaigns.build), *BUILDERS)
    return Program(defined, {name: build(defined) for name, build in builders})


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
        envelope.met = None
        complete = program_for(envelope).steps[campaigns.NAME]
        context = context_for(envelope)
        made = Keep(create.create(closed, default_compartment(closed.datamart)))
        completed = complete(closed, made.activity, context) if complete is not keep else made
        if not isinstance(completed, Keep):
            return completed
        return _expected(app_events.app_events(closed, completed.activity, context), envelope)

    def merge(envelope: Envelope) -> None:
        context = context_for(envelope)
        envelope.effects = tuple(effect for moved in MERGES for effect in moved(envelope.closed, context))
        context.expect(envelope.effects)

    def step(name: str) -> Callable[[Envelope], Verdict]:
        def run(envelope: Envelope) -> Verdict:
            activity = envelope.activity
            if activity is None:
                raise TypeError("an envelope reached a step before `create`")
            stage = program_for(envelope).steps[name]
            if stage is keep or skips_processing(envelope):
                return Keep(activity)
            return _expected(stage(envelope.view, activity, context_for(envelope)), envelope)

        return run

    def _expected(verdict: Verdict, envelope: Envelope) -> Verdict:
        if isinstance(verdict, Drop) and envelope.met is not None and verdict.effects:
            # What is dropped attaches nothing: what it still says is about whom it was from.
            verdict = Drop(verdict.reason, tuple([_own(effect, envelope) for effect in verdict.effects]))
        if isinstance(verdict, Keep | Drop) and verdict.effects:
            context_for(envelope).expect(verdict.effects)
            _meet(verdict, envelope)
        return verdict

    def _meet(verdict: Keep | Drop, envelope: Envelope) -> None:
        new = [one for effect in verdict.effects if isinstance(effect, Attach) for one in effect.identifiers]
        if new:
            before = [one for effect in envelope.effects if isinstance(effect, Attach) for one in effect.identifiers]
            envelope.met = context_for(envelope).meet(envelope.closed, [*before, *new])

    return (ChainStep(create.NAME, make, merge), *(ChainStep(name, step(name)) for name, _ in BUILDERS))


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
