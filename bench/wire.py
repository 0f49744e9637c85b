"""The load generator for single events: as little work a request as Python can do, from a process of its own.

Started by `bench.collect`, which gives it a `Load` as JSON on standard input and reads a `Tally` from standard output.
One thread, one epoll, non-blocking sockets. A request is made of two halves (bench/halves.py); of an answer the length
is looked up by its head, which nearly always came before. That costs some 10 µs, two thirds of it in the kernel, which
is what `wrk` takes: a server that does anything is slower, and so it is the server that is measured.

At full speed a connection sends its next request when it has the answer to the last. At a rate, requests fall due at
even intervals whatever the server does, and each answer's time counts from when its request was due (`bench.load` does
the same for batches): a server that stands still is charged for all who would have come meanwhile.
"""

import gc
import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct, field

from bench.halves import Halves, Load
from bench.machine import Spread, spread_of

PAUSE_S: Final = 0.05
"""What a connection waits that was not answered 200. `Retry-After` says seconds: mostly waiting would be measured."""

PATIENCE_S: Final = 30.0
"""An answer that takes longer will not come."""

_CHUNK: Final = 1 << 16
_SHORT_S: Final = 0.1
_MAX_HEADS: Final = 1000
_STATUS_AND_LENGTH: Final = re.compile(rb"HTTP/1\.1 (\d{3}).*\r\ncontent-length: *(\d+)", re.IGNORECASE | re.DOTALL)


class Tally(Struct, kw_only=True):
    """What came of it.

    Attributes:
        seconds: from the first request to the last answer.
        requests, events: answered 200, and accepted by those answers.
        statuses: answers by HTTP status; `cut` is a connection closed instead, `none` one that stayed silent.
        ack: how long the answers 200 took; at a rate, from when they were due.
        late: at a rate, how much after its time a request was sent.
        starved: at a rate, requests that fell due when all connections waited for answers.
        cpu_s: processor time of this process.
        event_bytes: of an event as it was sent.
    """

    seconds: float = 0.0
    requests: int = 0
    events: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    ack: Spread = field(default_factory=lambda: spread_of([]))
    late: Spread = field(default_factory=lambda: spread_of([]))
    starved: int = 0
    cpu_s: float = 0.0
    event_bytes: int = 0


