"""Requests with one item each, taken together: those of one pass of the loop are one `accept`.

A third of what a single item costs is paid for the request, not for the item: a draft, a look at the bounds, a place in
the writer's batch, a callback. Who serves thousands of connections has dozens of such requests at hand in every pass of
the loop, so they wait for its end, some microseconds, and share that. All or none holds for each request alone: where
the lot cannot be taken, each is tried by itself.

    add ─▶ add ─▶ add ─┐
                       └▶ end of the pass: accept([…]) ─▶ one ticket ─▶ each hears when it is durable
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import trio

from engine.actors.receipt import ItemResult, Receipt
from engine.errors import Closing, HotUser
from engine.observe import log

MAX_TOGETHER: Final = 256
"""Of one `accept`: above, nothing more is saved, and the loop is held for longer."""

Accept = Callable[[Sequence[bytes], int, str], Receipt]
"""Takes items of a datamart that came in under a step; raises when none can be taken."""

OnTaken = Callable[[Exception | None], None]
"""Hears that an item is on disk, or why it is not."""


class Listening(Protocol):
    """Who had an item gathered, and hears what becomes of it.

    Attributes:
        results: of the one item, set when it is taken; empty until then, and where nothing was taken.
    """

    results: tuple[ItemResult, ...]

    def tell(self, error: Exception | None) -> None:
        """It is on disk, or why it is not. Called once."""
        ...


class Gathered:
    """The answer to one `accept_soon`.

    Attributes:
        results: of its one item; empty until the pass is over, and where nothing was taken.
    """

    __slots__ = ("_callback", "_error", "_is_settled", "results")

    def __init__(self) -> None:
        self.results: tuple[ItemResult, ...] = ()
        self._callback: OnTaken | None = None
        self._is_settled = False
        self._error: Exception | None = None

    def when_durable(self, callback: OnTaken) -> None:
        """As `Receipt.when_durable`; the error may also be one that `accept` would have raised. One callback a request.

        Args:
            callback: called with None when the item is on disk, or with why it is not.
        """
        if self._is_settled:
            callback(self._error)
        else:
            self._callback = callback

    async def durable(self) -> None:
        """Return when it is on disk.

        Raises:
            Exception: as `accept` and `Receipt.durable` do.
        """
        done = trio.Event()
        self.when_durable(lambda _: done.set())
        await done.wait()
        if self._error is not None:
            raise self._error

    def tell(self, error: Exception | None) -> None:
        """It is on disk, or will not be; the one who took it says so."""
        self._is_settled, self._error = True, error
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(error)


class _Lot:
    """Items of one datamart that came in under one step, and who listens to each."""

    __slots__ = ("items", "listening")

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.listening: list[Listening] = []


class Gatherer:
    """Collects the single items of a pass.

    Args:
        accept: takes them.
    """

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._lots: dict[tuple[int, str], _Lot] = {}
        self._work = trio.lowlevel.ParkingLot()
        self._is_running = False
        self._is_held = False

    def __enter__(self) -> None:
        """What is added until the end of the block, which must not await, is taken there: no task has to be woken."""
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, item: bytes, *, datamart: int, step: str) -> Gathered:
        """Take an item at the end of this pass.

        Raises:
            Closing: nobody would: the engine does not run.
        """
        gathered = Gathered()
        self.add_for(gathered, item, datamart, step)
        return gathered

    def add_for(self, listening: Listening, item: bytes, datamart: int, step: str) -> None:
        """`add` for who listens by itself.

        Raises:
            Closing: nobody would: the engine does not run.
        """
        if not self._is_running:
            raise Closing("the engine is stopping")
        lots = self._lots
        if not lots and not self._is_held:
            self._work.unpark()
        lot = lots.get((datamart, step))
        if lot is None:
            lot = lots[datamart, step] = _Lot()
        lot.items.append(item)
        lot.listening.append(listening)
        if len(lot.items) >= MAX_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Take now what has been added: what comes behind it shall not overtake it."""
        self._is_held = False
        if self._lots:
            lots, self._lots = self._lots, {}
            for (datamart, step), lot in lots.items():
                self._take(lot.items, lot.listening, datamart, step)

    async def run(self, *, task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
        """Flush after every pass in which something was added."""
        self._is_running = True
        task_status.started()
        try:
            while True:
                if not self._lots:
                    await self._work.park()
                self.flush()
                await trio.lowlevel.checkpoint()
        finally:
            self._is_running = False
            self.flush()

    def _take(self, items: Sequence[bytes], listening: Sequence[Listening], datamart: int, step: str) -> None:
        # Supervision is the point here: what fails for one of them, whatever it is, must not fail for the others.
        try:
            receipt = self._accept(items, datamart, step)
        except Exception as error:
            if isinstance(error, HotUser) and error.items:
                # The others are still one lot: a robot shall not make each of them a lot of its own.
                hot = set(error.items)
                _tell_all([listening[index] for index in sorted(hot)], error)
                if cool := [index for index in range(len(items)) if index not in hot]:
                    self._take([items[at] for at in cool], [listening[at] for at in cool], datamart, step)
            elif len(items) > 1:
                for item, one in zip(items, listening, strict=True):
                    self._take((item,), (one,), datamart, step)
            else:
                _tell_all(listening, error)
            return
        for one, result in zip(listening, receipt.results, strict=True):
            one.results = (result,)
        receipt.when_durable(partial(_tell_all, listening))


def _tell_all(listening: Sequence[Listening], error: Exception | None) -> None:
    for one in listening:
        try:
            one.tell(error)
        except Exception as raised:
            log("callback failed", "error", what=repr(raised), failures=1)
