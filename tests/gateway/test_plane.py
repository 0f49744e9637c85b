"""One request's way through a plane: who answers, how each protocol says no, what is counted; nothing raises."""

import json
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.errors
from engine import CallerError, Overloaded, Unavailable
from gateway.collect.plane import NO_ROUTE, Plane
from gateway.collect.reply import Pending, Reply, ok
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.errors import RequestError, reply_for
from tests.gateway.engines import call, plane_without_engine


def words(error: BaseException) -> Reply:
    """A protocol that says no in one word, and keeps what has to be kept."""
    envelope = reply_for(error)
    return Reply(envelope.status, envelope.headers, b"no")


def echo(request: Request) -> Reply:
    return ok({"params": dict(request.params), "body": request.body.decode()})


async def later(request: Request) -> Reply:
    return Reply(200, body=request.body)


def raising(error: Exception) -> Any:
    def handler(request: Request) -> Reply:
        raise error

    return handler


async def raise_later(request: Request) -> Reply:
    raise CallerError("bad", code="bad", path="$.x")


class Receipt:
    """One whose commit ends as the test says."""

    results = ()

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def durable(self) -> None:
        if self._error is not None:
            raise self._error


def committed(error: Exception | None, *, renders: bool = True) -> Any:
    receipt: Any = Receipt(error)

    def render(of: Any) -> Reply:
        if not renders:
            raise ZeroDivisionError
        return Reply(201)

    def handler(request: Request) -> Pending:
        return Pending(receipt, render, 1)

    return handler


def no_words(error: BaseException) -> Reply:
    raise ZeroDivisionError


ROUTES = (
    Route("GET", "/of/:name", echo, protocol="echo"),
    Route("POST", "/of/:name", echo, protocol="echo", refusal=words),
    Route("POST", "/later", later, protocol="later"),
    Route("POST", "/fail", raising(RuntimeError("secret")), protocol="fail"),
    Route("POST", "/fail-in-words", raising(RuntimeError("secret")), protocol="fail", refusal=words),
    Route("POST", "/fail-at-words", raising(CallerError("bad")), protocol="fail", refusal=no_words),
    Route("POST", "/busy", raising(Overloaded("busy")), protocol="busy", refusal=words),
    Route("POST", "/bad-later", raise_later, protocol="bad"),
    Route("POST", "/committed", committed(None), protocol="committed"),
    Route("POST", "/full", committed(Unavailable("full")), protocol="full", refusal=words),
    Route("POST", "/unrendered", committed(None, renders=False), protocol="unrendered"),
)


def plane(**overrides: object) -> Plane:
    return plane_without_engine(ROUTES, **overrides)


@pytest.mark.parametrize(
    ("method", "path", "status", "protocol"),
    [
        ("GET", "/of/a%2Fb", 200, "echo"),
        ("HEAD", "/of/x", 200, "echo"),
        ("POST", "/later", 200, "later"),
        ("POST", "/committed", 201, "committed"),
        ("POST", "/full", 503, "full"),
        ("POST", "/busy", 503, "busy"),
        ("POST", "/fail", 500, "fail"),
        ("POST", "/fail-in-words", 500, "fail"),
        ("POST", "/fail-at-words", 500, "fail"),
        ("POST", "/unrendered", 500, "unrendered"),
        ("POST", "/bad-later", 400, "bad"),
        ("GET", "/nowhere", 404, NO_ROUTE),
        ("PUT", "/of/x", 405, NO_ROUTE),
        ("HEAD", "/later", 405, NO_ROUTE),
        ("OPTIONS", "/of/x", 204, NO_ROUTE),
        ("OPTIONS", "/nowhere", 404, NO_ROUTE),
        ("BREW", "/of/x", 405, NO_ROUTE),
    ],
)
async def test_every_request_is_answered_once_and_counted_once(method: str, path: str, status: int, protocol: str):
    one = plane()
    assert (await call(one, method, path)).status == status
    assert one._requests == {(protocol, status): 1}


async def test_params_and_body_reach_the_handler():
    reply = await call(plane(), "POST", "/of/a%2Fb?x=1", b"hello")
    assert json.loads(reply.body)["data"] == {"params": {"name": "a/b"}, "body": "hello"}


async def test_another_method_is_told_which_are_possible():
    reply = await call(plane(), "PUT", "/of/x")
    assert dict(reply.headers)["allow"] == "GET, HEAD, POST"
    reply = await call(plane(), "OPTIONS", "/of/x")
    assert dict(reply.headers)["allow"] == "GET, HEAD, POST, OPTIONS"
    assert reply.body == b""


@pytest.mark.parametrize("path", ["/busy", "/full"])
async def test_a_protocol_says_no_in_its_own_words(path: str):
    reply = await call(plane(), "POST", path)
    assert reply.body == b"no"
    assert int(dict(reply.headers)["retry-after"]) >= 1


@pytest.mark.parametrize("path", ["/fail", "/fail-in-words", "/unrendered", "/fail-at-words"])
async def test_a_fault_of_ours_is_logged_by_its_id_and_tells_nothing(path: str, monkeypatch: pytest.MonkeyPatch):
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(gateway.errors, "log", lambda *told, **more: lines.append(more))
    reply = await call(plane(), "POST", path)
    assert b"secret" not in reply.body
    (line,) = lines
    assert "Traceback" in line["traceback"]
    if reply.body != b"no":
        assert json.loads(reply.body)["error_id"] == line["error_id"]


async def test_what_a_server_refuses_by_itself_is_said_in_the_words_of_the_route():
    one = plane()
    too_large = RequestError(413, "body_too_large", "too large")
    assert one.refuse(Request(method="POST", path="/of/x"), too_large).body == b"no"
    assert json.loads(one.refuse(Request(path="/of/x"), too_large).body)["error_code"] == "body_too_large"
    assert one.refuse(Request(path="/nowhere"), too_large).status == 413
    assert one._requests == {("echo", 413): 2, (NO_ROUTE, 413): 1}


async def test_a_query_that_cannot_be_read_is_refused_before_anything_is_taken():
    taken: list[Request] = []

    def take(request: Request) -> Reply:
        taken.append(request)
        return Reply(200)

    one = plane_without_engine((Route("POST", "/take", take),), collect__explain=True)
    assert (await call(one, "POST", "/take?explain=1&explain=1")).status == 400
    assert not taken
    off = plane_without_engine((Route("POST", "/take", take),))
    assert (await call(off, "POST", "/take?explain=1&explain=1")).status == 200


@given(
    st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "TRACE", ""]),
    st.sampled_from([route.pattern for route in ROUTES]) | st.text(max_size=20),
    st.text(max_size=20),
    st.dictionaries(st.sampled_from(["origin", "content-encoding", "access-control-request-headers"]), st.text()),
    st.binary(max_size=30),
)
async def test_nothing_raises(method: str, path: str, query: str, headers: dict[str, str], body: bytes):
    one = plane(collect__explain=True)
    request = Request(method=method, path=path, raw_query=query, headers=headers, body=body)
    answer = one.answer(request)
    if isinstance(answer, Awaitable):
        answer = await answer
    elif not isinstance(answer, Reply):
        answer = await answer.wait()
    assert 200 <= answer.status <= 503
