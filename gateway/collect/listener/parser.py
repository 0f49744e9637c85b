"""Bytes → requests. httptools finds the tokens; what it lets pass and a strict server must not is refused here.

Nothing smuggled: two lengths, a length beside `chunked`, a bare line feed, a folded header, a space before a colon are
refused by the parser underneath; no host or two, `chunked` in HTTP/1.0 or behind another coding, HTTP/0.9 by us. Behind
a refusal nothing of the connection is read any more: where the next request would begin is not known.

However the bytes are cut, the same requests and the same refusal come of them, as long as no line is longer than the
bounds. Pure: no socket, no clock. What is on its way in is bounded by `Limits`, in bytes, before it is kept.
"""

from enum import Enum
from http import HTTPStatus
from typing import Final

import httptools
from msgspec import Struct

from gateway.collect.listener.budget import Budget
from gateway.collect.listener.heads import KnownHeads
from gateway.collect.listener.received import Received
from gateway.errors import RequestError

MAX_REMEMBERED: Final = 512
"""Header names whose text is remembered; senders use a handful of them, in two or three spellings."""

MAX_CHUNK_OVERHEAD: Final = 8
"""Bytes of a chunked body on the wire for each byte that it may have: 1-byte chunks take six, with a short size."""

_NO_BODY: Final = b""


class Limits(Struct, frozen=True, kw_only=True):
    """How large a request may be; numbers and bytes."""

    max_request_line_bytes: int
    max_header_bytes: int
    max_headers: int
    max_body_bytes: int


