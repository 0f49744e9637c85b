"""JSON_OTQL, read: decoded JSON → tree (mediarithmics 7.5).

    {"from": …, "operations": [{"directives": [], "selections": [{"name": …}]}], "where": node, "limit": n}

Strict: an unknown key, type or operator, or a value of the wrong type is a `QueryError` whose path names the node. Two
things are taken beyond the platform's tables, because people paste them: numbers and booleans of comparisons as texts,
and `=` of times (`EQUAL`, `NOT_EQUAL`).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

from engine.query.ast import (
    Argument,
    BooleanOperator,
    Compare,
    Directive,
    Exists,
    Expression,
    Group,
    Kind,
    Object,
    Operation,
    Operator,
    Place,
    Query,
    Score,
    ScoreFunction,
    Selection,
    Value,
)
from engine.query.errors import Fault, QueryError
from engine.query.limits import MAX_DEPTH, MAX_NAME_CHARS, MAX_NODES, MAX_QUERY_CHARS, MAX_VALUES

T = TypeVar("T")

_STRINGS: Final = {
    "EQ": Operator.EQ,
    "NOT_EQ": Operator.NE,
    "MATCHES": Operator.MATCHES,
    "DOES_NOT_MATCH": Operator.NOT_MATCHES,
    "STARTS_WITH": Operator.STARTS_WITH,
    "DOES_NOT_START_WITH": Operator.NOT_STARTS_WITH,
    "CONTAINS": Operator.CONTAINS,
    "DOES_NOT_CONTAIN": Operator.NOT_CONTAINS,
}
_EQUAL: Final = {"EQUAL": Operator.EQ, "NOT_EQUAL": Operator.NE}
_TIMES: Final = {
    "BEFORE": Operator.LT,
    "BEFORE_OR_EQUAL": Operator.LTE,
    "AFTER": Operator.GT,
    "AFTER_OR_EQUAL": Operator.GTE,
    **_EQUAL,
}
_NUMBERS: Final = {**_EQUAL, "LT": Operator.LT, "LTE": Operator.LTE, "GT": Operator.GT, "GTE": Operator.GTE}
OPERATORS: Final[dict[Kind, dict[str, Operator]]] = {
    Kind.STRING: _STRINGS,
    Kind.TIME: _TIMES,
    Kind.TIME_INTERVAL: _TIMES,
    Kind.NUMERIC: _NUMBERS,
    Kind.NUMERIC_INTERVAL: _NUMBERS,
    Kind.BOOLEAN: _EQUAL,
    Kind.ENUM: _EQUAL,
}
"""What JSON_OTQL calls the operators of each type of comparison."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_FUNCTIONS: Final[dict[str, ScoreFunction]] = {"SUM": "SUM", "AVERAGE": "AVERAGE", "MIN": "MIN", "MAX": "MAX"}
_BOOLEANS: Final[dict[str, BooleanOperator]] = {"AND": "AND", "OR": "OR"}
_EXISTENCES: Final = {"EXISTS": True, "DOES_NOT_EXIST": False}
_NODES: Final = ("OBJECT", "GROUP", "FIELD", "TAXONOMY_OBJECT")


def read(data: Mapping[str, Any], path: str = "") -> Query:
    """Read a query.

    Args:
        data: decoded JSON.
        path: of the query in what the caller sent, for errors.

    Raises:
        QueryError: of kind PARSING.
    """
    return _Reader(path).query(data)


