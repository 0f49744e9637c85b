"""A SELECT over documents: fed with one after the other, it gives rows or, at the end, what was aggregated.

{id name}                   a row for each object: {"id": …, "name": …}
@count{}                    {"count": n}
{name @map price @avg}      {"aggregations": {"metrics": […], "buckets": […]}}
"""

from collections.abc import Callable, Iterator
from typing import Any

from engine.query.aggregate import Accumulator, accumulator
from engine.query.ast import Directive, Selection
from engine.query.closures import getter_of
from engine.query.compile import CompiledQuery
from engine.query.directives import BUCKETS, is_aggregation
from engine.query.document import Document, Values
from engine.query.reach import Reach, reach_of
from engine.query.schema import FieldType, NotFound, Schema
from engine.query.values import Get, scalars

Row = dict[str, Any]
Shape = Callable[[Values, Document], Any]


class Execution:
    """One run of a query.

    Args:
        compiled: the query; one without an operation selects whole objects.
        schema: the one it was checked against.

    Attributes:
        matched: objects that matched, those above the limit not counted.
        is_done: whether no further document changes the outcome.
        is_aggregation: whether there are no rows, and a `result` in the end.
    """

    def __init__(self, compiled: CompiledQuery, schema: Schema) -> None:
        query = compiled.query
        operation = query.operation
        self.is_aggregation = operation is not None and is_aggregation(operation)
        self.matched = 0
        self._root = query.root
        self._holds = compiled.holds
        self._limit = query.limit
        self._shape: Shape = lambda values, document: dict(values)
        self._counts = operation is not None and bool(operation.directives)
        self._columns: list[_Column] = []
        if operation is not None and self.is_aggregation:
            self._columns = list(_columns(operation.selections, query.root, schema))
        elif operation is not None:
            self._shape = _object_shape(operation.selections, query.root, schema)

    @property
    def is_done(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self.matched >= self._limit

    def feed(self, document: Document) -> Iterator[Row]:
        """The rows of one document; an aggregation has none, but counts only what is taken from this iterator."""
        for values in self._roots(document):
            if self.is_done:
                return
            if not self._holds(values, document):
                continue
            self.matched += 1
            if not self.is_aggregation:
                yield self._shape(values, document)
                continue
            for column in self._columns:
                column.add(values, document)

    def _roots(self, document: Document) -> Iterator[Values]:
        if self._root == "UserActivity":
            yield document.activity
        elif self._root == "UserEvent":
            yield from (event for event in document.events if isinstance(event, dict))
        else:
            yield {"$user_point_id": document.user_point or None}

    def result(self) -> Row | None:
        """What was aggregated so far; None for a selection."""
        if not self.is_aggregation:
            return None
        if self._counts:
            return {"count": self.matched}
        found = [one for column in self._columns for one in column.results()]
        return {
            "aggregations": {
                "metrics": [one for one in found if one["type"] not in BUCKETS],
                "buckets": [one for one in found if one["type"] in BUCKETS],
            }
        }


# -- selections


def _object_shape(selections: tuple[Selection, ...], here: str, schema: Schema) -> Shape:
    shapes = [(one.name, _shape(one, here, schema)) for one in selections]
    return lambda values, document: {name: shape(values, document) for name, shape in shapes}


def _shape(selection: Selection, here: str, schema: Schema) -> Shape:
    try:
        links = schema.link(here, selection.name)
    except NotFound:
        return getter_of(selection.name, here, schema)
    if not selection.selections and _is_field(selection.name, here, schema):
        return getter_of(selection.name, here, schema)
    reach = reach_of(links)
    inner: Shape = lambda values, document: dict(values)  # noqa: E731 - one of two shapes of the same kind
    if selection.selections:
        inner = _object_shape(selection.selections, schema.canonical(links[-1].to), schema)
    return _behind(reach, inner)


def _is_field(name: str, here: str, schema: Schema) -> bool:
    try:
        schema.field(here, name)
    except NotFound:
        return False
    return True


def _behind(reach: Reach, inner: Shape) -> Shape:
    def shape(values: Values, document: Document) -> Any:  # noqa: ANN401 - an object, a list of them, or None
        found = [inner(one, of) for one, of in reach.objects(values, document)]
        if reach.is_one(values):
            return found[0] if found else None
        return found

    return shape


# -- aggregations


class _Column:
    """A field and the directives behind it."""

    def __init__(
        self, name: str, reach: Reach | None, get: Get, directives: tuple[Directive, ...], kind: FieldType
    ) -> None:
        self._name = name
        self._reach = reach
        self._get = get
        self._parts: list[tuple[Directive, Accumulator]] = [
            (one, accumulator(one, is_time=kind is FieldType.TIME)) for one in directives
        ]

    def add(self, values: Values, document: Document) -> None:
        places = ((values, document),) if self._reach is None else self._reach.objects(values, document)
        for found, of in places:
            for value in scalars(self._get(found, of)):
                for _, part in self._parts:
                    part.add(value)

    def results(self) -> Iterator[Row]:
        for directive, part in self._parts:
            kind = directive.name
            yield {"name": f"{kind}_{self._name}", "field_name": self._name, "type": kind, **part.result()}


def _columns(
    selections: tuple[Selection, ...], here: str, schema: Schema, before: "tuple[Any, ...]" = (), prefix: str = ""
) -> Iterator[_Column]:
    for one in selections:
        if one.selections:
            links = schema.link(here, one.name)
            to = schema.canonical(links[-1].to)
            yield from _columns(one.selections, to, schema, (*before, *links), f"{prefix}{one.name}.")
        else:
            kind = schema.field(here, one.name).field.type
            reach = reach_of(before) if before else None
            yield _Column(prefix + one.name, reach, getter_of(one.name, here, schema), one.directives, kind)
