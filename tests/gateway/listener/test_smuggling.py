"""What two parsers may read differently, on real sockets: each case has its answer, and nothing comes behind it."""

from collections.abc import AsyncIterator

import pytest
import trio

from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route
from tests.gateway.listener.cases import BEHIND, GROUPS, SMUGGLED
from tests.gateway.listener.served import Answer, Served, Wire, echo, listening


def smuggled(request: Request) -> Reply:
    """Only an ordinary request may stand before this one."""
    return Reply(BEHIND)


ROUTES = (
    *(Route(method, "/echo", echo) for method in ("GET", "POST")),
    Route("GET", "/smuggled", smuggled),
)


async def answers(wire: Wire) -> AsyncIterator[Answer]:
    """All answers until the server ends the connection."""
    while True:
        if not wire.rest:
            try:
                wire.rest = await wire.stream.receive_some()
            except trio.BrokenResourceError:
                return
        if not wire.rest:
            return
        answer = await wire.answer()
        if answer.status != 100:
            yield answer


async def statuses_of(served: Served, *pieces: bytes) -> tuple[int, ...]:
    """What is answered to these bytes, sent one after the other, until either side ends the connection."""
    async with await served.connect() as wire:
        for piece in pieces:
            await wire.send(piece)
        await wire.stream.send_eof()
        found = [answer async for answer in answers(wire)]
    assert all(answer.headers.get("connection") != "close" for answer in found[:-1])
    if found and found[-1].status != BEHIND:
        assert found[-1].headers["connection"] == "close", "a refusal says that the connection ends"
    return tuple(answer.status for answer in found)


def is_as_expected(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """A refusal may have one of several statuses, where two things are wrong; it is one all the same."""
    if min(expected) >= 400 and BEHIND not in expected:
        return len(found) == 1 and found[0] in expected
    return found == expected


@pytest.mark.parametrize("group", GROUPS)
async def test_each_case_has_its_answer_and_hides_nothing(group: str):
    wrong = {}
    async with listening(ROUTES) as served:
        for name, (data, expected) in GROUPS[group].items():
            whole = await statuses_of(served, data + SMUGGLED)
            in_two = await statuses_of(served, data, SMUGGLED)
            if not (is_as_expected(whole, expected) and is_as_expected(in_two, expected)):
                wrong[name] = (expected, whole, in_two)
    assert not wrong
