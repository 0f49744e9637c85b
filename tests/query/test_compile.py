"""Compiled queries, asked of an activity."""

from typing import Any

import pytest

from engine.query.compile import compile_query
from engine.query.document import Document
from engine.query.errors import QueryError

NOW_MS = 1_700_000_000_000
ACTIVITY: dict[str, Any] = {
    "$ts": NOW_MS - 86_400_000,
    "$type": "SITE_VISIT",
    "$site_id": "2419",
    "$events": [
        {"$ts": NOW_MS - 86_400_000, "$event_name": "$page_view", "$properties": {"$url": "https://example.com/"}},
        {
            "$ts": NOW_MS - 86_399_000,
            "$event_name": "$basket_view",
            "$properties": {"color": "red", "$items": [{"$id": "1", "$price": "12.5"}, {"$id": "2", "$price": 30}]},
        },
    ],
}
DOCUMENT = Document(ACTIVITY, now_ms=NOW_MS)

REACT_TO_EVENT = {
    "from": "UserPoint",
    "operations": [{"directives": [], "selections": [{"name": "id"}]}],
    "where": {
        "type": "OBJECT",
        "field": "activity_events",
        "boolean_operator": "AND",
        "expressions": [
            {
                "type": "FIELD",
                "field": "nature",
                "comparison": {"type": "STRING", "operator": "EQ", "values": ["$basket_view"]},
            }
        ],
    },
}
"""The query that the platform's automations store (8.1)."""


@pytest.mark.parametrize(
    ("query", "event"),
    [
        ('name = "$basket_view"', 1),
        ('WHERE name = "$basket_view" AND channel_id = 2419', 1),
        ('events { name = "$basket_view" AND $properties.color = "red" }', 1),
        ('events { name = "$basket_view" AND items { price > 20 } }', 1),
        ('type = "SITE_VISIT" AND ts >= "now-7d/d"', None),
        ('SELECT @count{} FROM UserEvent WHERE name = "$page_view" AND channel_id = 2419', 0),
        ("SELECT { id } FROM ActivityEvent", 0),
        ('SELECT { id } FROM UserPoint WHERE activities { type = "SITE_VISIT" AND events { items { id = 2 } } }', 1),
        (REACT_TO_EVENT, 1),
    ],
)
def test_it_holds_of_the_first_event_that_fits(query: str | dict[str, Any], event: int | None):
    found = compile_query(query).match(DOCUMENT)
    assert found is not None
    assert (found.score, found.event) == (1.0, event)


@pytest.mark.parametrize(
    "query",
    [
        'name = "$page_view" AND properties.color IS NOT NULL',
        'events { name = "$page_view" AND items { price > 20 } }',
        'NOT events { name = "$basket_view" }',
        'date = "now-7d/d"',
    ],
)
def test_conditions_on_one_object_are_about_the_same_event(query: str):
    assert compile_query(query).match(DOCUMENT) is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('name = "a"', {"a"}),
        ('name IN ["a", "b"] AND channel_id = 1', {"a", "b"}),
        ('events { name = "a" } AND events { name = "b" OR nature = "c" }', {"a"}),
        ('events { name = "a" } OR type = "TOUCH"', None),
        ('NOT events { name = "a" }', None),
        ('name != "a"', None),
        ('SELECT { id } FROM UserPoint WHERE activities { events { name = "a" } }', {"a"}),
        (REACT_TO_EVENT, {"$basket_view"}),
    ],
)
def test_it_says_which_events_it_needs(query: str | dict[str, Any], names: set[str] | None):
    assert compile_query(query).event_names == names


def test_what_cannot_be_asked_says_where_and_why():
    with pytest.raises(QueryError) as caught:
        compile_query('events {\n  nam = "x" }', path="goals[0].query")
    error = caught.value
    assert (error.row, error.col, error.kind, error.path) == (2, 3, "FIELD", "goals[0].query")
    assert "did you mean `name`" in str(error)
