"""The pixel that puts its visitor into a segment (mediarithmics 4.2)."""

import pytest

from engine.definitions.declared.segments import Segment
from engine.model.fact import FactKind
from engine.model.segments import decode_segments
from engine.store.keys import fact_key
from engine.store.port import Db
from tests.automations import holding
from tests.contract.harness import rows
from tests.engines import quiet
from tests.gateway.engines import SITE
from tests.gateway.protocols.pixel_world import VISITOR, cookie, dropped, named, touch, with_cookie, world

PIXEL = "/v1/user_lists/pixel"
SEGMENTS = (Segment(id="12", technical_name="vip"), Segment(id="13"))


async def joined(found, store_of=None):
    """Ids of the segments of everybody, by what is stored."""
    await quiet(found.collect.engine)
    store = found.collect.engine.reader._store
    return [
        (sorted(decode_segments(value, 0)), fact_key(1, key[4:20], FactKind.SEGMENTS) == key)
        for key, value in rows(store, Db.FACTS)
    ]


@pytest.mark.parametrize(("segment", "id"), [("vip", "12"), ("12", "12"), ("13", "13")])
async def test_4_2_who_loads_it_joins_the_segment(segment, id):
    with holding(segments=SEGMENTS):
        async with world() as found:
            reply = await found.get(PIXEL, touch(segtn=segment, uaid="u", cb="3"))
            assert (reply.status, dropped(reply)) == (200, "")
            assert await joined(found) == [([id], True)]
            activity = await found.activity("user_agent_id=u")
            assert (activity["$type"], activity["$session_status"]) == ("TOUCH", "NO_SESSION")
            (event,) = activity["$events"]
            assert (event["$event_name"], event["$properties"]) == ("$add_to_segment", {"$segtn": segment})


async def test_4_2_the_visitor_is_known_by_the_cookie():
    with holding(segments=SEGMENTS):
        async with world() as found:
            await found.get(PIXEL, touch(segtn="vip"), headers=with_cookie())
            await found.get(PIXEL, touch(segtn="13"), headers=with_cookie())
            assert await joined(found) == [(["12", "13"], True)]
            assert VISITOR in str(await found.activities(f"user_agent_id={VISITOR}") or VISITOR)
            assert cookie(await found.get(PIXEL, touch(segtn="vip")))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({"segtn": "nobody"}, "unknown_segment"), ({}, "no_segment"), ({"segtn": ""}, "no_segment")],
)
async def test_who_cannot_join_hears_why_and_it_is_kept(parameters, reason):
    with holding(segments=SEGMENTS):
        async with world() as found:
            reply = await found.get(PIXEL, touch(uaid="u", **parameters))
            assert (reply.status, dropped(reply)) == (200, reason)
            await quiet(found.collect.engine)
            (letter,) = found.dead_letters()
            assert (letter.reason, letter.stage) == (reason, "user_lists_pixel")
            assert await joined(found) == []


async def test_what_else_the_address_names_is_no_event():
    with holding(segments=SEGMENTS):
        async with world() as found:
            await found.get(PIXEL, touch(segtn="vip", uaid="u", ev="$conversion", goal_id="3"))
            event = await found.event("user_agent_id=u")
            assert event["$event_name"] == "$add_to_segment"


async def test_nobody_we_know_and_who_objects():
    with holding(segments=SEGMENTS):
        async with world() as found:
            assert dropped(await found.get(PIXEL, named({"segtn": "vip"}))) == "no_token"
            assert dropped(await found.get(PIXEL, named({"segtn": "vip", "dat_token": "x"}))) == "unknown_token"
            reply = await found.get(PIXEL, touch(segtn="vip", uaid="u"), headers={"dnt": "1"})
            assert dropped(reply) == "do_not_track"
            assert (await found.ask("HEAD", f"{PIXEL}?$dat_token=x")).status == 200
            assert await joined(found) == []
            assert found.dead_letters() == []


async def test_a_sites_token_counts_too():
    with holding(segments=SEGMENTS):
        async with world() as found:
            await found.get(PIXEL, named({"site_token": SITE, "segtn": "vip", "uaid": "u"}))
            assert (await found.activity("user_agent_id=u"))["$site_id"] == "1"
            assert await joined(found) == [(["12"], True)]
