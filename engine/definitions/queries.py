"""Queries as definitions use them: by name or in place, over the schema of their datamart (decision 30)."""

from typing import Any, Final

from msgspec import structs

from engine.definitions.declared.goals import QueryText
from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.query.compile import compile_query
from engine.query.condition import Condition
from engine.query.default_schema import DEFAULT
from engine.query.lexer import parts_of
from engine.query.schema import Field, FieldType, Link, NotFound, ObjectType, Schema

MAX_HOPS: Final = 8
"""A named query may be a name itself; a longer chain is a circle."""


def resolve_query(query: QueryText, defined: Defined, path: str) -> str | dict[str, Any]:
    """The query itself, where `@name` stands for one of the datamart's.

    Args:
        query: as it is declared.
        defined: of the datamart.
        path: of the query in what is declared, for errors.

    Raises:
        CallerError: there is no query of this name (`bad_definition`).
    """
    found: str | dict[str, Any] = query
    for _ in range(MAX_HOPS):
        if not isinstance(found, str) or not found.strip().startswith("@"):
            return found
        name = found.strip()[1:]
        named = next((one for one in defined.queries if one.id == name), None)
        if named is None:
            raise CallerError(f"there is no query `{name}`", code="bad_definition", path=path)
        found = named.query
    raise CallerError("queries that name each other in a circle", code="bad_definition", path=path)


def compile_declared(query: QueryText, defined: Defined, path: str, *, sees_person: bool = True) -> Condition:
    """Compile a query of a definition, over the schema of its datamart.

    Args:
        query: as it is declared, also `@name`.
        defined: of the datamart.
        path: of the query in what is declared, for errors.
        sees_person: False where it is asked of an activity alone, as a goal's (decision 29): what is known of the
            person has no name then.

    Raises:
        CallerError: there is no query of this name, or (`QueryError`) it cannot be asked.
    """
    schema = schema_of(defined) if sees_person else _activity_schema_of(defined)
    return compile_query(resolve_query(query, defined, path), path=path, schema=schema)


def check_queries(defined: Defined) -> None:
    """Whether the schema is sound and all named queries can be asked.

    Raises:
        CallerError: with the path of the first that cannot.
    """
    schema = schema_of(defined)
    for index, named in enumerate(defined.queries):
        path = f"queries[{index}].query"
        compile_query(resolve_query(named.query, defined, path), path=path, schema=schema)


def schema_of(defined: Defined) -> Schema:
    """The schema of a datamart's queries.

    Raises:
        CallerError: it adds a name to a type that is not there (`bad_definition`).
    """
    mapping = defined.schema
    if not mapping.fields and not mapping.links:
        return DEFAULT
    return defined.derived.once("schema", mapping, lambda: _extended(mapping))


def _activity_schema_of(defined: Defined) -> Schema:
    schema = schema_of(defined)
    return defined.derived.once("activity_schema", schema, lambda: _of_activities(schema))


def _of_activities(schema: Schema) -> Schema:
    """The schema without what is known of persons beside their activities."""
    types = {
        name: structs.replace(one, links={link: to for link, to in one.links.items() if to.source != "PERSON"})
        for name, one in schema.types.items()
    }
    return Schema(types, schema.mirrors)


def _extended(mapping: SchemaMapping) -> Schema:
    types = dict(DEFAULT.types)
    for link in mapping.links:
        if link.to not in DEFAULT.names:
            types[link.to] = ObjectType({}, open=True)
    schema = Schema(types, DEFAULT.mirrors)
    for index, one in enumerate(mapping.fields):
        paths = tuple(_keys(path, f"schema.field[{index}].paths[{at}]") for at, path in enumerate(one.paths))
        added = (one.object_type, one.name, Field(FieldType(one.type), paths))
        schema = _with(schema, f"schema.field[{index}].object_type", fields=[added])
    for index, link in enumerate(mapping.links):
        target = Link(link.to, _keys(link.path, f"schema.link[{index}].path"))
        schema = _with(schema, f"schema.link[{index}].object_type", links=[(link.object_type, link.name, target)])
    return schema


def _with(
    schema: Schema,
    path: str,
    *,
    fields: "list[tuple[str, str, Field]] | None" = None,
    links: "list[tuple[str, str, Link]] | None" = None,
) -> Schema:
    try:
        return schema.with_names(fields or (), links or ())
    except NotFound as error:
        raise CallerError(str(error), code="bad_definition", path=path) from None


def _keys(text: str, path: str) -> tuple[str, ...]:
    keys = parts_of(text)
    if not all(keys):
        message = f"`{text}` is no path; keys are joined by dots, odd ones stand in back quotes"
        raise CallerError(message, code="bad_definition", path=path)
    return keys
