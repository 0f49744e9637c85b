"""The times in which a query may hold: never narrower than where it holds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.query.ast import Compare, Expression, Group, Kind, Operator, Query
from engine.query.check import check
from engine.query.compile import compile_checked, read_query
from engine.query.default_schema import DEFAULT
from engine.query.document import Document
from engine.query.time_range import time_range

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
MIDNIGHT_MS = NOW_MS - NOW_MS % DAY_MS


@pytest.mark.parametrize(
    ("text", "start_ms", "end_ms"),
    [
        ('type = "TOUCH"', None, None),
        ('ts >= "now-7d"', NOW_MS - 7 * DAY_MS, None),
        ('date > "now-7d/d"', MIDNIGHT_MS - 6 * DAY_MS, None),
        ('date < "now/d"', None, MIDNIGHT_MS - 1),
        ('date <= "now/d"', None, MIDNIGHT_MS + DAY_MS - 1),
        ('date = "now/d"', MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS - 1),
        ('date != "now/d"', None, None),
        ('date >= 5 AND $ts < 9 AND type = "TOUCH"', 5, 8),
        ("(date >= 5 AND ts >= 7) AND date <= 20", 7, 20),
        ("date = 5 OR date = 9", 5, 9),
        ("date IN [5, 9]", 5, 9),
        ('date = 5 OR type = "TOUCH"', None, None),
        ("NOT date < 5", None, None),
        ("NOT (date < 5)", None, None),
        ("events { ts >= 5 }", None, None),
        ("SELECT @count{} FROM UserEvent WHERE ts >= 5", None, None),
        ("SELECT @count{} FROM UserEvent WHERE activity_date >= 5 AND date < 3", 5, None),
        ("SELECT @count{} FROM UserPoint WHERE activities { ts >= 5 }", None, None),
    ],
)
def test_it_is_read_off_what_must_hold(text: str, start_ms: int | None, end_ms: int | None):
    assert time_range(check(read_query(text), DEFAULT), DEFAULT, NOW_MS) == (start_ms, end_ms)


TIMES = st.integers(0, 20) | st.sampled_from(["1970", "1970-01-01T00:00:00.010Z", "now", "now-1d/d"])
CONDITIONS = st.one_of(
    st.builds(
        lambda field, operator, values: Compare(field, operator, tuple(values), Kind.TIME),
        st.sampled_from(["ts", "date"]),
        st.sampled_from([one for one in Operator if one.value[0] in "=!<>"]),
        st.lists(TIMES, min_size=1, max_size=2),
    ),
    st.just(Compare("type", Operator.EQ, ("TOUCH",), Kind.ENUM)),
)


def groups(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.builds(
        lambda operator, expressions, negation: Group(operator, tuple(expressions), negation),
        st.sampled_from(["AND", "OR"]),
        st.lists(inner, max_size=3),
        st.booleans(),
    )


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(CONDITIONS, groups, max_leaves=8),
    st.sampled_from(["TOUCH", "EMAIL"]),
    st.lists(st.integers(0, 25) | st.integers(NOW_MS - 2 * DAY_MS, NOW_MS), max_size=8),
)
def test_what_it_leaves_out_does_not_match(where: Any, kind: str, times: list[int]):
    query = check(Query("UserActivity", None, where), DEFAULT)
    compiled = compile_checked(query)
    start_ms, end_ms = time_range(query, DEFAULT, NOW_MS)
    for ts_ms in times:
        document = Document({"$ts": ts_ms, "$type": kind, "$events": []}, now_ms=NOW_MS)
        if compiled.match(document) is not None:
            assert start_ms is None or ts_ms >= start_ms
            assert end_ms is None or ts_ms <= end_ms
