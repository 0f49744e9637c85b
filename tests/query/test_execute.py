"""SELECT over documents: rows as they come, numbers in bounded memory."""

from typing import Any

import pytest

from engine.query import aggregate
from engine.query.check import check
from engine.query.compile import compile_checked, read_query
from engine.query.default_schema import DEFAULT
from engine.query.document import Document
from engine.query.execute import Execution

NOW_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z
DAY_MS = 86_400_000


def document(number: int, *events: tuple[str, dict[str, Any]]) -> Document:
    ts_ms = NOW_MS - number * DAY_MS
    activity = {
        "$ts": ts_ms,
        "$type": "SITE_VISIT",
        "$site_id": "7",
        "$origin": {"$source": "news"} if number % 2 else None,
        "$events": [{"$ts": ts_ms, "$event_name": name, "$properties": properties} for name, properties in events],
    }
    return Document(activity, now_ms=NOW_MS, user_point=f"p{number}")


DOCUMENTS = [
    document(
        1, ("view", {"n": 1}), ("buy", {"n": 2, "$items": [{"$id": "x", "$price": "5"}, {"$id": "y", "$price": 7}]})
    ),
    document(2, ("view", {"n": "3"})),
    document(3, ("view", {}), ("view", {"n": None, "colour": ["red", "blue"]})),
]


def run(text: str, documents: list[Document] = DOCUMENTS) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    execution = Execution(compile_checked(check(read_query(text), DEFAULT)), DEFAULT)
    rows = [row for one in documents for row in execution.feed(one)]
    return rows, execution.result()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('SELECT { name channel_id } FROM UserEvent WHERE name = "buy"', [{"name": "buy", "channel_id": "7"}]),
        ("SELECT { ts } FROM UserActivity LIMIT 2", [{"ts": NOW_MS - DAY_MS}, {"ts": NOW_MS - 2 * DAY_MS}]),
        ("SELECT { ts } FROM UserActivity LIMIT 0", []),
        (
            'SELECT { origin { source } events { name } } FROM UserActivity WHERE events { name = "buy" }',
            [{"origin": {"source": "news"}, "events": [{"name": "view"}, {"name": "buy"}]}],
        ),
        (
            "SELECT { origin { source } origin.source } FROM UserActivity LIMIT 2",
            [
                {"origin": {"source": "news"}, "origin.source": "news"},
                {"origin": None, "origin.source": None},
            ],
        ),
        (
            'SELECT { items { id price } properties } FROM UserEvent WHERE name = "buy"',
            [
                {
                    "items": [{"id": "x", "price": "5"}, {"id": "y", "price": 7}],
                    "properties": DOCUMENTS[0].events[1]["$properties"],
                }
            ],
        ),
        (
            "SELECT { id activities { events { name } } } FROM UserPoint LIMIT 1",
            [{"id": "p1", "activities": [{"events": [{"name": "view"}, {"name": "buy"}]}]}],
        ),
        ('name = "buy"', [DOCUMENTS[0].events[1]]),
    ],
)
def test_selections(text: str, rows: list[dict[str, Any]]):
    assert run(text) == (rows, None)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("SELECT @count{} FROM UserEvent", 5),
        ('SELECT @count{} FROM UserEvent WHERE name = "view"', 4),
        ("SELECT @count{} FROM UserActivity WHERE events { properties.n > 1 }", 2),
        ("SELECT @count{} FROM UserPoint", 3),
    ],
)
def test_counts(text: str, count: int):
    assert run(text) == ([], {"count": count})


def test_metrics_and_buckets():
    rows, result = run(
        "SELECT { name @map(limit: 1) @cardinality properties { n @count @sum @avg @min @max }"
        " date @date_histogram @min"
        " items { price @sum } } FROM UserEvent"
    )
    assert rows == []
    assert result is not None
    metrics = {one["name"]: one["value"] for one in result["aggregations"]["metrics"]}
    assert metrics == {
        "cardinality_name": 2,
        "count_properties.n": 3,
        "sum_properties.n": 6,
        "avg_properties.n": 2,
        "min_properties.n": 1,
        "max_properties.n": 3,
        "min_date": NOW_MS - 3 * DAY_MS,
        "sum_items.price": 12,
    }
    names, days = result["aggregations"]["buckets"]
    assert names == {
        "name": "map_name",
        "field_name": "name",
        "type": "map",
        "buckets": [{"key": "view", "count": 4}],
        "other_count": 1,
    }
    assert days["buckets"] == [
        {"key": "2023-11-11T00:00:00Z", "count": 2},
        {"key": "2023-11-12T00:00:00Z", "count": 1},
        {"key": "2023-11-13T00:00:00Z", "count": 2},
    ]


def test_values_of_lists_are_counted_one_by_one():
    _, result = run("SELECT { properties { colour @map } } FROM UserEvent")
    assert result is not None
    assert result["aggregations"]["buckets"][0]["buckets"] == [
        {"key": "blue", "count": 1},
        {"key": "red", "count": 1},
    ]


def test_of_nothing():
    _, result = run("SELECT { properties { n @sum @avg @min } name @map } FROM UserEvent", [])
    assert result == {
        "aggregations": {
            "metrics": [
                {"name": "sum_properties.n", "field_name": "properties.n", "type": "sum", "value": 0},
                {"name": "avg_properties.n", "field_name": "properties.n", "type": "avg", "value": None},
                {"name": "min_properties.n", "field_name": "properties.n", "type": "min", "value": None},
            ],
            "buckets": [{"name": "map_name", "field_name": "name", "type": "map", "buckets": []}],
        }
    }


def test_what_is_kept_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(aggregate, "MAX_DISTINCT", 3)
    many = [document(1, *((f"e{number}", {}) for number in range(5)), ("e0", {}))]
    _, result = run("SELECT { name @map @cardinality } FROM UserEvent", many)
    assert result is not None
    (names,) = result["aggregations"]["buckets"]
    assert names["buckets"] == [{"key": "e0", "count": 2}, {"key": "e1", "count": 1}, {"key": "e2", "count": 1}]
    assert (names["other_count"], names["exact"]) == (2, False)
    (distinct,) = result["aggregations"]["metrics"]
    assert (distinct["value"], distinct["exact"]) == (3, False)
