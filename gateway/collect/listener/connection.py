"""One connection: requests in, answers out, in the order of the requests.

The connection's task only receives. Each request takes a place in the line of answers; whoever has the answer puts it
there (the handler at once, a commit when it is through, a task for what takes longer), and what is ready at the front
of the line is written. Nothing waits for a task to be woken.

    receive ─▶ parser ─▶ plane.answer ─▶ line of answers ─▶ write
                              │ Waiting: when the commit is through ─┘
"""

from collections import deque
from collections.abc import Awaitable
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from gateway.collect.listener.line import Place, ShortPlace
from gateway.collect.listener.parser import Phase, RequestParser
from gateway.collect.listener.received import Received
from gateway.collect.listener.render import CONTINUE, rendered
from gateway.collect.plane import Waiting
from gateway.collect.reply import Reply
from gateway.collect.request import Request

if TYPE_CHECKING:
    from gateway.collect.listener.client_address import Proxies
    from gateway.collect.listener.heads import KnownHead
    from gateway.collect.listener.shared import Shared
    from gateway.collect.listener.transport import Transport

LINGER_S: Final = 2.0
"""How long what still comes behind the last answer is read away, so that its sender gets to read it: closing a socket
with unread bytes resets the connection, and the answer with it."""

MAX_UNWRITTEN_BYTES: Final = 64 * 1024
"""Answers that a sender has not read, beside what the kernel keeps; above, no further request of its connection is
answered. A thousand such connections, as many as an address may have, take a quarter of the budget of all."""

NEVER_S: Final = float("inf")

_IDLE: Final = Phase.IDLE  # To look a member up in its enumeration takes three times as long.


