"""A tree, written as OTQL: reading it again gives the same tree."""

from collections.abc import Sequence
from typing import assert_never

from engine.query import scoring
from engine.query.ast import (
    Compare,
    Directive,
    Exists,
    Expression,
    Group,
    Object,
    Operation,
    Operator,
    Query,
    Selection,
    Value,
)
from engine.query.lexer import name_of, parts_of, quoted

_KEYWORDS = frozenset(
    {
        *("SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "LIMIT", "IN", "IS", "TRUE", "FALSE", "IS_NULL"),
        *("IS_NOT_NULL", "IS_DEFINED", "IS_NOT_DEFINED", "EXISTS", "DOES_NOT_EXIST"),
    }
)


def written(query: Query) -> str:
    """The text of a query, on one line."""
    parts: list[str] = []
    if query.operation is not None:
        parts += ["SELECT", _operation(query.operation), "FROM", _name(query.root)]
    if query.where is not None:
        parts += [*(["WHERE"] if parts else []), _top(query.where)]
    if query.limit is not None:
        parts += ["LIMIT", str(query.limit)]
    return " ".join(parts)


def _operation(operation: Operation) -> str:
    directives = "".join(f"{_directive(one)} " for one in operation.directives)
    return directives + _selections(operation.selections)


def _selections(selections: Sequence[Selection]) -> str:
    return "{ " + " ".join(_selection(one) for one in selections) + " }" if selections else "{}"


def _selection(selection: Selection) -> str:
    inner = [_selections(selection.selections)] if selection.selections else []
    return " ".join([name_of(parts_of(selection.name)), *(_directive(one) for one in selection.directives), *inner])


def _directive(directive: Directive) -> str:
    arguments = ", ".join(f"{one.name}: {_value(one.value)}" for one in directive.arguments)
    return f"@{directive.name}" + (f"({arguments})" if arguments else "")


def _top(expression: Expression) -> str:
    if isinstance(expression, Group) and not expression.negation and len(expression.expressions) > 1:
        return _joined(expression)
    return _expression(expression)


def _expression(expression: Expression) -> str:
    match expression:
        case Compare():
            return f"{_name(expression.field)} {_comparison(expression)}"
        case Exists():
            return f"{_name(expression.field)} {'IS NOT NULL' if expression.exists else 'IS NULL'}"
        case Group():
            return f"{_not(expression)}({_joined(expression)})"
        case Object():
            score = f"{scoring.written(expression.score)} " if expression.score else ""
            inner = _joined(expression)
            body = f"{{ {inner} }}" if inner else "{}"
            return f"{_not(expression)}{_name(expression.field)} {score}{body}"
        case _:  # pragma: no cover - mypy proves that there is no other
            assert_never(expression)


def _joined(expression: Group | Object) -> str:
    return f" {expression.operator} ".join(_expression(one) for one in expression.expressions)


def _not(expression: Group | Object) -> str:
    return "NOT " if expression.negation else ""


def _comparison(comparison: Compare) -> str:
    operator, values = comparison.operator, comparison.values
    if len(values) == 1:
        return f"{operator.value} {_value(values[0])}"
    listed = "[" + ", ".join(_value(one) for one in values) + "]"
    if operator is Operator.EQ:
        return f"IN {listed}"
    if operator is Operator.NE:
        return f"NOT IN {listed}"
    return f"{operator.value} {listed}"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(value) if isinstance(value, str) else repr(value)


def _name(name: str) -> str:
    """A name; in back quotes where it would be read as a keyword."""
    if name.upper() in _KEYWORDS:
        return f"`{name}`"
    return name_of(parts_of(name))
