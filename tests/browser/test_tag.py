"""The tag in a real browser: what a visitor does is stored once, as what it was; nothing is against their will."""

import json

import httpx
import pytest

from tests.browser.site import INIT, NEWS_TOKEN, SHOP_TOKEN, VISIT, Visitor, World

pytestmark = pytest.mark.slow

PIXEL = "**/v1/visits/pixel"
AUTO = f"mics.config({{ autoPageViews: true }}); {VISIT}"


def test_a_page_view_opens_a_session_of_the_visitor_that_the_cookie_names(visitor: Visitor):
    url = visitor.world.page()
    visitor.page.goto(url)
    (event,) = visitor.wait_for(["$page_view"])
    assert event["$properties"]["$url"] == url
    (activity,) = visitor.activities()
    assert (activity["$type"], activity["$session_status"], activity["$site_id"]) == (
        "SITE_VISIT",
        "SESSION_SNAPSHOT",
        "shop",
    )
    assert visitor.cookie is not None
    assert (visitor.cookie["httpOnly"], visitor.cookie["sameSite"]) == (True, "Lax")
    assert visitor.cookie["domain"] == "collect.shop.test"
    visitor.wait_sent()


def test_the_address_that_led_to_the_page_is_the_origin_of_the_session(visitor: Visitor):
    path = "/spring?utm_source=letter&utm_medium=email&utm_campaign=spring"
    visitor.page.goto(visitor.world.page(path=path))
    visitor.wait_for(["$page_view"])
    (activity,) = visitor.activities()
    origin = {name: activity["$origin"][name] for name in ("$source", "$channel", "$campaign_name")}
    assert origin == {"$source": "letter", "$channel": "email", "$campaign_name": "spring"}
    assert activity["$user_identifiers"] == [
        {"$type": "USER_AGENT", "$user_agent_id": f"vec:{visitor.cookie['value']}"}
    ]


def test_a_push_carries_properties_identifiers_and_what_was_added(visitor: Visitor):
    visitor.page.goto(
        visitor.world.page(
            f"mics.addProperty('lang', 'fr'); mics.addProperties({{ plan: {{ level: 3 }} }}); {INIT}"
            "mics.addIdentifier('USER_ACCOUNT', '42'); mics.addIdentifier('USER_EMAIL', 'Ada@Example.com ');"
            "mics.push('$item_view', { $items: [{ $id: '58936', $price: 88.5 }], lang: 'en' });"
        )
    )
    (event,) = visitor.wait_for(["$item_view"])
    assert event["$properties"]["$items"][0]["$id"] == "58936"
    assert (event["$properties"]["lang"], event["$properties"]["plan"]) == ("en", {"level": 3})
    by_account = visitor.activities("compartment_id=1,user_account_id=42")
    assert [one["$session_status"] for one in by_account] == ["SESSION_SNAPSHOT"]
    kinds = {one["$type"] for one in by_account[0]["$user_identifiers"]}
    assert kinds == {"USER_ACCOUNT", "USER_EMAIL", "USER_AGENT"}


def test_navigation_within_a_page_is_page_views_each_from_the_address_before(visitor: Visitor):
    home = visitor.world.page(AUTO)
    visitor.page.goto(home)
    visitor.wait_for(["$page_view"])
    visitor.do("history.pushState({}, '', '/shoes')")
    visitor.wait_for(["$page_view"] * 2)
    visitor.do("history.replaceState({}, '', '/shoes?size=44')")
    visitor.wait_for(["$page_view"] * 3)
    visitor.do("history.replaceState({ scroll: 7 }, '', location.href + '#reviews')")
    visitor.do("history.back()")
    events = visitor.wait_for(["$page_view"] * 4)
    origin = home.rpartition("/")[0]
    assert [(one["$properties"]["$url"], one["$properties"].get("$referrer")) for one in events][1:] == [
        (f"{origin}/shoes", home),
        (f"{origin}/shoes?size=44", f"{origin}/shoes"),
        (home, f"{origin}/shoes?size=44"),
    ]


