"""Ads and mail: which type a touch has, and where its origin comes from (mediarithmics 2.6, 4.4)."""

from typing import Any

import pytest

from tests.gateway.engines import SITE
from tests.gateway.protocols.pixel_world import (
    COMPARTMENT,
    MART,
    TOUCHES,
    VISITOR,
    VISITS,
    cookie,
    dropped,
    touch,
    visit,
    with_cookie,
    world,
)

U = "user_agent_id=u"


# --- section 2.6, row by row, through the stored activity --------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ("$channel", "$channel", "email"),
        ("$source", "$source", "newsletter"),
        ("$campaign_name", "$campaign_name", "back to school"),
        ("$campaign_technical_name", "$catn", "SPRING"),
        ("$campaign_technical_name", "$campaign_technical_name", "SPRING"),
        ("$campaign_id", "$caid", "12"),
        ("$campaign_id", "$campaign_id", "12"),
        ("$sub_campaign_technical_name", "$scatn", "STRATEGY-1"),
        ("$sub_campaign_technical_name", "$sub_campaign_technical_name", "STRATEGY-1"),
        ("$sub_campaign_id", "$scaid", "8782"),
        ("$sub_campaign_id", "$sub_campaign_id", "8782"),
        ("$creative_name", "$creative_name", "banner"),
        ("$creative_technical_name", "$crtn", "BANNER-A"),
        ("$creative_technical_name", "$creative_technical_name", "BANNER-A"),
        ("$creative_id", "$crid", "7"),
        ("$creative_id", "$creative_id", "7"),
        ("$keywords", "$keywords", "sport+shoes"),
        ("$social_network", "$social_network", "somewhere"),
        ("$referral_path", "$referral_path", "https://elsewhere.test/a"),
        ("$log_id", "$log_id", "L-1"),
        ("$gclid", "$gclid", "g-1"),
    ],
)
async def test_2_6_an_event_property_becomes_the_origin(field, name, value):
    async with world() as here:
        for path, sent in ((TOUCHES, touch(ev="$ad_view", uaid="t")), (VISITS, visit(uaid="v"))):
            await here.get(path, sent | {name: value})
        for user in ("t", "v"):
            activity = await here.activity(f"user_agent_id={user}")
            assert {key: one for key, one in activity["$origin"].items() if one is not None} == {
                field: value,
                "$ts": activity["$ts"],
            }
            assert activity["$events"][0]["$properties"] == {name: value}, "and stays a property"


async def test_2_6_a_touch_without_any_has_no_origin():
    async with world() as here:
        await here.get(TOUCHES, touch(ev="$ad_view", uaid="u"))
        assert (await here.activity(U))["$origin"] is None


# --- section 4.4 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("$ad_view", "DISPLAY_AD"),
        ("$ad_click", "DISPLAY_AD"),
        ("$email_view", "EMAIL"),
        ("$email_click", "EMAIL"),
        ("$email_sent", "TOUCH"),
        ("$conversion", "TOUCH"),
        ("ad_view", "TOUCH"),
        ("anything", "TOUCH"),
    ],
)
async def test_4_4_the_type_follows_the_event(event, kind):
    async with world() as here:
        await here.get(TOUCHES, touch(ev=event, uaid="u"))
        activity = await here.activity(U)
        assert (activity["$type"], activity["$session_status"]) == (kind, "NO_SESSION")
        assert [one["$event_name"] for one in activity["$events"]] == [event]


async def test_4_4_the_example():
    async with world() as here:
        target = f"{TOUCHES}?$ev=$ad_view&$dat_token={MART}&$catn=SPRING&$scatn=STRATEGY-1&$crtn=BANNER-A&$cb=93"
        await here.ask("GET", target, headers=with_cookie())
        activity = await here.activity(f"user_agent_id=vec:{VISITOR}")
        assert activity["$type"] == "DISPLAY_AD"
        assert {key: one for key, one in activity["$origin"].items() if one is not None and key != "$ts"} == {
            "$campaign_technical_name": "SPRING",
            "$sub_campaign_technical_name": "STRATEGY-1",
            "$creative_technical_name": "BANNER-A",
        }


