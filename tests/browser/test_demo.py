"""The demo page, as somebody tries it: each button sends what it says, and the page shows what was answered."""

import pytest

from tests.browser.site import Visitor

pytestmark = pytest.mark.slow


def open_demo(visitor: Visitor) -> list[str]:
    """Open it and give what its console says from then on: under its policy a violation is a line there."""
    console: list[str] = []
    visitor.page.on("console", lambda message: console.append(message.text))
    visitor.page.goto(f"{visitor.world.collect}/demo")
    visitor.page.get_by_text("200 accepted").first.wait_for()
    return console


def test_every_button_does_what_it_says(visitor: Visitor):
    console = open_demo(visitor)
    page = visitor.page
    page.get_by_role("link", name="Women").click()
    page.get_by_role("button", name="View Linen shirt").click()
    page.get_by_role("button", name="Add Linen shirt to the basket").click()
    page.get_by_role("button", name="Add Linen shirt to the basket").click()
    assert page.locator("#basket").inner_text() == "2 × Linen shirt: 99.80"
    page.get_by_role("button", name="Check out").click()
    page.get_by_label("E-mail address").fill("grace@example.com")
    page.get_by_label("Account").fill("demo-42")
    page.get_by_role("button", name="Add to what follows").click()
    page.get_by_label("Properties, as JSON").fill('{"count": 3}')
    page.get_by_role("button", name="Push").click()
    page.get_by_role("button", name="Send a page view").click()
    basket = ["$item_view", "$basket_view", "$basket_view", "$transaction_confirmed"]
    events = visitor.wait_for(["$page_view", "$page_view", *basket, "newsletter_opened", "$page_view"])
    assert events[5]["$properties"]["$items"][0]["$qty"] == 2
    assert events[6]["$properties"]["count"] == 3
    kinds = {one["$type"] for activity in visitor.activities() for one in activity["$user_identifiers"]}
    assert kinds == {"USER_AGENT", "USER_ACCOUNT", "USER_EMAIL"}
    page.get_by_text("0 waiting in the queue, 0 lost").wait_for()
    assert console == []


def test_consent_can_be_refused_and_given_there(visitor: Visitor):
    console = open_demo(visitor)
    page = visitor.page
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Refuse").click()
    page.get_by_role("button", name="Send a page view").click()
    page.get_by_role("button", name="Agree").click()
    page.get_by_role("button", name="Push").click()
    page.locator("#log").get_by_text("200 accepted").wait_for()
    assert page.locator("#log li").count() == 1
    assert visitor.names() == ["$page_view", "newsletter_opened"]
    assert console == []


def test_live_mode_there_opens_no_session(visitor: Visitor):
    open_demo(visitor)
    visitor.page.get_by_role("button", name="Live mode").click()
    with visitor.page.expect_request("**/v1/visits/pixel") as sent:
        visitor.page.get_by_role("button", name="Push").click()
    assert '"$session_status":"LIVE"' in (sent.value.post_data or "")
    visitor.wait_for(["$page_view", "newsletter_opened"])
    assert len(visitor.activities()) == 2


def test_what_is_no_json_is_said_at_the_field(visitor: Visitor):
    console = open_demo(visitor)
    visitor.page.get_by_label("Properties, as JSON").fill("{count: 3}")
    visitor.page.get_by_role("button", name="Push").click()
    message = visitor.page.locator("textarea").evaluate("(field) => field.validationMessage")
    assert message.startswith("This is no JSON")
    assert console == []


def test_it_fits_a_telephone(visitor: Visitor):
    visitor.page.set_viewport_size({"width": 360, "height": 740})
    open_demo(visitor)
    assert visitor.do("return document.documentElement.scrollWidth") <= 360