class Timeout(Enum):
    """What a connection is waited for; names of counters."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    WRITE = "write"
    LINGER = "linger"


class Connection:
    """One connection of a listener.

    Args:
        shared: what all connections share.
        peer: address of the other side; what a trusted proxy says of it.
        secure: whether it came over TLS.

    Attributes:
        deadline_s: listener time at which `expire` is due.
    """

    __slots__ = (
        "_ends",
        "_is_draining",
        "_is_lingering",
        "_known",
        "_later",
        "_line",
        "_parser",
        "_peer",
        "_proxies",
        "_room",
        "_secure",
        "_shared",
        "_transport",
        "deadline_s",
    )

    def __init__(self, shared: "Shared", peer: str, *, secure: bool) -> None:
        self._shared = shared
        self._peer = peer
        self._secure = secure
        self._proxies: Proxies | None = shared.proxies if shared.proxies.trusts(peer) else None
        self._parser = RequestParser(shared.limits, shared.budget, shared.known_heads)
        self._known: KnownHead | None = None  # The last head that was one.
        self._later: list[Received] = []  # Read, and not answered yet: the line was full.
        self._line: deque[Place] = deque()
        self._transport: Transport
        self._ends = False  # Nothing more is read: the last answer has `connection: close`.
        self._is_draining = False
        self._is_lingering = False
        self._room: trio.Event | None = None
        self.deadline_s = NEVER_S

    async def run(self, transport: "Transport") -> None:
        """Serve until either side ends it."""
        self._transport = transport
        self._set_deadline()
        transport.on_data = self._take_at_once
        try:
            if self._shared.is_draining:
                self.drain()
            while (data := await transport.receive()) != b"":
                if data is not None and (self._line or not self._take_short(data)):
                    self._take(data)
                if self._is_draining:
                    self._finish_if_over()
                while (self._later or not self._has_room()) and not (self._ends or transport.is_broken):
                    await self._wait_for_room()
                    self._answer_later()
                if transport.is_broken:
                    return
            # The sender has said all it has to say, and may still listen.
            self._ends = True
            while (self._line or transport.unwritten_bytes) and not transport.is_broken:
                await self._wait_for_room()
        finally:
            self._ends = True
            self._parser.close()
            self._later = []
            self._line.clear()
            transport.abort()

    def written(self) -> None:
        """The transport's leftovers are through."""
        self._set_deadline()
        self._make_room()
        self._finish_if_over()

    def drain(self) -> None:
        """Answer what has been asked, then end: the listener stops."""
        self._is_draining = True
        self._close_if_idle()

    def expire(self) -> None:
        """The deadline has passed: refuse what is half there, or close."""
        waited_for = self._waited_for()
        self.deadline_s = NEVER_S
        if waited_for is None:
            return
        if waited_for in (Timeout.HEAD, Timeout.BODY):
            self._parser.timed_out(self._shared.timeout_s(waited_for))
            self._refuse()
        elif waited_for is Timeout.IDLE:
            self._close_if_idle()
            if not self._transport.is_broken:
                return
        else:
            self.abort()
        self._shared.timeouts[waited_for.value] += 1

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
        self.deadline_s = NEVER_S
        if self._room is not None:
            self._room.set()

    # Requests in -----------------------------------------------------------------------------------------------------

    def _take_at_once(self, data: bytes) -> bool:
        """Take data without waking the connection's task, unless there is more to do than to answer."""
        if self._is_draining or self._ends:
            return False
        if not self._line and self._take_short(data):
            return True
        self._take(data)
        if self._later or self._ends or not self._has_room():
            self._transport.wake()
        return True

    def _take_short(self, data: bytes) -> bool:
        """Have a request taken whose head says all that must be known of it; False: nothing has happened."""
        known = self._known
        # Nearly always the one of the request before, which is told without a search.
        if known is None or len(data) != known.whole_bytes or not data.startswith(known.head):
            known = self._known = self._shared.known_heads.find(data)
        if known is None or known.short is None or self._parser.phase is not _IDLE:
            return False
        # Whose address counts, is in the head of a proxy's request; who ends, says so with the last answer.
        if self._proxies is not None or self._is_draining or self._ends or self._transport.unwritten_bytes:
            return False
        place = ShortPlace(self._told, known.short)
        self._line.append(place)
        self.deadline_s = NEVER_S
        if not known.short.take(data[len(known.head) :], place):
            self._line.pop()
            return False
        return True

    def _take(self, data: bytes) -> None:
        if self._ends or not data:
            return  # Read away: see LINGER_S.
        parser = self._parser
        phase = parser.phase
        parser.feed(data)
        if parser.requests:
            requests, parser.requests = parser.requests, []
            if len(requests) > 1:
                self._later = requests
                self._answer_later()
                return
            self._answer(requests[0])
            self._write()
        if parser.refusal is not None or parser.wants_continue:
            self._say_about_rest()
        elif parser.phase is not phase:
            self._set_deadline()

    def _answer_later(self) -> None:
        """Answer requests that came at once, as many as there is room for."""
        while self._later and self._has_room():
            room = self._shared.max_pipelined - len(self._line)
            requests, self._later = self._later[:room], self._later[room:]
            for received in requests:
                self._answer(received)
                if self._ends:
                    self._later = []
                    break
            self._write()
        if not self._later:
            self._say_about_rest()

    def _say_about_rest(self) -> None:
        """What comes behind requests that have their places: a refusal, or `100 Continue`."""
        parser = self._parser
        if self._ends:
            return
        if parser.refusal is not None:
            self._refuse()
        elif parser.wants_continue:
            parser.wants_continue = False
            self._set_deadline()
            self._line.append(Place("", True, False, CONTINUE))
            self._write()

    def _answer(self, received: Received) -> None:
        """Have a request answered."""
        path, _, query = received.target.partition("?")
        client, secure = self._peer, self._secure
        if self._proxies is not None:
            client, secure = self._proxies.client_of(client, received.headers, secure=secure)
        request = Request(
            method=received.method,
            path=path,
            raw_query=query,
            headers=received.headers,
            body=received.body,
            client=client,
            secure=secure,
        )
        keep_alive = received.keep_alive and not self._is_draining
        place = Place(received.method, keep_alive, received.is_http_1_0)
        self._line.append(place)
        self._ends = not keep_alive
        if not self._transport.unwritten_bytes:
            self.deadline_s = NEVER_S
        answer = self._shared.plane.answer(request)
        if isinstance(answer, Waiting):
            answer.receipt.when_durable(partial(self._durable, place, answer))
        elif isinstance(answer, Reply):
            self._fill(place, answer)
        else:
            self._shared.nursery.start_soon(self._work, place, answer, name="answer")

    def _refuse(self) -> None:
        """What the parser or a deadline has refused: say why, read nothing more."""
        error = self._parser.refusal
        assert error is not None
        method, target, headers = self._parser.head
        path, _, query = target.partition("?")
        request = Request(method=method, path=path, raw_query=query, headers=headers, client=self._peer)
        place = Place(method, False, False)
        self._line.append(place)
        self._ends = True
        self._fill(place, self._shared.plane.refuse(request, error))
        self._write()

    # Answers out -----------------------------------------------------------------------------------------------------

    def _durable(self, place: Place, waiting: Waiting, error: Exception | None) -> None:
        """A commit is through, or has failed; called by the writer."""
        self._told(place, waiting.finish(error))

    def _told(self, place: Place, reply: Reply) -> None:
        if self._is_draining:
            self._fill(place, reply)
        else:
            # As `_fill` does, but for the call: this is done for every event.
            place.data = rendered(
                reply, method=place.method, keep_alive=place.keep_alive, is_http_1_0=place.is_http_1_0
            )
        self._write()

    async def _work(self, place: Place, work: Awaitable[Reply]) -> None:
        self._told(place, await work)

    def _fill(self, place: Place, reply: Reply) -> None:
        if self._is_draining and self._line and place is self._line[-1]:
            place.keep_alive = False
            self._ends = True
        place.data = rendered(reply, method=place.method, keep_alive=place.keep_alive, is_http_1_0=place.is_http_1_0)

    def _write(self) -> None:
        """Write what is ready at the front of the line."""
        line = self._line
        if not line or (data := line[0].data) is None:
            return
        line.popleft()
        if line and line[0].data is not None:
            parts = [data]
            while line and (more := line[0].data) is not None:
                parts.append(more)
                line.popleft()
            data = b"".join(parts)
        transport = self._transport
        is_behind = transport.unwritten_bytes
        transport.write(data)
        if not is_behind:  # Else what has not been read before has its time already.
            self._set_deadline()
        if self._room is not None:
            self._make_room()
        if self._ends or self._is_draining:
            self._finish_if_over()

    def _finish_if_over(self) -> None:
        """Once the last answer is out: its sender closes when it has read that, or has a moment to."""
        if self._is_draining and self._is_idle():
            self._ends = True
        if self._ends and not (self._line or self._transport.unwritten_bytes or self._is_lingering):
            self._is_lingering = True
            self._transport.finish()
            self._set_deadline()

    def _close_if_idle(self) -> None:
        """End it, unless something is here already, which was sent before anybody could know; that has its time."""
        if self._is_idle():
            if self._transport.has_more():
                self._set_deadline()
            else:
                self.abort()

    # Bounds ----------------------------------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        unwritten_bytes = self._transport.unwritten_bytes
        return not self._ends and len(self._line) < self._shared.max_pipelined and unwritten_bytes < MAX_UNWRITTEN_BYTES

    def _is_idle(self) -> bool:
        """Whether nothing was asked that is not answered, nor begun to be asked."""
        busy = self._line or self._later or self._ends or self._transport.unwritten_bytes
        return not busy and self._parser.phase is _IDLE

    async def _wait_for_room(self) -> None:
        """Wait until the line has moved; nothing is received meanwhile, so the sender's own socket fills up."""
        self._room = trio.Event()
        await self._room.wait()

    def _make_room(self) -> None:
        if self._room is not None and (self._ends or self._transport.is_broken or self._has_room()):
            self._room.set()
            self._room = None

    def _waited_for(self) -> Timeout | None:
        """What the other side owes us; nothing as long as we owe it an answer."""
        if self._transport.unwritten_bytes:
            return Timeout.WRITE
        if self._is_lingering:
            return Timeout.LINGER
        return None if self._line else _TIMEOUTS[self._parser.phase]

    def _set_deadline(self) -> None:
        busy = self._line or self._is_lingering or self._transport.unwritten_bytes
        if not busy and self._parser.phase is _IDLE:
            # Nearly always; a dictionary of enumerations costs a call of Python for each look.
            self.deadline_s = self._shared.now_s + self._shared.idle_timeout_s
            return
        waited_for = self._waited_for()
        if waited_for is None:
            self.deadline_s = NEVER_S
        else:
            self.deadline_s = self._shared.now_s + self._shared.timeout_s(waited_for)


_TIMEOUTS: Final = {Phase.IDLE: Timeout.IDLE, Phase.HEAD: Timeout.HEAD, Phase.BODY: Timeout.BODY}
