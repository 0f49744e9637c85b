"""One call: a request of the outbox is posted, and its answer read as far as it matters."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final
from uuid import UUID

import trio
from msgspec import Struct

from engine.definitions.declared.destinations import Destination
from engine.model.delivery import address_of
from engine.model.webhook_signature import signature_headers

if TYPE_CHECKING:
    import httpx

USER_AGENT: Final = "sojourn-outbox/1"

MAX_READ_BYTES: Final = 64 << 10
"""Of an answer. Reading it to its end keeps the connection; nobody is waited for longer than that."""

KEPT_CHARS: Final = 300
"""Of an answer's text: enough to see what was wrong."""


class Answer(Struct, frozen=True):
    """What came of a call.

    Attributes:
        status: of HTTP; 0 where there was no answer.
        detail: the answer's text or the error, cut.
        retry_after: the header, or "".
    """

    status: int
    detail: str = ""
    retry_after: str = ""

    def __str__(self) -> str:
        head = f"HTTP {self.status}" if self.status else "no answer"
        return f"{head}: {self.detail}" if self.detail else head


class Caller:
    """Posts requests.

    Args:
        client: shared by all destinations.
        wall_ms: for the time in the signature.
    """

    def __init__(self, client: "httpx.AsyncClient", wall_ms: Callable[[], int]) -> None:
        self._client = client
        self._wall_ms = wall_ms

    async def post(self, destination: Destination, request_id: bytes, path: str, body: bytes) -> Answer:
        """Post once; redirects are not followed, they would lead elsewhere than was declared. Raises nothing of HTTP.

        Args:
            destination: as it is defined now.
            request_id: 16 bytes; the same for all attempts.
            path, body: of the request.
        """
        import httpx

        answer = Answer(0, f"no answer within {destination.timeout_ms} ms")
        with trio.move_on_after(destination.timeout_ms / 1000):
            try:
                headers = self._headers(destination, request_id, body)
                address = address_of(destination.url, path)
                async with self._client.stream("POST", address, content=body, headers=headers) as response:
                    text = await _read(response)
                    answer = Answer(response.status_code, text, response.headers.get("retry-after", ""))
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, OSError) as error:
                answer = Answer(0, f"{type(error).__name__}: {error}"[:KEPT_CHARS])
        return answer

    def _headers(self, destination: Destination, request_id: bytes, body: bytes) -> Mapping[str, str]:
        message_id = str(UUID(bytes=request_id))
        headers = {
            "user-agent": USER_AGENT,
            **{name.lower(): value for name, value in destination.headers.items()},
            "content-type": "application/json",
            "accept-encoding": "identity",  # What is cut must not have to be unpacked.
            "idempotency-key": message_id,
        }
        if destination.secret:
            headers |= signature_headers(destination.secret, message_id, self._wall_ms() // 1000, body)
        return headers


async def _read(response: "httpx.Response") -> str:
    """The beginning of an answer's text. One that does not end within the bound costs its connection."""
    head = b""
    size_bytes = 0
    # Cancelled and not left: the generators inside are then ended as well, each by the one around it.
    with trio.CancelScope() as scope:
        async for chunk in response.aiter_raw():
            head += chunk[: 4 * KEPT_CHARS - len(head)] if len(head) < 4 * KEPT_CHARS else b""
            size_bytes += len(chunk)
            if size_bytes > MAX_READ_BYTES:
                scope.cancel()
    return head.decode(errors="replace")[:KEPT_CHARS]


@asynccontextmanager
async def open_client(keep: int) -> "AsyncIterator[httpx.AsyncClient]":
    """The client that all calls share.

    How many connections there are is bounded by how many calls are; times, by each call's own. Proxies come from the
    environment (`HTTPS_PROXY`, `NO_PROXY`), as with other programs.

    Args:
        keep: idle connections that are kept.
    """
    # In a thread: to load the library and the certificates takes a third of a second, once.
    async with await trio.to_thread.run_sync(_client, keep) as client:
        yield client


def _client(keep: int) -> "httpx.AsyncClient":
    import httpx  # Here, as most commands call nobody.

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=keep, keepalive_expiry=30)
    # A destination is told nothing that it has said before.
    cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(limits=limits, timeout=None, follow_redirects=False, cookies=cookies)
