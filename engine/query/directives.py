"""What may stand in a SELECT: fields, links and the directives that aggregate (mediarithmics 7.5).

@count{}                       how many objects match
{ field @count }               how many values
{ field @cardinality }         how many different values
{ field @sum @avg @min @max }  of numbers; @min and @max also of times
{ field @map(limit: 10) }      the most frequent values, and how often each
{ date @date_histogram(interval: "day") }   how many values in each minute, hour, day, week, month or year, UTC
"""

from typing import Final

from engine.query.ast import Directive, Operation, Place, Selection
from engine.query.errors import Fault, QueryError
from engine.query.schema import FieldType, NotFound, Schema

METRICS: Final = ("count", "cardinality", "sum", "avg", "min", "max")
BUCKETS: Final = ("map", "date_histogram")
INTERVALS: Final = {"minute": "m", "hour": "h", "day": "d", "week": "w", "month": "M", "year": "y"}
"""Each also goes by its unit, and by `1` and its unit: `d`, `1d`."""

DEFAULT_MAP_LIMIT: Final = 10
MAX_MAP_LIMIT: Final = 10_000
"""Values of one @map that are shown; more is a selection."""

_ARGUMENTS: Final = {"map": {"limit"}, "date_histogram": {"interval"}}
_NUMBERS: Final = (FieldType.NUMBER, FieldType.ANY)
_TIMES: Final = (FieldType.TIME, FieldType.ANY)


def is_aggregation(operation: Operation) -> bool:
    """Whether it asks for numbers about what matches, not for what matches."""
    return bool(operation.directives) or any(_aggregates(one) for one in operation.selections)


def _aggregates(selection: Selection) -> bool:
    return bool(selection.directives) or any(_aggregates(one) for one in selection.selections)


def map_limit(directive: Directive) -> int:
    """How many values a @map shows."""
    found = directive.get("limit")
    return found if isinstance(found, int) else DEFAULT_MAP_LIMIT


def interval_unit(directive: Directive) -> str:
    """The unit of dates that a @date_histogram counts by; "" for none that is known."""
    found = directive.get("interval")
    text = "day" if found is None else str(found)
    unit = INTERVALS.get(text.lower(), text.removeprefix("1"))
    return unit if unit in INTERVALS.values() else ""


def check_operation(operation: Operation, schema: Schema, root: str, path: str) -> None:
    """Whether an operation can be done on objects of a type.

    Raises:
        QueryError: of kind FIELD, TYPINGS or DIRECTIVE.
    """
    for directive in operation.directives:
        if directive.name != "count":
            raise _wrong(f"@{directive.name} cannot stand here; expected @count, or a field for it", directive.at, path)
        _check_arguments(directive, path)
    if not operation.directives and not operation.selections:
        raise _wrong("nothing is selected; expected fields, or @count", operation.at, path)
    if operation.directives and operation.selections:
        raise _wrong("@count counts objects: no fields can be selected with it", operation.at, path)
    aggregates = is_aggregation(operation)
    for selection in operation.selections:
        _check_selection(selection, schema, root, path, aggregates=aggregates)


def _check_selection(selection: Selection, schema: Schema, here: str, path: str, *, aggregates: bool) -> None:
    at = selection.at
    if selection.selections:
        try:
            to = schema.canonical(schema.link(here, selection.name)[-1].to)
        except NotFound as error:
            raise _wrong(str(error), at, path, "FIELD") from None
        if selection.directives:
            raise _wrong(f"`{selection.name}` is an object; directives stand behind its fields", at, path)
        for one in selection.selections:
            _check_selection(one, schema, to, path, aggregates=aggregates)
        return
    try:
        kind = schema.field(here, selection.name).field.type
    except NotFound as error:
        if not _is_whole_object(selection, schema, here) or aggregates:
            raise _wrong(str(error), at, path, "FIELD") from None
        return
    if aggregates and not selection.directives:
        raise _wrong(f"`{selection.name}` has no directive, others have: select or aggregate", at, path)
    for directive in selection.directives:
        _check_directive(directive, selection, kind, path)


def _is_whole_object(selection: Selection, schema: Schema, here: str) -> bool:
    """Whether a name without `{ }` is a link: the whole objects are selected."""
    try:
        schema.link(here, selection.name)
    except NotFound:
        return False
    return True


def _check_directive(directive: Directive, selection: Selection, kind: FieldType, path: str) -> None:
    name, at = directive.name, directive.at
    if name not in (*METRICS, *BUCKETS):
        known = ", ".join(f"@{one}" for one in (*METRICS, *BUCKETS))
        raise _wrong(f"@{name} is no directive of a field; expected one of {known}", at, path)
    _check_arguments(directive, path)
    fits = {
        "sum": kind in _NUMBERS,
        "avg": kind in _NUMBERS,
        "min": kind in (*_NUMBERS, *_TIMES),
        "max": kind in (*_NUMBERS, *_TIMES),
        "date_histogram": kind in _TIMES,
    }
    if not fits.get(name, True):
        raise _wrong(f"@{name} does not fit `{selection.name}`, which is of type {kind}", at, path, "TYPINGS")


def _check_arguments(directive: Directive, path: str) -> None:
    known = _ARGUMENTS.get(directive.name, set())
    for argument in directive.arguments:
        if argument.name not in known:
            raise _wrong(f"@{directive.name} has no argument `{argument.name}`", directive.at, path)
    limit = directive.get("limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_MAP_LIMIT):
        raise _wrong(f"`limit` is a whole number from 1 to {MAX_MAP_LIMIT}", directive.at, path)
    if directive.name == "date_histogram" and not interval_unit(directive):
        raise _wrong(f"`interval` is one of {', '.join(INTERVALS)}", directive.at, path)


def _wrong(message: str, at: Place, path: str, kind: Fault = "DIRECTIVE") -> QueryError:
    return QueryError(message, row=at.row, col=at.col, kind=kind, path=path + at.path)
