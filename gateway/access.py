"""Who may do what: the token of a request, held against the engine's (decision 39)."""

from collections.abc import Mapping
from typing import Literal

from engine import Access, Engine, parse_authorization
from gateway.errors import RequestError

Scope = Literal["collect", "read", "admin"]


def require(engine: Engine, headers: Mapping[str, str], *, scope: Scope, datamart: int | None) -> Access:
    """Let a request pass or refuse it.

    Args:
        engine: who knows the tokens.
        headers: by lower-case name.
        scope: what the request does.
        datamart: on which; None is all of them.

    Raises:
        RequestError: 401, no token or one that is unknown here; 403, a token that is for something else.
    """
    token = parse_authorization(headers.get("authorization", ""))
    if token is None:
        raise _unauthorized("a token is needed: `Authorization: <token>`")
    access = engine.authorize(token, scope=scope, datamart=datamart)
    if access is not None:
        return access
    if any(engine.authorize(token, scope=other, datamart=datamart) for other in ("collect", "read")):
        raise RequestError(403, "forbidden", f"this token may not {scope}")
    raise _unauthorized(f"the token is not known for {'all datamarts' if datamart is None else 'this datamart'}")


def _unauthorized(message: str) -> RequestError:
    return RequestError(401, "unauthorized", message, headers={"www-authenticate": "Bearer"})
