"""The collect plane as a raw ASGI application: no framework between the server and the protocol functions.

It owes what a framework would do: a bounded body, and a deadline for it.
"""

from typing import TYPE_CHECKING

import trio

from gateway.collect.plane import Plane, Waiting
from gateway.collect.reply import Reply
from gateway.collect.request import Request, parse_headers
from gateway.errors import RequestError, reply_for
from gateway.linger import lingering

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPScope,
        LifespanScope,
        Scope,
        WebsocketScope,
    )


def collect_app(plane: Plane, *, max_body_bytes: int, body_timeout_s: float) -> "ASGIFramework":
    """The application.

    Args:
        plane: what answers.
        max_body_bytes: a larger body is refused, 413.
        body_timeout_s: seconds within which a body must have arrived, else 408.
    """
    return lingering(_Plane(plane, max_body_bytes, body_timeout_s))


class _Plane:
    def __init__(self, plane: Plane, max_body_bytes: int, body_timeout_s: float) -> None:
        self._plane = plane
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(scope, receive, send)
        else:
            await _refuse_websocket(scope, receive, send)

    async def _http(self, scope: "HTTPScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        body = _Body(receive, self._max_body_bytes, self._body_timeout_s)
        try:
            reply = await self._reply(scope, body)
        except _Gone:
            return
        except Exception as error:
            reply = reply_for(error)
        await _send(reply, send)

    async def _reply(self, scope: "HTTPScope", body: "_Body") -> Reply:
        headers = parse_headers(scope["headers"])
        client = scope.get("client")
        request = Request(
            method=scope["method"],
            path=scope["raw_path"].decode("ascii", "replace"),
            raw_query=scope["query_string"].decode("ascii", "replace"),
            headers=headers,
            body=await body.read(headers.get("content-length")),
            client=str(client[0]) if client else "",
        )
        answer = self._plane.answer(request)
        if isinstance(answer, Waiting):
            answer = answer.wait()
        return answer if isinstance(answer, Reply) else await answer


class _Gone(Exception):
    """The sender hung up before its request was complete: nobody is there to answer."""


class _Body:
    """The body of one request, read once, counted."""

    def __init__(self, receive: "ASGIReceiveCallable", max_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._is_complete = False

    async def read(self, content_length: str | None) -> bytes:
        """All of it.

        Raises:
            RequestError: 413, too large, by its announcement or counted; 408, too slow.
            _Gone: the sender hung up.
        """
        # A length that is no number never gets here: the server refuses it.
        if content_length is not None and int(content_length) > self._max_bytes:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        with trio.move_on_after(self._timeout_s) as deadline:
            while not self._is_complete:
                chunk = await self._chunk()
                size += len(chunk)
                if size > self._max_bytes:
                    raise self._too_large()
                chunks.append(chunk)
        if deadline.cancelled_caught:
            raise RequestError(408, "request_timeout", f"the body did not arrive within {self._timeout_s:g} seconds")
        return b"".join(chunks)

    async def _chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            self._is_complete = True
            raise _Gone
        self._is_complete = not message.get("more_body", False)
        return message.get("body", b"")

    def _too_large(self) -> RequestError:
        return RequestError(413, "body_too_large", f"the body has more than {self._max_bytes} bytes")


async def _send(reply: Reply, send: "ASGISendCallable") -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    headers.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


async def _lifespan(scope: "LifespanScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
    """Nothing starts or stops with the plane: the engine is around it."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _refuse_websocket(scope: "WebsocketScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": "no websockets here"})
