"""What travels down the chain, and the one signature of its steps (house: The signatures that carry the design)."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.defined import Defined
from engine.model.activity import Activity, measure_event, measure_events, measure_root
from engine.model.event import PAGE_VIEW
from engine.model.fact import FactKind
from engine.model.identifiers import Identifier
from engine.model.wire import Fields, chars, encode
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


class Attach(Effect, frozen=True):
    """These identifiers are the person's, too (decision 25): unknown ones are linked to the activity's user point, and
    where one is another known person's, the two user points merge, as in decision 3.

    Unlike other effects it is not written a second time with an equal activity because there is nothing left to write:
    what is linked already is left as it is.
    """

    datamart: int
    identifiers: tuple[Identifier, ...]


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
        met: `closed` as the steps see it since one of them has found out who the person is, too (`Attach`); None while
            none has. Its user point is the survivor's, and `absorbed` who is absorbed.
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
    met: Closed | None = None
    answers: dict[bytes, Answer] | None = None

    @property
    def view(self) -> Closed:
        """What the steps are given."""
        return self.met or self.closed


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

    def identifiers(self) -> Sequence[Identifier]:
        """By what the activity's user point is known, as of the last commit."""
        ...

    def expect(self, effects: Sequence[Effect]) -> None:
        """Show these effects of the activity, too, to its own later steps and to the activities behind it."""
        ...

    def meet(self, closed: Closed, identifiers: Sequence[Identifier]) -> Closed:
        """How the steps behind see an activity to whose person these identifiers attach (decision 25).

        Args:
            closed: what left the visitor.
            identifiers: those that its `Attach` names.

        Returns:
            The same, but with the user point that survives, and as `absorbed` another one whose facts are about to be
            the survivor's: the activity's own, else the one that the identifiers named. One at the most.
        """
        ...

    def holds(self) -> bool:
        """Whether all that was shown is as it was; asked when the fate of everything ahead is known.

        Where it is not, what was shown is forgotten: the next answer is about what is shown from now on.
        """
        ...

    def decided(self) -> None:
        """Tell that the activity's own fate is known: whoever looks from now on sees it behind all that was decided
        before, and ahead of all that was not, wherever they came in."""
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

    def identifiers(self) -> Sequence[Identifier]:
        """As `Context.identifiers`."""
        return ()

    def expect(self, effects: Sequence[Effect]) -> None:
        """As `Context.expect`."""

    def meet(self, closed: Closed, identifiers: Sequence[Identifier]) -> Closed:
        """As `Context.meet`."""
        return closed

    def holds(self) -> bool:
        """As `Context.holds`."""
        return True

    def decided(self) -> None:
        """As `Context.decided`."""


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


def made_too_large(before: Activity, after: Activity, max_chars: int) -> Dead | None:
    """The verdict on an activity that a step has made larger than an activity may be (decision 16), else None.

    What the engine derives does not count, as when it was accepted, but what a step has added to it does: of the origin
    and the identifiers, what they have grown by. `$page_view` events do not count: they leave before it is stored
    (decision 35), and else a session cut for its size could bear no rule at all.

    Args:
        before: as the step was given it.
        after: as the step leaves it.
        max_chars: of its channel.
    """
    # Characters are no more than bytes, and to count these costs nothing.
    if _most_bytes(after) <= max_chars:
        return None
    total = _chars(after) + max(0, _derived(after) - _derived(before))
    if total <= max_chars or total <= _chars(before):
        return None
    return Dead("activity_too_large", f"{total} characters, the limit is {max_chars}")


def _most_bytes(activity: Activity) -> int:
    """No fewer than the bytes of what counts of an activity."""
    events = sum([len(event.body) + 1 for event in activity.events])
    extras = sum([6 * len(name) + len(bytes(value)) + 4 for name, value in activity.extras.items()])
    location = 0 if activity.location is None else len(bytes(activity.location)) + 16
    return 64 + events + extras + location + _derived(activity, count=len)


def _chars(activity: Activity) -> int:
    """Characters of what counts of an activity, without what is derived."""
    root: Fields = dict(activity.extras)
    if activity.location is not None:
        root["$location"] = activity.location
    events = [measure_event(event.body) for event in activity.events if event.name != PAGE_VIEW]
    return measure_root(root) + measure_events(events)


def _derived(activity: Activity, count: Callable[[bytes], int] = chars) -> int:
    identifiers = sum([count(encode(one.as_json())) + 1 for one in activity.identifiers])
    return identifiers + (0 if activity.origin is None else count(activity.origin))


class Program(Struct, frozen=True):
    """The steps of a datamart, made from one version of its definitions.

    Attributes:
        defined: what they were made from.
        steps: by name, all between create and store, and what `create` itself does by definitions.
    """

    defined: Defined
    steps: Mapping[str, Stage]
    campaigns: Stage
    scenarios: Stage
