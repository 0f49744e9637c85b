"""Which events an activity must have for a query to hold of it: a filter before the query itself is asked."""

from engine.query.ast import Compare, Exists, Expression, Group, Object, Operator
from engine.query.schema import NotFound, Schema

NAME_PATH = ("$event_name",)


def event_names(expression: Expression, here: str, schema: Schema) -> frozenset[str] | None:
    """Names, of which an activity has an event where the expression holds; None where nothing can be said.

    Args:
        expression: checked.
        here: the type it is about.
        schema: the one it was checked against.
    """
    match expression:
        case Compare():
            found = schema.field(here, expression.field)
            is_name = here == "UserEvent" and found.field.paths == (NAME_PATH,) and not found.links
            if is_name and expression.operator is Operator.EQ:
                return frozenset(str(value) for value in expression.values)
            return None
        case Exists():
            return None
        case Group():
            return None if expression.negation else _joined(expression, here, schema)
        case Object():
            return None if expression.negation else _behind(expression, here, schema)


def _behind(node: Object, here: str, schema: Schema) -> frozenset[str] | None:
    try:
        to = schema.canonical(schema.link(here, node.field)[-1].to)
    except NotFound:  # pragma: no cover - it was checked
        return None
    if to not in ("UserEvent", "UserActivity"):
        return None
    # An object that holds has something behind its link for which all of it holds, whatever its score function is.
    return _joined(node, to, schema)


def _joined(node: Group | Object, here: str, schema: Schema) -> frozenset[str] | None:
    parts = [event_names(one, here, schema) for one in node.expressions]
    said = [one for one in parts if one is not None]
    if not said:
        return None
    if node.operator == "AND":
        return min(said, key=len)
    return frozenset().union(*said) if len(said) == len(parts) else None
