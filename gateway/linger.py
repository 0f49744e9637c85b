"""Answers that arrive although the request is still coming: around the ASGI application of either plane.

A refusal often goes out before the body is in (too large, too slow, no such path). To close at once would reset the
connection, and the sender would never read why; not to read on would leave hypercorn's reader waiting for ever to hand
over the next chunk. So the rest is read away, for a bounded time, while the answer is there but not yet ended.

Nor is an answer given up because its sender has said all it has to say. hypercorn tells the application "disconnected"
when the sender closes its half, and at the end of each answer; Quart cancels whoever answers then, before a connection
is closed. Behind a whole request the application therefore does not hear of it: its handlers end in bounded time.
"""

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        HTTPScope,
        Scope,
    )

LINGER_S: Final = 2.0
"""How long the rest of a body is read away, before and again after the end of the answer."""


def lingering(app: "ASGIFramework") -> "ASGIFramework":
    """The application, made patient."""

    async def patient(scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        await app(scope, exchange.receive, exchange.send)
        # For a reader that waits to hand over a chunk.
        await exchange.discard()

    return patient


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: "HTTPScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        headers = dict(scope["headers"])
        self._discarding = trio.CancelScope()
        self._is_gone = False
        self._is_read = False
        self._receive = receive
        self._send = send
        self._is_http_1 = scope["http_version"].startswith("1")
        # Without either header there is no body; its end just has not been handed over yet.
        self._is_complete = self._is_http_1 and (
            b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0"
        )

    async def receive(self) -> "ASGIReceiveEvent":
        """The next message of the request; behind its end there is none."""
        message = None if self._is_read else await self._receive()
        # Asked again: the end may be what somebody else got meanwhile.
        if message is None or self._is_read:
            await trio.sleep_forever()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._is_complete = True
            self._is_read = message["type"] == "http.request"
            # Quart reads on beside us: the end may be what it got while we wait for it.
            self._discarding.cancel(reason="the request is complete")
        return message

    async def send(self, message: "ASGISendEvent") -> None:
        """Pass on a message of the answer, unless the sender has hung up in the middle of its request."""
        if self._is_gone:
            return
        try:
            await self._pass_on(message)
        except trio.BusyResourceError:
            # hypercorn sends one piece after the other: it is closing the connection. What is behind a piece that is
            # missing must not be sent.
            self._is_gone = True

    async def _pass_on(self, message: "ASGISendEvent") -> None:
        """Hold the answer's end back while the request is still coming."""
        if self._is_complete:
            await self._send(message)
        elif message["type"] == "http.response.start":
            close = [(b"connection", b"close")] if self._is_http_1 else []
            await self._send({**message, "headers": [*message["headers"], *close]})
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self.discard()
            # At this message hypercorn says "disconnected" to the application, Quart then cancels whoever sends, and
            # hypercorn would never come to close the connection.
            with trio.move_on_after(LINGER_S, shield=True):
                await self._send({**message, "body": b""})
        else:
            await self._send(message)

    async def discard(self) -> None:
        """Read away what is still coming, for at most `LINGER_S`."""
        if self._is_complete:
            return
        with trio.move_on_after(LINGER_S) as self._discarding:
            while not self._is_complete:
                await self.receive()
