"""What a datamart's own definitions add to the language of queries: names of its schema, and its named queries.

Read from the store when a query is asked, so also a process beside the engine knows what was applied last.
"""

from collections.abc import Mapping
from typing import Any, Final

from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.defined import Defined
from engine.definitions.kept import Head, definition_key, head_key, read_head, read_kept, value_of
from engine.definitions.kinds import KINDS, SCHEMA
from engine.definitions.queries import resolve_query, schema_of
from engine.errors import CallerError
from engine.query.default_schema import DEFAULT
from engine.query.errors import QueryError
from engine.query.schema import Schema
from engine.store.port import Db, Store

QUERY: Final = KINDS["query"]


def schema_in(store: Store, datamart: int) -> Schema:
    """The schema of a datamart's queries. One that this version of the program cannot use adds nothing."""
    head = _head(store, datamart)
    mappings = [] if head is None else _values(store, head, SCHEMA.name, head.order.get(SCHEMA.name, ()))
    try:
        return schema_of(Defined(datamart=datamart, schema=next(iter(mappings), SchemaMapping())))
    except CallerError:
        return DEFAULT


def query_in(store: Store, datamart: int, query: str | Mapping[str, Any]) -> str | dict[str, Any]:
    """The query itself, where `@name` stands for one that the datamart declares.

    Raises:
        QueryError: there is none of this name, or names lead in a circle.
    """
    if not isinstance(query, str):
        return dict(query)
    if not is_name(query):
        return query
    head = _head(store, datamart)
    named = () if head is None else tuple(_values(store, head, QUERY.name, head.order.get(QUERY.name, ())))
    try:
        return resolve_query(query, Defined(datamart=datamart, queries=named), "query")
    except CallerError as error:
        raise QueryError(str(error), kind="FIELD", path="query") from None


def is_name(query: str) -> bool:
    """Whether a text is the name of a query and not one itself."""
    return query.strip().startswith("@")


def _head(store: Store, datamart: int) -> Head | None:
    stored = store.get(Db.DEFINITIONS, head_key(datamart))
    try:
        return None if stored is None else read_head(stored)
    except ValueError:
        return None  # Damaged: the engine says so, where it is opened.


def _values(store: Store, head: Head, kind: str, names: tuple[str, ...]) -> list[Any]:
    """Definitions in use, but for those that cannot be read: they are set aside."""
    found: list[Any] = []
    for name in names:
        stored = store.get(Db.DEFINITIONS, definition_key((head.datamart, kind, name)))
        try:
            if stored is not None:
                found.append(value_of(read_kept(stored)))
        except ValueError:
            continue
    return found
