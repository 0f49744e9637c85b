"""What a sender is told: each item's fate at once, and when it is safe (decision 17)."""

from collections.abc import Awaitable, Callable
from typing import Literal

import trio
from msgspec import Struct

from engine.actors.ticket import OnDurable, Ticket

Status = Literal["accepted", "duplicate", "refused"]


class ItemError(Struct, frozen=True, gc=False):
    """Why an item was refused: a stable code, a sentence, and the JSON path to the fault."""

    code: str
    message: str
    path: str


class ItemResult(Struct, frozen=True, gc=False):
    """What became of one item.

    Attributes:
        status: accepted; duplicate (all of it was accepted before); refused (nothing of it was taken).
        events: how many of its events count.
        user_point: whom it was routed to, as UUID text; None unless accepted.
        error: why it was refused; None otherwise.
    """

    status: Status
    events: int
    user_point: str | None = None
    error: ItemError | None = None


class Idempotency(Struct, frozen=True):
    """What a request is known again by (decision 18).

    Attributes:
        key: its `Idempotency-Key`.
        body_digest: of its body; the key with another body is a conflict.
        further: other keys of the same request, such as its signature: any of them makes it a repeat.
    """

    key: str
    body_digest: bytes
    further: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them."""
        return (self.key, *self.further)


class Original(Struct, frozen=True):
    """What an item was made from, where nobody is there to be told: if it is refused, this becomes a dead letter.

    Attributes:
        payload: as it was, such as the line of a log.
        stage: who made the item of it; becomes a label.
        id: an id of its own: the same one again is a duplicate. "" for none.
        fault: why no item could be made of it, with the place in `payload`; the item is not looked at then.
    """

    payload: bytes
    stage: str
    id: str = ""
    fault: ItemError | None = None


class Receipt:
    """The answer to one `accept`.

    Attributes:
        results: one for each item, in order.
    """

    __slots__ = ("_sequences", "_stored", "_ticket", "results")

    def __init__(
        self,
        results: tuple[ItemResult, ...],
        ticket: Ticket,
        sequences: tuple[int, ...],
        stored: Callable[[tuple[int, ...]], Awaitable[None]],
    ) -> None:
        self.results = results
        self._ticket = ticket
        self._sequences = sequences
        self._stored = stored

    @property
    def stores(self) -> bool:
        """Whether it holds an item that goes to the store at once: an accepted `NO_SESSION` or `CLOSED_SESSION` one."""
        return bool(self._sequences)

    async def durable(self) -> None:
        """Return when everything accepted here, and the first copy of everything called a duplicate, is on disk.

        Raises:
            Unavailable: the store is full. What was sent may still be stored, once.
            Broken: the engine takes no more writes.
        """
        await self._ticket.durable()

    def when_durable(self, callback: OnDurable) -> None:
        """`durable` for who has no task to wait in: calls back once, on the Trio thread.

        With None when all of it is on disk, or with the error that `durable` would have raised; inside this call where
        that is known already, else in the order of submitting. The callback must not raise, nor take long: some
        hundreds are called in one step.
        """
        self._ticket.when_durable(callback)

    async def stored(self, timeout_s: float = 10.0) -> bool:
        """Wait until the `NO_SESSION` and `CLOSED_SESSION` items have left the journal: stored, dropped or dead.

        Args:
            timeout_s: how long to wait at most.

        Returns:
            False when that took longer; the items are durable and will be stored.

        Raises:
            Unavailable, Broken: as `durable`.
        """
        await self._ticket.durable()
        with trio.move_on_after(timeout_s):
            await self._stored(self._sequences)
            return True
        return False