class Connection:
    """One connection, kept alive.

    Attributes:
        socket: replaced when the server has closed it.
        busy: whether a request is under way.
        since: when it was sent, or was due.
        got: of its answer.
        rest: of the request, what the kernel has not yet taken.
    """

    __slots__ = ("_place", "busy", "got", "rest", "since", "socket")

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self.since = 0.0
        self.open()

    def open(self) -> None:
        """Connect, anew if it was before."""
        self.socket = socket.create_connection(self._place, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.got = self.rest = b""
        self.busy = False


class Generator:
    """Sends what is planned and counts the answers.

    A connection is free, or busy (a request is under way), or rests after an answer that was no 200.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._halves = Halves(load)
        self._accepted = load.accepted.encode()
        self._heads: dict[bytes, tuple[int, int]] = {}
        self._connections: dict[int, Connection] = {}
        self._free: deque[Connection] = deque()
        self._resting: deque[tuple[float, Connection]] = (
            deque()
        )  # By when they may go on: the pause is always the same.
        self._under_way = 0
        self._acks_s: list[float] = []
        self._late_s: list[float] = []
        self._tally = Tally()

    def run(self) -> Tally:
        """Connect, send, wait for the last answer."""
        load, tally = self._load, self._tally
        with select.epoll() as self._epoll:
            for _ in range(load.connections):
                connection = Connection(load.host, load.port)
                self._register(connection)
                self._free.append(connection)
            gc.collect()
            gc.freeze()
            gc.disable()  # Nothing here makes cycles, and a pause would be charged to the server.
            begun, cpu = time.perf_counter(), time.process_time()
            if load.first_contact:
                self._run_list(self._halves.first_contact())
            elif load.rate is None:
                self._run_full(begun + load.seconds)
            else:
                self._run_rate(begun, load.rate)
            tally.seconds = time.perf_counter() - begun
            tally.cpu_s = time.process_time() - cpu
        for connection in self._connections.values():
            connection.socket.close()
        tally.requests = len(self._acks_s)
        self._count("200", tally.requests)
        tally.event_bytes = self._halves.item_bytes
        tally.ack, tally.late = spread_of(self._acks_s), spread_of(self._late_s)
        return tally

    def _run_full(self, end: float) -> None:
        make = self._halves.made()
        now = time.perf_counter
        while (left_s := end - now()) > 0:
            while self._free:
                self._send(self._free.popleft(), make(), now())
            self._wait(left_s)
        self._finish()

    def _run_list(self, requests: Iterator[bytes]) -> None:
        for request in requests:
            while not self._free:
                self._wait(PATIENCE_S)
            self._send(self._free.popleft(), request, time.perf_counter())
        self._finish()

    def _run_rate(self, begun: float, rate: float) -> None:
        make = self._halves.made()
        now, free, late_s, tally = time.perf_counter, self._free, self._late_s, self._tally
        count, asked = 0, round(self._load.seconds * rate)
        starved_of = -1
        while count < asked:
            due = begun + count / rate
            if (ahead_s := due - now()) > 0:
                self._wait(ahead_s)
            elif free:
                sent = now()
                self._send(free.popleft(), make(), due)
                late_s.append(sent - due)
                count += 1
            else:
                if starved_of != count:
                    starved_of = count
                    tally.starved += 1
                self._wait(PATIENCE_S)
        self._finish()

    def _finish(self) -> None:
        patience = time.perf_counter() + PATIENCE_S
        while self._under_way:
            if (left_s := patience - time.perf_counter()) <= 0:
                self._count("none", self._under_way)
                return
            self._wait(left_s)

    def _send(self, connection: Connection, request: bytes, since: float) -> None:
        connection.since = since
        connection.busy = True
        self._under_way += 1
        try:
            sent = connection.socket.send(request)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self._cut(connection)
            return
        if sent < len(request):
            connection.rest = request[sent:]
            self._epoll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT)

    def _wait(self, timeout_s: float) -> None:
        """Read what has come; wait for it no longer than this."""
        if self._resting:
            timeout_s = min(timeout_s, max(0.0, self._resting[0][0] - time.perf_counter()))
        if timeout_s < _SHORT_S:
            # epoll counts milliseconds, in which many requests fall due; select waits for an epoll more exactly.
            select.select((self._epoll,), (), (), timeout_s)
            timeout_s = 0.0
        connections, read = self._connections, self._read
        for descriptor, what in self._epoll.poll(timeout_s):
            connection = connections[descriptor]
            if what & select.EPOLLOUT and connection.rest:
                self._send_rest(connection)
            if what & ~select.EPOLLOUT:
                read(connection)
        while self._resting and self._resting[0][0] <= time.perf_counter():
            self._free.append(self._resting.popleft()[1])

    def _send_rest(self, connection: Connection) -> None:
        try:
            connection.rest = connection.rest[connection.socket.send(connection.rest) :]
        except BlockingIOError:
            return
        except ConnectionError:
            connection.rest = b""  # Reading will tell what became of it.
        if not connection.rest:
            self._epoll.modify(connection.socket, select.EPOLLIN)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._cut(connection)
            return
        if connection.got:
            data = connection.got + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            connection.got = data
            return
        head = data[:end]
        status, length = self._heads.get(head) or self._learn(head)
        if len(data) < end + 4 + length:
            connection.got = data
            return
        if connection.rest:
            self._cut(connection)  # An answer to half a request: the other half is not wanted.
            return
        connection.got = b""
        connection.busy = False
        self._under_way -= 1
        if status != 200:
            self._count(str(status))
            self._resting.append((time.perf_counter() + PAUSE_S, connection))
            return
        self._acks_s.append(time.perf_counter() - connection.since)
        self._tally.events += data.count(self._accepted, end) if self._accepted else self._load.batch
        self._free.append(connection)

    def _learn(self, head: bytes) -> tuple[int, int]:
        found = _STATUS_AND_LENGTH.match(head)
        if found is None:
            raise RuntimeError(f"an answer without content-length: {head!r}")
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()  # They hold the date: an old one does not come again.
        learnt = self._heads[head] = (int(found.group(1)), int(found.group(2)))
        return learnt

    def _cut(self, connection: Connection) -> None:
        """The server has closed it, or is of no more use: come again by a new one, after a pause if it was busy."""
        if connection.busy:
            self._under_way -= 1
            self._count("cut")
            self._resting.append((time.perf_counter() + PAUSE_S, connection))
        del self._connections[connection.socket.fileno()]
        connection.socket.close()
        connection.open()
        self._register(connection)

    def _register(self, connection: Connection) -> None:
        self._connections[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)

    def _count(self, status: str, by: int = 1) -> None:
        self._tally.statuses[status] = self._tally.statuses.get(status, 0) + by


def main() -> None:
    """Read a load, send it, write what came of it."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(Generator(load).run()))


if __name__ == "__main__":
    main()
