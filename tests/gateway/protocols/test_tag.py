"""The tag as it is served: small, compressed once, cached well. What it does in a page: tests/js and tests/browser."""

import gzip
from importlib.resources import files

import pytest

from gateway.collect.protocols.tag import PATTERNS, accepts_gzip, is_known, served, stripped
from tests.gateway.engines import call, memory_collect, plane_of

MAX_GZIP_BYTES = 5000


async def fetched(path="/tag.js", **headers):
    async with memory_collect() as collect:
        plane = plane_of(collect)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = await call(plane, "GET", path, headers=named, token="")
        return reply.status, dict(reply.headers), reply.body


async def test_the_tag_has_less_than_5_kb_compressed_and_is_the_source():
    status, headers, body = await fetched(accept_encoding="gzip, deflate, br")
    assert status == 200
    assert headers["content-encoding"] == "gzip"
    assert len(body) <= MAX_GZIP_BYTES, f"{len(body)} bytes: each page of each site loads it"
    assert gzip.decompress(body).decode() == stripped(files("gateway.collect").joinpath("tag/tag.js").read_text())


async def test_who_takes_no_gzip_gets_it_plain():
    status, headers, body = await fetched()
    assert (status, "content-encoding" in headers) == (200, False)
    assert b"scimhtiraidem" in body


async def test_its_headers_let_pages_of_all_origins_load_it_and_keep_it_for_an_hour():
    _, headers, _ = await fetched(accept_encoding="gzip")
    etag = headers.pop("etag")
    assert etag.startswith('"')
    assert headers == {
        "cache-control": "public, max-age=3600",
        "vary": "accept-encoding",
        "cross-origin-resource-policy": "cross-origin",
        "access-control-allow-origin": "*",
        "content-type": "text/javascript; charset=utf-8",
        "x-content-type-options": "nosniff",
        "content-encoding": "gzip",
    }


async def test_who_has_this_version_is_told_so_without_a_body():
    _, plain, _ = await fetched()
    _, packed, _ = await fetched(accept_encoding="gzip")
    assert plain["etag"] != packed["etag"], "two bodies, two tags (RFC 9110, 8.8.3)"
    for known in (plain["etag"], packed["etag"], f'"other", W/{packed["etag"]}', "*"):
        status, headers, body = await fetched(accept_encoding="gzip", if_none_match=known)
        assert (status, body, headers["etag"]) == (304, b"", packed["etag"])
        assert {"cache-control", "vary"} <= headers.keys()
    status, _, _ = await fetched(if_none_match='"other"')
    assert status == 200


@pytest.mark.parametrize("path", PATTERNS)
async def test_it_is_at_the_addresses_of_the_platforms_loader_too(path: str):
    assert (await fetched(path))[2] == served()[0]


async def test_it_can_only_be_read():
    async with memory_collect() as collect:
        assert (await call(plane_of(collect), "POST", "/tag/2/tag.min.js")).status == 405
        assert (await call(plane_of(collect), "GET", "/tag/3/tag.min.js")).status == 404
        assert (await call(plane_of(collect), "HEAD", "/tag.js")).status == 200


def test_stripping_takes_comments_and_space_and_leaves_what_looks_like_a_comment():
    source = '/* a\n * b */\nvar a = "// no"; \n\n  // c\n  /* d */\n    b(/\\/*/, a);\n'
    assert stripped(source) == 'var a = "// no"; \nb(/\\/*/, a);\n'


@pytest.mark.parametrize(
    ("sent", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("br, x-gzip", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("gzip; q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0.001", True),
        ("br, zstd", False),
        ("gzipped", False),
        (";;,,gzip;", True),
    ],
)
def test_accept_encoding(sent: str, takes: bool):
    assert accepts_gzip(sent) is takes


@pytest.mark.parametrize("sent", ["", "abc", '"ab"', '"abc', 'W/"abcd"', ",,,"])
def test_another_version_is_not_this_one(sent: str):
    assert not is_known(sent, "abc")
