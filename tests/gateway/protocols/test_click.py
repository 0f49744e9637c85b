"""Clicks: who clicks arrives, and nobody is led to where a stranger wants (decision 40)."""

from typing import Any
from urllib.parse import quote

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from engine import Broken, Closing, HotUser, Overloaded, Unavailable
from gateway.collect.protocols.pixels.click import MAX_WAIT_S
from gateway.collect.protocols.pixels.redirects import signature
from gateway.collect.reply import Reply
from tests.gateway.engines import SITE
from tests.gateway.protocols.pixel_world import (
    CLICK,
    COMPARTMENT,
    MART,
    SECRET,
    VISITOR,
    World,
    cookie,
    dropped,
    encoded,
    header,
    touch,
    with_cookie,
    world,
)

U = "user_agent_id=u"
SHOP = "https://shop.test/spring?a=1&b=2#top"
EVIL = "https://evil.test/"


async def click(here: World, to: str = SHOP, token: str = MART, **options: Any) -> Reply:
    """A click with these further parameters in front of its `$redirect`."""
    sent = {"$dat_token": token, **options.pop("sent", {})}
    method = options.pop("method", "GET")
    return await here.ask(method, f"{CLICK}?{encoded(sent)}&$redirect={quote(to, safe='')}", **options)


def led_to(reply: Reply) -> str:
    """Where a redirect leads; "" for what is none, which then has no `location` at all."""
    if reply.status == 302:
        return header(reply, "location")
    assert header(reply, "location") == ""
    return ""


# --- sections 4.2 and 4.4 ----------------------------------------------------------------------------------------


async def test_4_4_a_click_is_an_email_click_and_leads_on():
    async with world() as here:
        sent = {"$cuid": "42", "$comp_token": COMPARTMENT, "$catn": "SPRING"}
        reply = await click(here, sent=sent, headers=with_cookie())
        assert (led_to(reply), dropped(reply), reply.body) == (SHOP, "", b"")
        assert header(reply, "cache-control").startswith("no-store")
        activity = await here.activity("compartment_id=77,user_account_id=42")
        assert (activity["$type"], activity["$session_status"]) == ("EMAIL", "NO_SESSION")
        assert activity["$origin"]["$campaign_technical_name"] == "SPRING"
        (event,) = activity["$events"]
        assert event["$event_name"] == "$email_click"
        assert event["$properties"] == {"$catn": "SPRING", "$redirect": SHOP}
        assert await here.activities(f"user_agent_id=vec:{VISITOR}") == [activity], "the cookie is always readable"


@pytest.mark.parametrize(("event", "kind"), [("$ad_click", "DISPLAY_AD"), ("other", "TOUCH")])
async def test_4_4_ev_says_otherwise(event, kind):
    async with world() as here:
        assert led_to(await click(here, sent={"$ev": event, "$uaid": "u"})) == SHOP
        assert (await here.activity(U))["$type"] == kind


async def test_4_4_a_new_cookie_is_attached_to_who_clicks():
    async with world() as here:
        reply = await click(here, sent={"$cuid": "42"}, secure=True)
        activity = await here.activity(f"user_agent_id=vec:{cookie(reply)}")
        assert [one["$type"] for one in activity["$user_identifiers"]] == ["USER_ACCOUNT", "USER_AGENT"]
        assert "SameSite=None" in header(reply, "set-cookie")


async def test_4_2_what_is_behind_redirect_is_not_saved():
    async with world() as here:
        query = f"$dat_token={MART}&$uaid=u&before=1&%24redirect={quote(SHOP, safe='')}&after=1&$ev=later&$redirect=x"
        assert led_to(await here.ask("GET", f"{CLICK}?{query}")) == SHOP
        event = await here.event(U)
        assert event["$event_name"] == "$email_click"
        assert event["$properties"] == {"before": "1", "$redirect": SHOP}


async def test_4_2_an_address_that_nobody_encoded_ends_at_its_first_ampersand():
    async with world() as here:
        reply = await here.ask("GET", f"{CLICK}?$dat_token={MART}&$uaid=u&$redirect=https://shop.test/?a=b+c&d=e")
        assert led_to(reply) == "https://shop.test/?a=b+c"
        assert (await here.event(U))["$properties"] == {"$redirect": "https://shop.test/?a=b+c"}


async def test_a_token_of_a_site_does_as_well():
    async with world() as here:
        assert led_to(await click(here, token=SITE, sent={"$uaid": "u"})) == SHOP
        assert (await here.activity(U))["$site_id"] == "1"


