"""The listener: accepts connections, counts them, gives up those that do not go on, drains at a stop."""

import errno
import socket
import ssl
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from traceback import format_exc
from typing import Final

import trio

from engine import CollectSettings, log
from gateway.collect.listener.client_address import plain_address
from gateway.collect.listener.connection import Connection
from gateway.collect.listener.proxy_protocol import NotProxied, receive_proxy_line
from gateway.collect.listener.render import rendered
from gateway.collect.listener.shared import Shared
from gateway.collect.listener.transport import PlainTransport, TlsTransport, Transport
from gateway.collect.plane import Plane
from gateway.errors import RequestError, reply_for, retry_after

BACKLOG: Final = 4096
"""Connections that the kernel has accepted and we have not: a burst of some tenths of a second."""

ACCEPTS: Final = 64
"""Taken at a time; then others have their turn."""

SWEEP_S: Final = 0.25
"""Between two looks at all deadlines: how exact they are."""

SWEEP_SLICE: Final = 2_000
"""Connections looked at without a pause, well below a millisecond."""

NO_FILES_S: Final = 0.1
"""Pause when the process may open no more files."""

NO_FILES_LOG_S: Final = 10.0
"""Between two log lines about that."""

TURNED_AWAY_S: Final = 1.0
"""How long a connection that is turned away stays half open: a request that comes in behind the answer would reset a
closed one, and its sender might never read why."""

MAX_TURNED_AWAY: Final = 256
"""Such connections at a time, on top of all others; of more, the oldest are closed at once."""

