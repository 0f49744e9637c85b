"""The routing table: which function answers, what it is told, and what is answered where none does."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import MAX_REMEMBERED, Found, Route, RoutingTable
from gateway.errors import RequestError


def read(request: Request) -> Reply:
    raise NotImplementedError


def write(request: Request) -> Reply:
    raise NotImplementedError


ROUTES = (
    Route("GET", "/d/:id/things", read),
    Route("POST", "/d/:id/things", write),
    Route("GET", "/d/:id/of/:whom+/things", read),
    Route("GET", "/a.b", read),
)
TABLE = RoutingTable(ROUTES)


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
    found = TABLE.find(method, path)
    assert (found.route.handler, found.params) == (handler, params)


@pytest.mark.parametrize("path", ["/", "", "/d/1", "/d//things", "/d/1/things/", "/d/1/2/things", "/D/1", "/axb"])
def test_another_path_is_not_found(path: str):
    with pytest.raises(RequestError) as caught:
        TABLE.find("GET", path)
    assert (caught.value.status, caught.value.code) == (404, "not_found")


def test_another_method_is_told_which_are_possible():
    with pytest.raises(RequestError) as caught:
        TABLE.find("DELETE", "/d/1/things")
    assert caught.value.status == 405
    assert caught.value.headers == {"allow": "GET, HEAD, POST"}


@given(st.sampled_from(["GET", "POST", "PUT"]), st.text())
def test_any_path_is_found_or_refused(method: str, path: str):
    with suppress(RequestError):
        assert TABLE.find(method, path).route in ROUTES


def test_the_first_that_fits_holds():
    special, general = Route("POST", "/v1/:what", write), Route("POST", "/:rest+", read)
    assert RoutingTable((special, general)).find("POST", "/v1/x").route is special
    assert RoutingTable((general, special)).find("POST", "/v1/x").route is general
    assert RoutingTable((special, general)).at("/v1/x") == (special, general)


def test_a_fallback_is_only_for_paths_that_no_other_route_has():
    fallback = Route("POST", "/:any", write, is_fallback=True)
    tag = Route("GET", "/tag.js", read)
    table = RoutingTable((tag, fallback))
    assert table.find("POST", "/x").route is fallback
    assert table.find("GET", "/tag.js").route is tag
    for method, path, status in [
        ("POST", "/tag.js", 405),
        ("GET", "/x", 404),
        ("PUT", "/x", 404),
        ("POST", "/x/y", 404),
    ]:
        with pytest.raises(RequestError) as caught:
            table.find(method, path)
        assert caught.value.status == status
        assert "POST" not in caught.value.headers.get("allow", "")
    assert table.at("/tag.js") == (tag,)
    assert table.at("/x") == (fallback,)


def test_what_is_remembered_is_right_and_bounded():
    table = RoutingTable(ROUTES)
    first = table.find("GET", "/d/0/things")
    for number in range(MAX_REMEMBERED + 2):
        assert table.find("GET", f"/d/{number}/things") == Found(ROUTES[0], {"id": str(number)})
    assert table.find("GET", "/d/0/things") == first
    assert len(table._remembered) <= MAX_REMEMBERED
