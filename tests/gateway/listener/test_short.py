"""The short way of a request with a known head: nobody can tell from the outside that it was taken."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from engine import Unavailable
from gateway.collect import short
from gateway.collect.collect import Collect
from gateway.collect.listener import connection
from tests.engines import event, item, visit
from tests.gateway.engines import ADMIN, memory_collect, plane_of
from tests.gateway.listener.served import Served, Wire, get, listening, post

PATH = "/v1/datamarts/1/user_activities"
HEADERS = (f"authorization: {ADMIN}", "content-type: application/json")

BODIES = [
    visit(1),
    visit(2),
    visit(3, user="vec:2"),
    b"{" + b"x" * (len(visit(1)) - 1),
    b"[%s]" % visit(4)[:-2],
    b" " * len(visit(1)),
    visit(5).replace(b"{", b"\n{", 1)[: len(visit(1))],
    item(event(6, event_id="six")),
    item(event(6, event_id="six")),
    visit(7, status="LIVE"),
    visit(8, site_id="9"),
]


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request went the short way."""
    taken: list[bool] = []
    usual = connection.Connection._take_short

    def spy(self: connection.Connection, data: bytes) -> bool:
        taken.append(usual(self, data))
        return taken[-1]

    monkeypatch.setattr(connection.Connection, "_take_short", spy)
    return taken


@asynccontextmanager
async def connected(**overrides: object) -> AsyncIterator[tuple[Collect, Served, Wire]]:
    """An engine, a listener in front of it, and a connection to that; settings as of `memory_collect`."""
    async with (
        memory_collect(**overrides) as collect,
        listening(plane=plane_of(collect)) as served,
        await served.connect() as wire,
    ):
        yield collect, served, wire


def request(body: bytes, *headers: str) -> bytes:
    return post(PATH, body, *HEADERS, *headers)


async def ask(wire: Wire, data: bytes) -> tuple[int, dict[str, str], Any]:
    """What is answered, but for the date and the number of an error."""
    await wire.send(data)
    answer = await wire.answer("POST")
    answer.headers.pop("date")
    body = json.loads(answer.body)
    if body.pop("error_id", ""):
        answer.headers.pop("content-length")
    return answer.status, answer.headers, body


async def told(collect: Collect, headers: tuple[str, ...]) -> tuple[Any, ...]:
    """The answers to all bodies, each sent three times, and what was counted."""
    async with listening(plane=plane_of(collect)) as served, await served.connect() as wire:
        answers = [await ask(wire, request(body, *headers)) for body in BODIES for _ in range(3)]
    stats = collect.engine.reader.statistics()
    return answers, collect.counters.requests, collect.counters.items, stats


async def test_it_says_and_counts_what_the_long_way_does(ways: list[bool]):
    found = []
    # An origin is looked at for each request, so it goes the long way; this one may read nothing.
    for headers in ((), ("x-long: 1",)):
        async with memory_collect() as collect:
            if headers:
                collect.rates.are_limited = True
            found.append(await told(collect, headers))
        assert any(ways) != bool(headers)
        assert not all(ways)
        ways.clear()
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "headers",
    [
        ("origin: https://shop.example",),
        ("idempotency-key: one",),
        ("content-encoding: identity",),
        ("authorization-too: x", "x-mics-mac: 1", "x-mics-ts: 1", "x-mics-key-id: 1"),
    ],
)
async def test_a_head_that_asks_for_more_goes_the_long_way(ways: list[bool], headers: tuple[str, ...]):
    async with connected() as (_, _, wire):
        for _ in range(3):
            await ask(wire, request(visit(1), *headers))
    assert not any(ways)


@pytest.mark.parametrize("token", ["nobody", ""])
async def test_a_head_that_is_refused_stays_so(ways: list[bool], token: str):
    async with connected() as (_, _, wire):
        data = post(PATH, visit(1), f"authorization: {token}", "content-type: application/json")
        assert [(await ask(wire, data))[0] for _ in range(3)] == [401] * 3
    assert not any(ways)


async def test_behind_a_proxy_and_with_one_place_a_connection_it_is_not_taken(ways: list[bool]):
    for settings in ({"collect__trusted_proxies": ["127.0.0.1"]}, {"collect__max_pipelined": 1}):
        async with connected(**settings) as (_, _, wire):
            assert [(await ask(wire, request(visit(n))))[0] for n in range(3)] == [200] * 3
    assert not any(ways)


async def test_answers_keep_their_order_beside_pipelined_requests():
    async with connected() as (_, _, wire):
        await ask(wire, request(visit(1)))
        await wire.send(request(visit(2, user="vec:2")))
        await trio.testing.wait_all_tasks_blocked()
        await wire.send(request(visit(3, user="vec:3")) + get("/nowhere") + request(visit(4, user="vec:2")))
        answers = [json.loads((await wire.answer()).body) for _ in range(4)]
    points = [answer["data"]["user_point_id"] for answer in answers if "data" in answer]
    assert [answer["status"] for answer in answers] == ["ok", "ok", "error", "ok"]
    assert points[0] == points[2] != points[1]


async def test_a_failed_commit_is_told_in_the_words_of_the_route(monkeypatch: pytest.MonkeyPatch, ways: list[bool]):
    async with connected() as (_, _, wire):
        await ask(wire, request(visit(1)))
        reply = short.ShortWay.reply
        fault = Unavailable("full")
        monkeypatch.setattr(short.ShortWay, "reply", lambda self, _, results: reply(self, fault, results))
        status, headers, body = await ask(wire, request(visit(2)))
    assert ways[-1]
    assert (status, body["error_code"], "retry-after" in headers) == (503, "storage_unavailable", True)


async def test_an_engine_that_stops_is_told_the_long_way(ways: list[bool]):
    async with connected() as (collect, _, wire):
        await ask(wire, request(visit(1)))
        collect.engine._gatherer._is_running = False
        assert (await ask(wire, request(visit(2))))[0] == 503
    assert not any(ways)


async def test_a_stop_closes_behind_the_last_answer():
    async with connected() as (collect, served, wire):
        await ask(wire, request(visit(1)))
        gatherer = collect.engine._gatherer
        flush = gatherer.flush
        gatherer.flush = lambda: None  # type: ignore[method-assign]
        await wire.send(request(visit(2)))
        while not gatherer._lots:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.001)
        served.stopping.set()
        await trio.sleep(0.02)
        flush()
        answer = await wire.answer("POST")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await wire.end() == b""


async def test_a_token_that_is_taken_away_meanwhile_takes_nothing_more(ways: list[bool]):
    file = '[[datamart]]\nid = 1\n[[datamart.channel]]\nid = "1"\ntoken = "{}"\n'
    async with connected() as (collect, _, wire):
        data = post(PATH, visit(1), "authorization: first", "content-type: application/json")
        await collect.engine.apply(file.format("first"))
        assert [(await ask(wire, data))[0] for _ in range(3)] == [200] * 3
        assert ways[-1], "its head is known"
        await collect.engine.apply(file.format("first") + 'name = "a site"\n')
        assert (await ask(wire, data))[0] == 200
        assert ways[-1], "it is still allowed"
        await collect.engine.apply(file.format("second"))
        assert [(await ask(wire, data))[0] for _ in range(2)] == [401] * 2
        assert not ways[-1]
        await collect.engine.apply(file.format("first"))
        assert (await ask(wire, data))[0] == 200
