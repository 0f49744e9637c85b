"""HTTP/1.1 to one address, over connections that are kept: for calls that are made hundreds of times a second.

httpx takes 8 ms of the processor for a call where 64 connections are open, as its pool looks at all of them each time
(measured: 120 calls a second on one core). This one takes a fraction of that, as it does one thing only: it sends a
JSON body with POST and reads the answer, whole and bounded. No redirects, no cookies, no proxies, no compression.
"""

import ssl
from typing import Final
from urllib.parse import urlsplit

import httptools
import trio

from engine.actors.analysts.calls import CallFailed

KEPT_S: Final = 4.0
"""An idle connection is not used again after so long: Node.js closes them after five seconds."""

MAX_HEAD_BYTES: Final = 64 * 1024
"""Of an answer's headers."""

RECEIVE_BYTES: Final = 64 * 1024


class Unreachable(CallFailed):
    """No connection, or it ended before the answer did: trying again may help."""


class Response:
    """An answer: its status, its `Retry-After` header or "", and its body."""

    __slots__ = ("body", "retry_after", "status")

    def __init__(self, status: int, retry_after: str, body: bytes) -> None:
        self.status = status
        self.retry_after = retry_after
        self.body = body


class HttpClient:
    """Sends bodies to one address.

    Args:
        url: where to; `http` or `https`.
        max_answer_bytes: a longer answer is refused.
        tls: how servers prove who they are; as the system has it when None.

    Attributes:
        connects: connections made so far.
    """

    def __init__(self, url: str, max_answer_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._tls = tls
        self._max_answer_bytes = max_answer_bytes
        head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\n"
            f"host: {parts.netloc.rpartition('@')[2]}\r\n"
            "user-agent: sojourn\r\n"
            "accept: application/json\r\n"
            "content-type: application/json\r\n"
            "content-length: "
        )
        self._head = head.encode("ascii")
        # The one used last is taken first: what is not needed grows old and is closed.
        self._idle: list[tuple[float, _Connection]] = []
        self.connects = 0

    @property
    def idle(self) -> int:
        """Connections that are kept."""
        return len(self._idle)

    async def post(self, body: bytes) -> Response:
        """Send a body and read the answer. How long that may take is the caller's to say.

        Raises:
            Unreachable: no connection, or it broke.
            CallFailed: what came is no HTTP, or is too long.
        """
        connection = await self._kept()
        if connection is not None:
            try:
                return await self._exchange(connection, body)
            except Unreachable:
                if connection.heard:
                    raise
                # It was closed while it was idle. That is no failure of the plugin's.
        return await self._exchange(await self._connect(), body)

    async def aclose(self) -> None:
        """Close what is kept."""
        for _, connection in self._idle:
            await trio.aclose_forcefully(connection.stream)
        self._idle = []

    async def _kept(self) -> "_Connection | None":
        now_s = trio.current_time()
        while self._idle and self._idle[0][0] <= now_s - KEPT_S:
            _, old = self._idle.pop(0)
            await trio.aclose_forcefully(old.stream)
        return self._idle.pop()[1] if self._idle else None

    async def _connect(self) -> "_Connection":
        self.connects += 1
        try:
            plain = await trio.open_tcp_stream(self._host, self._port)
        except OSError as error:
            raise Unreachable(
                f"no connection to {self._host}:{self._port}: {_words(error.__cause__ or error)}"
            ) from None
        if not self._secure:
            return _Connection(plain)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        stream = trio.SSLStream(plain, self._tls, server_hostname=self._host, https_compatible=True)
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(plain)
            raise Unreachable(f"no TLS with {self._host}:{self._port}: {error.__cause__ or error}") from None
        except BaseException:
            await trio.aclose_forcefully(plain)
            raise
        return _Connection(stream)

    async def _exchange(self, connection: "_Connection", body: bytes) -> Response:
        is_whole = False
        try:
            response = await connection.exchange(self._head + b"%d\r\n\r\n" % len(body) + body, self._max_answer_bytes)
            is_whole = True
            return response
        finally:
            if is_whole and connection.keeps:
                self._idle.append((trio.current_time(), connection))
            else:
                await trio.aclose_forcefully(connection.stream)


class _Connection:
    """One connection, and the parser's callbacks of the answer that is being read.

    Attributes:
        heard: whether anything came of the answer that was asked for last.
        keeps: whether it can be used again.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.heard = False
        self.keeps = False
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._size = self._head_size = 0
        self._parts: list[bytes] = []
        self._retry_after = ""
        self._has_length = False
        self._is_complete = self._has_head = False

    async def exchange(self, request: bytes, max_answer_bytes: int) -> Response:
        self.heard = self.keeps = False
        self._begin()
        try:
            await self.stream.send_all(request)
            while not self._is_complete:
                data = await self.stream.receive_some(RECEIVE_BYTES)
                if not data:
                    self._end()
                    break
                self.heard = True
                self._feed(bytes(data), max_answer_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Unreachable(f"the connection broke: {_words(error.__cause__ or error)}") from None
        else:
            return Response(self._parser.get_status_code(), self._retry_after, b"".join(self._parts))

    def _feed(self, data: bytes, max_answer_bytes: int) -> None:
        if not self._has_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise CallFailed(f"the answer is no HTTP: {error}") from None
        if self._size > max_answer_bytes:
            raise CallFailed(f"the answer is longer than {max_answer_bytes} bytes")
        if not self._has_head and self._head_size > MAX_HEAD_BYTES:
            raise CallFailed(f"the answer's headers are longer than {MAX_HEAD_BYTES} bytes")

    def _end(self) -> None:
        """The other side is done. That ends an answer that does not say how long it is, and breaks any other."""
        if not self._has_head or self._has_length:
            raise Unreachable("the connection ended before the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, like those below."""
        lower = name.lower()
        if lower == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif lower in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        # 100 Continue and its like announce an answer and are none.
        self._has_head = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_complete = True
            self.keeps = self._parser.should_keep_alive()


def _words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(_words(one) for one in error.exceptions))
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
