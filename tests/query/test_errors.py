"""What is wrong, where, and what was expected: in every way in which a query can be wrong."""

from typing import Any

import pytest

from engine.query.compile import compile_query
from engine.query.errors import QueryError
from engine.query.limits import MAX_DEPTH, MAX_NODES, MAX_QUERY_CHARS, MAX_VALUES


def wrong(query: str | dict[str, Any]) -> QueryError:
    with pytest.raises(QueryError) as caught:
        compile_query(query, path="here")
    return caught.value


@pytest.mark.parametrize(
    ("text", "row", "col", "kind", "said"),
    [
        ("name", 1, 5, "PARSING", "expected a comparison"),
        ("name =", 1, 7, "PARSING", "expected a value"),
        ("name = x", 1, 8, "PARSING", "found `x`"),
        ('name = "x', 1, 8, "PARSING", "no end"),
        ('name = "\\q"', 1, 8, "PARSING", "no escape"),
        ('name = "\\ud800"', 1, 8, "PARSING", "surrogate"),
        ('name = "x" name', 1, 12, "PARSING", "expected AND, OR or the end"),
        ('(name = "x"', 1, 12, "PARSING", "expected AND, OR or `)`"),
        ('events { name = "x"', 1, 20, "PARSING", "expected AND, OR or `}`"),
        ('events {\n  name = "x" AND\n}', 3, 1, "PARSING", "expected a field"),
        ("name IN []", 1, 10, "PARSING", "expected a value"),
        ('name IN "a"', 1, 9, "PARSING", "expected `[` or `(`"),
        ('name NOT = "a"', 1, 10, "PARSING", "expected IN, MATCHES"),
        ("name IS 3", 1, 9, "PARSING", "NULL or NOT NULL"),
        ("ts > 12abc", 1, 6, "PARSING", "not expected"),
        ("name % 3", 1, 6, "PARSING", "`%` is not expected"),
        ("SELECT FROM UserEvent", 1, 8, "PARSING", "expected `{`"),
        ("SELECT { id FROM UserEvent", 1, 27, "PARSING", "expected a field to select"),
        ("SELECT { id } UserEvent", 1, 15, "PARSING", "expected FROM"),
        ("SELECT { id } FROM UserEvent LIMIT x", 1, 36, "PARSING", "whole number"),
        ("SELECT { id } FROM UserEvent WERE", 1, 30, "PARSING", "expected WHERE, LIMIT"),
        ("SELECT { id } FROM Nothing", 1, 1, "FIELD", "no object type"),
        ("SELECT { id } FROM Item", 1, 1, "FIELD", "cannot stand behind FROM"),
        ("SELECT { nam } FROM UserEvent", 1, 10, "FIELD", "did you mean `name`"),
        ('nam = "x"', 1, 1, "FIELD", "no field `nam`"),
        ('events { nam = "x" }', 1, 10, "FIELD", "did you mean `name`"),
        ('evens { name = "x" }', 1, 1, "FIELD", "no objects `evens`"),
        ('events = "x"', 1, 1, "FIELD", "is an object"),
        ('type { name = "x" }', 1, 1, "FIELD", "is a field"),
        ('name < "b"', 1, 1, "TYPINGS", "not <"),
        ("name = 3", 1, 1, "TYPINGS", "expected a text"),
        ('date > "soon"', 1, 1, "TYPINGS", "expected a time"),
        ('date STARTS_WITH "2024"', 1, 1, "TYPINGS", "not STARTS_WITH"),
        ('items { price > "5" }', 1, 9, "TYPINGS", "expected a number"),
        ("properties.$choice_acceptance_value > true", 1, 1, "TYPINGS", "not >"),
        ('url MATCHES "(a"', 1, 1, "TYPINGS", "expected `)`"),
        ('url MATCHES "(?=a)"', 1, 1, "TYPINGS", "groups"),
        ("events @Score {}", 1, 9, "DIRECTIVE", "no directive"),
        ('events @ScoreSum(min: "a") {}', 1, 9, "DIRECTIVE", "a number"),
        ("events @ScoreSum(max: 3) {}", 1, 9, "DIRECTIVE", "no argument `max`"),
        ('events @ScoreField(name: "name") {}', 1, 1, "TYPINGS", "no number"),
        ("SELECT @sum{} FROM UserEvent", 1, 9, "DIRECTIVE", "cannot stand here"),
        ("SELECT @count{ id } FROM UserEvent", 1, 8, "DIRECTIVE", "no fields"),
        ("SELECT {} FROM UserEvent", 1, 8, "DIRECTIVE", "nothing is selected"),
        ("SELECT { name @avg } FROM UserEvent", 1, 16, "TYPINGS", "does not fit"),
        ("SELECT { name @map(limit: 0) } FROM UserEvent", 1, 16, "DIRECTIVE", "limit"),
        ('SELECT { date @date_histogram(interval: "x") } FROM UserEvent', 1, 16, "DIRECTIVE", "interval"),
        ("SELECT { name @map id } FROM UserEvent", 1, 20, "DIRECTIVE", "no directive"),
    ],
)
def test_a_text_says_row_column_and_what_was_expected(text: str, row: int, col: int, kind: str, said: str):
    error = wrong(text)
    assert (error.row, error.col, error.kind) == (row, col, kind), str(error)
    assert said in error.reason
    assert error.path == "here"
    assert error.code == "bad_query"
    assert f"row {row}, column {col}" in str(error)


