"""The routing table: which function answers, what it is told, and what is answered where none does."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route, find
from gateway.errors import RequestError


async def read(engine: object, request: Request) -> Reply:
    raise NotImplementedError


async def write(engine: object, request: Request) -> Reply:
    raise NotImplementedError


ROUTES = (
    Route("GET", "/d/:id/things", read),
    Route("POST", "/d/:id/things", write),
    Route("GET", "/d/:id/of/:whom+/things", read),
    Route("GET", "/a.b", read),
)


@pytest.mark.parametrize(
    ("method", "path", "handler", "params"),
    [
        ("GET", "/d/1/things", read, {"id": "1"}),
        ("HEAD", "/d/1/things", read, {"id": "1"}),
        ("POST", "/d/a%2Fb%20c/things", write, {"id": "a/b c"}),
        ("GET", "/d/1/of/x=1/y=2/things", read, {"id": "1", "whom": "x=1/y=2"}),
        ("GET", "/d/1/of/x=a%2Fthings/things", read, {"id": "1", "whom": "x=a/things"}),
        ("GET", "/a.b", read, {}),
    ],
)
def test_the_function_and_its_parameters(method: str, path: str, handler: object, params: dict[str, str]):
    assert find(ROUTES, method, path) == (handler, params)


@pytest.mark.parametrize("path", ["/", "", "/d/1", "/d//things", "/d/1/things/", "/d/1/2/things", "/D/1", "/axb"])
def test_another_path_is_not_found(path: str):
    with pytest.raises(RequestError) as caught:
        find(ROUTES, "GET", path)
    assert (caught.value.status, caught.value.code) == (404, "not_found")


def test_another_method_is_told_which_are_possible():
    with pytest.raises(RequestError) as caught:
        find(ROUTES, "DELETE", "/d/1/things")
    assert caught.value.status == 405
    assert caught.value.headers == {"allow": "GET, HEAD, POST"}


@given(st.sampled_from(["GET", "POST", "PUT"]), st.text())
def test_any_path_is_found_or_refused(method: str, path: str):
    with suppress(RequestError):
        assert find(ROUTES, method, path)[0] in (read, write)
