"""Heads that are remembered: what is recognised is what the parser would have made of it."""

import pytest

from gateway.collect.listener import heads
from gateway.collect.listener.budget import Budget
from gateway.collect.listener.heads import KnownHeads
from gateway.collect.listener.parser import Limits, RequestParser
from tests.gateway.listener.served import chunked, get, post

LIMITS = Limits(max_request_line_bytes=2000, max_header_bytes=4000, max_headers=50, max_body_bytes=1000)


def parser(known: KnownHeads) -> RequestParser:
    """One for a new connection."""
    return RequestParser(LIMITS, Budget(5000), known)


def test_a_head_that_was_seen_is_recognised_with_any_body_of_its_length():
    known = KnownHeads()
    one = parser(known)
    for body in (b"abc", b"def", b"\r\n\r"):
        one.feed(post("/", body))
    assert known.hits == 2
    assert [request.body for request in one.requests] == [b"abc", b"def", b"\r\n\r"]
    assert len({(request.method, request.target, *request.headers) for request in one.requests}) == 1


@pytest.mark.parametrize(
    "data",
    [
        get("/"),
        post("/?a=b", b"abc"),
        post("/", b"abc", "Connection: close"),
        post("/", b"abc", "Connection: keep-alive"),
        post("/", b"abc", "Connection: Upgrade", "Upgrade: h2c"),
        post("/", b"abc", "Expect: 100-continue"),
        chunked("/", b"abc"),
        post("/", b"abc").replace(b"HTTP/1.1", b"HTTP/1.0"),
        post("/", b"abc", "X: " + "x" * heads.MAX_HEAD_BYTES),
        post("/", b"abc") * 2,
        post("/", b"abc")[:-1],
        b"\r\n\r\n" + post("/", b"abc"),
        post("/", b"abc", "Content-Length: 3"),
        post("/", b"x" * 1001),
    ],
)
def test_what_means_more_than_a_request_is_not_remembered(data: bytes):
    known = KnownHeads()
    for _ in range(3):
        parser(known).feed(data)
    assert (known.hits, known._heads) == (0, {})


def test_what_comes_in_the_middle_of_a_request_is_not_recognised():
    """A body that looks like a request is a body."""
    known = KnownHeads()
    inner = post("/inner", b"abc")
    parser(known).feed(inner)
    one = parser(known)
    outer = post("/outer", inner)
    one.feed(outer[: -len(inner)])
    one.feed(inner)
    assert [request.target for request in one.requests] == ["/outer"]
    assert known.hits == 0


def test_a_head_with_more_or_less_behind_it_is_parsed():
    known = KnownHeads()
    data = post("/", b"abc")
    parser(known).feed(data)
    one = parser(known)
    one.feed(data + get("/next"))
    one.feed(data[:-1])
    one.feed(data[-1:])
    assert [request.target for request in one.requests] == ["/", "/next", "/"]
    assert known.hits == 0
    one.feed(data)
    assert known.hits == 1


def test_nothing_is_recognised_behind_the_end():
    known = KnownHeads()
    data = post("/", b"abc")
    parser(known).feed(data)
    one = parser(known)
    one.feed(get("/", "Connection: close"))
    one.feed(data)
    assert len(one.requests) == 1


def test_how_many_are_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heads, "MAX_HEADS", 3)
    known = KnownHeads()
    for number in range(10):
        parser(known).feed(post(f"/{number}", b"abc"))
        assert len(known._heads) <= 3
