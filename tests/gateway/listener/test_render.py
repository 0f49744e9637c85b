"""Replies → bytes: nothing that a handler puts in a header ends it, and no answer has a body that must not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.listener import render
from gateway.collect.listener.render import rendered
from gateway.collect.reply import Reply
from tests.gateway.listener.fake import answers_in


def test_an_answer():
    data = rendered(Reply(200, (("content-type", "text/plain"),), b"hello"))
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert (first, body) == (b"HTTP/1.1 200 OK", b"hello")
    assert lines[0] == b"content-type: text/plain"
    assert lines[1].startswith(b"date: ")
    assert lines[1].endswith(b" GMT")
    assert lines[2:] == [b"content-length: 5"]


@pytest.mark.parametrize(
    ("keep_alive", "is_http_1_0", "expected"),
    [(True, False, None), (True, True, "keep-alive"), (False, False, "close"), (False, True, "close")],
)
def test_what_is_said_of_the_connection(keep_alive: bool, is_http_1_0: bool, expected: str | None):
    for status in (200, 204):
        data = rendered(Reply(status), keep_alive=keep_alive, is_http_1_0=is_http_1_0)
        ((_, headers, _),) = answers_in(data, ["GET"])
        assert headers.get("connection") == expected


def test_an_answer_to_head_is_as_long_as_the_other_one_says():
    reply = Reply(200, body=b"hello")
    whole, head = (rendered(reply, method=method) for method in ("GET", "HEAD"))
    assert whole == head + b"hello"
    assert b"content-length: 5\r\n" in head


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none_whatever_the_handler_says(status: int):
    data = rendered(Reply(status, body=b"hello"))
    assert data.endswith(b"\r\n\r\n")
    assert b"content-length" not in data


@given(
    st.lists(st.tuples(st.sampled_from(["location", "set-cookie", "x-a"]), st.text()), unique_by=lambda one: one[0]),
    st.integers(200, 599),
    st.binary(max_size=20),
)
def test_no_value_ends_its_header(headers: list[tuple[str, str]], status: int, body: bytes):
    data = rendered(Reply(status, tuple(headers), body), keep_alive=False)
    ((found, read, content),) = answers_in(data, ["GET"])
    assert (found, content) == (status, b"" if status in (204, 304) else body)
    assert {name for name, _ in headers} | {"date", "connection"} == read.keys() - {"content-length"}
    assert all(byte >= 32 for value in read.values() for byte in value.encode("latin-1"))


def test_how_many_heads_are_remembered_is_bounded():
    for number in range(3 * render.MAX_REMEMBERED):
        rendered(Reply(302, (("location", f"/{number}"),)))
        assert len(render._heads) <= render.MAX_REMEMBERED
