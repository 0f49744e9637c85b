"""A connection of the listener without a socket: the test says what comes, and how much of the answers is read."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from engine import CollectSettings
from gateway.collect.listener.connection import Connection
from gateway.collect.listener.shared import Shared
from gateway.collect.listener.transport import Transport

LISTS = ("vary", "set-cookie")
"""Headers that may come more than once."""

SETTLING_STEPS = 4
"""Steps of the loop after which whatever was woken has gone back to sleep: a task that wakes a task that wakes one."""


class FakeTransport(Transport):
    """What the other side of a connection sees and does.

    Args:
        shared: of the listener.
        on_written: as in `Transport`.

    Attributes:
        out: what was written and read.
        room_bytes: how much more is read before it blocks.
        is_finished: whether we have said that nothing more comes.
        is_aborted: whether we have closed.
    """

    def __init__(self, shared: Shared, on_written: Any) -> None:
        super().__init__(shared.nursery, shared.budget, on_written)
        self.out = b""
        self.room_bytes: float = float("inf")
        self.is_finished = False
        self.is_aborted = False
        self._in: list[bytes] = []
        self._is_woken = False
        self._changed = trio.Event()

    def feed(self, data: bytes) -> None:
        """Bytes come in; b"" is the end."""
        self._in.append(data)
        self._wake()

    def read(self, size_bytes: float) -> None:
        """The other side reads so much more."""
        self.room_bytes += size_bytes
        self._wake()

    def reset(self) -> None:
        """The other side is gone."""
        self.is_broken = True
        self._in = [b""]
        self._wake()

    async def receive(self) -> bytes | None:
        """See `Transport`."""
        await trio.lowlevel.checkpoint()
        while True:
            while not (self._in or self.is_broken):
                await self._wait()
            if self.is_broken:
                return b""
            data = self._in.pop(0)
            if not data or self.on_data is None or not self.on_data(data):
                return data
            if self._is_woken:
                self._is_woken = False
                return None

    def wake(self) -> None:
        """See `Transport`."""
        self._is_woken = True

    def has_more(self) -> bool:
        """See `Transport`."""
        return bool(self._in and self._in[0]) and not self.is_broken

    def write(self, data: bytes) -> None:
        """See `Transport`."""
        assert data, "nothing is written"
        assert not self.is_finished, "written behind the end"
        if self.is_broken:
            return
        sent = 0 if self._unwritten or self._is_writing else self._take(data)
        if sent < len(data):
            self._keep(data[sent:])

    def finish(self) -> None:
        """See `Transport`."""
        assert not self.is_finished, "finished twice"
        assert not self.unwritten_bytes, "finished before everything is written"
        self.is_finished = True

    def abort(self) -> None:
        """See `Transport`."""
        self.is_broken = self.is_aborted = True
        self._wake()

    async def _write_all(self, data: bytes) -> None:
        while data:
            if self.is_broken:
                raise trio.BrokenResourceError
            data = data[self._take(data) :]
            if data:
                await self._wait()

    def _take(self, data: bytes) -> int:
        size = int(min(len(data), self.room_bytes))
        self.room_bytes -= size
        self.out += data[:size]
        return size

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _wait(self) -> None:
        await self._changed.wait()


class Fake:
    """A connection at work.

    Attributes:
        connection: the real one.
        transport: the fake.
        shared: the real one.
        is_over: whether `run` has returned.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.connection = Connection(shared, "192.0.2.7", secure=False)
        self.transport = FakeTransport(shared, self.connection.written)
        self.is_over = False

    async def run(self) -> None:
        """Serve."""
        await self.connection.run(self.transport)
        self.is_over = True

    async def settle(self) -> None:
        """Let everything that was woken do its work."""
        for _ in range(SETTLING_STEPS):
            await trio.lowlevel.checkpoint()

    def pass_s(self, seconds: float) -> None:
        """What the listener's sweeper does after so long."""
        self.shared.now_s += seconds
        if not self.is_over and self.connection.deadline_s < self.shared.now_s:
            self.connection.expire()


@asynccontextmanager
async def fake_connection(plane: Any, settings: CollectSettings, *, is_draining: bool = False) -> AsyncIterator[Fake]:
    """A connection that serves as long as the block lasts; it must give back what it has taken.

    Args:
        plane: what answers.
        settings: bounds and timeouts.
        is_draining: whether it has come in the last moment.
    """
    async with trio.open_nursery() as nursery:
        shared = Shared(plane, settings, nursery)
        shared.is_draining = is_draining
        fake = Fake(shared)
        nursery.start_soon(fake.run)
        await fake.settle()
        yield fake
        fake.transport.reset()
        await fake.settle()
        assert fake.is_over, "it does not end when the other side is gone"
        nursery.cancel_scope.cancel()
    assert shared.budget.used_bytes == 0, "something is still held"


def answers_in(data: bytes, methods: Sequence[str]) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers that these bytes are, all of them, `100 Continue` too; the last one may be cut.

    Args:
        data: what a server has written.
        methods: of the requests, in order: the answer to HEAD has no body.
    """
    found: list[tuple[int, dict[str, str], bytes]] = []
    final = 0
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        if not end:
            return found
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        status = int(first.split(" ")[1])
        pairs = [line.split(": ", 1) for line in lines]
        headers = dict(pairs)
        once = [name for name, _ in pairs if name not in LISTS]
        assert len(once) == len(set(once)), "a header twice"
        if status == 100:
            found.append((status, headers, b""))
            continue
        method = methods[final] if final < len(methods) else "GET"
        final += 1
        size = 0 if method == "HEAD" or status in (204, 304) else int(headers["content-length"])
        if len(data) < size:
            return found
        found.append((status, headers, data[:size]))
        data = data[size:]
    return found
