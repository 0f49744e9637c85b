"""Whether a query can be asked: its names, types, operators and directives (mediarithmics 7.5 and 7.6).

Checking also says what a text leaves open: what a bare expression is about, and as what each field is compared.
"""

from typing import Final

from engine.query.ast import (
    Compare,
    Exists,
    Expression,
    Group,
    Kind,
    Object,
    Operator,
    Place,
    Query,
    Value,
)
from engine.query.dates import UNITS, span_of
from engine.query.default_schema import ROOTS
from engine.query.directives import check_operation
from engine.query.errors import Fault, QueryError
from engine.query.pattern import Pattern, check_positions
from engine.query.schema import KINDS, FieldType, NotFound, Schema

ORDERED: Final = (Operator.LT, Operator.LTE, Operator.GT, Operator.GTE)
EQUALITY: Final = (Operator.EQ, Operator.NE)
OPERATORS: Final = {
    Kind.STRING: tuple(one for one in Operator if one not in ORDERED),
    Kind.ENUM: EQUALITY,
    Kind.BOOLEAN: EQUALITY,
    Kind.NUMERIC: (*EQUALITY, *ORDERED),
    Kind.NUMERIC_INTERVAL: (*EQUALITY, *ORDERED),
    Kind.TIME: (*EQUALITY, *ORDERED),
    Kind.TIME_INTERVAL: (*EQUALITY, *ORDERED),
}
"""Which operators each type of comparison has. That times have `=`, which means within its span, is more than §7.5."""


def check(query: Query, schema: Schema, path: str = "") -> Query:
    """The same query with its root and the kind of each comparison filled in.

    Args:
        query: as it was read.
        schema: what it may speak of.
        path: of the query in what the caller sent, for errors.

    Raises:
        QueryError: of kind FIELD, TYPINGS or DIRECTIVE.
    """
    return _Checker(schema, path).query(query)


