"""Heads that were parsed before: senders repeat theirs, byte for byte, and what the same bytes mean does not change.

A client library sends one head thousands of times, with a handful of lengths. Such a request is recognised by its
head and needs no parser. What is remembered has passed every check of the parser; a head is looked up only where a
request begins, and only when the rest of what came is exactly its body.
"""

from typing import Final

from gateway.collect.listener.received import Received

MAX_HEADS: Final = 4096
"""Remembered by a listener; when there are more, all are forgotten: at a kilobyte each, 4 MiB at the most."""

MAX_HEAD_BYTES: Final = 1024
"""Larger ones have cookies or addresses in them that hardly come twice."""

_END: Final = b"\r\n\r\n"


class KnownHeads:
    """The heads that the connections of a listener have in common.

    Attributes:
        hits: how many requests were recognised.
    """

    __slots__ = ("_heads", "hits")

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[int, Received]] = {}
        self.hits = 0

    def request(self, data: bytes) -> Received | None:
        """The request that these bytes are, all of them, when its head is known."""
        end = data.find(_END, 0, MAX_HEAD_BYTES) + 4
        found = self._heads.get(data[:end])
        if found is None or len(data) - end != found[0]:
            return None
        self.hits += 1
        seen = found[1]
        return Received(seen.method, seen.target, seen.headers, data[end:], True, False)

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
        self._heads[data[:end]] = (
            len(request.body),
            Received(request.method, request.target, request.headers, b"", True, False),
        )


_UNLEARNT: Final = frozenset({"transfer-encoding", "expect", "upgrade", "connection"})
"""Headers that ask for more than an answer."""