def test_an_ordinary_link_is_a_page_view_from_the_page_before(visitor: Visitor):
    first = visitor.world.page()
    visitor.world.page(path="/next")
    visitor.page.goto(first)
    visitor.wait_for(["$page_view"])
    visitor.page.click("#next")
    _, second = visitor.wait_for(["$page_view"] * 2)
    assert second["$properties"]["$referrer"] == first


def test_what_waits_when_the_page_goes_leaves_with_it(visitor: Visitor):
    visitor.page.goto(visitor.world.page())
    visitor.wait_for(["$page_view"])
    visitor.wait_sent()
    visitor.do("mics.push('last_words', { n: 1 }); location.href = 'about:blank'")
    visitor.page.wait_for_url("about:blank")
    visitor.wait_for(["$page_view", "last_words"])


def test_the_beacon_and_the_next_page_do_not_store_it_twice(visitor: Visitor):
    visitor.page.goto(visitor.world.page())
    visitor.wait_for(["$page_view"])
    visitor.wait_sent()
    following = visitor.world.page("mics.config({ batchInterval: 0 });" + VISIT)
    with visitor.page.expect_response(PIXEL) as answer:
        visitor.do(f"mics.push('clicked'); location.href = '{following}'")
    sent = json.loads(answer.value.request.post_data or "")["$events"]
    visitor.wait_for(["$page_view", "clicked", "$page_view"])
    visitor.wait_sent()
    assert visitor.names() == ["$page_view", "clicked", "$page_view"]
    assert [one["$ev"] for one in sent] in (["clicked", "$page_view"], ["clicked"]), "the next page asks again"


def test_offline_then_online_everything_arrives_once(visitor: Visitor):
    visitor.page.goto(visitor.world.page())
    visitor.wait_for(["$page_view"])
    visitor.wait_sent()
    visitor.page.context.set_offline(True)
    with visitor.page.expect_event("requestfailed"):
        visitor.do("mics.push('a'); mics.push('b')")
    visitor.do("mics.push('c')")
    assert visitor.queued() == ["a", "b", "c"]
    assert visitor.names() == ["$page_view"]
    visitor.page.context.set_offline(False)
    visitor.wait_for(["$page_view", "a", "b", "c"])
    visitor.wait_sent()
    assert visitor.names() == ["$page_view", "a", "b", "c"]


def test_consent_refused_nothing_is_sent_kept_or_set(visitor: Visitor):
    sent: list[str] = []
    visitor.page.on("request", lambda request: sent.append(request.url) if "/v1/" in request.url else None)
    visitor.page.goto(visitor.world.page(f"mics.consent(false); {VISIT} mics.push('a', {{ b: 1 }});"))
    visitor.wait_until("() => window.scimhtiraidem._live")
    # Longer than events wait for each other: what would be sent has been.
    visitor.page.wait_for_timeout(600)
    visitor.page.goto(visitor.world.page(f"mics.consent(false); {VISIT}"))
    visitor.wait_until("() => window.scimhtiraidem._live")
    assert (sent, visitor.cookie, visitor.do("return localStorage.length")) == ([], None, 0)
    visitor.do("mics.consent(true); mics.push('agreed')")
    visitor.wait_for(["agreed"])


def test_consent_withdrawn_takes_away_what_waits(visitor: Visitor):
    visitor.page.route(PIXEL, lambda route: route.abort())
    visitor.page.goto(visitor.world.page())
    visitor.wait_until("() => localStorage.length === 1")
    visitor.do("mics.consent(false)")
    assert visitor.do("return localStorage.length") == 0


def test_a_consent_manager_is_waited_for(visitor: Visitor):
    manager = """
      window.__tcfapi = (command, version, tell) => { window.choose = (yes) => tell(
        { eventStatus: 'useractioncomplete', gdprApplies: true, purpose: { consents: { 1: yes } } }, true) };
    """
    visitor.page.goto(visitor.world.page(before=manager))
    visitor.wait_until("() => window.choose")
    visitor.page.wait_for_timeout(600)
    assert (visitor.cookie, visitor.do("return localStorage.length")) == (None, 0)
    visitor.do("choose(true)")
    visitor.wait_for(["$page_view"])


