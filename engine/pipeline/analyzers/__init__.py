"""Step 3, activity analyzers: user code that changes or drops an activity (mediarithmics 6; decisions 27 and 28).

    the channel's first analyzer ─▶ answer ─▶ taken over ─▶ the next one … ─▶ size ─▶ keep
                                      ├ drop: the activity is not stored, and nothing has failed
                                      └ failed: as its recovery strategy says (6.5)

Pure: who is asked and how long that takes is not known here. The step yields its questions and goes on with the
answers. A channel to which no analyzer is attached: the activity goes on as it is.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final

from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.activity import Activity
from engine.pipeline.analyzers.checked import check_analyzer
from engine.pipeline.analyzers.taking_over import changes, chars_above, taken_over
from engine.pipeline.stage import (
    Answer,
    Asking,
    Context,
    CountUp,
    Dead,
    Drop,
    Keep,
    Note,
    Question,
    Stage,
    Verdict,
    keep,
)
from engine.session.closed import Closed

NAME = "analyzers"

MONITORED: Final = "events_step.ACTIVITY_ANALYZER"
"""Counter of the platform: events of activities that went through analyzers (3.3)."""

DROPPED: Final = "analyzer"
"""Reason of a drop that an analyzer answered; it has not failed (6.4)."""

DROPPED_BY_STRATEGY: Final = "analyzer_failed"
"""Reason of a drop because an analyzer failed whose strategy is DROP: the two are counted apart."""

TOO_LARGE: Final = "activity_too_large"

_COUNTED: Final = {"ok": "ok", "drop": "dropped", "failed": "failed"}


def build(defined: Defined) -> Stage:
    """The step of a datamart.

    Raises:
        CallerError: an analyzer cannot work, or one is attached that is not there; the path is that of the fault.
    """
    known: dict[str, Analyzer] = {}
    for index, one in enumerate(defined.analyzers):
        check_analyzer(one, f"analyzers[{index}]")
        if known.setdefault(one.id, one) is not one:
            raise CallerError(f"two have the id {one.id}", code="bad_definition", path=f"analyzers[{index}].id")
    attached = {
        channel: tuple([_found(known, one, f"analyzers_of.{channel}[{at}]") for at, one in enumerate(ids)])
        for channel, ids in defined.analyzers_of.items()
        if ids
    }
    return partial(_analyzers, attached) if attached else keep


def _found(known: dict[str, Analyzer], id: str, path: str) -> Analyzer:
    if id not in known:
        raise CallerError(f"there is no analyzer {id}", code="bad_definition", path=path)
    return known[id]


def _analyzers(
    attached: dict[str, tuple[Analyzer, ...]], closed: Closed, activity: Activity, context: Context
) -> Verdict | Asking:
    channel = closed.channel
    found = attached.get(channel.key) if channel is not None else None
    return Keep(activity) if found is None else _analysis(found, closed, activity, context)


def _analysis(analyzers: Sequence[Analyzer], closed: Closed, before: Activity, context: Context) -> Asking:
    channel = closed.channel
    assert channel is not None
    counts = Counter({MONITORED: closed.weight})
    notes = context.notes
    activity, shown = before, b""
    for analyzer in analyzers:
        shown = shown or activity.show()
        answer = yield Question(analyzer, closed.datamart, channel.id, shown)
        after, failure = _look(analyzer, activity, shown, answer)
        outcome = "failed" if failure else answer.outcome
        counts[f"analyzer_{_COUNTED[outcome]}.{analyzer.id}"] += 1
        if notes is not None:
            notes.append(_note(analyzer, answer, failure, changes(activity, after)))
        if failure:
            strategy = analyzer.error_recovery_strategy
            if strategy == "DROP":
                return Drop(DROPPED_BY_STRATEGY, _counted(closed, counts))
            if activity.error_analyzer_id is None:
                activity, shown = activity.replaced(error_analyzer_id=analyzer.id), b""
            if strategy == "STORE_WITH_ERROR_ID_AND_SKIP_UPCOMING_ANALYZERS":
                break
        elif outcome == "drop":
            return Drop(DROPPED, _counted(closed, counts))
        elif after is not activity:
            activity, shown = after, b""
    most = channel.max_activity_chars
    size = chars_above(activity, before, most)
    if size is not None:
        if notes is not None:
            notes.append(Note("analyzers", "dead", f"{size} characters are more than {most}"))
        return Dead(TOO_LARGE, f"analyzers made it {size} characters long, the limit is {most}")
    return Keep(activity, _counted(closed, counts))


def _look(analyzer: Analyzer, activity: Activity, shown: bytes, answer: Answer) -> tuple[Activity, str]:
    """What an answer makes of the activity, and why it is a failure, or ""."""
    if answer.outcome != "ok":
        return activity, (answer.reason or "no reason") if answer.outcome == "failed" else ""
    try:
        return taken_over(activity, shown, answer.activity, doubles=bool(analyzer.url)), ""
    except CallerError as error:
        return activity, f"its answer is no activity: {error.path or '$'}: {error.message}"


def _counted(closed: Closed, counts: Counter[str]) -> tuple[CountUp, ...]:
    return tuple([CountUp(closed.datamart, name, amount) for name, amount in counts.items() if amount])


def _note(analyzer: Analyzer, answer: Answer, failure: str, changed: Sequence[str]) -> Note:
    took = f"{answer.took_ms:.1f} ms"
    about = f"analyzer {analyzer.id}"
    if failure:
        return Note(about, "failed", f"{failure} ({took}); {analyzer.error_recovery_strategy}")
    if answer.outcome == "drop":
        return Note(about, "dropped", f"it answered `drop` ({took})")
    if changed:
        return Note(about, "changed", f"{', '.join(changed)} ({took})")
    return Note(about, "unchanged", f"({took})")
