"""How values are found in decoded JSON, and compared: the innermost part of a compiled query.

Stored JSON is whatever was sent. So nothing here trusts a type: what does not fit is no match, and never an exception.
A list stands for its elements; null and absent are the same.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from engine.query.ast import NEGATED, Compare, Kind, Operator
from engine.query.dates import Span, moment_ms, span_of
from engine.query.document import Document, Values
from engine.query.pattern import Pattern
from engine.query.schema import Field, Path

Get = Callable[[Values, Document], Any]
"""The value of a field of an object: a scalar, an object, a list, or None."""

Test = Callable[[Values, Document], bool]
"""Whether something holds of an object."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


_MOST: Final = 10**300
"""A larger number is none here: what is reckoned with it would be out of range."""


def getter(field: Field) -> Get:
    """How a field is found."""
    if field.scope == "ACTIVITY":
        of_activity = getter(Field(field.type, field.paths))
        return lambda _, document: of_activity(document.activity, document)
    if len(field.paths) == 1:
        return _getter(field.paths[0])
    getters = [_getter(path) for path in field.paths]

    def first_present(values: Values, document: Document) -> Any:  # noqa: ANN401 - any JSON value
        for get in getters:
            found = get(values, document)
            if is_present(found):
                return found
        return None

    return first_present


def _getter(path: Path) -> Get:
    if len(path) == 1:
        key = path[0]
        return lambda values, _: values.get(key)
    if len(path) == 2:
        outer, inner = path

        def two(values: Values, _: Document) -> Any:  # noqa: ANN401 - any JSON value
            found = values.get(outer)
            return found.get(inner) if found.__class__ is dict else at_path(found, (inner,))

        return two
    return lambda values, _: at_path(values, path)


def at_path(value: Any, path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """What is at a path; of a list, what is there in each of its elements, as a list."""
    for place, key in enumerate(path):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list):
            found = [one for element in value if (one := at_path(element, path[place:])) is not None]
            return found or None
        else:
            return None
    return value