def test_it_is_reported_as_the_platform_does():
    assert wrong('events { nam = "x" }').as_json() == {
        "type": "VALIDATION_ERROR",
        "error": {
            "message": "UserEvent has no field `nam`; did you mean `name`?",
            "position": {"row": 1, "col": 10},
            "error_type": "FIELD",
        },
    }
    assert wrong("name").as_json()["type"] == "PARSING_ERROR"


NODE: dict[str, Any] = {
    "type": "FIELD",
    "field": "name",
    "comparison": {"type": "STRING", "operator": "EQ", "values": ["x"]},
}


def with_where(where: Any) -> dict[str, Any]:
    return {"from": "UserEvent", "where": where}


@pytest.mark.parametrize(
    ("data", "path", "kind"),
    [
        ({}, "", "PARSING"),
        ({"from": 3}, ".from", "PARSING"),
        ({"from": "Nothing"}, ".from", "FIELD"),
        ({"from": "UserEvent", "were": {}}, "", "PARSING"),
        ({"from": "UserEvent", "limit": "3"}, ".limit", "PARSING"),
        ({"from": "UserEvent", "operations": {}}, ".operations", "PARSING"),
        ({"from": "UserEvent", "operations": [{}, {}]}, ".operations", "PARSING"),
        (
            {"from": "UserEvent", "operations": [{"selections": [{"name": "nam"}]}]},
            ".operations[0].selections[0]",
            "FIELD",
        ),
        (with_where([]), ".where", "PARSING"),
        (with_where({"type": "FILED"}), ".where.type", "PARSING"),
        (with_where({"type": "FIELD", "field": "name"}), ".where", "PARSING"),
        (with_where({**NODE, "existence": "EXISTS"}), ".where", "PARSING"),
        (with_where({**NODE, "negation": True}), ".where", "PARSING"),
        (with_where({**NODE, "field": ""}), ".where.field", "PARSING"),
        (with_where({**NODE, "field": "nam"}), ".where", "FIELD"),
        (with_where({"type": "FIELD", "field": "name", "existence": "MAYBE"}), ".where.existence", "PARSING"),
        (with_where({"type": "GROUP", "expressions": [NODE, {}]}), ".where.expressions[1].type", "PARSING"),
        (with_where({"type": "GROUP", "expressions": [], "negation": 1}), ".where.negation", "PARSING"),
        (
            with_where({"type": "GROUP", "expressions": [], "boolean_operator": "XOR"}),
            ".where.boolean_operator",
            "PARSING",
        ),
        (
            with_where({"type": "OBJECT", "field": "items", "expressions": [], "min_score": True}),
            ".where.min_score",
            "PARSING",
        ),
        (
            with_where({"type": "OBJECT", "field": "items", "expressions": [], "score_function": "MEDIAN"}),
            ".where.score_function",
            "PARSING",
        ),
    ],
)
def test_json_says_the_path_of_the_node(data: dict[str, Any], path: str, kind: str):
    error = wrong(data)
    assert (error.path, error.kind) == (f"here{path}", kind), str(error)
    assert (error.row, error.col) == (0, 0)