async def test_4_4_who_is_named_comes_first_and_the_cookie_is_attached():
    async with world() as here:
        sent = touch(ev="$email_view", cuid="42", comp_token=COMPARTMENT)
        await here.get(TOUCHES, sent, headers=with_cookie())
        named = await here.activity("compartment_id=77,user_account_id=42")
        assert [one["$type"] for one in named["$user_identifiers"]] == ["USER_ACCOUNT", "USER_AGENT"]
        assert await here.activity(f"user_agent_id=vec:{VISITOR}") == named


async def test_4_4_without_a_name_the_cookie_finds_the_user():
    async with world() as here:
        await here.get(TOUCHES, touch(ev="$email_view"), headers=with_cookie())
        assert (await here.activity(f"user_agent_id=vec:{VISITOR}"))["$type"] == "EMAIL"


async def test_4_4_pictures_that_a_mail_house_fetches_do_not_hang_agents_on_a_person():
    async with world() as here:
        for _ in range(3):  # No cookie comes back from there, ever.
            reply = await here.get(TOUCHES, touch(ev="$email_view", cuid="42"))
            assert (dropped(reply), bool(cookie(reply))) == ("", True)
        for activity in await here.activities("compartment_id=main,user_account_id=42"):
            assert [one["$type"] for one in activity["$user_identifiers"]] == ["USER_ACCOUNT"]


async def test_4_4_without_a_name_and_without_a_cookie_somebody_new_is_made():
    async with world() as here:
        reply = await here.get(TOUCHES, touch(ev="$ad_view"))
        assert (await here.activity(f"user_agent_id=vec:{cookie(reply)}"))["$type"] == "DISPLAY_AD"


# --- cookies and consent -----------------------------------------------------------------------------------------


async def test_a_first_visit_sets_the_cookie_that_finds_the_second():
    async with world() as here:
        first = await here.get(VISITS, visit(ev="a"))
        second = await here.get(VISITS, visit(ev="b"), headers=with_cookie(cookie(first)))
        activity = await here.activity(f"user_agent_id=vec:{cookie(first)}")
        assert [one["$event_name"] for one in activity["$events"]] == ["a", "b"]
        assert cookie(second) == "", "it is not prolonged"


async def test_a_cookie_that_is_not_ours_is_replaced():
    async with world() as here:
        reply = await here.get(VISITS, visit(), headers=with_cookie("admin"))
        assert cookie(reply) not in ("", "admin")
        assert await here.activities("user_agent_id=vec:admin") == []


@pytest.mark.parametrize(("secure", "attributes"), [(True, "Secure; SameSite=None"), (False, "SameSite=Lax")])
async def test_the_cookie_is_for_other_sites_over_tls_alone(secure, attributes):
    async with world() as here:
        reply = await here.get(VISITS, visit(), secure=secure)
        (set_cookie,) = (value for name, value in reply.headers if name == "set-cookie")
        assert set_cookie == f"sojourn_vid={cookie(reply)}; Max-Age=34128000; Path=/; HttpOnly; {attributes}"


@pytest.mark.parametrize(
    ("headers", "attached"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
    ],
)
async def test_a_new_cookie_is_attached_to_a_named_visitor_where_the_browser_keeps_it(headers, attached):
    async with world() as here:
        reply = await here.get(VISITS, visit(cuid="42"), headers=headers)
        activity = await here.activity("compartment_id=main,user_account_id=42")
        assert [one["$type"] for one in activity["$user_identifiers"]] == (
            ["USER_ACCOUNT", "USER_AGENT"] if attached else ["USER_ACCOUNT"]
        )
        # Once it came back, it is attached in any case.
        await here.get(VISITS, visit(cuid="42"), headers=with_cookie(cookie(reply), **headers))
        assert await here.activities(f"user_agent_id=vec:{cookie(reply)}")


@pytest.mark.parametrize(
    ("header", "reason", "setting"),
    [
        ("dnt", "do_not_track", "visitors__honour_do_not_track"),
        ("sec-gpc", "global_privacy_control", "visitors__honour_global_privacy_control"),
    ],
)
async def test_nothing_is_kept_of_who_does_not_want_to_be_tracked(header, reason, setting):
    signal = {header: "1"}
    async with world() as here:
        for sent in (visit(uaid="u"), visit(uaid="u", ts="broken")):
            reply = await here.get(VISITS, sent, headers=with_cookie(**signal))
            assert (reply.status, dropped(reply), cookie(reply)) == (200, reason, "")
        assert here.count("visits_pixel", "dropped", reason) == 2
        assert await here.activities(U) == []
        assert here.dead_letters() == []
        assert dropped(await here.get(VISITS, visit(uaid="u"), headers={header: "0"})) == ""
    async with world(**{setting: False}) as here:
        assert dropped(await here.get(VISITS, visit(), headers=signal)) == ""


