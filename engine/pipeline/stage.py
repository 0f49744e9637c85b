"""What travels down the chain, and the one signature of its steps (house: The signatures that carry the design)."""

from collections.abc import Generator, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.defined import Defined
from engine.model.activity import Activity
from engine.model.fact import FactKind
from engine.session.closed import Closed


class Effect(Struct, frozen=True, tag=True):
    """A change that happens only in the transaction that stores its activity (decision 34).

    Storing an equal activity again has none (decision 13). Steps bring their own kinds of effects; what each writes is
    the store actor's.
    """


class KeepFact(Effect, frozen=True):
    """This is so of a user point from now on, or with None: nothing of this kind is known any more.

    The value is the whole of what is known, made of what the step was shown. That is no guess: before an activity is
    stored, what it was shown is looked at again (`Context.holds`).
    """

    datamart: int
    user_point: bytes
    kind: FactKind
    value: bytes | None

    @property
    def key(self) -> "FactKey":
        """What it is about."""
        return self.datamart, self.user_point, self.kind


FactKey = tuple[int, bytes, FactKind]
"""Datamart, user point and kind of a fact."""


class KeepHistory(Effect, frozen=True):
    """A row that is only ever added: a choice that was made, for audits. The same one again changes nothing.

    Attributes:
        kind: of which kind of fact it is the history.
        at_ms: when it was so.
        id: 16 bytes that tell it from others of the same time.
        value: encoded, as its kind of fact says.
    """

    datamart: int
    user_point: bytes
    kind: FactKind
    at_ms: int
    id: bytes
    value: bytes


class StoreBeside(Effect, frozen=True):
    """Another activity of the person, which is stored beside the one on its way, past the steps (decision 31)."""

    datamart: int
    user_point: bytes
    activity: Activity


class SetTimer(Effect, frozen=True):
    """A scenario goes on at this time; with `due_ms` None it does not.

    Attributes:
        scenario: id of the automation.
        due_ms: engine time.
        was_due_ms: when it was to go on before; None where it was not.
    """

    datamart: int
    user_point: bytes
    scenario: str
    due_ms: int | None
    was_due_ms: int | None = None


class Send(Effect, frozen=True):
    """A request that leaves from the outbox once this is committed (decision 32).

    Attributes:
        destination: id of it.
        id: 16 bytes: the idempotency key. The same one again is the same request.
        due_ms: not before this, wall clock.
        path: behind the destination's address.
        body: JSON.
    """

    datamart: int
    destination: str
    id: bytes
    due_ms: int
    path: str
    body: bytes


class CountUp(Effect, frozen=True):
    """A counter of the datamart goes up, such as a goal's."""

    datamart: int
    name: str
    amount: int = 1


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


class Question(Struct, frozen=True):
    """What a step wants to know from somebody outside before it can decide (decision 27).

    Attributes:
        analyzer: who is asked.
        datamart, channel_id: whose activity it is, and of which channel.
        activity: as public JSON (decision 37): what is absent of the documented fields is null.
    """

    analyzer: Analyzer
    datamart: int
    channel_id: str
    activity: bytes


class Answer(Struct, frozen=True):
    """What came of a question.

    Attributes:
        outcome: `ok`, with an activity; `drop`; or `failed`, with a reason.
        activity: JSON, as it was answered.
        reason: in words, for people.
        took_ms: from the question to the answer, with waiting and retries.
    """

    outcome: Literal["ok", "drop", "failed"]
    activity: bytes = b""
    reason: str = ""
    took_ms: float = 0.0


Asking = Generator[Question, Answer, Verdict]
"""A step that has questions: it goes on with each answer, and ends with its verdict. It knows nothing of waiting."""


class Envelope(Struct):
    """An activity on its way down the chain.

    Attributes:
        closed: what left the user's visitor: members, reason, and the fold state that stays behind.
        activity: what the `create` step made of it; None before, and for what stores no activity.
        effects: of all steps so far, in order; a drop keeps only its own, a dead letter none (decision 34).
        verdict: None while the activity is on its way to being stored, else why it is not.
        stage: the step that gave the verdict.
        context: what its steps were shown so far; None before they asked.
        program: the steps as they were defined when it entered the chain: a change takes effect for the next one.
        answers: to what its steps asked, by a digest of the question: going through the steps again, or after a
            restart of the step, nobody is asked the same thing twice.
    """

    closed: Closed
    activity: Activity | None = None
    effects: tuple[Effect, ...] = ()
    verdict: Drop | Dead | None = None
    stage: str = ""
    context: "Context | None" = None
    program: "Program | None" = None
    answers: dict[bytes, Answer] | None = None


class Note(Struct, frozen=True):
    """What a step did, for whoever asked for an explanation.

    Attributes:
        about: the definition it speaks of, such as `event_rule 3` or `goal checkout`.
        outcome: one word: `matched`, `skipped`, `changed`, `failed`, `entered`, `refused` …
        detail: why, in words.
    """

    about: str
    outcome: str
    detail: str = ""


class Context(Protocol):
    """The user as the steps of one activity may see them: as of the effects ahead in the chain, stored yet or not.

    What is ahead may still be dropped, or die, and its effects with it. So a context remembers what it has shown, and
    is asked at the chain's end whether that holds; where it does not, the activity goes through the steps once more.
    Two activities of a user in flight thus become what they would have become one after the other.

    Attributes:
        now_ms: engine time when its steps began; the same for all of them, however often they look.
        notes: where steps say what they did and why, when somebody asked for an explanation; None nearly always, and
            then nobody takes the trouble.
    """

    now_ms: int
    notes: "list[Note] | None"

    def read(self, kind: FactKind, user_point: bytes | None = None) -> bytes | None:
        """What is known, or None.

        Args:
            kind: of what.
            user_point: of whom, 16 bytes; the activity's own user point when None.
        """
        ...

    def expect(self, effects: Sequence[Effect]) -> None:
        """Show these effects of the activity, too, to its own later steps and to the activities behind it."""
        ...

    def holds(self) -> bool:
        """Whether all that was shown is as it was; asked when the fate of everything ahead is known."""
        ...


class NothingKnown:
    """A context where nothing is known of anybody.

    Args:
        now_ms: engine time.
    """

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms
        self.notes: list[Note] | None = None

    def read(self, kind: FactKind, user_point: bytes | None = None) -> bytes | None:
        """As `Context.read`."""
        return None

    def expect(self, effects: Sequence[Effect]) -> None:
        """As `Context.expect`."""

    def holds(self) -> bool:
        """As `Context.holds`."""
        return True


class Stage(Protocol):
    """A step, made from the definitions of a datamart.

    Each step module has a `build(defined) -> Stage`, which compiles all that can be compiled and raises `CallerError`
    with the path of the fault in what is declared; `keep` where nothing is defined for the step.
    """

    def __call__(self, closed: Closed, activity: Activity, context: Context) -> Verdict | Asking:
        """Decide about one activity, or ask first. An exception makes it a dead letter (`stage_error`)."""
        ...


def keep(closed: Closed, activity: Activity, context: Context) -> Verdict:
    """The step of a datamart in which nothing is defined for it."""
    return Keep(activity)


class Program(Struct, frozen=True):
    """The steps of a datamart, made from one version of its definitions.

    Attributes:
        defined: what they were made from.
        steps: by name, all between create and store.
    """

    defined: Defined
    steps: Mapping[str, Stage]
