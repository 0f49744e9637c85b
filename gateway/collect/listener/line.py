"""The line of a connection's answers: a place for each request, in their order."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import ItemResult
    from gateway.collect.reply import Reply
    from gateway.collect.short import ShortWay


class Place:
    """One place.

    Attributes:
        method, keep_alive, is_http_1_0: what its answer is rendered for.
        data: the answer, once it is there.
    """

    __slots__ = ("data", "is_http_1_0", "keep_alive", "method")

    def __init__(self, method: str, keep_alive: bool, is_http_1_0: bool, data: bytes | None = None) -> None:
        self.method = method
        self.keep_alive = keep_alive
        self.is_http_1_0 = is_http_1_0
        self.data = data


class ShortPlace(Place):
    """The place of a request that went the short way: it listens itself to what becomes of its item.

    Args:
        told: what the connection does with the reply.
        short: what makes the reply.
    """

    __slots__ = ("_short", "_told", "results")

    def __init__(self, told: "Callable[[Place, Reply], None]", short: "ShortWay") -> None:
        # As `Place` does: to call it costs as much as the rest.
        self.method = "POST"
        self.keep_alive = True
        self.is_http_1_0 = False
        self.data = None
        self._told = told
        self._short = short
        self.results: tuple[ItemResult, ...] = ()

    def tell(self, error: Exception | None) -> None:
        """As `engine.Listening`."""
        self._told(self, self._short.reply(error, self.results))
