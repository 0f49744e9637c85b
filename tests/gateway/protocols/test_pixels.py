"""Pixels: each parameter of the platform's table (mediarithmics 4.2), seen through what it leaves in the engine."""

import hashlib
import json
from typing import Any

import pytest

from engine import Selector
from tests.gateway.engines import SITE
from tests.gateway.protocols.pixel_world import (
    APP,
    COMPARTMENT,
    MART,
    TOUCHES,
    VISITOR,
    VISITS,
    cookie,
    dropped,
    encoded,
    touch,
    visit,
    with_cookie,
    world,
)

U = "user_agent_id=u"


def ids(activity: dict[str, Any]) -> list[dict[str, str]]:
    return [{key.removeprefix("$"): value for key, value in one.items()} for one in activity["$user_identifiers"]]


def jso(value: Any) -> str:
    return "jso-" + json.dumps(value)


AGENT_U = {"type": "USER_AGENT", "user_agent_id": "u"}


# --- section 4.2, row by row -------------------------------------------------------------------------------------


async def test_4_2_ev_names_the_event():
    async with world() as here:
        assert dropped(await here.get(VISITS, visit(ev="$home_view", uaid="u"))) == ""
        assert (await here.event(U))["$event_name"] == "$home_view"


async def test_4_2_without_ev_a_visit_is_a_page_view():
    async with world() as here:
        await here.get(VISITS, visit(uaid="u"))
        assert (await here.event(U))["$event_name"] == "$page_view"


@pytest.mark.parametrize("sent", [{}, {"$ev": ""}])
async def test_4_2_without_ev_a_touch_is_refused(sent):
    async with world() as here:
        assert dropped(await here.get(TOUCHES, touch(uaid="u") | sent)) == "no_event_name"
        assert [one.reason for one in here.dead_letters()] == ["no_event_name"]


async def test_4_2_site_token_makes_a_site_visit_in_session():
    async with world() as here:
        await here.get(VISITS, visit(uaid="u"))
        activity = await here.activity(U)
        assert (activity["$type"], activity["$session_status"], activity["$site_id"]) == (
            "SITE_VISIT",
            "SESSION_SNAPSHOT",
            "1",
        )
        await here.get(VISITS, visit(uaid="u", ev="second"))
        assert len((await here.activity(U))["$events"]) == 2


async def test_4_2_site_token_of_an_application_makes_an_app_visit():
    async with world() as here:
        await here.get(VISITS, {"$site_token": APP, "$ev": "$app_open", "$uaid": "u"})
        activity = await here.activity(U)
        assert (activity["$type"], activity["$app_id"]) == ("APP_VISIT", "phone")


@pytest.mark.parametrize(("name", "token"), [("$dat_token", MART), ("$dat_token", SITE), ("$site_token", SITE)])
async def test_4_2_dat_token_makes_a_touch(name, token):
    async with world() as here:
        assert dropped(await here.get(TOUCHES, {name: token, "$ev": "hello", "$uaid": "u"})) == ""
        activity = await here.activity(U)
        assert (activity["$type"], activity["$session_status"]) == ("TOUCH", "NO_SESSION")
        # A channel's rules and choices hold for what comes in with its token.
        assert activity.get("$site_id") == ("1" if token == SITE else None)


async def test_4_2_a_visit_with_the_token_of_the_datamart_is_refused():
    async with world() as here:
        assert dropped(await here.get(VISITS, {"$site_token": MART, "$uaid": "u"})) == "unknown_channel"
        assert [one.reason for one in here.dead_letters()] == ["unknown_channel"]


async def test_4_2_url_and_referrer_are_properties_and_make_the_origin():
    async with world() as here:
        url, referrer = "https://shop.test/a?utm_source=news&utm_medium=email", "https://www.google.fr/"
        await here.get(VISITS, visit(uaid="u", url=url, referrer=referrer))
        activity = await here.activity(U)
        assert activity["$events"][0]["$properties"] == {"$url": url, "$referrer": referrer}
        assert (activity["$origin"]["$source"], activity["$origin"]["$channel"]) == ("news", "email")


