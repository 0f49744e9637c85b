"""Between which times an activity must be for a query to hold of it: whoever reads a store by time reads no others."""

from typing import Final

from engine.query.ast import Compare, Expression, Group, Kind, Operator, Query
from engine.query.schema import Schema
from engine.query.values import spans_at

TS_PATH: Final = (("$ts",),)

Range = tuple[int | None, int | None]
"""Earliest and latest `$ts`, both included, ms; None where it is not bounded."""

UNBOUNDED: Final[Range] = (None, None)


def time_range(query: Query, schema: Schema, now_ms: int) -> Range:
    """The times of the activities that a query may hold of; where nothing can be said, all.

    An event's own time says nothing about its activity's: that of a visit is its first event's, that of a sent activity
    the sender's. So of a query about events only `activity_date` counts.

    Args:
        query: checked.
        schema: the one it was checked against.
        now_ms: what relative dates count from.
    """
    return UNBOUNDED if query.where is None else _range(query.where, query.root, schema, now_ms)


def _range(expression: Expression, here: str, schema: Schema, now_ms: int) -> Range:
    if isinstance(expression, Compare):
        return _compared(expression, now_ms) if _is_time(expression, here, schema) else UNBOUNDED
    if not isinstance(expression, Group) or expression.negation or not expression.expressions:
        return UNBOUNDED
    ranges = [_range(one, here, schema, now_ms) for one in expression.expressions]
    starts = [start for start, _ in ranges if start is not None]
    ends = [end for _, end in ranges if end is not None]
    if expression.operator == "AND":
        return max(starts, default=None), min(ends, default=None)
    # Of alternatives, the widest; one without a bound has the widest.
    everyone = len(ranges)
    return (
        min(starts) if len(starts) == everyone else None,
        max(ends) if len(ends) == everyone else None,
    )


def _is_time(comparison: Compare, here: str, schema: Schema) -> bool:
    if comparison.kind not in (Kind.TIME, Kind.TIME_INTERVAL):
        return False
    found = schema.field(here, comparison.field)
    of_activity = here == "UserActivity" or (here == "UserEvent" and found.field.scope == "ACTIVITY")
    return of_activity and not found.links and found.field.paths == TS_PATH


def _compared(comparison: Compare, now_ms: int) -> Range:
    spans = spans_at(comparison)(now_ms)
    firsts, lasts = [first for first, _ in spans], [last for _, last in spans]
    match comparison.operator:
        case Operator.EQ:
            return min(firsts), max(lasts)
        case Operator.GTE:
            return min(firsts), None
        case Operator.GT:
            return min(lasts) + 1, None
        case Operator.LT:
            return None, max(firsts) - 1
        case Operator.LTE:
            return None, max(lasts)
        case _:
            return UNBOUNDED
