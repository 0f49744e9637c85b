"""Pixels: what everybody is answered, and that any parameters come back, and none makes it fail."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import Closing, HotUser, Overloaded
from gateway.collect.protocols.pixels.gif import PIXEL
from gateway.collect.protocols.pixels.hits import CLICKS
from tests.gateway.engines import SITE
from tests.gateway.protocols.pixel_world import (
    MART,
    TOUCHES,
    VISITS,
    cookie,
    dropped,
    encoded,
    header,
    touch,
    visit,
    with_cookie,
    world,
)

U = "user_agent_id=u"


# --- section 4.2: what is not documented: unknown tokens, bad input ----------------------------------------------


@pytest.mark.parametrize("path", [VISITS, TOUCHES])
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "no_token"),
        ("$ev=x", "no_token"),
        ("$site_token=&$dat_token=", "no_token"),
        ("$site_token=nobody", "unknown_token"),
        ("$dat_token=1", "unknown_token"),
        (f"$site_token={SITE}&$dat_token={MART}", "several_tokens"),
        ("&".join(f"p{n}=1" for n in range(300)), "bad_parameter"),
    ],
)
async def test_without_a_known_token_there_is_an_image_and_a_count_alone(path, query, reason):
    async with world() as here:
        reply = await here.ask("GET", f"{path}?{query}")
        assert (reply.status, reply.body, dropped(reply), cookie(reply)) == (200, PIXEL, reason, "")
        assert here.count(path.split("/")[2] + "_pixel", "refused", reason) == 1
        assert here.dead_letters() == []


async def test_every_answer_is_an_uncached_image():
    async with world() as here:
        for reply in [
            await here.get(VISITS, visit(uaid="u")),
            await here.get(VISITS, visit(uaid="u", ts="x")),
            await here.get(VISITS, {}),
            await here.get(TOUCHES, touch(ev="x", uaid="u"), headers={"dnt": "1"}),
            await here.ask("HEAD", TOUCHES),
        ]:
            assert (reply.status, reply.body, header(reply, "content-type")) == (200, PIXEL, "image/gif")
            assert header(reply, "cache-control") == "no-store, no-cache, must-revalidate, private"
            assert (header(reply, "pragma"), header(reply, "expires")) == ("no-cache", "0")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [(Overloaded("full"), 503, "overloaded"), (Closing("stops"), 503, "closing"), (HotUser("hot"), 429, "hot_user")],
)
async def test_who_should_come_back_hears_so_with_the_image(error, status, reason, monkeypatch):
    async with world() as here:

        def refuse(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(here.collect.engine, "accept", refuse)
        reply = await here.get(VISITS, visit(uaid="u"))
        assert (reply.status, reply.body, dropped(reply), cookie(reply)) == (status, PIXEL, reason, "")
        assert int(header(reply, "retry-after")) >= 1


async def test_a_token_that_is_used_too_often_gets_429_and_the_image():
    async with world(rates__requests_per_s_of_token=0.001, rates__burst_of_token=1) as here:
        assert (await here.get(VISITS, visit(uaid="u"))).status == 200
        reply = await here.get(VISITS, visit(uaid="u"))
        assert (reply.status, reply.body) == (429, PIXEL)
        assert not any(fate == "refused" for _, fate, _ in here.collect.counters.items), "it may come again"
        assert int(header(reply, "retry-after")) >= 1


async def test_a_head_takes_no_event():
    async with world() as here:
        reply = await here.ask("HEAD", f"{VISITS}?{encoded(visit(uaid='u'))}")
        assert (reply.status, dropped(reply), cookie(reply)) == (200, "", "")
        assert await here.activities(U) == []
        assert not here.collect.counters.items


async def test_a_page_that_is_shown_ahead_counts():
    async with world() as here:
        await here.get(VISITS, visit(uaid="u"), headers={"sec-purpose": "prefetch;prerender"})
        assert len(await here.activities(U)) == 1


async def test_explain_is_the_planes_word_where_it_is_allowed():
    async with world(collect__explain=True) as here:
        reply = await here.get(VISITS, visit(uaid="u", _explain="1"))
        (item,) = json.loads(reply.body)["data"]["items"]
        assert item["status"] == "accepted"
        assert (await here.event(U))["$properties"] == {}
    async with world() as here:
        await here.get(VISITS, visit(uaid="u", _explain="1"))
        assert (await here.event(U))["$properties"] == {"explain": "1"}


async def test_the_place_of_the_client_is_a_root_field():
    async with world(visitors__store_client_address=True) as here:
        await here.get(VISITS, visit(uaid="u"), client="192.0.2.44")
        assert (await here.activity(U))["client_address"] == "192.0.2.44"


async def test_events_of_pixels_count_as_those_of_the_tag():
    async with world() as here:
        await here.get(VISITS, visit(uaid="u"))
        assert here.collect.engine.reader.counters()[1]["events_step.JS_TAG"] == 1


# --- invariants --------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in CLICKS.reserved(explains=True)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.slow
@MANY
@given(st.dictionaries(NAMES, TEXTS.filter(lambda text: not text.startswith("jso-")), max_size=6))
async def test_any_parameters_come_back_as_properties(properties):
    async with world() as here:
        assert dropped(await here.get(VISITS, visit(ev="x", uaid="u") | properties)) == ""
        assert (await here.event(U))["$properties"] == properties


@pytest.mark.slow
@MANY
@given(st.dictionaries(NAMES, JSON, max_size=4))
async def test_any_json_comes_back_as_properties(properties):
    async with world() as here:
        sent = {name: "jso-" + json.dumps(value) for name, value in properties.items()}
        assert dropped(await here.get(TOUCHES, touch(ev="x", uaid="u") | sent)) == ""
        assert (await here.event(U))["$properties"] == properties


@pytest.mark.slow
@MANY
@given(st.binary(max_size=120), st.sampled_from([VISITS, TOUCHES]))
async def test_no_query_makes_it_fail(junk, path):
    async with world() as here:
        for query in (
            quote(junk),
            junk.decode("latin-1").replace("?", ""),
            f"$site_token={SITE}&" + quote(junk, "&=%$"),
        ):
            reply = await here.ask("GET", f"{path}?{query}")
            assert (reply.status, reply.body) == (200, PIXEL)


async def test_a_name_and_a_cookie_seen_together_are_one_person():
    async with world() as here:
        await here.get(VISITS, visit(cuid="42"), headers=with_cookie())
        await here.get(VISITS, visit(ev="x"), headers=with_cookie())
        assert len((await here.activity("compartment_id=main,user_account_id=42"))["$events"]) == 2
