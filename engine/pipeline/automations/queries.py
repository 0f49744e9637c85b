"""How the queries of automations are compiled."""

from collections.abc import Callable

from engine.definitions.declared.goals import QueryText
from engine.definitions.defined import Defined
from engine.definitions.queries import resolve_query
from engine.query.compile import compile_query
from engine.query.condition import Condition


def compiler(defined: Defined) -> Callable[[QueryText, str], Condition]:
    """What compiles a query of this datamart, given the path to it; a query may be named with `@`."""

    def compile_one(query: QueryText, path: str) -> Condition:
        return compile_query(resolve_query(query, defined, path), path=path)

    return compile_one
