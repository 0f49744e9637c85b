"""`?explain=1`: who a request was from, which session it opened or joined, and why something was refused."""

import json
from typing import Any

import pytest

from gateway.collect.plane import Plane
from tests.gateway.engines import SITE, call, memory_collect, plane_of

PATH = "/v1/datamarts/1/user_activities"
PIXEL = f"/v1/visits/pixel?$site_token={SITE}"
CLICK = f"/v1/touches/click?$dat_token={SITE}"
SHOP: dict[str, Any] = {"datamart": [{"id": 1, "channel": [{"id": "1", "domain": "s.test"}]}]}


def with_explain(target: str) -> str:
    return target.replace("?", "?explain=1&", 1)


def visit(user: str = "u1", *names: str, **more: Any) -> dict[str, Any]:
    return {
        "$type": "SITE_VISIT",
        "$session_status": "IN_SESSION",
        "$site_id": "1",
        "$user_agent_id": user,
        "$events": [
            {"$event_name": name, "$properties": {"$url": "https://s.test/?utm_source=news"}}
            for name in names or ("hello",)
        ],
        **more,
    }


async def explain(plane: Plane, body: Any, query: str = "explain=1") -> dict[str, Any]:
    reply = await call(plane, "POST", f"{PATH}?{query}", json.dumps(body).encode(), token=SITE)
    return json.loads(reply.body) | {"http": reply.status}


async def test_it_shows_who_and_what_was_opened_then_joined():
    async with memory_collect(collect__explain=True) as collect:
        plane = plane_of(collect)
        (shown,) = (await explain(plane, visit("u1", "a", "b")))["data"]["items"]
        (session,) = shown["activities"]
        assert (shown["status"], shown["events"], len(shown["user_point_id"])) == ("accepted", 2, 36)
        assert (session["session"], session["status"]) == ("opened", "SESSION_SNAPSHOT")
        assert (session["type"], session["channel"]) == ("SITE_VISIT", "1")
        assert session["events"] == ["a", "b"]
        assert session["origin"]["$source"] == "news"
        assert session["identifiers"] == [{"$type": "USER_AGENT", "$user_agent_id": "u1"}]

        (again,) = (await explain(plane, visit("u1", "c")))["data"]["items"]
        assert again["user_point_id"] == shown["user_point_id"]
        assert again["activities"][0]["session"] == "joined"
        assert again["activities"][0]["events"] == ["a", "b", "c"]


async def test_items_of_one_request_that_open_a_session_together_opened_it():
    async with memory_collect(collect__explain=True) as collect:
        items = (await explain(plane_of(collect), [visit(), visit(), visit("u2")]))["data"]["items"]
        assert [item["activities"][0]["session"] for item in items] == ["opened"] * 3


async def test_it_shows_why_something_was_not_taken_and_what_would_have_been_answered():
    async with memory_collect(collect__explain=True) as collect:
        plane = plane_of(collect)
        data = (await explain(plane, [visit(), visit(**{"$site_id": "nope"})]))["data"]
        assert data["answer"]["status"] == 200
        refused = data["items"][1]
        assert (refused["status"], refused["reason"]["code"]) == ("refused", "unknown_channel")
        assert refused["reason"]["path"] == "$.$site_id"
        assert "user_point_id" not in refused
        data = (await explain(plane, visit(**{"$site_id": "nope"})))["data"]
        assert data["answer"]["status"] == 400
        assert data["items"][0]["reason"]["code"] == "unknown_channel"


async def test_a_refusal_of_the_whole_request_stays_as_it_is():
    async with memory_collect(collect__explain=True) as collect:
        plane = plane_of(collect)
        assert (await call(plane, "POST", f"{PATH}?explain=1", b"{}", token="wrong")).status == 401


@pytest.mark.parametrize(
    ("target", "headers", "status", "reason"),
    [
        (f"{PIXEL}&$uaid=u1", {"dnt": "1"}, 200, {"code": "do_not_track"}),
        (f"{PIXEL}&$consent=false", {}, 200, {"code": "no_user_identifier"}),
        (
            "/v1/visits/pixel?$site_token=nobody&$uaid=u1",
            {},
            200,
            {"code": "unknown_token", "error": "the token is not known here"},
        ),
        (
            "/v1/touches/pixel?$uaid=u1",
            {},
            200,
            {"code": "no_token", "error": "`$site_token` or `$dat_token` is missing", "path": "$dat_token"},
        ),
        (f"{CLICK}&$redirect=https%3A%2F%2Fs.test", {"sec-gpc": "1"}, 302, {"code": "global_privacy_control"}),
    ],
)
async def test_why_nothing_was_taken_is_told_instead_of_an_image_or_a_redirect(
    target: str, headers: dict[str, str], status: int, reason: dict[str, str]
):
    async with memory_collect(collect__explain=True, **SHOP) as collect:
        plane = plane_of(collect)
        plain = await call(plane, "GET", target, headers=headers, token="")
        assert plain.status == status
        reply = await call(plane, "GET", with_explain(target), headers=headers, token="")
        data = json.loads(reply.body)["data"]
        assert (reply.status, data["items"], data["reason"]) == (200, [], reason)
        assert data["answer"] == {"status": status, "headers": dict(plain.headers)}


async def test_a_fault_of_a_pixel_is_told_with_its_place():
    async with memory_collect(collect__explain=True, **SHOP) as collect:
        reply = await call(plane_of(collect), "GET", with_explain(f"{PIXEL}&$uaid=u1&$ts=soon"), token="")
        (item,) = json.loads(reply.body)["data"]["items"]
        assert item["reason"] == {
            "code": "bad_parameter",
            "error": "`$ts` must be milliseconds since 1970",
            "path": "$ts",
        }


async def test_a_click_is_explained_and_not_followed():
    async with memory_collect(collect__explain=True, **SHOP) as collect:
        target = with_explain(f"{CLICK}&$uaid=u1&$redirect=https%3A%2F%2Fs.test")
        reply = await call(plane_of(collect), "GET", target, token="")
        data = json.loads(reply.body)["data"]
        assert (reply.status, data["answer"]["status"]) == (200, 302)
        assert data["answer"]["headers"]["location"] == "https://s.test"
        (item,) = data["items"]
        (activity,) = item["activities"]
        assert (activity["type"], activity["events"], activity["session"]) == ("EMAIL", ["$email_click"], "stored")


async def test_a_link_that_leads_nowhere_says_so_as_ever():
    async with memory_collect(collect__explain=True, **SHOP) as collect:
        target = with_explain(f"{CLICK}&$uaid=u1&$redirect=https%3A%2F%2Fevil.test")
        assert (await call(plane_of(collect), "GET", target, token="")).status == 400


async def test_it_is_a_setting_and_off_by_default():
    async with memory_collect() as collect:
        assert "items" not in (await explain(plane_of(collect), visit()))["data"]
    async with memory_collect(collect__explain=True) as collect:
        plane = plane_of(collect)
        for query in ("", "explain=0", "explain=true", "x=1"):
            assert "items" not in (await explain(plane, visit(), query))["data"]


async def test_it_is_counted_as_the_protocols():
    async with memory_collect(collect__explain=True) as collect:
        await explain(plane_of(collect), visit())
        assert collect.counters.requests == {("user_activities", 200): 1}
