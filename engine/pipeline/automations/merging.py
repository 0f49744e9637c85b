"""What a merge of two people does to their scenarios and segments (decision 3).

Segments: the person is in all of them, since the earlier and until the later time. Scenarios: the person goes on in all
of them; of two passages through the same one that which began first goes on, and the other ends, with its STOP. The
timers of the absorbed user point become the survivor's.
"""

from collections.abc import Iterable, Iterator

from engine.model import scenarios, segments
from engine.model.fact import FactKind
from engine.model.scenarios import Inside, Scenarios
from engine.pipeline.automations.telling import Passage, Telling, activity_of
from engine.pipeline.stage import Context, CountUp, Effect, KeepFact, SetTimer, StoreBeside
from engine.scenario.moves import Told, What
from engine.session.closed import Closed


def moved(closed: Closed, context: Context) -> tuple[Effect, ...]:
    """The absorbed user point's scenarios and segments are the survivor's from now on. Again it changes nothing."""
    return (*_segments(closed, context), *_scenarios(closed, context))


def _segments(closed: Closed, context: Context) -> Iterator[Effect]:
    gone = context.read(FactKind.SEGMENTS, closed.absorbed)
    if gone is None:
        return
    now_ms = context.now_ms
    known = segments.decode_segments(context.read(FactKind.SEGMENTS), now_ms)
    combined = segments.combine(known, segments.decode_segments(gone, now_ms).values())
    yield KeepFact(closed.datamart, closed.user_point, FactKind.SEGMENTS, segments.encode_segments(combined))
    yield KeepFact(closed.datamart, closed.absorbed, FactKind.SEGMENTS, None)


def _scenarios(closed: Closed, context: Context) -> Iterator[Effect]:
    gone = context.read(FactKind.SCENARIOS, closed.absorbed)
    if gone is None:
        return
    datamart, survivor = closed.datamart, closed.user_point
    before = scenarios.decode_scenarios(context.read(FactKind.SCENARIOS))
    arriving = scenarios.decode_scenarios(gone)
    after, ended = scenarios.combine(before, arriving.values())
    yield KeepFact(datamart, survivor, FactKind.SCENARIOS, scenarios.encode_scenarios(after))
    yield KeepFact(datamart, closed.absorbed, FactKind.SCENARIOS, None)
    for inside in arriving.values():
        yield SetTimer(datamart, closed.absorbed, inside.scenario, None, inside.due_ms)
    yield from _timers(datamart, survivor, before, after)
    yield from _ends(closed, context.now_ms, ended)


def _timers(datamart: int, survivor: bytes, before: Scenarios, after: Scenarios) -> Iterator[Effect]:
    for scenario, inside in after.items():
        was = before.get(scenario)
        if was != inside:
            was_due_ms = was.due_ms if was is not None else None
            yield SetTimer(datamart, survivor, scenario, inside.due_ms, was_due_ms)


def _ends(closed: Closed, now_ms: int, ended: Iterable[Inside]) -> Iterator[Effect]:
    number = 0
    for inside in ended:
        passage = Passage(closed.datamart, closed.user_point, inside.scenario, inside.execution, None)
        for what in (What.EXIT, What.STOP):
            telling = Telling(passage, Told(what, inside.node, inside.previous), now_ms, number)
            yield StoreBeside(closed.datamart, closed.user_point, activity_of(telling))
            number += 1
        yield CountUp(closed.datamart, f"scenario_exits.{inside.scenario}")
