"""One connection, whatever happens in whatever order: answers come in the order of requests, each once.

Each example is a list of commands: what is sent and how it is cut, commits that end well or badly, answers that take
their time, a sender that does not read, time that passes, a drain, an end, a reset. Then

* the answers are those of the first requests, in their order, each once; behind `connection: close` there is nothing,
* where nobody gave up, every request is answered up to the one that ends the connection,
* what was taken from the budget is given back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import CollectSettings, Unavailable
from gateway.collect.listener.connection import MAX_UNWRITTEN_BYTES, NEVER_S
from gateway.collect.reply import Pending, Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route
from tests.gateway.engines import plane_without_engine
from tests.gateway.listener.fake import Fake, answers_in, fake_connection
from tests.gateway.listener.served import chunked, get, post

SETTINGS = CollectSettings(
    max_pipelined=3, idle_timeout_s=75, head_timeout_s=10, body_timeout_s=30, write_timeout_s=20, max_body_bytes=65536
)
ANSWER_BYTES = 1000
LARGE_BYTES = MAX_UNWRITTEN_BYTES + 1


class World:
    """What happened behind the connection.

    Attributes:
        asked: ids of requests that a handler saw, in order.
        methods: theirs.
        failed: ids whose commit failed.
        receipts, works: what waits for the test.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.methods: list[str] = []
        self.failed: set[str] = set()
        self.receipts: list[tuple[str, Callable[[Any], None]]] = []
        self.works: list[trio.Event] = []

    def plane(self) -> Any:
        """Routes whose answers carry the request's id."""
        return plane_without_engine(
            (
                Route("GET", "/now", self._now),
                Route("GET", "/large", self._large),
                Route("POST", "/now", self._now),
                Route("POST", "/commit", self._commit),
                Route("GET", "/work", self._work),
            )
        )

    def _asked(self, request: Request) -> str:
        self.asked.append(request.raw_query)
        self.methods.append(request.method)
        return request.raw_query

    def _now(self, request: Request) -> Reply:
        return Reply(200, (("x-id", self._asked(request)),), b"x" * ANSWER_BYTES)

    def _large(self, request: Request) -> Reply:
        return Reply(200, (("x-id", self._asked(request)),), b"x" * LARGE_BYTES)

    def _work(self, request: Request) -> Awaitable[Reply]:
        name = self._asked(request)
        done = trio.Event()
        self.works.append(done)

        async def work() -> Reply:
            await done.wait()
            return Reply(200, (("x-id", name),))

        return work()

    def _commit(self, request: Request) -> Pending:
        name = self._asked(request)
        world = self

        class Receipt:
            results = ()

            def when_durable(self, callback: Callable[[Any], None]) -> None:
                world.receipts.append((name, callback))

        receipt: Any = Receipt()
        return Pending(receipt, lambda _: Reply(200, (("x-id", name),)), 1)

    def commit(self, index: int, *, fails: bool = False) -> None:
        """End a commit that is waited for."""
        if self.receipts:
            name, callback = self.receipts.pop(index % len(self.receipts))
            if fails:
                self.failed.add(name)
            callback(Unavailable("full") if fails else None)

    def work(self, index: int) -> None:
        """End some work."""
        if self.works:
            self.works.pop(index % len(self.works)).set()


def requests(kinds: list[str], first: int) -> bytes:
    """Requests with their numbers as ids."""
    made = {
        "now": lambda n: get(f"/now?{n}"),
        "head": lambda n: get(f"/now?{n}").replace(b"GET", b"HEAD"),
        "post": lambda n: post(f"/now?{n}", b"x" * 100),
        "commit": lambda n: post(f"/commit?{n}", b"{}"),
        "chunked": lambda n: chunked(f"/commit?{n}", b"{", b"}"),
        "expect": lambda n: post(f"/commit?{n}", b"{}", "Expect: 100-continue"),
        "work": lambda n: get(f"/work?{n}"),
        "large": lambda n: get(f"/large?{n}"),
        "close": lambda n: get(f"/now?{n}", "Connection: close"),
        "1.0": lambda n: get(f"/now?{n}").replace(b"HTTP/1.1", b"HTTP/1.0"),
        "upgrade": lambda n: post(f"/commit?{n}", b"{}", "Connection: Upgrade", "Upgrade: h2c"),
        "bad": lambda n: b"bad\r\n\r\n",
    }
    return b"".join(made[kind](first + index) for index, kind in enumerate(kinds))


@dataclass(frozen=True)
class Send:
    """Requests, cut into pieces at these places; what is behind the last cut comes with the next `Send`."""

    kinds: tuple[str, ...]
    cuts: tuple[int, ...]
    holds_back: bool


@dataclass(frozen=True)
class Do:
    """Anything else that happens."""

    what: str
    number: int = 0


KINDS = st.sampled_from(
    [*("now", "head", "post", "commit", "chunked", "expect", "work", "large") * 3, "close", "1.0", "upgrade", "bad"]
)
SENDS = st.builds(
    Send,
    st.lists(KINDS, min_size=1, max_size=8).map(tuple),
    st.lists(st.integers(0, 400), max_size=3).map(tuple),
    st.booleans(),
)
COMMANDS = st.lists(
    st.one_of(
        SENDS,
        SENDS,
        st.builds(Do, st.sampled_from(["commit", "commit", "work", "work", "fail"]), st.integers(0, 5)),
        st.builds(Do, st.just("room"), st.sampled_from([0, 1, 500, 5000])),
        st.builds(Do, st.just("read"), st.sampled_from([1, 500, 5000, 10**9])),
        st.builds(Do, st.just("pass"), st.sampled_from([1, 9, 11, 21, 31, 80])),
        st.sampled_from([Do("settle"), Do("settle"), Do("settle"), Do("drain"), Do("end"), Do("reset")]),
    ),
    max_size=20,
)