NO: list[dict[str, Any]] = [
    {"$consent": "false"},
    {"$consent": "0"},
    {"$consent": "maybe"},
    {"gdpr": "1"},
    {"gdpr": "1", "gdpr_consent": ""},
    {"gdpr": "1", "gdpr_consent": "${GDPR_CONSENT_184}"},
    {"gdpr": "1", "$consent": "true"},
]
YES: list[dict[str, Any]] = [
    {"$consent": "true"},
    {"gdpr": "0"},
    {"gdpr": "${GDPR}"},
    {"gdpr": "1", "gdpr_consent": "CPcl6wAPcl6wAAHABBENDuCgAP-gAAAAAAYgF5wAgAAAA.YAAAAAAAAAAA"},
]


@pytest.mark.parametrize("sent", NO)
async def test_without_consent_no_cookie_is_read_or_set(sent):
    async with world() as here:
        reply = await here.get(VISITS, visit() | sent, headers=with_cookie())
        assert (reply.status, dropped(reply), cookie(reply)) == (200, "no_user_identifier", "")
        assert here.count("visits_pixel", "dropped", "no_user_identifier") == 1
        assert await here.activities(f"user_agent_id=vec:{VISITOR}") == []
        # Who is named by the sender is known without a cookie.
        reply = await here.get(VISITS, visit(cuid="42") | sent, headers=with_cookie())
        assert (dropped(reply), cookie(reply)) == ("", "")
        activity = await here.activity("compartment_id=main,user_account_id=42")
        assert [one["$type"] for one in activity["$user_identifiers"]] == ["USER_ACCOUNT"]


@pytest.mark.parametrize("sent", YES)
async def test_with_consent_a_cookie_is_set(sent):
    async with world() as here:
        reply = await here.get(VISITS, visit() | sent)
        assert (dropped(reply), bool(cookie(reply))) == ("", True)


async def test_who_needs_no_cookie_gets_none():
    async with world() as here:
        assert cookie(await here.get(VISITS, visit(ts="broken"))) == ""
        assert cookie(await here.get(VISITS, visit(uaid="u"))) == "", "the sender knows the browser by another name"
        assert cookie(await here.get(VISITS, {"$site_token": "nobody"})) == ""


# --- the check of the cookie -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        (with_cookie("not-ours"), 204),
        (with_cookie(), 200),
        (with_cookie(dnt="1"), 204),
    ],
)
async def test_4_2_check_cookie_tells_whether_it_came_back(headers, status):
    async with world() as here:
        reply = await here.ask("GET", "/v1/check_cookie/pixel", headers=headers)
        assert (reply.status, cookie(reply)) == (status, "")
        assert not here.collect.counters.items


# --- section 4.3 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dollar", ["$", "%24"])
async def test_4_3_the_request_of_the_amp_vendor(dollar):
    url, referrer = "https%3A%2F%2Fshop.test%2Famp%2Fa.html%3Fb%3D1", "https%3A%2F%2Fwww.google.com%2F"
    target = f"/v1/visits/pixel?$site_token={SITE}&$url={url}&$ev=$page_view&$referrer={referrer}"
    async with world() as here:
        reply = await here.ask(
            "GET", target.replace("$", dollar), headers={"sec-fetch-site": "cross-site"}, secure=True
        )
        assert (reply.status, dropped(reply)) == (200, "")
        activity = await here.activity(f"user_agent_id=vec:{cookie(reply)}")
        assert (activity["$type"], activity["$site_id"]) == ("SITE_VISIT", "1")
        assert activity["$origin"]["$source"] == "www.google.com"
        (event,) = activity["$events"]
        assert event["$event_name"] == "$page_view"
        assert event["$properties"] == {
            "$url": "https://shop.test/amp/a.html?b=1",
            "$referrer": "https://www.google.com/",
        }


async def test_4_3_a_direct_visit_has_an_empty_referrer():
    async with world() as here:
        target = f"/v1/visits/pixel?$site_token={SITE}&$url=https%3A%2F%2Fshop.test%2F&$ev=$page_view&$referrer="
        reply = await here.ask("GET", target)
        assert (await here.activity(f"user_agent_id=vec:{cookie(reply)}"))["$origin"] is None