@pytest.mark.parametrize(
    ("sent", "compartment"),
    [
        ({}, "main"),
        ({"$comp_token": COMPARTMENT}, "77"),
        ({"$comp_token": ""}, "main"),
        ({"$compartment_id": "5"}, "5"),
        ({"$comp_token": COMPARTMENT, "$compartment_id": "5"}, "77"),
    ],
)
async def test_4_2_cuid_and_comp_token_are_an_account(sent, compartment):
    async with world() as here:
        await here.get(TOUCHES, touch(ev="x", cuid="42") | sent)
        activity = await here.activity(f"compartment_id={compartment},user_account_id=42")
        assert ids(activity) == [{"type": "USER_ACCOUNT", "compartment_id": compartment, "user_account_id": "42"}]
        assert activity["$events"][0]["$properties"] == {}


async def test_4_2_comp_token_that_is_nobodys_is_refused():
    async with world() as here:
        assert dropped(await here.get(TOUCHES, touch(ev="x", cuid="42", comp_token="77"))) == "unknown_compartment"


async def test_4_2_comp_token_without_a_user_names_nobody():
    async with world() as here:
        assert dropped(await here.get(TOUCHES, touch(ev="x", cuid="", comp_token=COMPARTMENT, uaid="u"))) == ""
        assert ids(await here.activity(U)) == [AGENT_U]


async def test_4_2_uaid_is_the_agent():
    async with world() as here:
        reply = await here.get(VISITS, visit(uaid="mob:ios:raw:1"), headers=with_cookie())
        activity = await here.activity("user_agent_id=mob:ios:raw:1")
        assert ids(activity) == [{"type": "USER_AGENT", "user_agent_id": "mob:ios:raw:1"}]
        assert cookie(reply) == ""


HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"$email_hash": HASH.upper()}, {"hash": HASH}),
        ({"$email_hash": HASH, "$email": "A@b.test"}, {"hash": HASH, "email": "A@b.test"}),
        ({"$email_hash": jso({"$hash": HASH})}, {"hash": HASH}),
        ({"$email_hash": jso({"$hash": HASH}).replace("{", "\n {")}, {"hash": HASH}),
        ({"$email_hash": jso({"$hash": HASH, "$email": "A@b.test"})}, {"hash": HASH, "email": "A@b.test"}),
    ],
)
async def test_4_2_email_and_email_hash(sent, kept):
    async with world() as here:
        await here.get(TOUCHES, touch(ev="$email_view") | sent)
        assert ids(await here.activity(f"email_hash={HASH}")) == [{"type": "USER_EMAIL"} | kept]


async def test_4_2_email_alone_is_hashed():
    async with world() as here:
        await here.get(TOUCHES, touch(ev="$email_view", email=" A@B.test"))
        hashed = hashlib.sha256(b"a@b.test").hexdigest()
        assert ids(await here.activity(f"email_hash={hashed}"))[0]["hash"] == hashed


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"$tpe": "EM", "$eh": HASH}, {"type": "USER_EMAIL", "hash": HASH}),
        ({"$tpe": "em", "$eh": HASH}, {"type": "USER_EMAIL", "hash": HASH}),
        ({"$tpe": "UA", "$uaid": "u"}, AGENT_U),
        ({"$tpe": "AC", "$cuid": 42}, {"type": "USER_ACCOUNT", "compartment_id": "main", "user_account_id": "42"}),
        (
            {"$tpe": "AC", "$cuid": "42", "$comp": "5"},
            {"type": "USER_ACCOUNT", "compartment_id": "5", "user_account_id": "42"},
        ),
        (
            {"$tpe": "AC", "$cuid": "42", "$comp": COMPARTMENT},
            {"type": "USER_ACCOUNT", "compartment_id": "77", "user_account_id": "42"},
        ),
        (
            {"$tpe": "AC", "$cuid": "42", "$comp_token": COMPARTMENT},
            {"type": "USER_ACCOUNT", "compartment_id": "77", "user_account_id": "42"},
        ),
        ({"$type": "USER_AGENT", "$user_agent_id": "u"}, AGENT_U),
        ({"$type": "USER_EMAIL", "$hash": HASH}, {"type": "USER_EMAIL", "hash": HASH}),
    ],
)
async def test_4_2_uids(entry, found):
    async with world() as here:
        reply = await here.get(VISITS, visit(uids=jso([entry]), _k="v"), headers=with_cookie())
        assert dropped(reply) == ""
        named = ids(await here.activity(selector_of(found)))
        visitor = {"type": "USER_AGENT", "user_agent_id": f"vec:{VISITOR}"}
        # The browser's own id is attached, but never as a second agent.
        assert named == ([found] if found["type"] == "USER_AGENT" else [found, visitor])


