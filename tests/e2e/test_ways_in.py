"""A phone, a mail, a Segment client and an XO client: each ends as activities of its type, its origin and its user.

A page with the website tag in a real browser is in `tests/browser`.
"""

import hashlib
import hmac
import json
import time
from pathlib import Path

import httpx
import pytest
from segment.analytics.client import Client

from tests.e2e.server import SITE, Server, serving

KEY, SECRET = "phone", "a secret that only the application has"
TRACKER = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
DATAMART = "datamart-token-of-these-tests"
SETTINGS = f"""
[[datamart]]
id = 1
token = "{DATAMART}"
redirect_hosts = ["shop.example"]

[[datamart.channel]]
id = "1"
domain = "shop.example"
tracker_key = "{TRACKER}"

[[datamart.channel]]
id = "7"
kind = "MOBILE_APPLICATION"

[[datamart.signing_key]]
id = "{KEY}"
secret = "{SECRET}"
channel = "app:7"
"""


def shown(server: Server, selector: str) -> list[dict]:
    """What the API shows of a person, the newest first, open sessions among it."""
    answer = server.get(f"user_timelines/{selector}/user_activities", live="true")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def send_signed(server: Server, activity: dict) -> httpx.Response:
    uri, body, ts = "datamarts/1/user_activities", json.dumps(activity).encode(), str(time.time_ns() // 1_000_000)
    mac = hmac.new(SECRET.encode(), f"{uri}\n{KEY}\n{ts}\n".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Mics-Key-Id": KEY, "X-Mics-Ts": ts, "X-Mics-Mac": mac}
    return httpx.post(f"{server.collect}/v1/{uri}", content=body, headers=headers)


@pytest.mark.slow
def test_each_way_in_ends_as_an_activity_of_its_type_origin_and_user(tmp_path: Path):
    config = tmp_path / "sojourn.toml"
    config.write_text(SETTINGS)
    with serving(tmp_path / "data", "--config", str(config)) as server:
        # A phone.
        opened = {"$event_name": "$app_open", "$properties": {"$app_version": "2.1"}}
        visit = {
            "$type": "APP_VISIT",
            "$session_status": "CLOSED_SESSION",
            "$app_id": "7",
            "$user_agent_id": "vec:phone",
        }
        assert send_signed(server, visit | {"$events": [opened]}).status_code == 200
        # A mail: opened, then clicked.
        mail = {"$dat_token": DATAMART, "$email_hash": "9f86d081", "$catn": "SPRING", "$channel": "email"}
        with httpx.Client(base_url=server.collect) as browser:
            pixel = browser.get("/v1/touches/pixel", params={"$ev": "$email_view", **mail})
            assert (pixel.status_code, pixel.headers["content-type"]) == (200, "image/gif")
            target = "https://shop.example/spring"
            click = browser.get("/v1/touches/click", params={"$ev": "$email_click", **mail, "$redirect": target})
            assert (click.status_code, click.headers["location"]) == (302, target)
        # A server with Segment's client.
        client = Client(SITE, host=server.collect, sync_mode=True)
        context = {"campaign": {"name": "spring", "source": "letter", "medium": "email"}}
        client.track("ann", "Order Completed", {"revenue": 12.5}, context=context)
        # A shop with Crownpeak XO.
        activity = {"action": "view", "target": {"product": "p1"}, "user": {"identities": {"sessionid": "xo-session"}}}
        assert httpx.post(f"{server.collect}/{TRACKER}", json=[activity]).json() == {"profiles": {}}

        _until(lambda: [one["$type"] for one in shown(server, "user_agent_id=vec:phone")] == ["APP_VISIT"])
        (phone,) = shown(server, "user_agent_id=vec:phone")
        assert (phone["$app_id"], phone["$session_status"]) == ("7", "CLOSED_SESSION")
        assert [one["$event_name"] for one in phone["$events"]] == ["$app_open", "$app_install"]

        _until(lambda: len(shown(server, "email_hash=9f86d081")) == 2)
        mails = shown(server, "email_hash=9f86d081")
        assert sorted(one["$events"][0]["$event_name"] for one in mails) == ["$email_click", "$email_view"]
        for one in mails:
            assert (one["$type"], one["$session_status"]) == ("EMAIL", "NO_SESSION")
            assert one["$origin"]["$campaign_technical_name"] == "SPRING"
            assert one["$origin"]["$channel"] == "email"

        (order,) = shown(server, "compartment_id=1,user_account_id=ann")
        assert (order["$type"], order["$site_id"], order["$session_status"]) == ("SITE_VISIT", "1", "SESSION_SNAPSHOT")
        assert order["$events"][0]["$event_name"] == "$transaction_confirmed"
        assert (order["$origin"]["$source"], order["$origin"]["$campaign_name"]) == ("letter", "spring")

        (view,) = shown(server, "user_agent_id=xo-session")
        assert (view["$type"], view["$site_id"], view["$origin"]) == ("SITE_VISIT", "1", None)
        assert view["$events"][0]["$event_name"] == "$item_view"
        assert server.stop() == 0


def _until(holds, seconds: float = 10.0) -> None:
    """Wait for what is on its way through the chain."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
