"""Bytes → requests, without a connection: what is understood, what is refused, and what may be kept meanwhile."""

import pytest

from gateway.collect.listener.budget import Budget
from gateway.collect.listener.parser import MAX_CHUNK_OVERHEAD, Limits, Phase, RequestParser
from gateway.collect.listener.received import Received
from tests.gateway.listener.served import chunked, get, post

LIMITS = Limits(max_request_line_bytes=100, max_header_bytes=300, max_headers=5, max_body_bytes=1000)


def parser(limits: Limits = LIMITS, budget_bytes: int = 5000) -> RequestParser:
    """One for a new connection."""
    return RequestParser(limits, Budget(budget_bytes))


def read(data: bytes) -> list[Received]:
    """Requests that are not refused."""
    one = parser()
    one.feed(data)
    assert one.refusal is None
    assert one.phase is Phase.IDLE
    return one.requests


def refusal(*pieces: bytes, limits: Limits = LIMITS) -> tuple[int, str]:
    """Status and code of what is refused; behind it nothing is read."""
    one = parser(limits)
    for piece in pieces:
        one.feed(piece)
    assert one.refusal is not None
    before = len(one.requests)
    one.feed(get("/"))
    assert len(one.requests) == before, "nothing is read behind a refusal"
    return one.refusal.status, one.refusal.code


def test_a_request_is_read_as_it_was_sent():
    data = b"POST /a%2Fb?c=d&c HTTP/1.1\r\nHOST: x\r\nX-A:  1 \t\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi"
    headers = {"host": "x", "x-a": "1, 2", "content-length": "2"}
    assert read(data) == [Received("POST", "/a%2Fb?c=d&c", headers, b"hi", True, False)]


def test_requests_come_in_their_order():
    found = read(get("/1") + post("/2", b"two") + chunked("/3", b"th", b"ree") + get("/4"))
    assert [(one.target, one.body) for one in found] == [("/1", b""), ("/2", b"two"), ("/3", b"three"), ("/4", b"")]


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        ("1.1", "", True),
        ("1.1", "keep-alive", True),
        ("1.1", "close", False),
        ("1.1", "Keep-Alive, CLOSE", False),
        ("1.0", "", False),
        ("1.0", "keep-alive", True),
        ("1.0", "close", False),
    ],
)
def test_whether_the_connection_goes_on(version: str, connection: str, keep_alive: bool):
    header = f"Connection: {connection}\r\n" if connection else ""
    (found,) = read(f"GET / HTTP/{version}\r\nHost: x\r\n{header}\r\n".encode())
    assert (found.keep_alive, found.is_http_1_0) == (keep_alive, version == "1.0")


def test_nothing_is_read_behind_the_last_request():
    one = parser()
    one.feed(get("/1", "Connection: close") + get("/2"))
    one.feed(get("/3"))
    assert [request.target for request in one.requests] == ["/1"]
    assert one.refusal is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://y/a?b", "/a?b"),
        ("HTTPS://y:80/a/b", "/a/b"),
        ("http://y", "/"),
        ("http://y?b", "/?b"),
        ("http://y?b/c", "/?b/c"),
        ("ftp://y/a", "ftp://y/a"),
        ("*", "*"),
        ("/http://y/a", "/http://y/a"),
    ],
)
def test_an_absolute_target_is_its_path(target: str, path: str):
    assert read(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())[0].target == path


