"""What a query over a store may name in a datamart: names that its schema adds, its queries as `@name` (decision 30).

Read from the rows of what is applied, so that it is the same inside an engine and beside it.
"""

from collections.abc import Mapping
from typing import Any, Final

from engine.definitions.declared.goals import NamedQuery
from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.defined import Defined
from engine.definitions.kept import definition_key, head_key, read_head, read_kept, value_of
from engine.definitions.kinds import SCHEMA
from engine.definitions.queries import resolve_query, schema_of
from engine.errors import CallerError
from engine.query.errors import QueryError
from engine.query.schema import Schema
from engine.store.port import Db, Store

QUERY: Final = "query"
"""The kind of named queries."""


def named_in(store: Store, datamart: int, query: str | Mapping[str, Any]) -> tuple[str | dict[str, Any], Schema]:
    """The query itself, where it is `@name`, and the schema that it is asked over. Blocks.

    A definition that this version of the program cannot read or use counts as not there, as in the engine.

    Args:
        store: of which.
        datamart: whose queries and schema.
        query: OTQL, JSON_OTQL or `@name`.

    Raises:
        QueryError: there is no query of this name.
    """
    text = query if isinstance(query, str) else dict(query)
    by_name = isinstance(text, str) and text.strip().startswith("@")
    defined = _defined(store, datamart, (SCHEMA.name, QUERY) if by_name else (SCHEMA.name,))
    try:
        schema = schema_of(defined)
    except CallerError:
        schema = schema_of(Defined(datamart=datamart))
    try:
        return resolve_query(text, defined, "query"), schema
    except CallerError as error:
        raise QueryError(error.message, path="query") from None


def _defined(store: Store, datamart: int, kinds: tuple[str, ...]) -> Defined:
    queries: list[NamedQuery] = []
    schema = SchemaMapping()
    row = store.get(Db.DEFINITIONS, head_key(datamart))
    try:
        order = read_head(row).order if row is not None else {}
    except ValueError:
        order = {}
    for kind in kinds:
        for name in order.get(kind, ()):
            row = store.get(Db.DEFINITIONS, definition_key((datamart, kind, name)))
            try:
                value = value_of(read_kept(row)) if row is not None else None
            except ValueError:
                continue
            match value:
                case NamedQuery():
                    queries.append(value)
                case SchemaMapping():
                    schema = value
    return Defined(datamart=datamart, queries=tuple(queries), schema=schema)