def test_a_reload_in_the_middle_of_a_failed_send_stores_it_once(visitor: Visitor):
    visitor.page.route(PIXEL, lambda route: route.abort())
    with visitor.page.expect_event("requestfailed"):
        visitor.page.goto(
            visitor.world.page(f"{INIT} if (!sessionStorage.was) mics.push('once'); sessionStorage.was = 1")
        )
    assert visitor.queued() == ["once"]
    visitor.page.unroute(PIXEL)
    visitor.page.reload()
    visitor.wait_for(["once"])
    visitor.wait_sent()
    assert visitor.names() == ["once"]


def test_an_answer_that_is_lost_does_not_store_it_twice(visitor: Visitor):
    def lose(route):
        headers = {name: value for name, value in route.request.headers.items() if name in ("origin", "content-type")}
        url = f"{visitor.world.server.collect}/v1/visits/pixel"
        answers.append(httpx.post(url, content=route.request.post_data, headers=headers).json()["results"])
        if len(answers) == 1:
            route.abort("connectionreset")
        else:
            route.continue_()

    answers: list[list[dict]] = []
    visitor.page.route(PIXEL, lose)
    visitor.page.goto(visitor.world.page())
    # The cookie was lost with the answer; the second one names the visitor that the event was stored with.
    visitor.wait_for(["$page_view"])
    visitor.wait_sent()
    assert answers == [[{"status": "accepted"}], [{"status": "duplicate"}]]
    assert visitor.names() == ["$page_view"]


def test_a_busy_server_is_given_the_time_it_asks_for(visitor: Visitor):
    def refuse(route):
        asked.append(route.request.url)
        if len(asked) > 1:
            return route.continue_()
        cors = {
            "access-control-allow-origin": route.request.headers["origin"],
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "retry-after",
        }
        return route.fulfill(status=503, headers={"retry-after": "1", **cors}, body="{}")

    asked: list[str] = []
    watch = "let from; mics.onFinish((one) => { if (one.retryAfter) from = Date.now() });"
    watch += "mics.onStart(() => { if (from) window.waitedMs = Date.now() - from });"
    visitor.page.route(PIXEL, refuse)
    visitor.page.goto(visitor.world.page(f"{watch} {VISIT}"))
    visitor.wait_for(["$page_view"])
    assert 950 <= visitor.do("return window.waitedMs") < 5000


def test_live_mode_opens_no_session(visitor: Visitor):
    # Not a page view: those leave an activity when it is stored (decision 35).
    visitor.page.goto(visitor.world.page(f"mics.config({{ mode: 'LIVE' }}); {INIT} mics.push('seen');"))
    visitor.wait_for(["seen"])
    for _ in range(200):
        (activity,) = visitor.activities()
        if activity["$session_status"] != "SESSION_SNAPSHOT":
            break
        visitor.page.wait_for_timeout(25)
    assert (activity["$type"], activity["$session_status"]) == ("SITE_VISIT", "NO_SESSION")
    assert visitor.names() == ["seen"]


def test_two_tabs_share_one_queue_safely(visitor: Visitor):
    url = visitor.world.page(INIT)
    visitor.page.goto(url)
    other = visitor.page.context.new_page()
    other.goto(url)
    visitor.do("mics.push('hello')")
    visitor.wait_for(["hello"])
    visitor.page.context.set_offline(True)
    visitor.do("mics.push('of one')")
    other.evaluate("mics.push('of the other')")
    assert sorted(visitor.queued()) == ["of one", "of the other"]
    other.goto("about:blank")
    visitor.page.context.set_offline(False)
    visitor.wait_for(["hello", "of one", "of the other"])
    visitor.wait_sent()
    assert visitor.names() == ["hello", "of one", "of the other"]