# --- where it may lead -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "to",
    [
        "https://shop.test",
        "http://www.shop.test/",
        "HTTPS://SHOP.TEST/x",
        "https://partner.test:8443/x",
        "https://a.b.partner.test/",
        "https://bücher.test/é",
        "https://xn--bcher-kva.test/",
        "http://192.0.2.1/",
    ],
)
async def test_sites_and_declared_hosts_and_what_is_below_them_are_allowed(to):
    async with world() as here:
        reply = await click(here, to, sent={"$uaid": "u"})
        assert (reply.status, dropped(reply)) == (302, "")


@pytest.mark.parametrize(
    "to",
    [
        EVIL,
        "https://evilshop.test/",
        "https://shop.test.evil.test/",
        "https://test/",
        "https://9.192.0.2.1/",
        "https://xshop.test/",
    ],
)
async def test_other_hosts_are_refused_and_nothing_is_taken(to):
    async with world() as here:
        reply = await click(here, to, sent={"$uaid": "u"})
        assert (reply.status, led_to(reply), dropped(reply)) == (400, "", "redirect_not_allowed")
        assert header(reply, "content-type").startswith("text/plain")
        assert b"not allowed" in reply.body
        assert b"evil" not in reply.body, "nothing of what was sent is shown"
        assert await here.activities(U) == []
        assert here.count("click", "refused", "redirect_not_allowed") == 1


async def test_hosts_of_another_datamart_are_refused():
    async with world() as here:
        assert (await click(here, token="other-mart-token")).status == 400


# --- signatures --------------------------------------------------------------------------------------------------


def signed(to: str, key_id: str = "mail", secret: str = SECRET) -> dict[str, str]:
    return {"$uaid": "u", "$key_id": key_id, "$sig": signature(secret, to)}


async def test_a_signature_allows_any_host():
    async with world() as here:
        to = "https://anywhere.test/?q=é&r=1"
        reply = await click(here, to, sent=signed(to))
        assert led_to(reply) == "https://anywhere.test/?q=%C3%A9&r=1"
        assert (await here.event(U))["$properties"] == {"$redirect": to}, "the signature is not kept"
        upper = signed(to) | {"$sig": signature(SECRET, to).upper()}
        assert led_to(await click(here, to, sent=upper)) != ""


def test_a_signature_can_be_made_by_anybody_who_has_the_key():
    # printf %s 'https://a.test/' | openssl dgst -sha256 -hmac key
    assert signature("key", "https://a.test/") == "35433aab7cc5062a86be53c02ff0a18a506b9eef02479847e340d11e89ef0e3c"


@pytest.mark.parametrize(
    "sent",
    [
        signed("https://evil.test"),
        signed(EVIL, secret="another secret"),
        signed(EVIL, key_id="unknown"),
        signed(EVIL, key_id="other"),
        signed(EVIL, key_id="inside-the-app"),
        signed(EVIL) | {"$sig": ""},
        signed(EVIL) | {"$sig": signature(SECRET, EVIL)[:-1]},
        signed(EVIL) | {"$sig": "é"},
        {"$sig": signature(SECRET, EVIL)},
    ],
)
async def test_a_signature_that_does_not_fit_allows_nothing(sent):
    async with world() as here:
        assert (await click(here, EVIL, sent=sent)).status == 400


async def test_a_signature_behind_the_address_is_not_read():
    async with world() as here:
        more = encoded(signed(EVIL))
        reply = await here.ask("GET", f"{CLICK}?$dat_token={MART}&$redirect={quote(EVIL, safe='')}&{more}")
        assert reply.status == 400


async def test_even_a_signature_leads_to_http_alone():
    async with world() as here:
        to = "javascript:alert(1)"
        assert dropped(await click(here, to, sent=signed(to))) == "bad_redirect"


# --- who clicks arrives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"$ts": "yesterday"}, "bad_parameter"),
        ({"$items": "jso-{"}, "bad_parameter"),
        ({"$cuid": "1", "$comp_token": "nobody"}, "unknown_compartment"),
        ({"$consent": "false"}, "no_user_identifier"),
        ({"x": "y" * 9000}, "activity_too_large"),
    ],
)
async def test_an_event_that_cannot_be_taken_still_leads_on(sent, reason):
    async with world() as here:
        reply = await click(here, sent=sent)
        assert (led_to(reply), dropped(reply), cookie(reply)) == (SHOP, reason, "")