def selector_of(one: dict[str, str]) -> str:
    if one["type"] == "USER_ACCOUNT":
        return f"compartment_id={one['compartment_id']},user_account_id={one['user_account_id']}"
    return f"email_hash={one['hash']}" if one["type"] == "USER_EMAIL" else f"user_agent_id={one['user_agent_id']}"


@pytest.mark.parametrize(
    ("uids", "reason"),
    [
        ('jso-[{"$tpe":"XX","$eh":"1"}]', "bad_identifier"),
        ('jso-[{"$tpe":"EM"}]', "bad_identifier"),
        ('jso-[{"$tpe":"AC","$comp":"5"}]', "bad_identifier"),
        ('jso-[{"$tpe":"UA","$uaid":""}]', "bad_identifier"),
        ('jso-[{"$tpe":"AC","$cuid":"1","$comp_token":"no"}]', "unknown_compartment"),
        ('jso-[{"$tpe":["EM"],"$eh":"1"}]', "bad_parameter"),
        ("jso-[1]", "bad_identifier"),
        ("jso-[{}]", "bad_identifier"),
        ('jso-{"$tpe":"EM","$eh":"1"}', "bad_identifier"),
        ("EM", "bad_identifier"),
        ("jso-[", "bad_parameter"),
        ('jso-[{"$type":"USER_SHOE"}]', "bad_identifier"),
        ('jso-[{"$type":1}]', "bad_identifier"),
        ("jso-[" + ",".join(['{"$tpe":"UA","$uaid":"u"}'] * 33) + "]", "too_many_identifiers"),
    ],
)
async def test_4_2_uids_that_are_not_understood_are_refused(uids, reason):
    async with world() as here:
        assert dropped(await here.get(VISITS, visit(uids=uids, uaid="u"), headers=with_cookie())) == reason
        assert [one.reason for one in here.dead_letters()] == [reason]
        assert await here.activities(U) == []


async def test_4_2_goal_id_without_ev_is_a_conversion():
    async with world() as here:
        await here.get(TOUCHES, touch(goal_id="9", uaid="u", _order="77"))
        event = await here.event(U)
        assert (event["$event_name"], event["$properties"]) == ("$conversion", {"$goal_id": "9", "order": "77"})


async def test_4_2_goal_id_with_ev_is_a_property():
    async with world() as here:
        await here.get(VISITS, visit(ev="$transaction_confirmed", goal_id="9", uaid="u"))
        event = await here.event(U)
        assert (event["$event_name"], event["$properties"]) == ("$transaction_confirmed", {"$goal_id": "9"})


async def test_4_2_cb_is_dropped():
    async with world() as here:
        await here.get(TOUCHES, touch(ev="x", uaid="u", cb="93", _cb="kept"))
        assert (await here.event(U))["$properties"] == {"cb": "kept"}


async def test_4_2_gdpr_and_gdpr_consent_are_kept():
    async with world() as here:
        sent = {"gdpr": "1", "gdpr_consent": "CPcl6wAPcl6wAAHABBENDuCgAP"}
        await here.get(TOUCHES, touch(ev="x", uaid="u") | sent)
        assert (await here.event(U))["$properties"] == sent


async def test_4_2_any_other_parameter_is_a_property_as_sent():
    async with world() as here:
        query = f"%24site_token={SITE}&$ev=x&%24uaid=u&color=r%C3%A9d&n=1&empty=&flag&plus=a+b&$my=1&a.b%5B%5D=2"
        await here.ask("GET", f"{VISITS}?{query}")
        assert (await here.event(U))["$properties"] == {
            "color": "réd",
            "n": "1",
            "empty": "",
            "flag": "",
            "plus": "a b",
            "$my": "1",
            "a.b[]": "2",
        }


async def test_4_2_a_value_that_begins_with_jso_is_json():
    async with world() as here:
        items = '[{"$id":"58936","$price":"88.50","$qty":"1","big":12345678901234567890123,"f":1.0}]'
        await here.get(VISITS, visit(ev="$basket_view", uaid="u", items=f"jso-{items}"))
        engine = here.collect.engine
        found = engine.reader.find_user_point(1, Selector.parse(U))
        assert found is not None
        (shown,) = await engine.activities(1, found, live=True)
        assert items.encode() in shown, "numbers keep their text"


