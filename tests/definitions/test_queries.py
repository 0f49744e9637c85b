"""Queries of definitions: by name or in place, over the schema of their datamart."""

import pytest
from msgspec import structs

from engine.definitions.declared.goals import NamedQuery
from engine.definitions.declared.schema import SchemaField, SchemaLink, SchemaMapping
from engine.definitions.defined import Defined
from engine.definitions.queries import check_queries, compile_declared, resolve_query, schema_of
from engine.errors import CallerError
from engine.query.document import Document
from engine.query.errors import QueryError

DEFINED = Defined(
    datamart=1,
    queries=(
        NamedQuery(id="buyers", query='name = "buy"'),
        NamedQuery(id="alias", query="@buyers"),
        NamedQuery(id="one", query="@two"),
        NamedQuery(id="two", query="@one"),
    ),
    schema=SchemaMapping(
        fields=(
            SchemaField(
                object_type="ActivityEvent", name="colour", paths=("$properties.colour", "$properties.`old colour`")
            ),
            SchemaField(object_type="UserActivity", name="shop", paths=("shop",), type="NUMBER"),
            SchemaField(object_type="Basket", name="total", paths=("sum",), type="NUMBER"),
        ),
        links=(SchemaLink(object_type="UserEvent", name="basket", path="$properties.basket", to="Basket"),),
    ),
)


def document(properties: dict) -> Document:
    event = {"$ts": 1, "$event_name": "buy", "$properties": properties}
    return Document({"$ts": 1, "$type": "TOUCH", "shop": "12", "$events": [event]}, now_ms=1)


def test_a_name_stands_for_its_query():
    assert resolve_query("@buyers", DEFINED, "") == 'name = "buy"'
    assert resolve_query(" @alias ", DEFINED, "") == 'name = "buy"'
    assert resolve_query('name = "x"', DEFINED, "") == 'name = "x"'
    assert resolve_query({"from": "UserPoint"}, DEFINED, "") == {"from": "UserPoint"}


@pytest.mark.parametrize("name", ["@nobody", "@", "@one"])
def test_a_name_that_leads_nowhere_is_refused_with_the_path(name: str):
    with pytest.raises(CallerError) as caught:
        resolve_query(name, DEFINED, "goals[2].query")
    assert (caught.value.path, caught.value.code) == ("goals[2].query", "bad_definition")


@pytest.mark.parametrize(
    "query",
    [
        "@buyers",
        'colour = "red"',
        "shop = 12 AND $custom.shop = 12",
        "basket { total > 5 AND other = 1 }",
        "basket.total > 5",
    ],
)
def test_queries_use_the_names_that_the_datamart_declares(query: str):
    for found in (document({"colour": "red", "basket": {"sum": 6, "other": 1}}),):
        assert compile_declared(query, DEFINED, "").match(found)
    assert compile_declared('colour = "red"', DEFINED, "").match(document({"old colour": "red"}))


@pytest.mark.parametrize("query", ["@buyers", 'colour = "red"'])
def test_nothing_declared_is_the_default_schema(query: str):
    with pytest.raises(CallerError):
        compile_declared(query, Defined(datamart=1), "goals[0].query")


def test_all_named_queries_are_checked():
    sound = Defined(datamart=1, queries=DEFINED.queries[:2])
    check_queries(sound)
    with pytest.raises(QueryError) as caught:
        check_queries(Defined(datamart=1, queries=(*sound.queries, NamedQuery(id="x", query="nam = 1"))))
    assert caught.value.path == "queries[2].query"


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        (
            SchemaMapping(fields=(SchemaField(object_type="Nothing", name="x", paths=("x",)),)),
            "schema.field[0].object_type",
        ),
        (
            SchemaMapping(fields=(SchemaField(object_type="Item", name="x", paths=("x", "a..b")),)),
            "schema.field[0].paths[1]",
        ),
        (SchemaMapping(links=(SchemaLink(object_type="Item", name="x", path="`"),)), "schema.link[0].path"),
        (SchemaMapping(links=(SchemaLink(object_type="Nothing", name="x", path="x"),)), "schema.link[0].object_type"),
    ],
)
def test_a_schema_that_cannot_work_is_refused_with_the_path(mapping: SchemaMapping, path: str):
    with pytest.raises(CallerError) as caught:
        check_queries(Defined(datamart=1, schema=mapping))
    assert (caught.value.path, caught.value.code) == (path, "bad_definition")


def test_the_schema_is_made_once_and_anew_for_a_changed_copy():
    assert schema_of(DEFINED) is schema_of(DEFINED)
    changed = structs.replace(DEFINED, schema=structs.replace(DEFINED.schema))
    assert schema_of(changed) is not schema_of(DEFINED)
    assert structs.replace(changed, schema=DEFINED.schema) == DEFINED
