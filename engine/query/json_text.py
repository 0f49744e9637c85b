"""A checked tree, written as JSON_OTQL: reading it again gives the same tree."""

from collections.abc import Sequence
from typing import Any, Final, assert_never

from engine.query.ast import Compare, Directive, Exists, Expression, Group, Kind, Object, Operation, Query, Selection
from engine.query.json_otql import OPERATORS

_NAMES: Final = {kind: {operator: name for name, operator in known.items()} for kind, known in OPERATORS.items()}


def written(query: Query) -> dict[str, Any]:
    """A query as JSON.

    Args:
        query: checked, so that the kind of each comparison is known.
    """
    data: dict[str, Any] = {"from": query.root}
    if query.operation is not None:
        data["operations"] = [_operation(query.operation)]
    if query.where is not None:
        data["where"] = _node(query.where)
    if query.limit is not None:
        data["limit"] = query.limit
    return data


def _operation(operation: Operation) -> dict[str, Any]:
    return {"directives": _directives(operation.directives), "selections": _selections(operation.selections)}


def _selections(selections: Sequence[Selection]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in selections:
        data: dict[str, Any] = {"name": one.name}
        if one.directives:
            data["directives"] = _directives(one.directives)
        if one.selections:
            data["selections"] = _selections(one.selections)
        found.append(data)
    return found


def _directives(directives: Sequence[Directive]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in directives:
        data: dict[str, Any] = {"name": one.name}
        if one.arguments:
            data["arguments"] = [{"name": argument.name, "value": argument.value} for argument in one.arguments]
        found.append(data)
    return found


def _node(expression: Expression) -> dict[str, Any]:
    match expression:
        case Compare():
            kind = expression.kind or Kind.STRING
            comparison = {
                "type": kind.value,
                "operator": _NAMES[kind][expression.operator],
                "values": list(expression.values),
            }
            return {"type": "FIELD", "field": expression.field, "comparison": comparison}
        case Exists():
            existence = "EXISTS" if expression.exists else "DOES_NOT_EXIST"
            return {"type": "FIELD", "field": expression.field, "existence": existence}
        case Group():
            return {"type": "GROUP", **_group(expression)}
        case Object():
            data = {"type": "OBJECT", "field": expression.field, **_group(expression)}
            if (score := expression.score) is not None:
                if score.min_score is not None:
                    data["min_score"] = score.min_score
                data["score_function"] = score.function
                if score.field:
                    data["score_field"] = score.field
            return data
        case _:  # pragma: no cover - mypy proves that there is no other
            assert_never(expression)


def _group(expression: Group | Object) -> dict[str, Any]:
    data: dict[str, Any] = {
        "boolean_operator": expression.operator,
        "expressions": [_node(one) for one in expression.expressions],
    }
    if expression.negation:
        data["negation"] = True
    return data