class _Checker:
    def __init__(self, schema: Schema, path: str) -> None:
        self._schema = schema
        self._path = path
        # Of the regular expressions met so far.
        self._positions = 0

    def query(self, query: Query) -> Query:
        if query.root:
            root = self._root(query)
            where = None if query.where is None else self._expression(query.where, root)
        else:
            root, where = self._bare(query.where)
        if query.operation is not None:
            check_operation(query.operation, self._schema, root, self._path)
        return Query(root=root, operation=query.operation, where=where, limit=query.limit, at=query.at)

    def _root(self, query: Query) -> str:
        try:
            root = self._schema.canonical(query.root)
        except NotFound as error:
            raise self._wrong(str(error), query.at, "FIELD") from None
        if root not in ROOTS:
            message = f"`{query.root}` cannot stand behind FROM; expected one of {', '.join(ROOTS)}"
            raise self._wrong(message, query.at, "FIELD")
        return root

    def _bare(self, where: Expression | None) -> tuple[str, Expression | None]:
        """An expression alone is about the first root that has all the names it begins with."""
        if where is None:
            return ROOTS[0], None
        names = _outermost(where)
        for root in ROOTS:
            if all(self._is_known(root, one) for one in names):
                return root, self._expression(where, root)
        # None has them all: the root that has most of them tells best which one is wrong.
        best = max(ROOTS, key=lambda root: sum(self._is_known(root, one) for one in names))
        self._expression(where, best)
        raise AssertionError("a name that is unknown was found")  # pragma: no cover

    def _is_known(self, root: str, node: "Compare | Exists | Object") -> bool:
        try:
            if isinstance(node, Object):
                self._schema.link(root, node.field)
            elif not isinstance(node, Exists) or not self._is_link(root, node.field):
                self._schema.field(root, node.field)
        except NotFound:
            return False
        return True

    def _is_link(self, root: str, name: str) -> bool:
        try:
            self._schema.link(root, name)
        except NotFound:
            return False
        return True

    def _expression(self, expression: Expression, here: str) -> Expression:
        match expression:
            case Compare():
                return self._compare(expression, here)
            case Exists():
                if not self._is_link(here, expression.field):
                    self._field(expression, here)
                return expression
            case Group():
                inner = tuple(self._expression(one, here) for one in expression.expressions)
                return Group(expression.operator, inner, expression.negation, expression.at)
            case Object():
                return self._object(expression, here)

    def _object(self, node: Object, here: str) -> Object:
        try:
            to = self._schema.canonical(self._schema.link(here, node.field)[-1].to)
        except NotFound as error:
            raise self._wrong(str(error), node.at, "FIELD") from None
        if node.score is not None and node.score.field:
            field = self._field(Exists(node.score.field, at=node.at), to)
            if field not in (FieldType.NUMBER, FieldType.ANY):
                raise self._wrong(f"`{node.score.field}` is no number: it cannot be a score", node.at, "TYPINGS")
        inner = tuple(self._expression(one, to) for one in node.expressions)
        return Object(node.field, node.operator, inner, node.negation, node.score, node.at)

    def _field(self, node: "Compare | Exists", here: str) -> FieldType:
        try:
            return self._schema.field(here, node.field).field.type
        except NotFound as error:
            raise self._wrong(str(error), node.at, "FIELD") from None

    def _compare(self, node: Compare, here: str) -> Compare:
        kind_of_field = self._field(node, here)
        kind = node.kind or self._meant(node, kind_of_field)
        if kind not in KINDS[kind_of_field]:
            expected = " or ".join(KINDS[kind_of_field])
            message = f"`{node.field}` is of type {kind_of_field}; it is compared as {expected}, not as {kind}"
            raise self._wrong(message, node.at, "TYPINGS")
        if node.operator not in OPERATORS[kind]:
            known = " ".join(one.value for one in OPERATORS[kind])
            message = f"`{node.field}` is compared as {kind}, which has {known}, not {node.operator.value}"
            raise self._wrong(message, node.at, "TYPINGS")
        if not node.values:
            raise self._wrong(f"`{node.field}` needs at least one value to be compared with", node.at, "TYPINGS")
        for value in node.values:
            self._value(node, kind, value)
        if node.operator in (Operator.MATCHES, Operator.NOT_MATCHES):
            self._patterns(node)
        return Compare(node.field, node.operator, node.values, kind, node.at)

    def _meant(self, node: Compare, kind: FieldType) -> Kind:
        """As what a text compares a field: the field's type says it, and where that leaves it open, the value."""
        first = node.values[0] if node.values else ""
        if kind is FieldType.ENUM and node.operator not in EQUALITY:
            return Kind.STRING
        if kind is FieldType.ID and not isinstance(first, str) and not isinstance(first, bool):
            return Kind.NUMERIC
        if kind is not FieldType.ANY:
            return KINDS[kind][0]
        if isinstance(first, bool):
            return Kind.BOOLEAN
        if not isinstance(first, str):
            return Kind.NUMERIC
        return Kind.TIME if node.operator in ORDERED else Kind.STRING

    def _value(self, node: Compare, kind: Kind, value: Value) -> None:
        if kind in (Kind.STRING, Kind.ENUM):
            if not isinstance(value, str):
                raise self._mismatch(node, value, "a text")
        elif kind is Kind.BOOLEAN:
            if not isinstance(value, bool):
                raise self._mismatch(node, value, "true or false")
        elif isinstance(value, bool):
            raise self._mismatch(node, value, "a number" if kind.startswith("NUMERIC") else "a time")
        elif kind in (Kind.NUMERIC, Kind.NUMERIC_INTERVAL):
            if isinstance(value, str):
                raise self._mismatch(node, value, "a number")
        elif isinstance(value, str) and span_of(value) is None:
            expected = f'a time: a date, an ISO 8601 moment, milliseconds, or such as "now-7d/d" (units {UNITS})'
            raise self._mismatch(node, value, expected)

    def _patterns(self, node: Compare) -> None:
        try:
            self._positions += Pattern(*map(str, node.values)).positions
            check_positions(self._positions)
        except QueryError as error:
            raise self._wrong(error.reason, node.at, "TYPINGS") from None

    def _mismatch(self, node: Compare, value: Value, expected: str) -> QueryError:
        shown = repr(value) if not isinstance(value, bool) else str(value).lower()
        cut = shown if len(shown) <= 60 else shown[:60] + " …"
        return self._wrong(f"`{node.field}` is compared with {cut}; expected {expected}", node.at, "TYPINGS")

    def _wrong(self, message: str, at: Place, kind: Fault) -> QueryError:
        return QueryError(message, row=at.row, col=at.col, kind=kind, path=self._path + at.path)


def _outermost(expression: Expression) -> "list[Compare | Exists | Object]":
    """What stands in no object."""
    if isinstance(expression, Group):
        return [found for one in expression.expressions for found in _outermost(one)]
    return [expression]
