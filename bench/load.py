"""The load generator: requests over many connections, at full speed or at a given rate, from a process of its own.

Started by `bench.ack`, which gives it a `Plan` as JSON on standard input and reads an `Outcome` from standard output.
Raw sockets and a reader for the one kind of answer that can come: it takes a tenth of the time of what it measures.

At full speed a connection sends its next request when it has the answer to the last. At a rate, requests fall due at
even intervals whatever the server does, and each answer's time counts from when its request was due: a server that
stands still is charged for all who would have come meanwhile.
"""

import re
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import Final

import msgspec
import trio
from msgspec import Struct, field

from bench.events import Events, Form, array
from bench.machine import cpu_s

PATH: Final = "/v1/datamarts/1/user_activities"
PAUSE_S: Final = 0.05
"""What a sender waits that was told to come later. `Retry-After` says seconds: a bench would measure mostly waiting."""

_CHUNK: Final = 1 << 16
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_EVENTS: Final = re.compile(rb'"events":(\d+)')


class Plan(Struct, frozen=True, kw_only=True):
    """What to send.

    Attributes:
        host, port, token: where, and by whose right.
        connections: how many at a time.
        seconds: for how long; not for a first contact.
        form, batch, users, event_bytes, with_ids, seed: what a request is.
        rate: events a second; None for as many as are taken.
        first_contact: send one event of each user, once, and end.
    """

    host: str = ""
    port: int = 0
    token: str = ""
    connections: int = 8
    seconds: float = 0.0
    form: Form = "items"
    batch: int = 100
    users: int = 50_000
    event_bytes: int = 330
    with_ids: bool = False
    seed: int = 1
    rate: float | None = None
    first_contact: bool = False


class Outcome(Struct, kw_only=True):
    """What came of it.

    Attributes:
        seconds: from the first request to the last answer.
        acknowledged: events that an answer called accepted.
        statuses: answers by HTTP status; `cut` is a connection closed instead of an answer.
        acks_s: for each request answered 200, how long that took.
        late_s: at a rate, by how much a request was sent too late at most: beyond the time of an answer, there were too
            few connections.
        sent_bytes: bodies that were answered.
        cpu_s: processor time of this process.
    """

    seconds: float = 0.0
    acknowledged: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    acks_s: list[float] = field(default_factory=list)
    late_s: float = 0.0
    sent_bytes: int = 0
    cpu_s: float = 0.0


class ConnectionCut(Exception):
    """The server closed the connection instead of answering."""


class Connection:
    """One keep-alive connection, opened when it is first needed and again when the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._stream: trio.SocketStream | None = None

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; returns the answer's status and body.

        Raises:
            ConnectionCut: there was none.
        """
        if self._stream is None:
            self._stream = await trio.open_tcp_stream(*self._place)
        try:
            await self._stream.send_all(request)
            return await self._read(self._stream)
        except (trio.BrokenResourceError, ConnectionCut):
            await self.aclose()
            raise ConnectionCut from None

    async def aclose(self) -> None:
        """Close it; the next `exchange` opens it again."""
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None

    async def _read(self, stream: trio.SocketStream) -> tuple[int, bytes]:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += await _more(stream)
        head = data[: end + 2]
        length = _LENGTH.search(head)
        if length is None:
            raise ConnectionCut  # No answer of ours is without it.
        body = [data[end + 4 :]]
        missing = int(length.group(1)) - len(body[0])
        while missing > 0:
            body.append(await _more(stream))
            missing -= len(body[-1])
        if b"connection: close" in head.lower():
            await self.aclose()
        return int(head[9:12]), b"".join(body)


async def _more(stream: trio.SocketStream) -> bytes:
    data = bytes(await stream.receive_some(_CHUNK))
    if not data:
        raise ConnectionCut
    return data


Job = tuple[float, bytes]
"""When a request is due, on `time.perf_counter`, and its body."""


def _jobs(plan: Plan, events: Events, begun: float) -> Iterator[Job]:
    """The requests of a plan, each made when a connection is free for it."""
    end = begun + plan.seconds
    if plan.first_contact:
        for start in range(0, plan.users, plan.batch):
            users = range(start, min(start + plan.batch, plan.users))
            yield begun, array(events.items(users, time.time_ns() // 1_000_000))
    elif plan.rate is None:
        while (now := time.perf_counter()) < end:
            yield now, events.body(plan.form, plan.batch)
    else:
        for index in count():
            due = begun + index * plan.batch / plan.rate
            if due >= end:
                return
            yield due, events.body(plan.form, plan.batch)


async def run(plan: Plan) -> Outcome:
    """Send what is planned."""
    events = Events(users=plan.users, size_bytes=plan.event_bytes, with_ids=plan.with_ids, seed=plan.seed)
    outcome = Outcome()
    begun, cpu = time.perf_counter(), cpu_s()
    jobs = _jobs(plan, events, begun)  # One for all connections: who is free takes the next.
    async with trio.open_nursery() as nursery:
        for _ in range(plan.connections):
            nursery.start_soon(_send_all, plan, jobs, outcome)
    outcome.seconds = time.perf_counter() - begun
    outcome.cpu_s = cpu_s() - cpu
    return outcome


async def _send_all(plan: Plan, jobs: Iterator[Job], outcome: Outcome) -> None:
    connection = Connection(plan.host, plan.port)
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: {plan.host}:{plan.port}\r\nauthorization: {plan.token}\r\n"
        "content-type: application/json\r\ncontent-length: "
    ).encode()
    for due, body in jobs:
        request = b"%s%d\r\n\r\n%s" % (head, len(body), body)
        if plan.rate is not None and (ahead_s := due - time.perf_counter()) > 0:
            await trio.sleep(ahead_s)
        sent = time.perf_counter()
        try:
            status, answer = await connection.exchange(request)
        except ConnectionCut:
            outcome.statuses["cut"] = outcome.statuses.get("cut", 0) + 1
            await trio.sleep(PAUSE_S)
            continue
        done = time.perf_counter()
        outcome.statuses[str(status)] = outcome.statuses.get(str(status), 0) + 1
        outcome.sent_bytes += len(body)
        if status != 200:
            await trio.sleep(PAUSE_S)
            continue
        outcome.acknowledged += _acknowledged(answer)
        if plan.rate is None:
            outcome.acks_s.append(done - sent)
        else:
            outcome.acks_s.append(done - due)
            outcome.late_s = max(outcome.late_s, sent - due)
    await connection.aclose()


def _acknowledged(answer: bytes) -> int:
    """Events of the accepted items of an answer."""
    if b'"refused"' in answer or b'"duplicate"' in answer:
        results = msgspec.json.decode(answer)["data"]
        results = results.get("results", [results])
        return sum(result["events"] for result in results if result["status"] == "accepted")
    return sum(map(int, _EVENTS.findall(answer)))


def main() -> None:
    """Read a plan, carry it out, write the outcome."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    outcome = trio.run(run, plan)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
