"""The one adapter between `Request → Reply` functions and Quart: both planes' routes stand on the API through it."""

import re
from collections.abc import Awaitable, Callable, Sequence

import quart

from engine import Engine
from gateway.collect.reply import Reply
from gateway.collect.request import Request, parse_headers, parse_query
from gateway.collect.routes import Handler, Route
from gateway.errors import reply_for

_NAMED = re.compile(r":(\w+)(\+?)")


def mount(app: quart.Quart, engine: Engine, routes: Sequence[Route]) -> None:
    """Make Quart answer these routes."""
    for route in routes:
        app.add_url_rule(
            _NAMED.sub(_converter, route.pattern),
            endpoint=f"{route.method} {route.pattern}".replace(".", "_"),
            view_func=_view(engine, route.handler),
            methods=[route.method],
            provide_automatic_options=False,
        )


def response(reply: Reply) -> quart.Response:
    """The reply as Quart sends it."""
    return quart.Response(reply.body, status=reply.status, headers=dict(reply.headers))


def _converter(found: "re.Match[str]") -> str:
    name, several = found.groups()
    return f"<path:{name}>" if several else f"<{name}>"


def _view(engine: Engine, handler: Handler) -> Callable[..., Awaitable[quart.Response]]:
    async def view(**params: str) -> quart.Response:
        sent = quart.request
        body = await sent.get_data(cache=False, as_text=False, parse_form_data=False)
        try:
            request = Request(
                method=sent.method,
                path=sent.scope["raw_path"].decode("ascii", "replace"),
                params=params,
                query=parse_query(sent.query_string.decode("ascii", "replace")),
                headers=parse_headers(sent.scope["headers"]),
                body=body,
                client=sent.remote_addr or "",
            )
            return response(await handler(engine, request))
        except Exception as error:
            return response(reply_for(error))

    return view
