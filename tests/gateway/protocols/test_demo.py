"""The demo page: off unless a setting says so, and nothing on it from elsewhere."""

import re

import pytest

from engine import MemoryStore, load_settings, open_engine
from gateway.collect.collect import Collect
from tests.gateway.engines import SITE, call, memory_collect, plane_of

PATHS = ("/demo", "/demo.js", "/demo.css")


@pytest.mark.parametrize("path", PATHS)
async def test_it_is_off_by_default(path: str):
    async with memory_collect() as collect:
        assert (await call(plane_of(collect), "GET", path, token="")).status == 404


async def test_it_has_the_sites_token_and_loads_nothing_from_elsewhere():
    async with memory_collect(collect__demo=True) as collect:
        replies = {path: await call(plane_of(collect), "GET", path, token="") for path in PATHS}
    assert {reply.status for reply in replies.values()} == {200}
    page = replies["/demo"].body.decode()
    assert f'data-site-token="{SITE}"' in page
    assert "{{" not in page
    for reply in replies.values():
        assert not re.search(rb"https?://|style=|onclick=", reply.body), "neither from elsewhere nor inline"
        headers = dict(reply.headers)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"


async def test_without_a_site_there_is_nothing_to_show():
    app = {"id": "1", "kind": "MOBILE_APPLICATION"}
    overrides = {"collect.demo": True, "datamart": [{"id": 1, "channel": [app]}]}
    settings = load_settings(None, {}, overrides)
    async with open_engine(settings, store=MemoryStore()) as engine:
        await engine.wait_recovered()
        reply = await call(plane_of(Collect(engine, settings)), "GET", "/demo", token="")
    assert (reply.status, b"no_site" in reply.body) == (404, True)