def is_present(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether there is a value: a list is one where one of its elements is."""
    return any(is_present(one) for one in value) if value.__class__ is list else value is not None


def scalars(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
    """The values that a field's value stands for: itself, or of a list its elements; no null, no object."""
    if isinstance(value, list):
        for one in value:
            yield from scalars(one)
    elif value is not None and not isinstance(value, dict):
        yield value


def objects(value: Any) -> Sequence[Values]:  # noqa: ANN401 - any JSON value
    """The objects that a link's value stands for."""
    if isinstance(value, dict):
        return (value,)
    if isinstance(value, list):
        return [one for element in value for one in objects(element)]
    return ()


def text_of(value: Any) -> str:  # noqa: ANN401 - any JSON scalar
    """A scalar as text, as JSON would write it; a number without a fraction as a whole one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def number_of(value: Any) -> int | float | None:  # noqa: ANN401 - any JSON scalar
    """A number, or what a text says that is one; else None."""
    kind = value.__class__
    if kind is int:
        return value if -_MOST <= value <= _MOST else None
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is str and _NUMBER.fullmatch(text := value.strip()):
        found = float(text) if not text.lstrip("+-").isdigit() else int(text)
        return found if math.isfinite(found) else None
    return None


def time_of(value: Any) -> int | None:  # noqa: ANN401 - any JSON scalar
    """Milliseconds since the epoch; None for what is no time."""
    kind = value.__class__
    if kind is int:
        return value if -_MOST <= value <= _MOST else None
    if kind is float:
        return math.floor(value) if math.isfinite(value) else None
    return moment_ms(value) if kind is str else None


def boolean_of(value: Any) -> bool | None:  # noqa: ANN401 - any JSON scalar
    """True or false, also as text; else None."""
    if isinstance(value, bool):
        return value
    if value.__class__ is str:
        return {"true": True, "false": False}.get(value.lower())
    return None


def comparison_test(comparison: Compare, get: Get) -> Test:
    """The test of a checked comparison, of the value that `get` finds.

    A negated operator holds exactly where its positive one does not.
    """
    positive = NEGATED.get(comparison.operator)
    if positive is not None:
        test = _positive(Compare(comparison.field, positive, comparison.values, comparison.kind), get)
        return lambda values, document: not test(values, document)
    return _positive(comparison, get)


def _positive(comparison: Compare, get: Get) -> Test:
    if comparison.kind in (Kind.TIME, Kind.TIME_INTERVAL):
        return _time_test(comparison, get)
    one = _scalar_test(comparison)

    def test(values: Values, document: Document) -> bool:
        found = get(values, document)
        if found is None:
            return False
        if found.__class__ is list:
            return any(one(scalar) for scalar in scalars(found))
        return found.__class__ is not dict and one(found)

    if comparison.operator is Operator.EQ and comparison.kind in (Kind.STRING, Kind.ENUM):
        return _equal_text(comparison, get, test)
    return test


def _equal_text(comparison: Compare, get: Get, general: Test) -> Test:
    """Nearly all comparisons are of a text with one text."""
    wanted = frozenset(str(value) for value in comparison.values)
    only = next(iter(wanted)) if len(wanted) == 1 else None

    def equal(values: Values, document: Document) -> bool:
        found = get(values, document)
        if found.__class__ is str:
            return found == only
        return found is not None and general(values, document)

    def among(values: Values, document: Document) -> bool:
        found = get(values, document)
        if found.__class__ is str:
            return found in wanted
        return found is not None and general(values, document)

    return among if only is None else equal


def _scalar_test(comparison: Compare) -> Callable[[Any], bool]:
    kind, operator, wanted = comparison.kind, comparison.operator, comparison.values
    if kind is Kind.BOOLEAN:
        booleans = frozenset(wanted)
        return lambda value: (found := boolean_of(value)) is not None and found in booleans
    if kind in (Kind.NUMERIC, Kind.NUMERIC_INTERVAL):
        return _number_test(operator, [value for value in wanted if not isinstance(value, str)])
    texts = tuple(str(value) for value in wanted)
    if operator is Operator.STARTS_WITH:
        return lambda value: text_of(value).startswith(texts)
    if operator is Operator.CONTAINS:
        return lambda value: any(text in text_of(value) for text in texts)
    if operator is Operator.MATCHES:
        pattern = Pattern(*texts)
        return lambda value: pattern.matches(text_of(value))
    among = frozenset(texts)
    return lambda value: text_of(value) in among


def _number_test(operator: Operator, wanted: Sequence[int | float]) -> Callable[[Any], bool]:
    among, low, high = frozenset(wanted), min(wanted), max(wanted)

    # Ids are compared with numbers, and are texts.
    texts = frozenset(str(number) for number in wanted)

    def equal(value: Any) -> bool:  # noqa: ANN401 - any JSON scalar
        if value.__class__ is str and value in texts:
            return True
        number = number_of(value)
        return number is not None and number in among

    def below(value: Any) -> bool:  # noqa: ANN401
        number = number_of(value)
        return number is not None and number < high

    def up_to(value: Any) -> bool:  # noqa: ANN401
        number = number_of(value)
        return number is not None and number <= high

    def above(value: Any) -> bool:  # noqa: ANN401
        number = number_of(value)
        return number is not None and number > low

    def from_on(value: Any) -> bool:  # noqa: ANN401
        number = number_of(value)
        return number is not None and number >= low

    return {
        Operator.EQ: equal,
        Operator.LT: below,
        Operator.LTE: up_to,
        Operator.GT: above,
        Operator.GTE: from_on,
    }[operator]


_BOUND: Final[dict[Operator, Callable[[Sequence[Span]], int]]] = {
    Operator.LT: lambda spans: max(first for first, _ in spans),
    Operator.LTE: lambda spans: max(last for _, last in spans),
    Operator.GT: lambda spans: min(last for _, last in spans),
    Operator.GTE: lambda spans: min(first for first, _ in spans),
}
"""Where several values are given, the one that lets most through."""


def spans_at(comparison: Compare) -> Callable[[int], Sequence[Span]]:
    """The spans that the values of a comparison with times stand for, at a time, ms."""
    makers = [_span_maker(value) for value in comparison.values]
    return lambda now_ms: [maker(now_ms) for maker in makers]


def _span_maker(value: str | int | float | bool) -> Callable[[int], Span]:
    span = span_of(value) if isinstance(value, str) else (math.floor(value), math.floor(value))
    if span is None:
        raise ValueError(f"{value!r} is no time")
    return span if callable(span) else lambda _: span


def _time_test(comparison: Compare, get: Get) -> Test:
    spans_of, operator = spans_at(comparison), comparison.operator
    bound_of = _BOUND.get(operator)
    at: int | None = None
    spans: Sequence[Span] = ()
    bound = 0

    def fits(at_ms: int) -> bool:
        if operator is Operator.GTE:
            return at_ms >= bound
        if operator is Operator.LT:
            return at_ms < bound
        if operator is Operator.LTE:
            return at_ms <= bound
        if operator is Operator.GT:
            return at_ms > bound
        return any(first <= at_ms <= last for first, last in spans)

    def test(values: Values, document: Document) -> bool:
        nonlocal at, spans, bound
        if at != document.now_ms:
            at, spans = document.now_ms, spans_of(document.now_ms)
            bound = bound_of(spans) if bound_of is not None else 0
        found = get(values, document)
        if found.__class__ is int:
            return fits(found)
        return any((at_ms := time_of(scalar)) is not None and fits(at_ms) for scalar in scalars(found))

    return test
