"""Heads that were parsed before: senders repeat theirs, byte for byte, and what the same bytes mean does not change.

A client library sends one head thousands of times, with a handful of lengths. Such a request is recognised by its
head and needs no parser. What is remembered has passed every check of the parser; a head is looked up only where a
request begins, and only when the rest of what came is exactly its body.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gateway.collect.listener.received import Received
from gateway.collect.short import ShortWay

MAX_HEADS: Final = 4096
"""Remembered by a listener; when there are more, all are forgotten: at two kilobytes each, 8 MiB at the most."""

MAX_HEAD_BYTES: Final = 1024
"""Larger ones have cookies or addresses in them that hardly come twice."""

_END: Final = b"\r\n\r\n"


class KnownHead(Struct, frozen=True):
    """A head that was parsed before.

    Attributes:
        head: its bytes.
        body_bytes: of the body that it announces.
        whole_bytes: of both.
        request: what it says.
        short: how the plane answers it when nothing but the body is new; None where that is not all there is to it.
    """

    head: bytes
    body_bytes: int
    whole_bytes: int
    request: Received
    short: ShortWay | None


class KnownHeads:
    """The heads that the connections of a listener have in common.

    Args:
        shorten: finds the short way of a request's head.

    Attributes:
        hits: how many requests were recognised, but for those that went the short way.
    """

    __slots__ = ("_heads", "_shorten", "hits")

    def __init__(self, shorten: Callable[[Received], ShortWay | None] = lambda _: None) -> None:
        self._heads: dict[bytes, KnownHead] = {}
        self._shorten = shorten
        self.hits = 0

    def find(self, data: bytes) -> KnownHead | None:
        """The head of the request that these bytes are, all of them, when it is known."""
        end = data.find(_END, 0, MAX_HEAD_BYTES) + 4
        found = self._heads.get(data[:end])
        return found if found is not None and len(data) - end == found.body_bytes else None

    def request(self, data: bytes) -> Received | None:
        """The request that these bytes are, all of them, when its head is known."""
        found = self.find(data)
        if found is None:
            return None
        self.hits += 1
        seen = found.request
        return Received(seen.method, seen.target, seen.headers, data[len(found.head) :], True, False)

    def learn(self, data: bytes, request: Received) -> None:
        """Remember the head of a request that was parsed from these bytes, all of them and no more.

        Only requests with a length and without a query: the others' heads hardly come twice.
        """
        end = data.find(_END, 0, MAX_HEAD_BYTES) + 4
        is_plain = request.keep_alive and not request.is_http_1_0 and "?" not in request.target
        if end < 4 or not is_plain or not _UNLEARNT.isdisjoint(request.headers) or len(data) - end != len(request.body):
            return
        if not request.headers.get("content-length"):
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        seen = Received(request.method, request.target, request.headers, b"", True, False)
        short = self._shorten(seen) if request.body and request.method == "POST" else None
        head = data[:end]
        self._heads[head] = KnownHead(head, len(request.body), len(data), seen, short)


_UNLEARNT: Final = frozenset({"transfer-encoding", "expect", "upgrade", "connection"})
"""Headers that ask for more than an answer."""
