"""What is asked of us: one event with its parameters, and what became of it. Pure."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_plus

from msgspec import Struct

from engine import ItemResult, Receipt
from gateway.collect.protocols.pixels.hits import TOKENS
from gateway.collect.protocols.pixels.parameters import Parameters, parameters_of
from gateway.errors import RequestError

Query = Mapping[str, tuple[str, ...]]

_ITEM_EVENT: Final = "$.$events[0]"
"""Where the one event of an item is."""


class Asked(Struct):
    """One event that somebody asks to keep.

    Attributes:
        parameters: what it says, with all that holds for the whole request.
        payload: what is kept of it when it is refused.
        place: JSON path of the event in the body; "" where it came in a query.
        fault: why it cannot be taken, as soon as that is known.
    """

    parameters: Parameters
    payload: bytes
    place: str = ""
    fault: RequestError | None = None


class Outcome(Struct, frozen=True):
    """What became of one event: `accepted`, `duplicate`, `refused` or `dropped`, and of the last two why."""

    status: str
    code: str = ""
    message: str = ""
    path: str = ""


class Taken(Struct, frozen=True):
    """What became of the events of one request.

    Attributes:
        datamart: whose they are.
        places: of the events, in order.
        outcomes: of each; None where the receipt tells.
        receipt: of what is on its way to the disk; None when nothing is.
        cookie: header that sets the visitor's cookie, or nothing.
    """

    datamart: int
    places: tuple[str, ...]
    outcomes: tuple[Outcome | None, ...]
    receipt: Receipt | None = None
    cookie: tuple[tuple[str, str], ...] = ()

    def results(self) -> list[Outcome]:
        """One for each event, in order. What was accepted is safe only when the receipt is durable."""
        told = iter(self.receipt.results if self.receipt is not None else ())
        return [
            outcome if outcome is not None else _outcome(next(told), place)
            for outcome, place in zip(self.outcomes, self.places, strict=True)
        ]

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The visitor's cookie, for the answer to a request of which something was taken."""
        return self.cookie if any(one.status in ("accepted", "duplicate") for one in self.results()) else ()


def asked_of_query(query: Query, payload: bytes) -> Asked:
    """The one event of a query or form; a parameter with a fault is a fault of the event."""
    try:
        return Asked(parameters_of(query), payload)
    except RequestError as error:
        return Asked({}, payload, fault=error)


def tokens_in(query: Query) -> set[str]:
    """The tokens of a query or form, under any of their names."""
    return {value for name in TOKENS for value in query.get(name, ()) if value}


def tokens_of(raw_query: str) -> set[str]:
    """The same of a query as it was sent, which may be one that has too many parameters to be taken apart."""
    pairs = (pair.partition("=") for pair in raw_query.split("&"))
    return {unquote_plus(value) for name, _, value in pairs if value and unquote_plus(name) in TOKENS}


def place_of(one: Asked, fault: RequestError) -> str:
    """Where in what was sent a fault of an event is."""
    return ".".join(part for part in (one.place, fault.path) if part)


def _outcome(result: ItemResult, place: str) -> Outcome:
    if result.error is None:
        return Outcome(result.status)
    path = result.error.path
    if place and path.startswith(_ITEM_EVENT):  # The engine has found it in the item that we made.
        path = place + path.removeprefix(_ITEM_EVENT)
    return Outcome(result.status, result.error.code, result.error.message, path)
