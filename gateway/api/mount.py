"""The one adapter between a plane and Quart: the routes of both planes stand on the API through it."""

import re
from collections.abc import Awaitable, Callable

import quart
from werkzeug.datastructures import Headers

from gateway.collect.plane import Plane, Waiting
from gateway.collect.reply import Reply
from gateway.collect.request import Request, parse_headers

_NAMED = re.compile(r":(\w+)(\+?)")
_ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def mount(app: quart.Quart, plane: Plane) -> None:
    """Make Quart answer the routes of this plane, and `OPTIONS` of each path."""
    for path in dict.fromkeys(route.pattern for route in plane.routes):
        methods = [route.method for route in plane.routes if route.pattern == path]
        if any(route.is_fallback for route in plane.routes if route.pattern == path):
            # Quart would answer 405 where the plane answers 404.
            methods = _ALL_METHODS
        app.add_url_rule(
            _NAMED.sub(_converter, path),
            endpoint=path.replace(".", "_"),
            view_func=_view(plane),
            methods=[*methods, "OPTIONS"],
            provide_automatic_options=False,
        )


def response(reply: Reply) -> quart.Response:
    """The reply as Quart sends it."""
    return quart.Response(reply.body, status=reply.status, headers=Headers(reply.headers))


def _converter(found: "re.Match[str]") -> str:
    name, several = found.groups()
    return f"<path:{name}>" if several else f"<{name}>"


def _view(plane: Plane) -> Callable[..., Awaitable[quart.Response]]:
    async def view(**params: str) -> quart.Response:
        sent = quart.request
        request = Request(
            method=sent.method,
            path=sent.scope["raw_path"].decode("ascii", "replace"),
            raw_query=sent.query_string.decode("ascii", "replace"),
            headers=parse_headers(sent.scope["headers"]),
            body=await sent.get_data(cache=False, as_text=False, parse_form_data=False),
            client=sent.remote_addr or "",
            secure=sent.scheme == "https",
        )
        answer = plane.answer(request)
        if isinstance(answer, Waiting):
            answer = answer.wait()
        return response(answer if isinstance(answer, Reply) else await answer)

    return view
