"""What all protocols share: whose token it is, how items are taken, where a client is."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Raw

from engine import Engine, Gathered, Idempotency, ItemResult, Original, PublicToken, Receipt, Settings
from gateway.collect.counters import Counters
from gateway.collect.rates import Rates
from gateway.collect.request import Request
from gateway.errors import RequestError

Step = Literal["JS_TAG", "API"]
"""The platform's monitoring step an item comes in under (mediarithmics 3.3): from a page, or from a server."""

DROPPED = "x-sojourn-dropped"
"""Header that says why nothing was kept of a request whose answer must be 200."""


class Collect:
    """The collect plane as protocol code sees it.

    Args:
        engine: who takes the events.
        settings: of the planes and of visitors.
        now_ms: wall time, for cookies and signatures.
        locate: `$location` of a client address as JSON, or None when it is not known.

    Attributes:
        counters: what came in so far.
        rates: how fast senders may send.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        locate: Callable[[str], bytes | None] | None = None,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.now_ms = now_ms
        self.counters = Counters()
        self.rates = Rates(settings.rates)
        self.counters.watch(self.rates.statistics)
        self._locate = locate

    def sender(self, token: str) -> PublicToken:
        """Whose public token this is: a datamart, or one channel of it; counts against the token's rate.

        Raises:
            RequestError: 401, nobody's; 429, it is used too often.
        """
        found = self.engine.public_token(token)
        if found is None:
            raise RequestError(401, "unknown_token", "the token is not known here")
        self.rates.check_token(token)
        return found

    def take(
        self,
        items: Sequence[bytes],
        *,
        datamart: int,
        protocol: str,
        step: Step = "API",
        idempotency: Idempotency | None = None,
        process: bool = True,
        originals: Sequence[Original] | None = None,
        only_channel: str = "",
    ) -> Receipt:
        """`Engine.accept`, counted by protocol. The receipt's results are in order of the items.

        Args:
            items: each the JSON of one activity.
            datamart: whose they are.
            protocol: a label of counters.
            step: a label of the platform's monitoring.
            idempotency, process, originals, only_channel: as in `Engine.accept`.

        Raises:
            SojournError: nothing was taken.
        """
        receipt = self.engine.accept(
            items,
            datamart=datamart,
            idempotency=idempotency,
            process=process,
            step=step,
            originals=originals,
            only_channel=only_channel,
        )
        self.count(protocol, receipt.results)
        return receipt

    def take_soon(self, item: bytes, *, datamart: int, step: Step = "API") -> Gathered:
        """`Engine.accept_soon`; whoever renders the answer calls `count`.

        Raises:
            SojournError: nothing was taken.
        """
        return self.engine.accept_soon(item, datamart=datamart, step=step)

    def count(self, protocol: str, results: Sequence[ItemResult]) -> None:
        """Count items by protocol and fate."""
        counts = self.counters.items
        for result in results:
            counts[protocol, result.status, result.error.code if result.error is not None else ""] += result.events

    def dropped(self, protocol: str, reason: str, events: int = 1) -> None:
        """Count events that were not taken, on purpose: Do-Not-Track, no consent."""
        self.counters.items[protocol, "dropped", reason] += events

    def place(self, address: str) -> Mapping[str, Raw]:
        """Root fields that tell where a client is: `$location` and `client_address`, as far as the settings want them.

        Args:
            address: the client's, for a request that comes from a visitor's own device; `Request.client`.
        """
        found: dict[str, Raw] = {}
        if not address:
            return found
        location = self._locate(address) if self._locate is not None else None
        if location is not None:
            found["$location"] = Raw(location)
        if self.settings.visitors.store_client_address:
            found["client_address"] = Raw(msgspec.json.encode(address))
        return found


def body_text(request: Request) -> str:
    """The body as text.

    Raises:
        RequestError: 400, it is not UTF-8.
    """
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(400, "not_utf8", f"the body is not UTF-8 at byte {error.start}") from None
