"""What travels down the chain, and the one signature of its steps (house: The signatures that carry the design)."""

from typing import Protocol

from msgspec import Struct

from engine.model.activity import Activity
from engine.session.closed import Closed


class Effect(Struct, frozen=True, tag=True):
    """A conditional change that happens only in the transaction that stores its activity (decision 34).

    Steps that have definitions bring their own kinds of effects; each knows its condition and its store operations.
    """


class Verdict(Struct, frozen=True, tag=True):
    """What a step decided; one of `Keep`, `Drop`, `Dead`."""


class Keep(Verdict, frozen=True):
    """The activity goes on, perhaps changed."""

    activity: Activity
    effects: tuple[Effect, ...] = ()


class Drop(Verdict, frozen=True):
    """The activity is not stored, on purpose: counted as dropped with this reason (decisions 28 and 33)."""

    reason: str
    effects: tuple[Effect, ...] = ()


class Dead(Verdict, frozen=True):
    """The activity cannot be processed: it becomes a dead letter with this reason (decision 17)."""

    reason: str
    detail: str = ""


class Envelope(Struct):
    """An activity on its way down the chain.

    Attributes:
        closed: what left the user's visitor: members, reason, and the fold state that stays behind.
        activity: what the `create` step made of it; None before, and for what stores no activity.
        effects: of all steps so far, in order; a drop keeps only its own, a dead letter none (decision 34).
        verdict: None while the activity is on its way to being stored, else why it is not.
        stage: the step that gave the verdict.
    """

    closed: Closed
    activity: Activity | None = None
    effects: tuple[Effect, ...] = ()
    verdict: Drop | Dead | None = None
    stage: str = ""


class Context(Protocol):
    """What a step may read beside the activity: the user as of the effects ahead in the chain.

    The base is empty: steps without definitions need nothing. A step's module extends it with what it reads.
    """


class Stage(Protocol):
    """A step that waits for nothing."""

    name: str

    def __call__(self, closed: Closed, activity: Activity, context: Context) -> Verdict:
        """Decide about one activity. An exception makes it a dead letter with the reason `stage_error`."""
        ...


class AsyncStage(Protocol):
    """A step that waits for something outside; calls overlap, results leave in order per user point."""

    name: str

    async def __call__(self, closed: Closed, activity: Activity, context: Context) -> Verdict:
        """Decide about one activity."""
        ...
