"""Which pages of other origins may use the plane and read its answers (CORS).

A site's own pages (its domain, its aliases and all below them) may, with credentials, so with the visitor's cookie;
those that a setting names may without. Who may not is not told so: the browser finds no header and keeps the answer
from the page. That protects the page's user; it does not keep events out, and is not meant to.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Final

from gateway.collect.reply import Reply
from gateway.collect.routes import Route
from gateway.errors import RequestError

MAX_AGE_S: Final = 7200
"""How long a browser remembers a preflight: the most that Chromium takes."""

ALLOWED_HEADERS: Final = "authorization, content-type, content-encoding, idempotency-key, x-sdk, x-retry-count"
"""What senders of all protocols set, when a preflight does not say."""

EXPOSED_HEADERS: Final = "retry-after, x-ratelimit-reset, x-sojourn-dropped"

# As browsers write one; `null` and the schemes of applications are nobody's own.
_ORIGIN: Final = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class Cors:
    """The policy of a plane.

    Args:
        own_hosts: the sites' own hosts, lower-case, as of now.
        allowed: origins of the settings; `*` for any.
    """

    def __init__(self, own_hosts: Callable[[], Set[str]], allowed: Sequence[str]) -> None:
        self._own_hosts = own_hosts
        self._allowed = frozenset(origin.lower().rstrip("/") for origin in allowed)

    def headers(self, origin: str) -> tuple[tuple[str, str], ...]:
        """Headers for the answer to a page of this origin; none when it may not read it."""
        vary = ("vary", "origin")
        if not origin:
            return ()
        own = self._is_own(origin)
        if not (own or "*" in self._allowed or origin.lower() in self._allowed):
            return (vary,)
        mirrored = (
            ("access-control-allow-origin", origin),
            ("access-control-expose-headers", EXPOSED_HEADERS),
            vary,
        )
        return (("access-control-allow-credentials", "true"), *mirrored) if own else mirrored

    def preflight(self, headers: Mapping[str, str], routes: Sequence[Route]) -> Reply:
        """The answer to `OPTIONS`, asked by a browser or by anybody.

        Args:
            headers: of the request.
            routes: those of the path.

        Raises:
            RequestError: 404, no route has this path.
        """
        if not routes:
            raise RequestError(404, "not_found", "Resource Not Found")
        methods = ", ".join(dict.fromkeys([method for route in routes for method in route.methods()] + ["OPTIONS"]))
        found = [("allow", methods)]
        granted = self.headers(headers.get("origin", "")) if any(route.is_public for route in routes) else ()
        if len(granted) > 1:
            asked = headers.get("access-control-request-headers", "")
            found += [
                ("access-control-allow-methods", methods),
                ("access-control-allow-headers", asked or ALLOWED_HEADERS),
                ("access-control-max-age", str(MAX_AGE_S)),
            ]
        return Reply(204, (*found, *granted))

    def _is_own(self, origin: str) -> bool:
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None:
            return False
        own = self._own_hosts()
        host = found[1]
        while host:
            if host in own:
                return True
            host = host.partition(".")[2]
        return False