FETCH = """async ([url, body]) => {
  try {
    const answer = await fetch(url, { method: "POST", body, credentials: "include" });
    return (await answer.json()).results[0].status;
  } catch (error) { return String(error); }
}"""


@pytest.mark.parametrize(
    ("host", "token", "heard"),
    [
        ("www.shop.test", SHOP_TOKEN, "accepted"),
        ("news.test", NEWS_TOKEN, "accepted"),
        ("elsewhere.test", SHOP_TOKEN, "TypeError: Failed to fetch"),
    ],
)
def test_pages_of_the_sites_may_read_the_answer_and_no_others(visitor: Visitor, host: str, token: str, heard: str):
    visitor.page.goto(visitor.world.page("", host=host))
    account = {"$type": "USER_ACCOUNT", "$user_account_id": f"reader-{host}"}
    body = {"$site_token": token, "$user_identifiers": [account], "$events": [{"$ev": "read", "$event_id": host}]}
    url = f"{visitor.world.collect}/v1/visits/pixel"
    assert visitor.page.evaluate(FETCH, [url, json.dumps(body)]) == heard
    # Taken all the same: this protects the page's visitor, it keeps no event out.
    visitor.wait_for(["read"], f"compartment_id=1,user_account_id=reader-{host}")


def test_two_sites_of_different_origins_are_two_channels(visitor: Visitor):
    who = "mics.addIdentifier('USER_ACCOUNT', 'two-sites');"
    visitor.page.goto(visitor.world.page(f"{who} {VISIT}"))
    visitor.wait_sent()
    calls = f"{who} mics.init('{NEWS_TOKEN}'); mics.pushDefault();"
    visitor.page.goto(visitor.world.page(calls, host="news.test"))
    selector = "compartment_id=1,user_account_id=two-sites"
    visitor.wait_for(["$page_view"] * 2, selector)
    visitor.wait_sent()
    assert sorted(one["$site_id"] for one in visitor.activities(selector)) == ["news", "shop"]


def test_the_platforms_way_to_queue_calls_works_with_a_name_of_its_own(visitor: Visitor):
    queue = [{"method": "init", "args": [{"mode": "VISIT", "site_token": SHOP_TOKEN}]}]
    queue += [{"method": "push", "args": ["page_view", {"section": "front"}]}]
    before = f"window.scimhtiraidem = {{ _names: ['gravity'], _queue: {{ gravity: {json.dumps(queue)} }} }};"
    visitor.page.goto(visitor.world.page("", before=before))
    (event,) = visitor.wait_for(["page_view"])
    assert event["$properties"]["section"] == "front"
    assert visitor.do("return typeof gravity.push") == "function"


def test_the_page_keeps_its_errors_and_gets_none_of_ours(visitor: Visitor):
    """A script error of the page fails each test here (see `visitor`); this one also makes trouble."""
    visitor.page.goto(
        visitor.world.page(
            f"{VISIT} var loop = {{}}; loop.loop = loop; mics.push('loop', loop); mics.addIdentifier(7);"
            "mics.onFinish(() => { throw new Error('ours to keep') }); localStorage['mics|x'] = 'junk';"
            f"localStorage['mics|{SHOP_TOKEN}|junk'] = '{{';"
        )
    )
    visitor.wait_for(["$page_view"])
    visitor.wait_until(f"() => !localStorage['mics|{SHOP_TOKEN}|junk']")
    thrown = visitor.do("try { mics.init('not a token') } catch (error) { return error.message }")
    assert thrown == "invalid site token"


def test_a_frame_without_storage_sends_from_memory(visitor: Visitor):
    world: World = visitor.world
    inner = world.page(f"mics.addIdentifier('USER_ACCOUNT', 'framed'); {VISIT}")
    frame = f"""<iframe sandbox="allow-scripts" src="{inner}"></iframe>"""
    visitor.page.goto(world.page(f"document.write({json.dumps(frame)})"))
    visitor.wait_for(["$page_view"], "compartment_id=1,user_account_id=framed")