@pytest.mark.parametrize(
    "value", ["jso-", "jso-{", "jso-{a:1}", "jso-[1,]", "jso-\ud7ff", "jso-" + "[" * 2000, "jso-01"]
)
async def test_4_2_broken_json_is_refused_by_the_name_of_its_parameter(value):
    async with world() as here:
        reply = await here.get(VISITS, visit(uaid="u", items=value))
        assert (reply.status, dropped(reply)) == (200, "bad_parameter")
        (letter,) = here.dead_letters()
        assert letter.payload == encoded(visit(uaid="u", items=value)).encode()
        assert (letter.stage, letter.reason) == ("visits_pixel", "bad_parameter")
        assert letter.detail.startswith("`$items` is not JSON behind `jso-`: ")
        assert letter.detail.endswith("(at $items)")


@pytest.mark.parametrize("token", [f"$site_token={SITE}", f"%24site_token={SITE}"])
async def test_too_many_parameters_are_refused_and_kept_of_a_token_we_know(token: str):
    async with world() as here:
        query = "&".join(["$uaid=u", token, *(f"p{index}=1" for index in range(256))])
        reply = await here.ask("GET", f"{VISITS}?{query}")
        assert (reply.status, reply.body[:3], dropped(reply)) == (200, b"GIF", "bad_parameter")
        (letter,) = here.dead_letters()
        assert (letter.payload, letter.stage) == (query.encode(), "visits_pixel")
        assert letter.detail == "more than 256 query parameters"
        assert here.count("visits_pixel", "refused", "bad_parameter") == 1
        nobody = query.replace(SITE, "nobody")
        assert dropped(await here.ask("GET", f"{VISITS}?{nobody}")) == "bad_parameter"
        assert len(here.dead_letters()) == 1
        assert await here.activities(U) == []


async def test_4_2_one_parameter_twice_is_refused():
    async with world() as here:
        for twice in ("color=red&color=blue", "$ev=a&$ev=b", "%24ev=a&$ev=b"):
            reply = await here.ask("GET", f"{VISITS}?$site_token={SITE}&$uaid=u&{twice}")
            assert dropped(reply) == "bad_parameter"


@pytest.mark.parametrize("encode", ["%24", "$"])
async def test_4_2_names_come_encoded_or_not(encode):
    async with world() as here:
        await here.ask("GET", f"{VISITS}?$site_token={SITE}&$uaid=u&$ev=$x&$p=1".replace("$", encode))
        event = await here.event(U)
        assert (event["$event_name"], event["$properties"]) == ("$x", {"$p": "1"})


async def test_ts_and_event_id():
    async with world() as here:
        sent = touch(ev="x", uaid="u", ts="1700000000000", event_id="e-1")
        assert dropped(await here.get(TOUCHES, sent)) == ""
        assert dropped(await here.get(TOUCHES, sent)) == ""
        activity = await here.activity(U)
        assert (activity["$ts"], activity["$events"][0]["$ts"]) == (1700000000000, 1700000000000)
        assert here.count("touches_pixel", "duplicate") == 1


@pytest.mark.parametrize("ts", ["yesterday", "-1", "1.5", "1e3", "1" * 16, "١٢", "jso-[1]", "jso-true"])
async def test_a_time_that_is_none_is_refused(ts):
    async with world() as here:
        assert dropped(await here.get(TOUCHES, touch(ev="x", uaid="u", ts=ts))) == "bad_parameter"


async def test_a_time_in_the_future_is_refused_by_the_engine_and_kept():
    async with world() as here:
        ahead = str(here.collect.now_ms() + 7_200_000)
        assert dropped(await here.get(VISITS, visit(uaid="u", ts=ahead))) == "timestamp_in_future"
        (letter,) = here.dead_letters()
        assert letter.payload == encoded(visit(uaid="u", ts=ahead)).encode()


async def test_a_visit_may_be_live_and_nothing_else():
    async with world() as here:
        await here.get(VISITS, visit(uaid="u", session_status="LIVE"))
        assert dropped(await here.get(VISITS, visit(uaid="u", session_status="NO_SESSION"))) == "bad_parameter"
        assert dropped(await here.get(TOUCHES, touch(ev="x", uaid="u", session_status="LIVE"))) == "bad_parameter"
        assert len(await here.activities(U)) == 1


async def test_properties_that_name_a_profile_stay():
    async with world() as here:
        name = "$set_user_profile_properties"
        sent = {"$user_account_id": "42", "$compartment_id": "5", "city": "Lyon"}
        await here.get(VISITS, visit(ev=name, uaid="u") | sent)
        activity = await here.activity(U)
        assert activity["$events"][0]["$properties"] == sent
        assert {one["type"] for one in ids(activity)} == {"USER_AGENT", "USER_ACCOUNT"}