@pytest.mark.parametrize(
    "error", [Overloaded("full"), Closing("stops"), HotUser("hot"), Unavailable("full"), Broken("x")]
)
async def test_an_engine_that_takes_nothing_still_leads_on(error, monkeypatch):
    async with world() as here:

        def refuse(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(here.collect.engine, "accept", refuse)
        reply = await click(here, sent={"$uaid": "u"})
        assert (led_to(reply), dropped(reply)) == (SHOP, error.code)


async def test_a_disk_that_fails_still_leads_on(monkeypatch):
    async with world() as here:

        async def durable(_: Any) -> None:
            raise Broken("the disk")

        monkeypatch.setattr("engine.Receipt.durable", durable)
        reply = await click(here, sent={"$uaid": "u"})
        assert (led_to(reply), dropped(reply)) == (SHOP, "broken")


async def test_a_slow_disk_keeps_nobody(mock_clock: MockClock, monkeypatch):
    async with world() as here, trio.open_nursery() as nursery:
        replies: list[Reply] = []

        async def ask() -> None:
            replies.append(await click(here, sent={"$uaid": "u"}))

        async def never(_: Any) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr("engine.Receipt.durable", never)
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert replies == []
        mock_clock.jump(MAX_WAIT_S)
        await trio.testing.wait_all_tasks_blocked()
        assert [(led_to(one), dropped(one)) for one in replies] == [(SHOP, "")]


async def test_a_token_that_is_used_too_often_still_leads_on():
    async with world(rates__requests_per_s_of_token=0.001, rates__burst_of_token=1) as here:
        await click(here, sent={"$uaid": "u"})
        reply = await click(here, sent={"$uaid": "u"})
        assert (led_to(reply), dropped(reply)) == (SHOP, "too_many_requests_of_token")


@pytest.mark.parametrize(
    ("headers", "reason"), [({"dnt": "1"}, "do_not_track"), ({"sec-gpc": "1"}, "global_privacy_control")]
)
async def test_who_does_not_want_to_be_tracked_is_led_on(headers, reason):
    async with world() as here:
        reply = await click(here, sent={"$uaid": "u"}, headers=headers)
        assert (led_to(reply), dropped(reply), cookie(reply)) == (SHOP, reason, "")
        assert await here.activities(U) == []


async def test_a_token_that_nobody_knows_leads_only_where_a_signature_says():
    async with world() as here:
        assert dropped(await click(here, token="nobody")) == "unknown_token"
        reply = await click(here, token="nobody", sent=signed(SHOP))
        assert (led_to(reply), dropped(reply)) == (SHOP, "unknown_token")


@pytest.mark.parametrize("query", ["", f"$dat_token={MART}", f"$dat_token={MART}&redirect=https%3A%2F%2Fshop.test"])
async def test_without_redirect_there_is_nowhere_to_go(query):
    async with world() as here:
        reply = await here.ask("GET", f"{CLICK}?{query}")
        assert (reply.status, dropped(reply)) == (400, "no_redirect")
        assert b"`$redirect` is missing" in reply.body


# --- what is no click --------------------------------------------------------------------------------------------


async def test_a_head_is_led_on_and_takes_no_event():
    async with world() as here:
        reply = await click(here, sent={"$uaid": "u"}, method="HEAD")
        assert (led_to(reply), cookie(reply)) == (SHOP, "")
        assert (await click(here, EVIL, method="HEAD")).status == 400
        assert await here.activities(U) == []


@pytest.mark.parametrize(
    "headers", [{"purpose": "prefetch"}, {"sec-purpose": "prefetch;anonymous-client-ip"}, {"x-moz": "prefetch"}]
)
async def test_a_prefetch_is_told_to_come_back_when_somebody_clicks(headers):
    async with world() as here:
        reply = await click(here, sent={"$uaid": "u"}, headers=headers)
        assert (reply.status, led_to(reply), dropped(reply)) == (503, "", "prefetch")
        assert header(reply, "retry-after") == "1"
        assert await here.activities(U) == []


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=40) | st.from_regex(r"https?:[/\\]{0,3}[a-z@.:\\/#?%\t]{0,20}", fullmatch=True), st.booleans())
async def test_no_address_makes_it_fail_and_none_leads_astray(to, escape):
    async with world() as here:
        value = (
            quote(to.encode("utf-8", "replace"), safe="") if escape else to.encode("utf-8", "replace").decode("latin-1")
        )
        reply = await here.ask("GET", f"{CLICK}?{encoded(touch(uaid='u'))}&$redirect={value}")
        assert reply.status in (302, 400)
        if reply.status == 302:
            host = header(reply, "location").split("/")[2].partition(":")[0]
            assert host in ("shop.test", "partner.test", "192.0.2.1") or host.endswith((".shop.test", ".partner.test"))
