"""Checked expressions as closures; how scores are made is told in `compile`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from engine.query.ast import Compare, Exists, Expression, Group, Object, Score, walk
from engine.query.document import Document, Values
from engine.query.reach import Reach, reach_of
from engine.query.schema import Field, NotFound, Schema
from engine.query.values import Get, Test, comparison_test, getter, is_present, number_of, scalars

Scorer = Callable[[Values, Document], float]
"""The score of something on an object."""


def is_scored(expression: Expression) -> bool:
    """Whether a score function counts in it: else its score is 1 or 0."""
    return any(isinstance(one, Object) and one.score is not None for one in walk(expression))


Locate = Callable[[Values, Document], int | None]
"""The index of the first event that an expression which holds is about; None where it is about none."""


class Compiler:
    """Makes closures of expressions.

    Args:
        schema: the one they were checked against.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    # -- whether it holds

    def test(self, expression: Expression, here: str) -> Test:
        """Whether it holds of an object of type `here`."""
        if is_scored(expression):
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
        if reach.is_events_of_person:

            def any_event_of_person(values: Values, document: Document) -> bool:
                for of in document.activities:
                    for event in of.events:
                        if event.__class__ is dict and inner(event, of):
                            return True
                return False

            return any_event_of_person

        def test(values: Values, document: Document) -> bool:
            for found, of in reach.objects(values, document):  # noqa: SIM110 - as above
                if inner(found, of):
                    return True
            return False

        return test

    def _existence(self, node: Exists, here: str) -> Test:
        wanted = node.exists
        try:
            get = self.get(node.field, here)
        except NotFound:
            reach = reach_of(self._schema.link(here, node.field))
            return lambda values, document: any(True for _ in reach.objects(values, document)) is wanted
        return lambda values, document: is_present(get(values, document)) is wanted

    def get(self, name: str, here: str) -> Get:
        """How a field is found."""
        return getter_of(name, here, self._schema)

    # -- scores

    def score(self, expression: Expression, here: str) -> Scorer:
        """Its score on an object of type `here`."""
        if not is_scored(expression):
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
        """Which event it is about, where it holds; None where it is never about one."""
        if isinstance(expression, Compare | Exists) or expression.negation:
            return None
        if isinstance(expression, Group):
            return self._locate_in(expression, here)
        links = self._schema.link(here, expression.field)
        to = self._schema.canonical(links[-1].to)
        inner, reach = self._joined(expression, to), reach_of(links)
        if to == "UserEvent":
            if reach.is_events:

                def first_of_activity(values: Values, document: Document) -> int | None:
                    for index, event in enumerate(values.get("$events") or ()):
                        if event.__class__ is dict and inner(event, document):
                            return index
                    return None

                return first_of_activity

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


def getter_of(name: str, here: str, schema: Schema) -> Get:
    """How the field that a dotted name means is found; behind links to several objects, the list of its values."""
    found = schema.field(here, name)
    if not found.links:
        return getter(found.field)
    return _get_through(reach_of(found.links), found.field)


def _get_through(reach: Reach, field: Field) -> Get:
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
