"""Two steps as one: the second gets what the first keeps, and sees its effects before they are the envelope's."""

from collections.abc import Sequence

from engine.model.activity import Activity
from engine.model.fact import FactKind
from engine.model.identifiers import Identifier
from engine.pipeline.stage import Asking, Context, Effect, Keep, KeepFact, Note, Stage, Verdict, keep
from engine.session.closed import Closed


def in_turn(first: Stage, second: Stage) -> Stage:
    """What makes one step of two; their effects add up. A verdict of the first that is not to keep is that of both.

    Neither may have questions.
    """
    if first is keep:
        return second

    def both(closed: Closed, activity: Activity, context: Context) -> Verdict:
        verdict = decided(first(closed, activity, context))
        if not isinstance(verdict, Keep):
            return verdict
        if not verdict.effects:
            return decided(second(closed, verdict.activity, context))
        after = decided(second(closed, verdict.activity, _Behind(context, closed, verdict.effects)))
        if isinstance(after, Keep):  # A drop has only its own effects (decision 34).
            return Keep(after.activity, (*verdict.effects, *after.effects))
        return after

    return first if second is keep else both


def decided(found: Verdict | Asking) -> Verdict:
    """The verdict of a step that has no questions.

    Raises:
        TypeError: it has some; a mistake of ours.
    """
    if not isinstance(found, Verdict):
        raise TypeError("a step that shares a stage has no questions")
    return found


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

    def decided(self) -> None:
        """As `Context.decided`."""
        self._context.decided()

    def identifiers(self) -> Sequence[Identifier]:
        """As `Context.identifiers`."""
        return self._context.identifiers()

    def meet(self, closed: Closed, identifiers: Sequence[Identifier]) -> Closed:
        """As `Context.meet`."""
        return self._context.meet(closed, identifiers)