_NO_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class CollectListener:
    """Serves a plane on sockets.

    Args:
        plane: what answers.
        settings: bounds and timeouts.
        tls: for connections over TLS; None for plain ones.
    """

    def __init__(self, plane: Plane, settings: CollectSettings, tls: ssl.SSLContext | None = None) -> None:
        self._plane = plane
        self._settings = settings
        self._tls = tls
        self._connections: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._open = 0
        self._peak = 0
        self._refused = 0
        self._shared: Shared | None = None
        self._handshakes: set[trio.CancelScope] = set()
        self._turned_away: deque[tuple[float, socket.socket]] = deque()
        self._no_files_s = -NO_FILES_LOG_S
        self._gone = trio.Event()

    def statistics(self) -> Mapping[str, float]:
        """Numbers and their bounds, by name."""
        settings, shared = self._settings, self._shared
        found: dict[str, float] = {
            "connections": self._open,
            "connections_max": settings.max_connections,
            "connections_peak": self._peak,
            "connections_refused": self._refused,
            "connection_addresses": len(self._by_address),
        }
        if shared is not None:
            found["connections_buffered_bytes"] = shared.budget.used_bytes
            found["connections_buffered_bytes_max"] = shared.budget.max_bytes
            found["connections_buffer_refusals"] = shared.budget.refusals
            for waited_for, number in shared.timeouts.items():
                found[f"connections_timed_out_{waited_for}"] = number
        return found

    async def serve(
        self,
        sockets: Sequence[socket.socket],
        stopping: trio.Event,
        grace_s: float,
        *,
        task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until asked to stop, then answer what is being asked, for at most `grace_s`.

        Args:
            sockets: bound; they are closed.
            stopping: set to stop.
            grace_s: seconds that requests in flight have then.
        """
        async with trio.open_nursery() as nursery:
            shared = self._shared = Shared(self._plane, self._settings, nursery)
            if shared.poller is not None:
                nursery.start_soon(shared.poller.run, self._plane.gathering(), name="poller")
            with ExitStack() as closing:
                for sock in sockets:
                    closing.callback(sock.close)
                async with trio.open_nursery() as accepting:
                    for sock in sockets:
                        sock.setblocking(False)
                        sock.listen(BACKLOG)
                        accepting.start_soon(self._accept, sock, shared, name="accept")
                    accepting.start_soon(self._sweep, shared, name="sweep")
                    task_status.started()
                    await stopping.wait()
                    accepting.cancel_scope.cancel(reason="the listener stops")
            nursery.start_soon(self._sweep, shared, name="sweep")
            shared.is_draining = True
            await self._drain(grace_s)
            nursery.cancel_scope.cancel(reason="the grace of the stop is over")

    async def _accept(self, listening: socket.socket, shared: Shared) -> None:
        while True:
            await trio.lowlevel.wait_readable(listening)
            for _ in range(ACCEPTS):
                try:
                    sock, address = listening.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _NO_FILES:
                        await self._wait_for_files(error, shared)
                    break  # Else it was gone before it was taken.
                self._begin(sock, plain_address(address[0]) if isinstance(address, tuple) else "", shared)

    async def _wait_for_files(self, error: OSError, shared: Shared) -> None:
        self._close_turned_away(float("inf"))
        if shared.now_s - self._no_files_s >= NO_FILES_LOG_S:
            self._no_files_s = shared.now_s
            log("no connection can be accepted", "error", error=str(error))
        await trio.sleep(NO_FILES_S)

    def _begin(self, sock: socket.socket, peer: str, shared: Shared) -> None:
        settings = self._settings
        sock.setblocking(False)
        is_proxy = shared.proxies.trusts(peer)
        if self._open >= settings.max_connections:
            self._turn_away(sock, "too_many_connections", "too many connections", shared)
        elif not is_proxy and self._by_address.get(peer, 0) >= settings.max_connections_per_address:
            text = "too many connections from this address"
            self._turn_away(sock, "too_many_connections_of_address", text, shared)
        else:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += 1
            self._peak = max(self._peak, self._open)
            self._by_address[peer] += 1
            shared.nursery.start_soon(self._serve_one, sock, peer, shared, name="connection")

    def _turn_away(self, sock: socket.socket, code: str, message: str, shared: Shared) -> None:
        """Say why, without a task: there may be many."""
        self._refused += 1
        if self._tls is None:
            reply = reply_for(RequestError(503, code, message, headers={"retry-after": retry_after(1)}))
            with suppress(OSError):
                sock.send(rendered(reply, keep_alive=False))
                sock.shutdown(socket.SHUT_WR)
        self._turned_away.append((shared.now_s + TURNED_AWAY_S, sock))
        if len(self._turned_away) > MAX_TURNED_AWAY:
            self._turned_away.popleft()[1].close()

    def _close_turned_away(self, now_s: float) -> None:
        while self._turned_away and self._turned_away[0][0] <= now_s:
            self._turned_away.popleft()[1].close()

    async def _serve_one(self, sock: socket.socket, peer: str, shared: Shared) -> None:
        try:
            client = await self._client(sock, peer, shared)
            connection = Connection(shared, client, secure=self._tls is not None)
            transport = await self._transport(sock, shared, connection)
            self._connections.add(connection)
            try:
                await connection.run(transport)
            finally:
                self._connections.discard(connection)
        except (NotProxied, OSError, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
            shared.timeouts["handshake"] += 1
        except Exception:
            # Supervision is the point here: no sender may end the connections of everybody else.
            log("a connection failed", "error", traceback=format_exc())
        finally:
            sock.close()
            self._open -= 1
            self._by_address[peer] -= 1
            if not self._by_address[peer]:
                del self._by_address[peer]
            self._gone.set()

    @contextmanager
    def _handshake(self, shared: Shared) -> Iterator[None]:
        """Bounded in time, and nothing that a stop waits for.

        Raises:
            TooSlowError: it is over.
        """
        with trio.fail_after(self._settings.head_timeout_s) as scope:
            if shared.is_draining:
                scope.cancel(reason="the listener stops")
            self._handshakes.add(scope)
            try:
                yield
            finally:
                self._handshakes.discard(scope)

    async def _client(self, sock: socket.socket, peer: str, shared: Shared) -> str:
        if not (self._settings.proxy_protocol and shared.proxies.trusts(peer)):
            return peer
        with self._handshake(shared):
            return await receive_proxy_line(sock) or peer

    async def _transport(self, sock: socket.socket, shared: Shared, connection: Connection) -> Transport:
        if self._tls is None:
            return PlainTransport(sock, shared.nursery, shared.budget, connection.written, shared.poller)
        stream = trio.SSLStream(
            trio.SocketStream(trio.socket.from_stdlib_socket(sock)), self._tls, server_side=True, https_compatible=True
        )
        with self._handshake(shared):
            await stream.do_handshake()
        return TlsTransport(stream, shared.nursery, shared.budget, connection.written)

    async def _sweep(self, shared: Shared) -> None:
        while True:
            await trio.sleep(SWEEP_S)
            now_s = shared.now_s = trio.current_time()
            self._close_turned_away(now_s)
            looked_at = list(self._connections)
            for start in range(0, len(looked_at), SWEEP_SLICE):
                for connection in looked_at[start : start + SWEEP_SLICE]:
                    if connection.deadline_s < now_s:
                        connection.expire()
                await trio.lowlevel.checkpoint()

    async def _drain(self, grace_s: float) -> None:
        for scope in self._handshakes:
            scope.cancel(reason="the listener stops")
        for connection in list(self._connections):
            connection.drain()
        with trio.move_on_after(grace_s):
            while self._open:
                self._gone = trio.Event()
                await self._gone.wait()
        for connection in list(self._connections):
            connection.abort()
        self._close_turned_away(float("inf"))
