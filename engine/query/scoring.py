"""The directives that say how objects are scored: `events @ScoreSum(min: 3) { … }` (mediarithmics 7.5).

`@ScoreSum`, `@ScoreAverage`, `@ScoreMin` and `@ScoreMax` name the function, with `min` as the least score;
`@ScoreField(name: "price")` the field that is an object's score.
"""

from collections.abc import Sequence
from typing import Final

from engine.query.ast import Directive, Score, ScoreFunction
from engine.query.errors import QueryError

FUNCTIONS: Final[dict[str, ScoreFunction]] = {
    "ScoreSum": "SUM",
    "ScoreAverage": "AVERAGE",
    "ScoreAvg": "AVERAGE",
    "ScoreMin": "MIN",
    "ScoreMax": "MAX",
}
NAMES: Final = {"SUM": "ScoreSum", "AVERAGE": "ScoreAverage", "MIN": "ScoreMin", "MAX": "ScoreMax"}


def score_of(directives: Sequence[Directive], path: str) -> Score | None:
    """What the directives of an object say; None for none.

    Raises:
        QueryError: of kind DIRECTIVE.
    """
    if not directives:
        return None
    function: ScoreFunction | None = None
    min_score: int | float | None = None
    field = ""
    for one in directives:
        if one.name == "ScoreField":
            name = _arguments(one, {"name"}, path).get("name")
            if not isinstance(name, str) or not name or field:
                raise _wrong(one, 'expected one @ScoreField(name: "field")', path)
            field = name
        elif one.name in FUNCTIONS and function is None:
            function = FUNCTIONS[one.name]
            # The platform lets a directive say that its score is passed on. Here it always is.
            given = _arguments(one, {"min", "result"}, path)
            least = given.get("min")
            if least is not None and (isinstance(least, bool) or not isinstance(least, int | float)):
                raise _wrong(one, "expected a number as `min`", path)
            min_score = least
        else:
            raise _wrong(one, f"@{one.name} is no directive of an object; expected one of {_known()}", path)
    return Score(min_score, function or "SUM", field)


def written(score: Score) -> str:
    """The directives as text."""
    field = f'@ScoreField(name: "{score.field}") ' if score.field else ""
    least = f"(min: {score.min_score!r})" if score.min_score is not None else ""
    return f"{field}@{NAMES[score.function]}{least}"


def _arguments(directive: Directive, known: set[str], path: str) -> dict[str, object]:
    for argument in directive.arguments:
        if argument.name not in known:
            raise _wrong(directive, f"@{directive.name} has no argument `{argument.name}`", path)
    return {argument.name: argument.value for argument in directive.arguments}


def _known() -> str:
    return ", ".join(f"@{name}" for name in (*NAMES.values(), "ScoreField"))


def _wrong(directive: Directive, message: str, path: str) -> QueryError:
    return QueryError(message, row=directive.at.row, col=directive.at.col, kind="DIRECTIVE", path=path)
