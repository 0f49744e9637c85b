"""Queries as closures over activities: compiled once, asked in microseconds (mediarithmics 7.5; decision 30).

Expressions have scores. A predicate's is 1 or 0; AND is the product and OR the highest of its parts; NOT is 1 where the
score is not above 0; an object's is the highest of those behind its link, or what its score function makes of those
that match, and 0 below its `min_score`. A query holds when its score is above 0. Where nothing in an expression is
scored by a function, whether it holds is all there is to its score, and that is what is compiled.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from engine.errors import CallerError
from engine.model.wire import decode, decoder
from engine.query import json_otql, otql
from engine.query.ast import Compare, Exists, Expression, Group, Object, Query, Score, walk
from engine.query.check import check
from engine.query.condition import Condition, Match
from engine.query.default_schema import DEFAULT
from engine.query.document import Document, Values
from engine.query.errors import QueryError
from engine.query.limits import MAX_QUERY_CHARS
from engine.query.names import event_names
from engine.query.reach import Reach, reach_of
from engine.query.schema import Field, NotFound, Schema
from engine.query.values import Get, Test, comparison_test, getter, number_of, scalars

Scorer = Callable[[Values, Document], float]
"""The score of something on an object."""

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
        compiler = _Compiler(schema)
        where = query.where
        self.query = query
        self.holds: Test = _always if where is None else compiler.test(where, query.root)
        self._score: Scorer | None = None
        if where is not None and _is_scored(where):
            self._score = compiler.score(where, query.root)
        self.event_names = None if where is None else event_names(where, query.root, schema)
        self._locate: Locate | None = None if where is None else compiler.locate(where, query.root)
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


def _is_scored(expression: Expression) -> bool:
    return any(isinstance(one, Object) and one.score is not None for one in walk(expression))


Locate = Callable[[Values, Document], int | None]
"""The index of the first event that an expression which holds is about; None where it is about none."""


class _Compiler:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    # -- whether it holds

    def test(self, expression: Expression, here: str) -> Test:
        if _is_scored(expression):
            score = self.score(expression, here)
            return lambda values, document: score(values, document) > 0
        match expression:
            case Compare():
                return comparison_test(expression, self.get(expression.field, here))
            case Exists():
                return self._existence(expression, here)
            case Group():
                test = self._joined(expression, here)
            case Object():
                test = self._behind(expression, here)
        return _negated(test) if expression.negation else test

    def _joined(self, node: Group | Object, here: str) -> Test:
        tests = [self.test(one, here) for one in node.expressions]
        return _all(tests) if node.operator == "AND" or not tests else _any(tests)

    def _behind(self, node: Object, here: str) -> Test:
        links = self._schema.link(here, node.field)
        inner = self._joined(node, self._schema.canonical(links[-1].to))
        reach = reach_of(links)
        if reach.is_events:

            def any_event(values: Values, document: Document) -> bool:
                for event in values.get("$events") or ():  # noqa: SIM110 - a generator costs twice the loop
                    if event.__class__ is dict and inner(event, document):
                        return True
                return False

            return any_event

        def test(values: Values, document: Document) -> bool:
            for found, of in reach.objects(values, document):  # noqa: SIM110 - as above
                if inner(found, of):
                    return True
            return False

        return test

    def _existence(self, node: Exists, here: str) -> Test:
        wanted = node.exists
        try:
            reach = reach_of(self._schema.link(here, node.field))
        except NotFound:
            get = self.get(node.field, here)

            def has_value(values: Values, document: Document) -> bool:
                found = get(values, document)
                return (found is not None and found != []) is wanted

            return has_value

        def has_objects(values: Values, document: Document) -> bool:
            return any(True for _ in reach.objects(values, document)) is wanted

        return has_objects

    def get(self, name: str, here: str) -> Get:
        found = self._schema.field(here, name)
        if not found.links:
            return getter(found.field)
        return get_through(reach_of(found.links), found.field)

    # -- scores

    def score(self, expression: Expression, here: str) -> Scorer:
        if not _is_scored(expression):
            test = self.test(expression, here)
            return lambda values, document: 1.0 if test(values, document) else 0.0
        assert isinstance(expression, Group | Object)
        if isinstance(expression, Group):
            score = self._joined_score(expression, here)
        else:
            score = self._object_score(expression, here)
        if expression.negation:
            return lambda values, document: 0.0 if score(values, document) > 0 else 1.0
        return score

    def _joined_score(self, node: Group | Object, here: str) -> Scorer:
        scorers = [self.score(one, here) for one in node.expressions]
        if node.operator == "OR" and scorers:
            return lambda values, document: max(scorer(values, document) for scorer in scorers)

        def product(values: Values, document: Document) -> float:
            found = 1.0
            for scorer in scorers:
                score = scorer(values, document)
                # What does not hold must not hold twice, as a product of two negative scores would.
                if score <= 0:
                    return 0.0
                found *= score
            return found

        return product

    def _object_score(self, node: Object, here: str) -> Scorer:
        links = self._schema.link(here, node.field)
        to = self._schema.canonical(links[-1].to)
        inner = self._joined_score(node, to)
        reach = reach_of(links)
        rule = node.score or Score(function="MAX")
        value_of = self.get(rule.field, to) if rule.field else None

        def scores(values: Values, document: Document) -> Iterable[float]:
            for found, of in reach.objects(values, document):
                score = inner(found, of)
                if score > 0:
                    yield score if value_of is None else _number(value_of(found, of))

        function, least = FUNCTIONS[rule.function], rule.min_score

        def scored(values: Values, document: Document) -> float:
            found = list(scores(values, document))
            score = function(found) if found else 0.0
            return 0.0 if least is not None and score < least else score

        return scored

    # -- which event

    def locate(self, expression: Expression, here: str) -> Locate | None:
        if isinstance(expression, Compare | Exists) or expression.negation:
            return None
        if isinstance(expression, Group):
            return self._locate_in(expression, here)
        links = self._schema.link(here, expression.field)
        to = self._schema.canonical(links[-1].to)
        inner, reach = self._joined(expression, to), reach_of(links)
        if to == "UserEvent":

            def first_event(values: Values, document: Document) -> int | None:
                for index, (event, of) in enumerate(reach.objects(values, document)):
                    if inner(event, of):
                        return index
                return None

            return first_event
        if to != "UserActivity":
            return None
        deeper = self._locate_in(expression, to)
        if deeper is None:
            return None

        def in_activity(values: Values, document: Document) -> int | None:
            for activity, of in reach.objects(values, document):
                if inner(activity, of):
                    return deeper(activity, of)
            return None

        return in_activity

    def _locate_in(self, node: Group | Object, here: str) -> Locate | None:
        """Of what AND joins, the first part that is about an event; of what OR joins, of those that hold."""
        parts = [
            (self.test(one, here), locate) for one in node.expressions if (locate := self.locate(one, here)) is not None
        ]
        if not parts:
            return None

        def first(values: Values, document: Document) -> int | None:
            for test, locate in parts:
                if test(values, document) and (found := locate(values, document)) is not None:
                    return found
            return None

        return first


def get_through(reach: Reach, field: Field) -> Get:
    """How a field of objects behind links is found: the list of their values."""
    get = getter(field)

    def values_behind(values: Values, document: Document) -> Any:  # noqa: ANN401 - any JSON value
        found = [one for value, of in reach.objects(values, document) if (one := get(value, of)) is not None]
        return found or None

    if reach.path is None or field.scope == "ACTIVITY":
        return values_behind
    return getter(Field(field.type, tuple(reach.path + path for path in field.paths)))


def _number(value: Any) -> float:  # noqa: ANN401 - any JSON value
    """The sum of the numbers that a field has: nearly always one."""
    return float(sum(number for one in scalars(value) if (number := number_of(one)) is not None))


def _average(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)


FUNCTIONS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "SUM": sum,
    "AVERAGE": _average,
    "MIN": min,
    "MAX": max,
}


def _negated(test: Test) -> Test:
    return lambda values, document: not test(values, document)


def _all(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        one, two = tests
        return lambda values, document: one(values, document) and two(values, document)

    def holds(values: Values, document: Document) -> bool:
        for test in tests:  # noqa: SIM110 - a generator costs twice the loop
            if not test(values, document):
                return False
        return True

    return holds


def _any(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        one, two = tests
        return lambda values, document: one(values, document) or two(values, document)

    def holds(values: Values, document: Document) -> bool:
        for test in tests:  # noqa: SIM110 - a generator costs twice the loop
            if test(values, document):
                return True
        return False

    return holds