@pytest.mark.parametrize(
    ("comparison", "path"),
    [
        ({"type": "TEXT", "operator": "EQ", "values": ["x"]}, ".type"),
        ({"type": "STRING", "operator": "EQUAL", "values": ["x"]}, ".operator"),
        ({"type": "NUMERIC", "operator": "BEFORE", "values": [1]}, ".operator"),
        ({"type": "STRING", "operator": "EQ", "values": []}, ".values"),
        ({"type": "STRING", "operator": "EQ", "values": "x"}, ".values"),
        ({"type": "STRING", "operator": "EQ", "values": [None]}, ".values[0]"),
        ({"type": "NUMERIC", "operator": "LT", "values": ["x"]}, ".values[0]"),
        ({"type": "STRING", "operator": "EQ", "value": "x"}, ""),
    ],
)
def test_json_comparisons_are_read_strictly(comparison: dict[str, Any], path: str):
    error = wrong(with_where({"type": "FIELD", "field": "name", "comparison": comparison}))
    assert error.path == f"here.where.comparison{path}"


@pytest.mark.parametrize("value", ["12", "12.5", "-3"])
def test_json_numbers_may_be_texts(value: str):
    comparison = {"type": "NUMERIC", "operator": "LT", "values": [value]}
    compile_query(with_where({"type": "FIELD", "field": "properties.n", "comparison": comparison}))


def test_a_query_of_wrong_types_is_told_apart_from_a_wrong_text():
    comparison = {"type": "NUMERIC", "operator": "LT", "values": [1]}
    error = wrong(with_where({"type": "FIELD", "field": "name", "comparison": comparison}))
    assert (error.kind, error.path) == ("TYPINGS", "here.where")


def test_json_may_be_a_text():
    compile_query('{"from": "UserEvent"}')
    assert "JSON" in str(wrong('{"from": '))


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MAX_DEPTH + 1) + 'name = "x"' + ")" * (MAX_DEPTH + 1),
        "NOT " * (MAX_DEPTH + 1) + 'name = "x"',
        "properties { a " * (MAX_DEPTH + 1),
        "SELECT " + "{ a " * (MAX_DEPTH + 1),
        "(" * 50_000,
        "NOT " * 20_000,
    ],
)
def test_depth_is_bounded(text: str):
    assert "nested deeper" in str(wrong(text)) or "expected" in str(wrong(text))


def test_json_depth_is_bounded():
    node: dict[str, Any] = NODE
    for _ in range(1000):
        node = {"type": "GROUP", "expressions": [node]}
    assert "nested deeper" in str(wrong(with_where(node)))
    selection: dict[str, Any] = {"name": "a"}
    for _ in range(1000):
        selection = {"name": "a", "selections": [selection]}
    assert "nested deeper" in str(wrong({"from": "UserEvent", "operations": [{"selections": [selection]}]}))


def test_size_is_bounded():
    assert "characters" in str(wrong("#" * (MAX_QUERY_CHARS + 1)))
    assert f"more than {MAX_NODES}" in str(wrong(" OR ".join(["a=1"] * (MAX_NODES + 1))))
    many = ",".join(["1"] * (MAX_VALUES + 1))
    assert f"more than {MAX_VALUES} values" in str(wrong(f"channel_id IN [{many}]"))
    assert f"more than {MAX_NODES}" in str(wrong(with_where({"type": "GROUP", "expressions": [NODE] * MAX_NODES})))
    assert "digits" in str(wrong("ts > " + "9" * 5000))
    assert "too large" in str(wrong("ts > 1e999"))


def test_the_regular_expressions_of_a_query_are_bounded_together():
    hard = "(a|b)*a(a|b){50}x"
    many = " OR\n".join(f'url MATCHES "{hard}{at}"' for at in range(10))
    error = wrong(many)
    assert (error.row, error.col, error.kind) == (10, 1, "TYPINGS")
    assert "in all" in error.reason
    assert "in all" in wrong(f"url NOT MATCHES [{', '.join([chr(34) + hard + chr(34)] * 20)}]").reason
