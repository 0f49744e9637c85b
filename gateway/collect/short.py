"""The short way of a request: what its head alone decides is decided once, and kept with the head.

Senders repeat their heads byte for byte (listener/heads.py). Which route is asked, by whose right, with which options:
none of that changes with the body. A protocol that can tell from a head how a usual body is taken gives a `Taker`; the
listener hands it the body of each further request with that head, and goes the long way where it says no. Where the
definitions have changed meanwhile (`Engine.revision`), a taker looks again by whose right it takes.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from engine import ItemResult, Listening
from gateway.collect.reply import Reply

if TYPE_CHECKING:
    from gateway.collect.plane import Plane
    from gateway.collect.routes import Route


class Taker(Protocol):
    """What a protocol does with the bodies behind a head."""

    def take(self, body: bytes, listening: Listening) -> bool:
        """Have the one item of a usual body taken at the end of this pass, for who listens.

        False for any other body, and for one that nobody takes now: nothing has happened, and the long way says why.
        """
        ...

    def render(self, results: Sequence[ItemResult]) -> Reply:
        """The reply when it is on disk."""
        ...


class ShortWay:
    """A taker and how a plane answers for it.

    Args:
        plane, route: whose words are used where something fails.
        taker: of the head.

    Attributes:
        take: the taker's.
    """

    __slots__ = ("_plane", "_render", "_route", "take")

    def __init__(self, plane: "Plane", route: "Route", taker: Taker) -> None:
        self._plane = plane
        self._route = route
        self._render = taker.render
        self.take: Callable[[bytes, Listening], bool] = taker.take

    def reply(self, error: Exception | None, results: Sequence[ItemResult]) -> Reply:
        """The reply when the item is on disk, or with why it is not; counted."""
        return self._plane.finished(self._route, self._render, error, results)
