"""An activity goes through the chain, step by step, and nothing is stored: what each step did, and why.

What steps read is the store as it is now; what they would change is seen by the steps behind them and by nobody else.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from engine.actors.effects import stored as store_operation
from engine.actors.facts import Facts, Meeting
from engine.model.activity import Activity, public
from engine.pipeline.chain import ChainStep, skips_processing
from engine.pipeline.differences import Change, differences, in_words
from engine.pipeline.stage import Context, Dead, Drop, Effect, Envelope, Keep, Note, Verdict, keep
from engine.store.keys import activity_key
from engine.store.layout import encode_activity, follow
from engine.store.port import Db, Store

ChainOf = Callable[[Callable[[Envelope], Context]], Sequence[ChainStep]]
"""The steps in front of the store, given what they may read."""


DUPLICATE: Final = "duplicate"
"""Outcome of `store` where an equal activity is stored."""


class StepExplained(Struct, frozen=True):
    """What one step did.

    Attributes:
        name: of the step; `accept` for the checks in front of all, `store` for what comes last.
        outcome: `kept`, `changed`, `dropped`, `dead`, `refused`, `skipped`, `not reached`; of `create`, `made`; of
            `store`, `stored`, `replaces` or `duplicate`.
        detail: why, in words.
        notes: what the step says of each definition it looked at.
        changes: what is different of the activity behind it.
        effects: what would be written with the activity, in words.
    """

    name: str
    outcome: str
    detail: str = ""
    notes: tuple[Note, ...] = ()
    changes: tuple[Change, ...] = ()
    effects: tuple[str, ...] = ()


class Explanation(Struct, frozen=True):
    """What would become of an activity.

    Attributes:
        datamart, user_point: whose it is; the user point is "" where nobody could be told.
        steps: in their order.
        verdict: `stored`, `dropped`, `dead` or `refused`.
        reason: of the last three.
        effects: all that would be written beside it, in words; of a dropped one, what its drop brings; none where an
            equal one is stored.
        activity: as it would be stored, or as it was when it was dropped, as public JSON; b"" where there is none.
        remarks: what to bear in mind.
    """

    datamart: int
    user_point: str
    steps: tuple[StepExplained, ...]
    verdict: str
    reason: str = ""
    effects: tuple[str, ...] = ()
    activity: bytes = b""
    remarks: tuple[str, ...] = ()


async def explain_envelope(
    envelope: Envelope,
    chain_of: ChainOf,
    store: Store,
    now_ms: int,
    *,
    meeting: Meeting | None = None,
    remarks: Sequence[str] = (),
) -> Explanation:
    """Run an envelope through the chain.

    Args:
        envelope: as it enters the chain.
        chain_of: makes the steps.
        store: what is known is read from it; nothing is written.
        now_ms: engine time.
        meeting: who becomes one person when a step attaches identifiers.
        remarks: what to bear in mind.
    """
    facts = Facts(store, lambda: now_ms, meeting)
    context = facts.context(envelope)
    notes: list[Note] = []
    context.notes = notes
    steps: list[StepExplained] = []
    for step in chain_of(facts.context):
        if envelope.verdict is not None:
            steps.append(StepExplained(step.name, "not reached"))
            continue
        notes.clear()
        steps.append(await _explain_step(step, envelope, notes))
    verdict, reason, effects = "stored", "", envelope.effects
    if envelope.verdict is None and envelope.activity is not None:
        steps.append(_storing(envelope, envelope.activity, store))
        if steps[-1].outcome == DUPLICATE:
            effects = ()
    elif envelope.verdict is not None:
        verdict = "dropped" if isinstance(envelope.verdict, Drop) else "dead"
        reason = envelope.verdict.reason
        steps.append(StepExplained("store", verdict, _why(envelope.verdict)))
    return Explanation(
        datamart=envelope.closed.datamart,
        user_point=str(UUID(bytes=envelope.view.user_point)),
        steps=tuple(steps),
        verdict=verdict,
        reason=reason,
        effects=tuple([in_words(one) for one in effects]),
        activity=public(envelope.activity.encode()) if envelope.activity is not None else b"",
        remarks=tuple(remarks),
    )


async def run_step(step: ChainStep, envelope: Envelope) -> Verdict:
    """One step, also one that waits for somebody; what it raises is its verdict, as in the chain."""
    run: Callable[[Envelope], Verdict | Awaitable[Verdict]] = step.run
    try:
        found = run(envelope)
        return found if isinstance(found, Verdict) else await found
    except Exception as error:
        return Dead("stage_error", repr(error))


async def _explain_step(step: ChainStep, envelope: Envelope, notes: list[Note]) -> StepExplained:
    before = envelope.activity
    verdict = await run_step(step, envelope)
    effects = tuple([in_words(one) for one in _settle(envelope, verdict, step.name)])
    changes: tuple[Change, ...] = ()
    if isinstance(verdict, Drop):
        outcome, detail = "dropped", verdict.reason
    elif not isinstance(verdict, Keep):
        outcome, detail = "dead", _why(verdict)
    elif before is None:
        outcome, detail = "made", _summary(verdict.activity)
    elif skips_processing(envelope):
        outcome, detail = "skipped", "its sender asked to skip the processing"
    elif verdict.activity is before and envelope.program is not None and envelope.program.steps.get(step.name) is keep:
        outcome, detail = "skipped", "nothing is defined for it"
    else:
        changes = differences(before, verdict.activity)
        outcome, detail = "changed" if changes else "kept", ""
    return StepExplained(step.name, outcome, detail, tuple(notes), changes, effects)


def _settle(envelope: Envelope, verdict: Verdict, name: str) -> tuple[Effect, ...]:
    """What a verdict does to an envelope, as in `Counting.settle`; returns the effects that it brought."""
    match verdict:
        case Keep():
            envelope.activity = verdict.activity
            envelope.effects += verdict.effects
            return verdict.effects
        case Drop():
            envelope.effects, envelope.verdict, envelope.stage = verdict.effects, verdict, name
            return verdict.effects
        case Dead():
            envelope.effects, envelope.verdict, envelope.stage = (), verdict, name
            return ()
        case _:
            return _settle(envelope, Dead("stage_error", f"no verdict: {verdict!r}"), name)


def _why(verdict: Verdict) -> str:
    if isinstance(verdict, Dead) and verdict.detail:
        return f"{verdict.reason}: {verdict.detail}"
    return verdict.reason if isinstance(verdict, Drop | Dead) else ""


def _summary(activity: Activity) -> str:
    names = ", ".join(event.name for event in activity.events[:20])
    more = f" and {len(activity.events) - 20} more" if len(activity.events) > 20 else ""
    return f"{activity.type} {activity.status}, {len(activity.events)} events{names and f': {names}'}{more}"


def _storing(envelope: Envelope, activity: Activity, store: Store) -> StepExplained:
    """What storing it would do: an equal one writes nothing and has no effects (decision 13)."""
    closed = envelope.view
    one = store_operation(activity, closed.datamart, closed.user_point, 0)
    user_point, row = follow(store.get, closed.datamart, closed.user_point)
    for member in (user_point, *(row.aliases if row else ())):
        found = store.get(Db.ACTIVITIES, activity_key(closed.datamart, member, one.ts_ms, one.unique_key))
        if found is not None:
            if found == encode_activity(one.value, one.expires_ms):
                return StepExplained("store", DUPLICATE, "an equal one is stored: nothing is written, no effects")
            return StepExplained("store", "replaces", "another one with the same $ts and $unique_key is stored")
    return StepExplained("store", "stored", "as a new activity")
