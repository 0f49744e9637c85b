"""OTQL and JSON_OTQL say the same: each is written from the tree that the other gives, and read again."""

import pytest
from hypothesis import given, settings

from engine.query import json_otql, json_text, otql, otql_text
from engine.query.ast import Query
from engine.query.check import check
from engine.query.default_schema import DEFAULT
from tests.query.trees import bare, queries


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(queries())
def test_json_to_text_to_json_is_the_identity(drawn: Query):
    data = json_text.written(check(drawn, DEFAULT))
    text = otql_text.written(json_otql.read(data))
    assert json_text.written(check(otql.parse(text), DEFAULT)) == data


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(queries())
def test_text_to_tree_to_text_is_the_identity(drawn: Query):
    text = otql_text.written(drawn)
    tree = otql.parse(text)
    assert otql_text.written(tree) == text
    assert bare(check(tree, DEFAULT)) == bare(drawn)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(queries())
def test_json_to_tree_to_json_is_the_identity(drawn: Query):
    data = json_text.written(drawn)
    assert bare(json_otql.read(data)) == bare(drawn)
    assert json_text.written(json_otql.read(data)) == data
