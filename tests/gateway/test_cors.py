"""Which pages may read answers: a site's own with credentials, those of a setting without, all others not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.cors import ALLOWED_HEADERS, Cors
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.errors import RequestError
from tests.gateway.engines import call, plane_without_engine

OWN = frozenset({"shop.test", "www.brand.example", "[::1]", "localhost"})
VARY = {"vary": "origin"}


def cors(*allowed: str) -> Cors:
    return Cors(lambda: OWN, allowed)


def granted(origin: str, *allowed: str) -> dict[str, str]:
    return dict(cors(*allowed).headers(origin))


@pytest.mark.parametrize(
    "origin",
    [
        *("https://shop.test", "http://shop.test", "https://SHOP.test", "https://shop.test:8443"),
        *("https://www.shop.test", "https://a.b.shop.test", "https://www.brand.example", "http://localhost:3000"),
        "http://[::1]:8080",
    ],
)
def test_a_sites_own_page_may_with_credentials(origin: str):
    headers = granted(origin)
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-credentials"] == "true"
    assert "x-sojourn-dropped" in headers["access-control-expose-headers"]
    assert headers["vary"] == "origin"


LOOK_ALIKES = [
    *("https://evilshop.test", "https://shop.test.evil.example", "https://shop-test", "https://brand.example"),
    *(
        "https://test",
        "https://shop.test@evil.example",
        "https://evil.example/shop.test",
        "https://evil.example#shop.test",
    ),
    *("https://evil.example\\@shop.test", "ftp://shop.test", "app://shop.test", "//shop.test", "shop.test", "null"),
    *("file://", "https://", "https://shop.test:port", "https://shop.test.", "https://[::2]", "https://[::1", "*"),
    *("https://shop.test https://evil.example", "https://evil.example?.shop.test", " https://shop.test"),
]


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_any_other_page_may_not(origin: str):
    assert granted(origin) == VARY


@pytest.mark.parametrize("origin", [*LOOK_ALIKES, "https://other.example"])
def test_a_star_opens_to_all_but_without_credentials(origin: str):
    headers = granted(origin, "*")
    assert headers["access-control-allow-origin"] == origin
    assert "access-control-allow-credentials" not in headers


def test_an_origin_of_the_settings_may_without_credentials():
    allowed = ("https://Other.example/", "http://dev.example:3000")
    for origin in ("https://other.example", "https://OTHER.example", "http://dev.example:3000"):
        headers = granted(origin, *allowed)
        assert headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in headers
    for origin in ("http://other.example", "https://www.other.example", "http://dev.example"):
        assert granted(origin, *allowed) == VARY
    assert "access-control-allow-credentials" in granted("https://shop.test", "https://shop.test", "*")


def test_who_names_no_origin_is_told_nothing():
    assert granted("", "*") == {}


@given(st.text(max_size=30))
def test_only_what_ends_in_an_own_host_is_own(text: str):
    is_own = "access-control-allow-credentials" in granted(text)
    assert not is_own or any(text.lower().partition("://")[2].split(":")[0].endswith(host) for host in OWN)


def no(request: Request) -> Reply:
    raise NotImplementedError


PUBLIC = Route("POST", "/in", no, is_public=True)
BEACON = Route("GET", "/in", no, is_public=True)
PRIVATE = Route("GET", "/own", no)


def test_a_preflight_says_what_may_be_sent():
    asked = {"origin": "https://shop.test", "access-control-request-headers": "content-type, x-a"}
    reply = cors().preflight(asked, [PUBLIC, BEACON])
    headers = dict(reply.headers)
    assert reply.status == 204
    assert headers["allow"] == headers["access-control-allow-methods"] == "POST, GET, HEAD, OPTIONS"
    assert headers["access-control-allow-headers"] == "content-type, x-a"
    assert headers["access-control-allow-origin"] == "https://shop.test"
    assert int(headers["access-control-max-age"]) > 0
    del asked["access-control-request-headers"]
    assert dict(cors().preflight(asked, [PUBLIC]).headers)["access-control-allow-headers"] == ALLOWED_HEADERS


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_preflight_of_another_page_grants_nothing(origin: str):
    headers = dict(cors().preflight({"origin": origin}, [PUBLIC]).headers)
    assert not [name for name in headers if name.startswith("access-control-")]
    assert headers["allow"] == "POST, OPTIONS"


def test_a_route_that_is_not_public_grants_nothing():
    headers = dict(cors("*").preflight({"origin": "https://shop.test"}, [PRIVATE]).headers)
    assert headers == {"allow": "GET, HEAD, OPTIONS"}


def test_there_is_no_preflight_of_nowhere():
    with pytest.raises(RequestError) as caught:
        cors("*").preflight({"origin": "https://shop.test"}, [])
    assert caught.value.status == 404


async def test_every_answer_of_a_public_route_carries_it_refusals_too():
    def fine(request: Request) -> Reply:
        return Reply(200)

    routes = [PUBLIC, Route("GET", "/fine", fine, is_public=True), Route("GET", "/own", fine)]
    plane = plane_without_engine(routes, "shop.test")
    origin = {"origin": "https://shop.test"}
    for method, path, status in [("GET", "/fine", 200), ("POST", "/in", 500)]:
        reply = await call(plane, method, path, headers=origin)
        assert (reply.status, dict(reply.headers).get("access-control-allow-origin")) == (status, "https://shop.test")
    reply = await call(plane, "GET", "/own", headers=origin)
    assert "access-control-allow-origin" not in dict(reply.headers)
