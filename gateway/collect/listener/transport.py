"""A connection's bytes: receiving waits, writing never does.

What a socket does not take at once is kept, bounded by the listener's budget, and written by a task that lives only as
long as something is left. So an acknowledgement goes from the commit to the socket without waking the connection's own
task. A plain socket is used as it is; TLS is Trio's.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

import trio

from gateway.collect.listener.budget import Budget
from gateway.collect.listener.poller import Poller

RECEIVE_BYTES: Final = 64 * 1024
"""Taken from a socket at a time; what more there is comes next, when others had their turn."""


class Transport(ABC):
    """One connection.

    Args:
        nursery: where leftovers are written.
        budget: what all connections together hold.
        on_written: called when leftovers are through.

    Attributes:
        unwritten_bytes: kept, because the other side does not read.
        is_broken: closed, or the other side is gone, or does not keep up with what it asks for.
        on_data: takes what has come while somebody waits in `receive`, without waking them; returns whether it did.
    """

    def __init__(self, nursery: trio.Nursery, budget: Budget, on_written: Callable[[], None]) -> None:
        self._nursery = nursery
        self._budget = budget
        self._on_written = on_written
        self._unwritten: list[bytes] = []
        self._is_writing = False
        self.on_data: Callable[[bytes], bool] | None = None
        self.unwritten_bytes = 0
        self.is_broken = False

    @abstractmethod
    async def receive(self) -> bytes | None:
        """What has come, or b"" at the end, also when that end is an error or `abort`; None when woken by `wake`."""

    def wake(self) -> None:  # noqa: B027 - most transports never call `on_data`, and have nobody to wake
        """Wake who waits in `receive`, if somebody does: what `on_data` has taken is their business, too."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send, now or as soon as the other side takes it."""

    def has_more(self) -> bool:
        """Whether something has come that `receive` has not returned yet, as far as can be seen without waiting."""
        return False

    @abstractmethod
    def finish(self) -> None:
        """Nothing more will be written: tell the other side."""

    @abstractmethod
    def abort(self) -> None:
        """Close at once; whoever receives gets b""."""

    @abstractmethod
    async def _write_all(self, data: bytes) -> None:
        """Write, and wait until it is taken."""

    def _keep(self, data: bytes) -> None:
        """For later; the connection of a sender that lets too much pile up is given up."""
        if not self._budget.take(len(data)):
            self.abort()
            return
        self._unwritten.append(data)
        self.unwritten_bytes += len(data)
        if not self._is_writing:
            self._is_writing = True
            self._nursery.start_soon(self._write_rest, name="unread answers")

    async def _write_rest(self) -> None:
        try:
            while self._unwritten and not self.is_broken:
                data = b"".join(self._unwritten)
                self._unwritten = []
                try:
                    await self._write_all(data)
                except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    self.is_broken = True
                finally:
                    self._budget.give(len(data))
                    self.unwritten_bytes -= len(data)
        finally:
            self._is_writing = False
            for data in self._unwritten:
                self._budget.give(len(data))
            self._unwritten = []
            self.unwritten_bytes = 0
            self._on_written()


class PlainTransport(Transport):
    """A socket, non-blocking.

    Args:
        sock: connected; closed by `abort`.
        nursery, budget, on_written: as in `Transport`.
        poller: watches it; None where a task waits for each socket.
    """

    def __init__(
        self,
        sock: socket.socket,
        nursery: trio.Nursery,
        budget: Budget,
        on_written: Callable[[], None],
        poller: Poller | None = None,
    ) -> None:
        super().__init__(nursery, budget, on_written)
        self._sock = sock
        self._poller = poller
        self._receiver: trio.lowlevel.Task | None = None
        self._received: bytes | None = None

    async def receive(self) -> bytes | None:
        """See `Transport`. Waits before it reads: behind an answer there is nearly never a request at hand."""
        if self._poller is not None:
            return await self._receive_polled(self._poller)
        try:
            while True:
                await trio.lowlevel.wait_readable(self._sock)
                with suppress(BlockingIOError):
                    return self._sock.recv(RECEIVE_BYTES)
        except (OSError, ValueError, trio.ClosedResourceError):
            self.is_broken = True
            return b""

    async def _receive_polled(self, poller: Poller) -> bytes | None:
        if self._sock.fileno() < 0:
            return b""

        def abort(_: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
            self._receiver = None
            poller.forget(self._sock)
            return trio.lowlevel.Abort.SUCCEEDED

        poller.watch(self._sock, self._on_readable)
        self._receiver = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
        return self._received

    def _on_readable(self) -> None:
        """The poller says that there is something, or an end."""
        try:
            data = self._sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.is_broken = True
            data = b""
        try:
            is_taken = bool(data) and self.on_data is not None and self.on_data(data)
        except BaseException:
            self.abort()
            raise
        if not is_taken:
            self._deliver(data)

    def wake(self) -> None:
        """See `Transport`."""
        self._deliver(None)

    def _deliver(self, data: bytes | None) -> None:
        if self._receiver is not None:
            receiver, self._receiver = self._receiver, None
            if self._poller is not None and self._sock.fileno() >= 0:
                self._poller.forget(self._sock)
            self._received = data
            trio.lowlevel.reschedule(receiver)

    def has_more(self) -> bool:
        """See `Transport`."""
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK))
        except OSError:  # Also for nothing there.
            return False

    def write(self, data: bytes) -> None:
        """See `Transport`."""
        if self.is_broken:
            return
        if self._unwritten or self._is_writing:
            self._keep(data)
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.is_broken = True
            return
        if sent < len(data):
            self._keep(data[sent:])

    def finish(self) -> None:
        """See `Transport`."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """See `Transport`."""
        self.is_broken = True
        if self._sock.fileno() >= 0:
            if self._poller is not None:
                self._poller.forget(self._sock)
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
        self._deliver(b"")

    async def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            await trio.lowlevel.wait_writable(self._sock)
            with suppress(BlockingIOError):
                view = view[self._sock.send(view) :]


class TlsTransport(Transport):
    """A TLS stream behind its handshake.

    Args:
        stream: closed by `abort`.
        nursery, budget, on_written: as in `Transport`.
    """

    def __init__(
        self,
        stream: "trio.SSLStream[trio.SocketStream]",
        nursery: trio.Nursery,
        budget: Budget,
        on_written: Callable[[], None],
    ) -> None:
        super().__init__(nursery, budget, on_written)
        self._stream = stream

    async def receive(self) -> bytes | None:
        """See `Transport`."""
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.is_broken = True
            return b""

    def write(self, data: bytes) -> None:
        """See `Transport`."""
        if not self.is_broken:
            self._keep(data)

    def finish(self) -> None:
        """See `Transport`. What TLS would say itself would also end what comes in, which is still to be read away."""
        with suppress(OSError, trio.ClosedResourceError):
            self._stream.transport_stream.socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """See `Transport`."""
        self.is_broken = True
        self._stream.transport_stream.socket.close()

    async def _write_all(self, data: bytes) -> None:
        await self._stream.send_all(data)
