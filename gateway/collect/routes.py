"""The routing table: method and path → a function `(engine, request) → reply`."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from engine import Engine
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.errors import RequestError

Handler = Callable[[Engine, Request], Awaitable[Reply]]
"""Protocol code. It raises engine errors and `RequestError`; `gateway.errors.reply_for` turns them into replies."""


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of the table.

    Attributes:
        method: upper case. A `GET` answers `HEAD` too: the server leaves the body out.
        pattern: segments; `:name` stands for any one segment, `:name+` for any one or several.
        handler: what answers.
    """

    method: str
    pattern: str
    handler: Handler

    def match(self, path: str) -> dict[str, str] | None:
        """The named segments, decoded, when the percent-encoded path fits; else None."""
        found = _compiled(self.pattern).fullmatch(path)
        return {name: unquote(text) for name, text in found.groupdict().items()} if found else None

    def methods(self) -> tuple[str, ...]:
        """The methods it answers."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


@cache
def _compiled(pattern: str) -> "re.Pattern[str]":
    return re.compile("/".join(_compiled_segment(segment) for segment in pattern.split("/")))


def _compiled_segment(segment: str) -> str:
    if not segment.startswith(":"):
        return re.escape(segment)
    name = segment[1:].removesuffix("+")
    return f"(?P<{name}>{'.+' if segment.endswith('+') else '[^/]+'})"


def find(routes: Sequence[Route], method: str, path: str) -> tuple[Handler, Mapping[str, str]]:
    """The handler for a request, and the decoded segments that its pattern names.

    Args:
        routes: the table.
        method: upper case.
        path: percent-encoded, so that an encoded `/` stays inside its segment.

    Raises:
        RequestError: 404, no such path; 405, not by this method.
    """
    allowed: list[str] = []
    for route in routes:
        params = route.match(path)
        if params is None:
            continue
        if method in route.methods():
            return route.handler, params
        allowed += route.methods()
    if allowed:
        headers = {"allow": ", ".join(allowed)}
        raise RequestError(405, "method_not_allowed", f"{method} is not possible here", headers=headers)
    raise RequestError(404, "not_found", "Resource Not Found")
