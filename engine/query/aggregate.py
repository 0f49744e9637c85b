"""Numbers about what matches, counted as it streams by: each in bounded memory (mediarithmics 7.5).

Where a bound is reached a result says so (`"exact": false`, and how many values are beyond): nothing is left out in
silence.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from engine.query.ast import Directive
from engine.query.dates import floor_ms
from engine.query.directives import interval_unit, map_limit
from engine.query.values import number_of, text_of, time_of

MAX_DISTINCT: Final = 100_000
"""Different values that one aggregation keeps: some 10 MB."""

MAX_KEY_CHARS: Final = 500
"""Of a value that is kept; two longer ones that begin alike are one."""


class Accumulator(Protocol):
    """One directive on one field."""

    def add(self, value: Any) -> None:  # noqa: ANN401 - any JSON scalar
        """One more value, never null."""
        ...

    def result(self) -> dict[str, Any]:
        """What is known by now."""
        ...


class _Count:
    def __init__(self) -> None:
        self._count = 0

    def add(self, value: Any) -> None:  # noqa: ANN401
        self._count += 1

    def result(self) -> dict[str, Any]:
        return {"value": self._count}


class _Cardinality:
    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._is_exact = True

    def add(self, value: Any) -> None:  # noqa: ANN401
        key = text_of(value)[:MAX_KEY_CHARS]
        if key not in self._seen:
            if len(self._seen) < MAX_DISTINCT:
                self._seen.add(key)
            else:
                self._is_exact = False

    def result(self) -> dict[str, Any]:
        return {"value": len(self._seen), **({} if self._is_exact else {"exact": False})}


class _Number:
    """Sum, average, least or greatest. A value that is no number is not counted."""

    def __init__(self, name: str, read: Callable[[Any], int | float | None]) -> None:
        self._name = name
        self._read = read
        self._count = 0
        self._sum: int | float = 0
        self._least: int | float | None = None
        self._greatest: int | float | None = None

    def add(self, value: Any) -> None:  # noqa: ANN401
        number = self._read(value)
        if number is None:
            return
        self._count += 1
        self._sum += number
        if self._least is None or number < self._least:
            self._least = number
        if self._greatest is None or number > self._greatest:
            self._greatest = number

    def result(self) -> dict[str, Any]:
        average = self._sum / self._count if self._count else None
        return {"value": {"sum": self._sum, "avg": average, "min": self._least, "max": self._greatest}[self._name]}


class _Buckets:
    """How often each key came: the most frequent first, or in order."""

    def __init__(self, key_of: Callable[[Any], str | None], limit: int | None) -> None:
        self._key_of = key_of
        self._limit = limit
        self._counts: Counter[str] = Counter()
        self._beyond = 0

    def add(self, value: Any) -> None:  # noqa: ANN401
        key = self._key_of(value)
        if key is None:
            return
        if key in self._counts or len(self._counts) < MAX_DISTINCT:
            self._counts[key] += 1
        else:
            self._beyond += 1

    def result(self) -> dict[str, Any]:
        if self._limit is None:
            shown = sorted(self._counts.items())
        else:
            shown = sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))[: self._limit]
        rest = self._counts.total() - sum(count for _, count in shown) + self._beyond
        found: dict[str, Any] = {"buckets": [{"key": key, "count": count} for key, count in shown]}
        if rest:
            found["other_count"] = rest
        if self._beyond:
            found["exact"] = False
        return found


def accumulator(directive: Directive, *, is_time: bool = False) -> Accumulator:
    """What counts for a checked directive.

    Args:
        directive: one that stands behind a field.
        is_time: whether the field's values are times.
    """
    match directive.name:
        case "count":
            return _Count()
        case "cardinality":
            return _Cardinality()
        case "map":
            return _Buckets(lambda value: text_of(value)[:MAX_KEY_CHARS], map_limit(directive))
        case "date_histogram":
            unit = interval_unit(directive)
            return _Buckets(lambda value: None if (at := time_of(value)) is None else _moment(floor_ms(at, unit)), None)
        case name:
            return _Number(name, time_of if is_time else number_of)


def _moment(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(at_ms)
