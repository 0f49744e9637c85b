"""Any text and any JSON is a query or a `QueryError`, never another exception."""

import json
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fuzz.queries
from engine.query import otql
from engine.query.check import check as check_query
from engine.query.default_schema import DEFAULT
from engine.query.errors import QueryError
from fuzz.queries import check, check_json, drawn

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KEYS = st.sampled_from(
    [
        *("from", "where", "operations", "limit", "type", "field", "expressions", "boolean_operator", "negation"),
        *("comparison", "existence", "operator", "values", "min_score", "score_function", "score_field", "name"),
    ]
)
WORDS = st.sampled_from(
    [
        *("UserEvent", "UserActivity", "UserPoint", "OBJECT", "GROUP", "FIELD", "TAXONOMY_OBJECT", "AND", "OR"),
        *(
            "name",
            "events",
            "items",
            "price",
            "ts",
            "STRING",
            "EQ",
            "MATCHES",
            "TIME",
            "BEFORE",
            "NUMERIC",
            "LT",
            "EXISTS",
        ),
    ]
)
NEAR_JSON = st.recursive(
    WORDS | JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_mutated_queries(chance: random.Random):
    check(drawn(chance))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str):
    check(text)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, NEAR_JSON, max_size=4))
def test_any_json(data: dict):
    check_json({"from": "UserEvent", **data})


@pytest.mark.parametrize(
    "text", ["\ud800", '"\ud800"', "`\ud800`", "a.b", "a..b", "`a`.`b`=1", "(" * 3000, "{" * 3000, "\0"]
)
def test_odd_texts(text: str):
    check(text)


def test_the_drawn_queries_are_often_sound():
    """Else the other tests would test refusals only."""
    chance = random.Random(1)
    sound = 0
    for _ in range(300):
        text = drawn(chance)
        try:
            check_query(otql.parse(text), DEFAULT)
            sound += 1
        except QueryError:
            sound += text.startswith("{") and isinstance(_loaded(text), dict)
    assert 60 < sound < 290


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


@pytest.mark.slow
def test_the_command_runs_and_finds_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert fuzz.queries.main(["--seconds", "0.5", "--seed", "7"]) == 0
    assert capsys.readouterr().out.endswith("nothing found\n")