@pytest.mark.parametrize("data", [post("/", b"abc"), chunked("/", b"a", b"bc")])
def test_a_request_that_asks_for_another_protocol_is_answered_in_this_one(data: bytes):
    """As `java.net.http` sends its first request: the body is a body, not the beginning of HTTP/2."""
    asking = data.replace(b"Host: x", b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c")
    one = parser()
    one.feed(asking + get("/smuggled"))
    (found,) = one.requests
    assert (found.method, found.body, found.keep_alive) == ("POST", b"abc", False)
    assert "upgrade" not in found.headers


def test_phases():
    one = parser()
    data = post("/", b"abc", "Expect: 100-continue")
    seen = []
    for at in range(len(data)):
        one.feed(data[at : at + 1])
        if not seen or seen[-1] != (one.phase, one.wants_continue):
            seen.append((one.phase, one.wants_continue))
    assert seen == [(Phase.HEAD, False), (Phase.BODY, True), (Phase.IDLE, False)]


def test_empty_lines_between_requests_are_no_request():
    one = parser()
    one.feed(get("/1") + b"\r\n\r\n")
    assert one.phase is Phase.IDLE
    one.feed(b"\r\n" + get("/2"))
    assert [request.target for request in one.requests] == ["/1", "/2"]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([get("/" + "x" * 100)], (414, "request_line_too_long")),
        ([b"GET /", *[b"x"] * 101], (414, "request_line_too_long")),
        ([get("/", "X: " + "x" * 300)], (431, "headers_too_large")),
        ([get("/", *["X: " + "x" * 93] * 3)], (431, "headers_too_large")),
        ([get("/", *["X: x"] * 5)], (431, "headers_too_large")),
        ([b"GET / HTTP/1.1\r\nX: ", *[b"x" * 50] * 10], (431, "headers_too_large")),
        ([b"GET / HTTP/1.1\r\n", *[b"x" * 50] * 10], (431, "headers_too_large")),
        ([b"GET / HTTP/1.1\r\nX:", *[b" " * 50] * 10], (431, "headers_too_large")),
        ([post("/", b"x" * 1001)], (413, "body_too_large")),
        ([post("/", b"x" * 1001)[:80]], (413, "body_too_large")),
        ([chunked("/", b"x" * 500, b"x" * 501)], (413, "body_too_large")),
        ([chunked("/")[:-5] + b"ffffffffffffffff\r\n", *[b"x" * 100] * 11], (413, "body_too_large")),
    ],
)
def test_what_is_too_large_is_said_to_be(pieces: list[bytes], expected: tuple[int, str]):
    assert refusal(*pieces) == expected


def test_what_is_just_small_enough_is_taken():
    one = parser()
    one.feed(get("/" + "x" * 99, *["X: x"] * 4) + post("/", b"x" * 1000) + chunked("/", b"x" * 1000))
    assert (len(one.requests), one.refusal) == (3, None)


@pytest.mark.parametrize("kept", [b"0\r\nX: ", b"0\r\n", b"1;a="])
def test_lines_of_a_chunked_body_are_bounded_like_headers(kept: bytes):
    """The parser underneath would keep a trailer however long it is."""
    assert refusal(chunked("/")[:-5] + kept, *[b"x" * 100] * 5) == (431, "headers_too_large")


def test_chunks_may_not_be_mostly_wrapping():
    """A byte of body from time to time does not make up for it."""
    pieces = [b"1;" + b"a" * 200 + b"\r\nx\r\n"] * (MAX_CHUNK_OVERHEAD * 1000 // 200 + 1)
    assert refusal(chunked("/")[:-5], *pieces) == (413, "body_too_large")


def test_the_smallest_chunks_are_taken():
    (found,) = read(chunked("/", *[b"x"] * 1000))
    assert found.body == b"x" * 1000
    one = parser()
    for piece in (chunked("/")[:-5], *[b"1\r\nx\r\n"] * 1000, b"0\r\n\r\n"):
        one.feed(piece)
    assert (one.requests[0].body, one.refusal) == (b"x" * 1000, None)


def test_no_room_is_our_fault_and_says_when_to_come_back():
    budget = Budget(500)
    first, second = (RequestParser(LIMITS, budget) for _ in range(2))
    first.feed(post("/", b"x" * 400)[:-1])
    second.feed(post("/", b"x" * 400)[:-1])
    assert second.refusal is not None
    assert (second.refusal.status, second.refusal.code) == (503, "overloaded")
    assert int(second.refusal.headers["retry-after"]) >= 1
    assert budget.refusals == 1
    first.feed(b"x")
    assert first.requests[0].body == b"x" * 400
    assert budget.used_bytes == 0


@pytest.mark.parametrize("end", ["close", "timed_out", "too_large", "malformed"])
def test_what_is_half_there_is_given_back(end: str):
    budget = Budget(5000)
    one = RequestParser(LIMITS, budget)
    one.feed(chunked("/", b"x" * 500)[:-5])
    assert budget.used_bytes == 500
    if end == "close":
        one.close()
    elif end == "timed_out":
        one.timed_out(30)
        assert one.refusal is not None
        assert one.refusal.status == 408
    else:
        one.feed(b"ff0\r\n" + b"x" * 0xFF0 if end == "too_large" else b"no")
    assert budget.used_bytes == 0
    one.close()
    assert budget.used_bytes == 0


def test_the_head_of_what_is_refused_is_known_as_far_as_it_came():
    one = parser()
    one.feed(post("/a?b", b"x" * 1001, "Origin: https://x"))
    assert one.head == ("POST", "/a?b", {"host": "x", "content-length": "1001", "origin": "https://x"})
    one = parser()
    one.feed(b"nonsense")
    assert one.head == ("GET", "", {})
