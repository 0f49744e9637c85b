"""A query as a tree, whichever language it came in (mediarithmics 7.5).

A tree says exactly what its text or JSON said: parentheses around one expression stay a group of one. Groups of two and
more need no parentheses of their own, so both languages can be written back from the tree.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Place(Struct, frozen=True, gc=False):
    """Where something stands: `row` and `col` of a text, from 1, or the path below a JSON query."""

    row: int = 0
    col: int = 0
    path: str = ""


NOWHERE = Place()

Value = str | int | float | bool
"""What a field is compared with. A time is a text, or milliseconds since the epoch."""

BooleanOperator = Literal["AND", "OR"]
ScoreFunction = Literal["SUM", "AVERAGE", "MIN", "MAX"]


class Operator(StrEnum):
    """How a field is compared. Its value is how OTQL writes it."""

    EQ = "="
    NE = "!="
    LT = "<"
    LTE = "<="
    GT = ">"
    GTE = ">="
    MATCHES = "MATCHES"
    NOT_MATCHES = "DOES_NOT_MATCH"
    STARTS_WITH = "STARTS_WITH"
    NOT_STARTS_WITH = "DOES_NOT_START_WITH"
    CONTAINS = "CONTAINS"
    NOT_CONTAINS = "DOES_NOT_CONTAIN"


NEGATED: dict[Operator, Operator] = {
    Operator.NE: Operator.EQ,
    Operator.NOT_MATCHES: Operator.MATCHES,
    Operator.NOT_STARTS_WITH: Operator.STARTS_WITH,
    Operator.NOT_CONTAINS: Operator.CONTAINS,
}
"""A negated operator holds exactly where its positive one does not: also where the field is absent."""


class Kind(StrEnum):
    """The type of a comparison, as JSON_OTQL names it."""

    STRING = "STRING"
    TIME = "TIME"
    TIME_INTERVAL = "TIME_INTERVAL"
    NUMERIC = "NUMERIC"
    NUMERIC_INTERVAL = "NUMERIC_INTERVAL"
    BOOLEAN = "BOOLEAN"
    ENUM = "ENUM"


class Compare(Struct, frozen=True):
    """A field compared with values, of which one must fit.

    Attributes:
        field: name or dotted path, as written.
        kind: None until the checker has looked at the field; a text does not say it.
    """

    field: str
    operator: Operator
    values: tuple[Value, ...]
    kind: Kind | None = None
    at: Place = NOWHERE


class Exists(Struct, frozen=True):
    """Whether a field has a value."""

    field: str
    exists: bool = True
    at: Place = NOWHERE


class Score(Struct, frozen=True):
    """How the scores of the objects behind a link become one (mediarithmics 7.5).

    Attributes:
        min_score: below it the score is 0; None for none.
        function: of the scores of those that match.
        field: numeric field of an object that is its score; "" for the score of the expressions on it.
    """

    min_score: int | float | None = None
    function: ScoreFunction = "SUM"
    field: str = ""


class Group(Struct, frozen=True):
    """Expressions on one object. One without expressions holds."""

    operator: BooleanOperator
    expressions: "tuple[Expression, ...]"
    negation: bool = False
    at: Place = NOWHERE


class Object(Struct, frozen=True):
    """Expressions on an object behind a link; where there are several, one must fit."""

    field: str
    operator: BooleanOperator
    expressions: "tuple[Expression, ...]"
    negation: bool = False
    score: Score | None = None
    at: Place = NOWHERE


Expression = Compare | Exists | Group | Object


class Argument(Struct, frozen=True):
    """An argument of a directive."""

    name: str
    value: Value


class Directive(Struct, frozen=True):
    """`@name(argument: value, …)`."""

    name: str
    arguments: tuple[Argument, ...] = ()
    at: Place = NOWHERE

    def get(self, name: str) -> Value | None:
        """The value of an argument, or None."""
        return next((one.value for one in self.arguments if one.name == name), None)


class Selection(Struct, frozen=True):
    """A field of what is selected, with what is selected of it where it is an object."""

    name: str
    directives: tuple[Directive, ...] = ()
    selections: "tuple[Selection, ...]" = ()
    at: Place = NOWHERE


class Operation(Struct, frozen=True):
    """What is done with what matches: `{ id name }`, `@count{}`."""

    directives: tuple[Directive, ...] = ()
    selections: tuple[Selection, ...] = ()
    at: Place = NOWHERE


class Query(Struct, frozen=True):
    """A whole query.

    Attributes:
        root: the object type behind FROM; "" for an expression alone.
        operation: None for an expression alone.
        where: None where everything matches.
        limit: how many objects are selected at most; None for no limit.
    """

    root: str = ""
    operation: Operation | None = None
    where: Expression | None = None
    limit: int | None = None
    at: Place = NOWHERE


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all below it."""
    yield expression
    if isinstance(expression, Group | Object):
        for inner in expression.expressions:
            yield from walk(inner)
