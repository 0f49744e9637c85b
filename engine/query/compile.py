"""Queries as closures over activities: compiled once, asked in microseconds (mediarithmics 7.5; decision 30).

Expressions have scores. A predicate's is 1 or 0; AND is the product and OR the highest of its parts; NOT is 1 where the
score is not above 0; an object's is the highest of those behind its link, or what its score function makes of those
that match, and 0 below its `min_score`. A query holds when its score is above 0. Where nothing in an expression is
scored by a function, whether it holds is all there is to its score, and that is what is compiled.
"""

from typing import TYPE_CHECKING, Any, Final

from engine.errors import CallerError
from engine.model.wire import decode, decoder
from engine.query import json_otql, otql
from engine.query.ast import Object, Query
from engine.query.check import check
from engine.query.closures import Compiler, Locate, Scorer, is_scored
from engine.query.condition import Condition, Match
from engine.query.default_schema import DEFAULT
from engine.query.document import Document, Values
from engine.query.errors import QueryError
from engine.query.limits import MAX_QUERY_CHARS
from engine.query.names import event_names
from engine.query.schema import Schema

if TYPE_CHECKING:
    from engine.query.values import Test

_json: Final = decoder(dict[str, Any])


def read_query(query: str | dict[str, Any], path: str = "") -> Query:
    """Read a query in any of its forms, unchecked.

    Args:
        query: OTQL, with SELECT or an expression alone; JSON_OTQL, also as text.
        path: of the query in what the caller sent, for errors.

    Raises:
        QueryError: it is none.
    """
    if isinstance(query, dict):
        return json_otql.read(query, path)
    if not query.lstrip().startswith("{"):
        return otql.parse(query, path)
    if len(query) > MAX_QUERY_CHARS * 4:
        raise QueryError(f"JSON_OTQL of more than {MAX_QUERY_CHARS * 4} characters", path=path)
    try:
        data = decode(_json, query.encode("utf-8", "surrogatepass"))
    except CallerError as error:
        raise QueryError(f"JSON_OTQL is JSON: {error.message}", path=path) from None
    return json_otql.read(data, path)


def compile_query(query: str | dict[str, Any], *, path: str = "query", schema: Schema = DEFAULT) -> Condition:
    """Compile a query into what can be asked of activities.

    Args:
        query: OTQL, with SELECT or an expression alone; JSON_OTQL. Of a SELECT, what its WHERE asks.
        path: of the query in what the caller sent, for errors.
        schema: what it may speak of.

    Raises:
        QueryError: it cannot be read, or not be asked.
    """
    return compile_checked(check(read_query(query, path), schema, path), schema)


def compile_checked(query: Query, schema: Schema = DEFAULT) -> "CompiledQuery":
    """Compile a query that `check` has gone through.

    Args:
        query: what `check` gave.
        schema: the one it was checked against.
    """
    return CompiledQuery(query, schema)


class CompiledQuery:
    """A `Condition`, which also tells of what objects it holds.

    Args:
        query: checked.
        schema: the one it was checked against.

    Attributes:
        query: as given.
        event_names: as in `Condition`.
        holds: whether the WHERE holds of one object of the root type.
    """

    def __init__(self, query: Query, schema: Schema) -> None:
        compiler = Compiler(schema)
        where = query.where
        self.query = query
        self.holds: Test = _always if where is None else compiler.test(where, query.root)
        self._score: Scorer | None = None
        if where is not None and is_scored(where):
            self._score = compiler.score(where, query.root)
        self.event_names = None if where is None else event_names(where, query.root, schema)
        self._locate: Locate | None = None if where is None else compiler.locate(where, query.root)
        # Where it is about one event and nothing else, finding the event is all.
        self._locates_all = (
            isinstance(where, Object)
            and self._locate is not None
            and self._score is None
            and schema.canonical(schema.link(query.root, where.field)[-1].to) == "UserEvent"
        )
        self._match = {"UserEvent": self._match_events, "UserPoint": self._match_person}.get(
            query.root, self._match_activity
        )

    def match(self, document: Document) -> Match | None:
        """As `Condition.match`."""
        return self._match(document)

    def _match_events(self, document: Document) -> Match | None:
        holds = self.holds
        for index, event in enumerate(document.events):
            if event.__class__ is dict and holds(event, document):
                return Match(1.0 if self._score is None else self._score(event, document), index)
        return None

    def _match_activity(self, document: Document) -> Match | None:
        return self._match_root(document.activity, document)

    def _match_person(self, document: Document) -> Match | None:
        return self._match_root({"$user_point_id": document.user_point or None}, document)

    def _match_root(self, root: Values, document: Document) -> Match | None:
        if self._locates_all:
            assert self._locate is not None
            index = self._locate(root, document)
            return None if index is None else Match(1.0, index)
        if self._score is not None:
            score = self._score(root, document)
            if score <= 0:
                return None
        elif self.holds(root, document):
            score = 1.0
        else:
            return None
        return Match(score, None if self._locate is None else self._locate(root, document))


def _always(values: Values, document: Document) -> bool:
    return True
