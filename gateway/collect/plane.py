"""One request's way through a plane: route, limits, protocol, what every answer carries. No server in here.

Nothing raises: what goes wrong is a reply, made by the route's own `refusal`, so that each protocol says no in its own
words.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager

from msgspec import Struct

from engine import Gathered, ItemResult, Receipt
from gateway.collect.collect import Collect
from gateway.collect.cors import Cors
from gateway.collect.explain import asks_why, drop_explained, explained
from gateway.collect.inflate import GZIP_MAGIC, inflated
from gateway.collect.reply import Pending, Reply, with_headers
from gateway.collect.request import Request
from gateway.collect.routes import Found, Route, RoutingTable
from gateway.collect.short import ShortWay
from gateway.errors import reply_for

NO_ROUTE = "none"
"""Protocol label of requests that no route is for."""

Headers = tuple[tuple[str, str], ...]


class Waiting(Struct, frozen=True):
    """An answer that waits for a commit, and for nothing else."""

    plane: "Plane"
    route: Route
    headers: Headers
    pending: Pending

    @property
    def receipt(self) -> Receipt | Gathered:
        """Call `finish` when this is durable, or has failed."""
        return self.pending.receipt

    def finish(self, error: Exception | None) -> Reply:
        """The reply; of the commit's error where there was one."""
        pending = self.pending
        return self.plane.finished(self.route, pending.render, error, pending.receipt.results, self.headers)

    async def wait(self) -> Reply:
        """The reply, for servers that have a task for each request."""
        try:
            await self.pending.receipt.durable()
        except Exception as error:
            return self.finish(error)
        return self.finish(None)


class Plane:
    """The routes of a plane and what holds for all of them.

    Args:
        collect: limits, counters, settings.
        routes: the table.
        cors: which pages may read answers.
    """

    def __init__(self, collect: Collect, routes: Sequence[Route], cors: Cors) -> None:
        self._collect = collect
        self._table = RoutingTable(routes)
        self._cors = cors
        self._requests = collect.counters.requests
        self._max_body_bytes = collect.settings.collect.max_body_bytes
        self._may_explain = collect.settings.collect.explain

    def gathering(self) -> AbstractContextManager[None]:
        """As `Engine.gathering`: for a server that answers many requests in one step."""
        return self._collect.engine.gathering()

    @property
    def routes(self) -> tuple[Route, ...]:
        """The table, for servers that route by themselves."""
        return self._table.routes

    def answer(self, request: Request) -> Reply | Waiting | Awaitable[Reply]:
        """What is answered; the request's `params` are those of the route's pattern afterwards."""
        try:
            if request.method == "OPTIONS":
                return self.done(NO_ROUTE, self._cors.preflight(request.headers, self._table.at(request.path)))
            found = self._table.find(request.method, request.path)
        except Exception as error:
            return self.done(NO_ROUTE, reply_for(error))
        return self._answer(found, request)

    def refuse(self, request: Request, error: BaseException) -> Reply:
        """The reply to a request that a server refuses by itself, in the words of its route where it has one."""
        try:
            route = self._table.find(request.method, request.path).route
        except Exception:
            return self.done(NO_ROUTE, reply_for(error))
        return self.done(route.protocol, with_headers(refused(route, error), self._headers(route, request)))

    def shorten(self, request: Request) -> ShortWay | None:
        """The short way of requests with the head of this one, which had nothing in its query; None where it has none.

        What a rate allows, and what a page of another origin may read, is decided for each request.
        """
        headers = request.headers
        if self._collect.rates.are_limited or headers.get("origin") or headers.get("content-encoding"):
            return None
        try:
            found = self._table.find(request.method, request.path)
            if found.route.shorten is None:
                return None
            request.params = found.params
            taker = found.route.shorten(request)
        except Exception:
            return None  # It is told, and logged where it is our fault, on the long way.
        return None if taker is None else ShortWay(self, found.route, taker)

    def finished(
        self,
        route: Route,
        render: Callable[[Sequence[ItemResult]], Reply],
        error: Exception | None,
        results: Sequence[ItemResult],
        headers: Headers = (),
    ) -> Reply:
        """The reply to what was on its way to the disk, counted; of the commit's error where there was one."""
        try:
            if error is not None:
                raise error
            reply = render(results)
        except Exception as raised:
            reply = refused(route, raised)
        self._requests[route.protocol, reply.status] += 1
        return with_headers(reply, headers) if headers else reply

    def done(self, protocol: str, reply: Reply) -> Reply:
        """Count a reply on its way out."""
        self._requests[protocol, reply.status] += 1
        return reply

    def _answer(self, found: Found, request: Request) -> Reply | Waiting | Awaitable[Reply]:
        route = found.route
        request.params = found.params
        headers = self._headers(route, request)
        explain = False
        try:
            self._collect.rates.check_address(request.client)
            encoding = request.headers.get("content-encoding", "")
            if encoding or request.body.startswith(GZIP_MAGIC):
                request.compressed_body = request.body
                request.body = inflated(request.body, encoding, self._max_body_bytes)
            # Before anything is taken: a query that cannot be read is a refusal.
            explain = self._may_explain and asks_why(request)
            answer = route.handler(request)
            if isinstance(answer, Pending):
                if not explain:
                    return Waiting(self, route, headers, answer)
                answer = explained(self._collect.engine, answer)
        except Exception as error:
            reply = refused(route, error)
            if explain:
                reply = drop_explained(reply, error)
            return self.done(route.protocol, with_headers(reply, headers))
        if isinstance(answer, Reply):
            if explain:
                answer = drop_explained(answer)
            return self.done(route.protocol, with_headers(answer, headers))
        return self._worked_on(route, headers, answer)

    def _headers(self, route: Route, request: Request) -> Headers:
        origin = request.headers.get("origin", "")
        return self._cors.headers(origin) if origin and route.is_public else ()

    async def _worked_on(self, route: Route, headers: Headers, work: Awaitable[Reply]) -> Reply:
        try:
            reply = await work
        except Exception as error:
            reply = refused(route, error)
        return self.done(route.protocol, with_headers(reply, headers))


def refused(route: Route, error: BaseException) -> Reply:
    """No, in the words of the route; in ours where it fails even at that."""
    try:
        return route.refusal(error)
    except Exception as second:
        return reply_for(second)