class _Reader:
    def __init__(self, path: str) -> None:
        self._path = path
        self._depth = 0
        self._nodes = 0
        self._chars = 0

    def _fail(self, message: str, at: str, kind: Fault = "PARSING") -> NoReturn:
        raise QueryError(message, kind=kind, path=self._path + at)

    def query(self, data: object) -> Query:
        fields = self._fields(data, "", ("from", "operations", "where", "limit"))
        if "from" not in fields:
            self._fail("expected the field `from`, an object type such as `UserPoint`", "")
        root = self._text(fields["from"], ".from")
        operations = self._list(fields.get("operations", ()), ".operations")
        if len(operations) > 1:
            self._fail("more than one operation", ".operations")
        where = fields.get("where")
        limit = fields.get("limit")
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
            self._fail("expected a whole number as `limit`", ".limit")
        return Query(
            root=root,
            operation=self._operation(operations[0], ".operations[0]") if operations else None,
            where=None if where is None else self._node(where, ".where"),
            limit=limit,
            at=Place(path=".from"),
        )

    # -- operations

    def _operation(self, data: object, at: str) -> Operation:
        fields = self._fields(data, at, ("directives", "selections"))
        return Operation(self._directives(fields, at), self._selections(fields, at), Place(path=at))

    def _selections(self, fields: Mapping[str, Any], at: str) -> tuple[Selection, ...]:
        return self._each(fields.get("selections"), f"{at}.selections", self._selection)

    def _selection(self, data: object, at: str) -> Selection:
        fields = self._fields(data, at, ("name", "directives", "selections"))
        name = self._name(fields.get("name"), f"{at}.name")
        return Selection(name, self._directives(fields, at), self._selections(fields, at), Place(path=at))

    def _directives(self, fields: Mapping[str, Any], at: str) -> tuple[Directive, ...]:
        return self._each(fields.get("directives"), f"{at}.directives", self._directive)

    def _directive(self, data: object, at: str) -> Directive:
        fields = self._fields(data, at, ("name", "arguments"))
        name = self._name(fields.get("name"), f"{at}.name")
        return Directive(name, self._each(fields.get("arguments"), f"{at}.arguments", self._argument), Place(path=at))

    def _argument(self, data: object, at: str) -> Argument:
        fields = self._fields(data, at, ("name", "value"))
        return Argument(self._name(fields.get("name"), f"{at}.name"), self._value(fields.get("value"), f"{at}.value"))

    def _each(self, data: object, at: str, read_one: Callable[[object, str], T]) -> tuple[T, ...]:
        if data is None:
            return ()
        self._deeper(at)
        found = tuple(read_one(one, f"{at}[{index}]") for index, one in enumerate(self._list(data, at)))
        self._depth -= 1
        return found

    # -- expressions

    def _node(self, data: object, at: str) -> Expression:
        self._count(at)
        if not isinstance(data, dict):
            self._fail(f"expected an object with `type`, one of {', '.join(_NODES)}", at)
        kind = data.get("type")
        if kind == "FIELD":
            return self._field(data, at)
        if kind == "GROUP":
            fields = self._fields(data, at, ("type", "expressions", "boolean_operator", "negation"))
            operator, expressions, negation = self._group(fields, at)
            return Group(operator, expressions, negation, Place(path=at))
        if kind == "OBJECT":
            scores = ("min_score", "score_function", "score_field")
            fields = self._fields(data, at, ("type", "field", "expressions", "boolean_operator", "negation", *scores))
            operator, expressions, negation = self._group(fields, at)
            name = self._name(fields.get("field"), f"{at}.field")
            return Object(name, operator, expressions, negation, self._score(fields, at), Place(path=at))
        if kind == "TAXONOMY_OBJECT":
            self._fail(
                "TAXONOMY_OBJECT asks a taxonomy, a tree of categories that the platform keeps outside the schema;"
                " there is none here. Ask for the categories themselves, with OBJECT and FIELD",
                at,
                "FIELD",
            )
        self._fail(f"expected `type` to be one of {', '.join(_NODES)}", f"{at}.type")

    def _group(self, fields: Mapping[str, Any], at: str) -> tuple[BooleanOperator, tuple[Expression, ...], bool]:
        operator = self._one_of(fields.get("boolean_operator", "AND"), _BOOLEANS, f"{at}.boolean_operator")
        negation = fields.get("negation")
        if negation is not None and not isinstance(negation, bool):
            self._fail("expected true or false", f"{at}.negation")
        self._deeper(at)
        listed = self._list(fields.get("expressions", ()), f"{at}.expressions")
        expressions = tuple(self._node(one, f"{at}.expressions[{index}]") for index, one in enumerate(listed))
        self._depth -= 1
        return operator, expressions, bool(negation)

    def _score(self, fields: Mapping[str, Any], at: str) -> Score | None:
        least, function, field = (fields.get(name) for name in ("min_score", "score_function", "score_field"))
        if least is None and function is None and not field:
            return None
        if least is not None:
            least = self._number(least, f"{at}.min_score")
        chosen = _FUNCTIONS["SUM"]
        if function is not None:
            chosen = self._one_of(function, _FUNCTIONS, f"{at}.score_function")
        return Score(least, chosen, self._name(field, f"{at}.score_field") if field else "")

    def _field(self, data: object, at: str) -> Compare | Exists:
        fields = self._fields(data, at, ("type", "field", "comparison", "existence"))
        name = self._name(fields.get("field"), f"{at}.field")
        comparison, existence = fields.get("comparison"), fields.get("existence")
        if (comparison is None) == (existence is None):
            self._fail("expected `comparison` or `existence`, one of the two", at)
        if existence is not None:
            return Exists(name, self._one_of(existence, _EXISTENCES, f"{at}.existence"), Place(path=at))
        at_comparison = f"{at}.comparison"
        found = self._fields(comparison, at_comparison, ("type", "operator", "values"))
        kinds = {kind.value: kind for kind in Kind}
        kind = self._one_of(found.get("type"), kinds, f"{at_comparison}.type")
        operator = self._one_of(found.get("operator"), OPERATORS[kind], f"{at_comparison}.operator")
        listed = self._list(found.get("values"), f"{at_comparison}.values")
        if not listed:
            self._fail("expected at least one value", f"{at_comparison}.values")
        if len(listed) > MAX_VALUES:
            self._fail(f"more than {MAX_VALUES} values", f"{at_comparison}.values")
        values = tuple(
            self._of_kind(kind, value, f"{at_comparison}.values[{index}]") for index, value in enumerate(listed)
        )
        return Compare(name, operator, values, kind, Place(path=at))

    def _of_kind(self, kind: Kind, value: object, at: str) -> Value:
        if kind in (Kind.NUMERIC, Kind.NUMERIC_INTERVAL):
            return self._number(value, at)
        if kind is Kind.BOOLEAN and value in ("true", "false"):
            return value == "true"
        return self._value(value, at)

    # -- values

    def _number(self, value: object, at: str) -> int | float:
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value) if set(value) & set(".eE") else int(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._fail("expected a number", at)
        return value if isinstance(value, int) else self._finite(value, at)

    def _finite(self, value: float, at: str) -> float:
        if not math.isfinite(value):
            self._fail("expected a finite number", at)
        return value

    def _value(self, value: object, at: str) -> Value:
        if isinstance(value, str):
            return self._text(value, at)
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            if abs(value) >= 10**39:
                self._fail("a number of too many digits", at)
            return value
        if isinstance(value, float):
            return self._finite(value, at)
        self._fail("expected a text, a number, true or false", at)

    def _text(self, value: object, at: str) -> str:
        if not isinstance(value, str) or _SURROGATE.search(value):
            self._fail("expected a text", at)
        self._chars += len(value)
        if self._chars > MAX_QUERY_CHARS * 2:
            self._fail(f"a query of more than {MAX_QUERY_CHARS * 2} characters", at)
        return value

    def _name(self, value: object, at: str) -> str:
        name = self._text(value, at)
        if not 0 < len(name) <= MAX_NAME_CHARS:
            self._fail(f"expected a name of 1 to {MAX_NAME_CHARS} characters", at)
        return name

    def _one_of(self, value: object, known: Mapping[str, T], at: str) -> T:
        if not isinstance(value, str) or value not in known:
            self._fail(f"expected one of {', '.join(known)}", at)
        return known[value]

    def _fields(self, data: object, at: str, known: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(data, dict):
            self._fail("expected an object", at)
        for key in data:
            if key not in known:
                self._fail(f"unknown field `{str(key)[:60]}`; expected one of {', '.join(known)}", at)
        return data

    def _list(self, data: object, at: str) -> Sequence[Any]:
        if not isinstance(data, list | tuple):
            self._fail("expected a list", at)
        return data

    # -- bounds

    def _deeper(self, at: str) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"expressions are nested deeper than {MAX_DEPTH}", at)

    def _count(self, at: str) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._fail(f"more than {MAX_NODES} expressions", at)
