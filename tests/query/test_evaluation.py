"""What is compiled says what a slow, obvious evaluator says, for any query and any document."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.query.ast import Query
from engine.query.check import check
from engine.query.compile import compile_checked
from engine.query.default_schema import DEFAULT
from engine.query.document import Document
from tests.query.trees import documents, queries, slow_match


def agree(query: Query, document: Document) -> None:
    checked = check(query, DEFAULT)
    compiled = compile_checked(checked)
    found = compiled.match(document)
    expected = slow_match(checked, document)
    assert (found is not None) == (expected is not None), "whether it holds"
    if found is not None and expected is not None:
        assert found.score == pytest.approx(expected)
        if compiled.event_names is not None:
            assert compiled.event_names & {event["$event_name"] for event in document.events}
        if query.root == "UserEvent":
            assert found.event is not None
        if found.event is not None:
            assert 0 <= found.event < len(document.events)
            assert all(slow_match(checked, only(document, index)) is None for index in range(found.event)) or (
                query.root != "UserEvent"
            )


def only(document: Document, index: int) -> Document:
    """The same activity with one of its events."""
    activity = {**document.activity, "$events": [document.activity["$events"][index]]}
    return Document(activity, now_ms=document.now_ms, person=document.of_person, user_point=document.user_point)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(queries(scored=False), documents())
def test_whether_it_holds(query: Query, document: Document):
    agree(query, document)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(queries(), documents())
def test_scores(query: Query, document: Document):
    agree(query, document)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_most_documents_are_told_apart(data: st.DataObject):
    """Else the tests above would agree about nothing: a query and its negation never hold both."""
    from engine.query.ast import Group

    query, document = data.draw(queries()), data.draw(documents())
    if query.where is None or query.root == "UserEvent":
        return
    negated = Query(query.root, query.operation, Group("AND", (query.where,), negation=True), query.limit)
    held = [compile_checked(check(one, DEFAULT)).match(document) is not None for one in (query, negated)]
    assert held.count(True) == 1