class Client:
    """Who sends, and what must come of it."""

    def __init__(self, fake: Fake, world: World) -> None:
        self.fake = fake
        self.world = world
        self.sent = 0
        self.held_back = b""
        self.has_ended = False
        self.gave_up = False  # One of the two; then requests may stay without an answer.

    async def do(self, command: Send | Do) -> None:
        """One command."""
        fake, world = self.fake, self.world
        match command:
            case Send(kinds, cuts, holds_back) if not self.has_ended:
                data = self.held_back + requests(list(kinds), self.sent)
                self.sent += len(kinds)
                places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
                pieces = [data[start:end] for start, end in pairwise(places) if end > start]
                self.held_back = pieces.pop() if holds_back and len(pieces) > 1 else b""
                for piece in pieces:
                    fake.transport.feed(piece)
            case Do("commit", number):
                world.commit(number)
            case Do("fail", number):
                world.commit(number, fails=True)
            case Do("work", number):
                world.work(number)
            case Do("room", number):
                fake.transport.room_bytes = number
            case Do("read", number):
                fake.transport.read(number)
            case Do("pass", number):
                before = fake.connection.deadline_s
                fake.pass_s(number)
                self.gave_up |= before < fake.shared.now_s
            case Do("drain") if not fake.is_over:
                self.gave_up = True
                fake.shared.is_draining = True
                fake.connection.drain()
            case Do("end") if not self.has_ended:
                self.has_ended = True
                self.gave_up |= bool(self.held_back)
                fake.transport.feed(b"")
            case Do("reset"):
                self.gave_up = self.has_ended = True
                fake.transport.reset()
            case Do("settle"):
                await fake.settle()

    async def end_well(self) -> None:
        """Everybody does what is owed; then the sender says that this was all."""
        if self.held_back and not self.has_ended:
            self.fake.transport.feed(self.held_back)
        for _ in range(2 * self.sent + 10):
            self.fake.transport.read(float("inf"))
            while self.world.receipts:
                self.world.commit(0)
            while self.world.works:
                self.world.work(0)
            await self.fake.settle()
        if not self.has_ended:
            self.fake.transport.feed(b"")
        await self.fake.settle()

    def check(self) -> None:
        """What must hold in the end."""
        world, transport = self.world, self.fake.transport
        found = answers_in(transport.out, world.methods)
        final = [(status, headers) for status, headers, _ in found if status != 100]
        assert world.asked == [str(number) for number in range(len(world.asked))], "in order, each once"
        for index, (status, headers) in enumerate(final):
            if index == len(world.asked):
                assert status in (400, 408), "what was refused before anybody saw it"
                assert headers["connection"] == "close"
            elif str(index) in world.failed:
                assert status == 503
                assert int(headers["retry-after"]) > 0
            else:
                assert (status, headers["x-id"]) == (200, str(index))
        closing = [headers.get("connection") == "close" for _, headers in final]
        assert not any(closing[:-1]), "behind the end there is nothing"
        if not self.gave_up:
            assert len(final) >= len(world.asked), "each is answered"
            assert (closing and closing[-1]) or len(final) == self.sent
        assert self.fake.is_over, "the connection has ended"
        assert len(final) <= len(world.asked) + 1


@pytest.mark.slow
@settings(max_examples=150)
@given(COMMANDS)
async def test_answers_come_in_order_each_once_whatever_happens(commands: list[Send | Do]):
    world = World()
    async with fake_connection(world.plane(), SETTINGS) as fake:
        client = Client(fake, world)
        for command in commands:
            await client.do(command)
        await client.end_well()
        client.check()


async def test_a_request_that_is_here_already_is_answered_when_the_listener_stops():
    world = World()
    async with fake_connection(world.plane(), SETTINGS) as fake:
        fake.transport.feed(requests(["now"], 0))
        fake.connection.drain()
        await fake.settle()
        ((status, headers, _),) = answers_in(fake.transport.out, world.methods)
        assert (status, headers["connection"]) == (200, "close")
        assert fake.transport.is_finished


async def test_a_request_that_is_here_already_is_answered_when_its_connection_was_idle_for_too_long():
    world = World()
    async with fake_connection(world.plane(), SETTINGS) as fake:
        fake.transport.feed(requests(["now"], 0))
        fake.pass_s(80)
        await fake.settle()
        assert len(answers_in(fake.transport.out, world.methods)) == 1
        assert not fake.transport.is_aborted
        fake.pass_s(80)
        assert fake.transport.is_aborted


async def test_a_connection_that_comes_in_the_last_moment_is_closed():
    async with fake_connection(World().plane(), SETTINGS, is_draining=True) as fake:
        await fake.settle()
        assert fake.is_over


async def test_a_reader_that_does_not_read_wins_no_time_by_asking_for_more():
    world = World()
    async with fake_connection(world.plane(), SETTINGS) as fake:
        fake.transport.room_bytes = 10
        for _ in range(3):
            fake.transport.feed(requests(["now"], 0))
            await fake.settle()
            fake.pass_s(8)
        assert fake.transport.is_aborted
        assert fake.shared.timeouts["write"] == 1


async def test_a_deadline_is_looked_at_again_when_what_was_waited_for_has_come():
    world = World()
    async with fake_connection(world.plane(), SETTINGS) as fake:
        fake.transport.feed(requests(["commit"], 0))
        await fake.settle()
        assert fake.connection.deadline_s == NEVER_S
        world.commit(0)
        assert fake.connection.deadline_s == fake.shared.now_s + SETTINGS.idle_timeout_s