class Phase(Enum):
    """Where in a request the connection is."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"


class RequestParser:
    """The parser of one connection.

    Args:
        limits: of each request.
        budget: what all connections together hold; bodies take from it until they are handed out.
        known: heads that need no parsing; None to parse all.

    Attributes:
        requests: complete ones, in order; whoever feeds takes them away.
        refusal: why nothing more is read, when something was refused.
        phase: where the connection is.
        wants_continue: whether the sender of the request that is half here waits for `100 Continue`; whoever feeds
            tells it and takes this away.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_budget",
        "_header_bytes",
        "_headers",
        "_hosts",
        "_http_1_0",
        "_is_chunked",
        "_is_over",
        "_known",
        "_limits",
        "_line_bytes",
        "_method",
        "_number",
        "_parser",
        "_target",
        "_wire_bytes",
        "phase",
        "refusal",
        "requests",
        "wants_continue",
    )

    def __init__(self, limits: Limits, budget: Budget, known: KnownHeads | None = None) -> None:
        self._known = known
        self._limits = limits
        self._budget = budget
        self._parser = httptools.HttpRequestParser(self)
        self.requests: list[Received] = []
        self.refusal: RequestError | None = None
        self.phase = Phase.IDLE
        self.wants_continue = False
        self._is_over = False  # Behind a request that ends the connection, or a refusal.
        self._body: bytes | bytearray = _NO_BODY
        self._body_bytes = 0
        self._target: bytes
        self._hosts: int
        self._begin()

    @property
    def head(self) -> tuple[str, str, dict[str, str]]:
        """Method, target and headers of the request that is on its way, as far as they have come."""
        return self._method or "GET", self._target.decode("latin-1"), self._headers

    def feed(self, data: bytes) -> None:
        """Take bytes in; afterwards `requests`, `phase` and `refusal` say what they were."""
        if self._is_over:
            return
        phase, body_bytes = self.phase, self._body_bytes
        known = self._known
        if known is not None and phase is Phase.IDLE and (request := known.request(data)) is not None:
            self.requests.append(request)
            return
        before = len(self.requests)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            # Else it is what stands behind the last request, or the echo of our own refusal.
            if not self._is_over:
                self._refuse(_malformed(error))
        else:
            if phase is self.phase is not Phase.IDLE:
                self._check_unfinished(len(data), body_bytes)
            elif known is not None and phase is self.phase and len(self.requests) == before + 1:
                known.learn(data, self.requests[-1])

    def timed_out(self, seconds: float) -> None:
        """What is half there did not come in time."""
        what = "request" if self.phase is Phase.HEAD else "body"
        self._refuse(RequestError(408, "request_timeout", f"the {what} did not arrive within {seconds:g} seconds"))

    def close(self) -> None:
        """Give back what the body that is half there has taken from the budget."""
        self._budget.give(self._body_bytes)
        self._body, self._body_bytes = _NO_BODY, 0

    # What httptools calls ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._begin()
        self.phase = Phase.HEAD

    def on_url(self, target: bytes) -> None:
        """A piece of the target."""
        self._target += target
        if len(self._target) > self._limits.max_request_line_bytes:
            self._stop(
                RequestError(414, "request_line_too_long", f"more than {self._limits.max_request_line_bytes} bytes")
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which nobody reads."""
        if self.phase is Phase.BODY:
            return
        self._header_bytes += len(name) + len(value) + 4
        self._number += 1
        if self._header_bytes > self._limits.max_header_bytes or self._number > self._limits.max_headers:
            self._stop(self._header_error())
        key = _names.get(name)
        if key is None:
            key = _remember(name)
        text = value.rstrip().decode("latin-1")
        if key == "host":
            self._hosts += 1
        before = self._headers.get(key)
        self._headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        """Everything before the body is there: what can be refused is refused before the body is sent."""
        self.phase = Phase.BODY
        parser, headers = self._parser, self._headers
        self._method = _METHODS.get(method := parser.get_method()) or method.decode("ascii", "replace")
        if not self._target.startswith(b"/"):
            self._target = _origin_form(self._target)
        version = parser.get_http_version()
        if version != "1.1":
            self._check_version(version)
        elif self._hosts != 1:
            self._stop(_host_error(self._hosts))
        if (coding := headers.get("transfer-encoding")) is not None:
            self._is_chunked = True
            if coding.strip(" \t").lower() != "chunked":
                self._stop(RequestError(501, "unsupported_coding", "of transfer codings only `chunked` is supported"))
        elif (length := headers.get("content-length")) is not None and int(length) > self._limits.max_body_bytes:
            self._stop(self._body_error())
        if (expect := headers.get("expect")) is not None:
            self._check_expect(expect)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        size = len(data)
        self._body_bytes += size
        if self._body_bytes > self._limits.max_body_bytes:
            self._body_bytes -= size
            self._stop(self._body_error())
        if not self._budget.take(size):
            self._body_bytes -= size
            self._stop(self._budget.refusal())
        body = self._body
        if not body:
            self._body = data
        elif isinstance(body, bytearray):
            body += data
        else:
            # Not a list of pieces: chunks of two bytes would cost thirty times what is counted.
            self._body = bytearray(body)
            self._body += data

    def on_message_complete(self) -> None:
        """The request is whole."""
        body = self._body
        keep_alive = self._parser.should_keep_alive()
        self.requests.append(
            Received(
                self._method,
                self._target.decode("latin-1"),
                self._headers,
                body if isinstance(body, bytes) else bytes(body),
                keep_alive,
                self._http_1_0,
            )
        )
        self._budget.give(self._body_bytes)
        self._body, self._body_bytes = _NO_BODY, 0
        self.phase = Phase.IDLE
        self.wants_continue = False
        self._is_over = not keep_alive

    # -----------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._target = b""
        self._method = ""
        self._headers: dict[str, str] = {}
        self._header_bytes = self._number = self._hosts = self._wire_bytes = self._line_bytes = 0
        self._is_chunked = self._http_1_0 = False

    def _check_version(self, version: str) -> None:
        if version != "1.0":
            self._stop(RequestError(505, "http_version", f"HTTP/{version} is not spoken here, HTTP/1.1 is"))
        if "transfer-encoding" in self._headers:
            self._stop(RequestError(400, "bad_request", "HTTP/1.0 has no transfer codings"))
        if self._hosts > 1:
            self._stop(_host_error(self._hosts))
        self._http_1_0 = True

    def _check_expect(self, expect: str) -> None:
        if self._http_1_0:
            return
        if expect.strip().lower() != "100-continue":
            self._stop(RequestError(417, "expectation_failed", "of expectations only 100-continue is met"))
        self.wants_continue = True

    def _check_unfinished(self, size: int, body_bytes: int) -> None:
        """A line without an end is kept by the parser underneath, which knows no bounds."""
        limits = self._limits
        if self.phase is Phase.HEAD:
            self._wire_bytes += size
            if self._wire_bytes > limits.max_request_line_bytes + limits.max_header_bytes:
                self._refuse(self._header_error())
        elif self._is_chunked:
            self._wire_bytes += size
            if self._wire_bytes > MAX_CHUNK_OVERHEAD * limits.max_body_bytes:
                self._refuse(self._body_error())
            # Nothing of the body was in it: it is of a chunk's extension, or of the trailers.
            self._line_bytes = self._line_bytes + size if self._body_bytes == body_bytes else 0
            if self._line_bytes > limits.max_header_bytes:
                self._refuse(self._header_error())

    def _decline_upgrade(self, rest: bytes) -> None:
        """Nobody has to upgrade (RFC 9110, 7.8): the request is answered as if it had not asked, and is the last.

        Some clients ask with each first request, whatever its body (`java.net.http`). The parser underneath takes the
        body for the new protocol; so it is given the same request again, without the wish.
        """
        asked = self.requests.pop()
        self._parser = httptools.HttpRequestParser(self)
        if asked.method == "CONNECT":
            self._refuse(RequestError(405, "method_not_allowed", "CONNECT is not possible here"))
            return
        lines = [f"{asked.method} {asked.target} HTTP/1.{0 if asked.is_http_1_0 else 1}"]
        lines += [f"{name}: {text}" for name, text in asked.headers.items() if name not in ("connection", "upgrade")]
        self._is_over = False
        self.feed("\r\n".join((*lines, "connection: close", "", "")).encode("latin-1") + rest)

    def _stop(self, error: RequestError) -> None:
        """Refuse from within a callback: raising is the only way to stop the parser underneath."""
        self._refuse(error)
        raise error

    def _refuse(self, error: RequestError) -> None:
        self.refusal = error
        self.phase = Phase.IDLE
        self.wants_continue = False
        self._is_over = True
        self.close()

    def _header_error(self) -> RequestError:
        limits = self._limits
        text = f"the headers are more than {limits.max_header_bytes} bytes, or more than {limits.max_headers}"
        return RequestError(431, "headers_too_large", text)

    def _body_error(self) -> RequestError:
        return RequestError(413, "body_too_large", f"the body has more than {self._limits.max_body_bytes} bytes")


_METHODS: Final = {method.encode(): method for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")}
_names: dict[bytes, str] = {}


def _remember(name: bytes) -> str:
    if len(_names) >= MAX_REMEMBERED:
        _names.clear()
    text = _names[name] = name.decode("latin-1").lower()
    return text


def _origin_form(target: bytes) -> bytes:
    """`/b?c` of `http://a/b?c`; anything else as it is."""
    scheme, behind, rest = target.partition(b"://")
    if not behind or scheme.lower() not in (b"http", b"https"):
        return target
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    return rest[end:] if rest[end : end + 1] == b"/" else b"/" + rest[end:]


def _host_error(hosts: int) -> RequestError:
    return RequestError(400, "bad_host", f"{hosts or 'no'} Host headers, there must be one")


def _malformed(error: httptools.HttpParserError) -> RequestError:
    return RequestError(int(HTTPStatus.BAD_REQUEST), "bad_request", f"not HTTP/1.1: {error}")
