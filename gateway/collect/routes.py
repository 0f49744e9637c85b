"""The routing table: method and path → a function `request → answer`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from gateway.collect.reply import Answer, Reply
from gateway.collect.request import Request
from gateway.errors import RequestError, reply_for

if TYPE_CHECKING:
    from gateway.collect.short import Taker

Handler = Callable[[Request], Answer]
"""Protocol code. It raises engine errors and `RequestError`; its route's `refusal` turns them into replies."""

Shorten = Callable[[Request], "Taker | None"]
"""How all requests with the head of this one are taken, or None where their bodies do not decide that alone. It may
raise what the handler raises."""

Refusal = Callable[[BaseException], Reply]
"""How a protocol says no."""

MAX_REMEMBERED: Final = 4096
"""Paths whose route is remembered; senders use a handful, and who makes up more only makes us forget."""


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of the table.

    Attributes:
        method: upper case. A `GET` answers `HEAD` too: the server leaves the body out.
        pattern: segments; `:name` stands for any one segment, `:name+` for any one or several.
        handler: what answers.
        protocol: whose rules it follows: a label of counters.
        refusal: makes a reply of what the handler raises, or of a commit that failed.
        is_public: whether pages of other origins may use it (CORS).
        is_fallback: whether it is only for paths that no other route has. Asked by another method, such a path is
            nowhere, and not a path with other methods.
        shorten: finds the short way of requests with a known head; None where there is none.
    """

    method: str
    pattern: str
    handler: Handler
    protocol: str = "api"
    refusal: Refusal = reply_for
    is_public: bool = False
    is_fallback: bool = False
    shorten: Shorten | None = None

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


@dataclass(frozen=True, slots=True)
class Found:
    """A route for a path, and the decoded segments that its pattern names."""

    route: Route
    params: Mapping[str, str]


class RoutingTable:
    """The routes of a plane; the first that fits holds.

    Args:
        routes: in order; what is more particular stands before what is more general, fallbacks last.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._remembered: dict[tuple[str, str], Found] = {}

    def find(self, method: str, path: str) -> Found:
        """The route for a request.

        Args:
            method: upper case.
            path: percent-encoded, so that an encoded `/` stays inside its segment.

        Raises:
            RequestError: 404, no such path; 405, not by this method.
        """
        found = self._remembered.get((method, path))
        if found is None:
            found = self._look(method, path)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[method, path] = found
        return found

    def at(self, path: str) -> tuple[Route, ...]:
        """Every route of this path, whatever its method."""
        found = [route for route in self.routes if route.match(path) is not None]
        own = [route for route in found if not route.is_fallback]
        return tuple(own or found)

    def _look(self, method: str, path: str) -> Found:
        allowed: list[str] = []
        for route in self.routes:
            params = None if route.is_fallback and allowed else route.match(path)
            if params is None:
                continue
            if method in route.methods():
                return Found(route, params)
            if not route.is_fallback:
                allowed += route.methods()
        if allowed:
            headers = {"allow": ", ".join(dict.fromkeys(allowed))}
            raise RequestError(405, "method_not_allowed", f"{method} is not possible here", headers=headers)
        raise RequestError(404, "not_found", "Resource Not Found")
