"""`POST /:trackerKey`: what each body and key is answered, what is kept, and whose paths it does not take."""

import hashlib
import json
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import DeadLetter, Overloaded, Selector
from gateway.collect.collect import Collect
from gateway.collect.plane import Plane
from gateway.collect.protocols.xo.routes import MAX_ACTIVITIES, refusal
from gateway.collect.reply import Reply
from gateway.errors import RequestError
from tests.gateway.engines import call, memory_collect, plane_of

KEY = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
APP_KEY = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
CHANNELS = [
    {"id": "1", "tracker_key": KEY, "domain": "shop.test"},
    {"id": "2", "kind": "MOBILE_APPLICATION", "tracker_key": APP_KEY},
]
DECLARED = {"datamart": [{"id": 1, "default_compartment": "crm", "channel": CHANNELS}]}
PAGE = {"origin": "https://shop.test"}


def activity(**more: Any) -> dict[str, Any]:
    return {"action": "view", "target": {"product": "p1"}, "user": {"identities": {"sessionid": "s1"}}, **more}


BAD = activity(user={"identities": {}})
LATE = activity(timestamp="2999-01-01T00:00:00Z")


async def post(plane: Plane, body: Any, key: str = KEY, **options: Any) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await call(plane, "POST", f"/{key}", data, token="", **options)


async def dead_letters(collect: Collect) -> list[DeadLetter]:
    return await trio.to_thread.run_sync(collect.engine.reader.dead_letters, 1)


async def stored(collect: Collect, selector: str = "user_agent_id=s1") -> list[dict[str, Any]]:
    """Activities of a person; what is open is closed first."""
    await collect.engine.close_sessions()
    find = collect.engine.reader.find_user_point
    point = await trio.to_thread.run_sync(find, 1, Selector.parse(selector))
    assert point is not None
    return [json.loads(one) for one in await collect.engine.activities(1, point, live=True)]


def said(reply: Reply) -> Any:
    return json.loads(reply.body)


@pytest.mark.parametrize("body", [activity(), [activity()], [activity(), activity(action="click")], []])
async def test_what_is_taken_is_answered_as_documented(body: Any):
    async with memory_collect(**DECLARED) as collect:
        reply = await post(plane_of(collect), body)
        assert (reply.status, reply.body) == (200, b'{"profiles":{}}')
        assert dict(reply.headers) == {"content-type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("key", "status", "body"),
    [
        (KEY[:-1] + "8", 401, {"error": "Unauthorized", "message": "Unknown tracker key"}),
        (KEY.replace("-", "")[:-1] + "8", 401, {"error": "Unauthorized", "message": "Unknown tracker key"}),
        ("key", 422, {"error": "Unprocessable Entity", "message": "Tracker key not valid"}),
        (KEY[:-1], 422, {"error": "Unprocessable Entity", "message": "Tracker key not valid"}),
        ("%00", 422, {"error": "Unprocessable Entity", "message": "Tracker key not valid"}),
        ("favicon.ico", 422, {"error": "Unprocessable Entity", "message": "Tracker key not valid"}),
        (KEY.upper(), 200, {"profiles": {}}),
        (KEY.replace("-", ""), 200, {"profiles": {}}),
    ],
)
async def test_who_may_send(key: str, status: int, body: dict[str, Any]):
    async with memory_collect(**DECLARED) as collect:
        reply = await post(plane_of(collect), activity(), key)
        assert (reply.status, said(reply)) == (status, body)


async def test_it_takes_nobody_elses_path():
    async with memory_collect(**DECLARED) as collect:
        plane = plane_of(collect)
        asked = {
            ("GET", "/favicon.ico"): 404,
            ("GET", f"/{KEY}"): 404,
            ("PUT", f"/{KEY}"): 404,
            ("GET", "/"): 404,
            ("POST", "/"): 404,
            ("POST", f"/{KEY}/"): 404,
            ("POST", f"/x/{KEY}"): 404,
            ("POST", "/tag.js"): 405,
            ("GET", "/v1/datamarts/1/user_activities"): 405,
            ("POST", "/health/live"): 405,
        }
        found = {(method, path): (await call(plane, method, path, token="")).status for method, path in asked}
        assert found == asked


async def test_a_page_may_send_and_read():
    async with memory_collect(**DECLARED) as collect:
        plane = plane_of(collect)
        asked = {
            **PAGE,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-sdk",
        }
        reply = await call(plane, "OPTIONS", f"/{KEY}", headers=asked, token="")
        headers = dict(reply.headers)
        assert (reply.status, headers["access-control-allow-origin"]) == (204, "https://shop.test")
        assert headers["access-control-allow-headers"] == "content-type,x-sdk"
        for key in (KEY, "nonsense"):
            headers = dict((await post(plane, activity(), key, headers=PAGE)).headers)
            assert headers["access-control-allow-origin"] == "https://shop.test"


async def test_activities_of_a_visitor_are_one_session_of_the_channel():
    person = {"identities": {"sessionid": "s1", "ecommerceId": "42", "email": " Ada@Example.org"}, "segments": ["vip"]}
    bought = {"price": 3250, "quantity": 1, "currency": "EUR", "orderId": "o1"}
    sent = [
        activity(timestamp="2020-01-01T10:00:00Z", sourceId="r1"),
        activity(action="add-to-cart", timestamp="2020-01-01T10:01:00Z", segments=["mobile"]),
        activity(action="purchase", user=person, metadata=bought, timestamp="2020-01-01T10:02:00Z"),
        activity(action="purchase", target={"product": "p2"}, user=person, timestamp="2020-01-01T10:02:00Z"),
    ]
    async with memory_collect(**DECLARED) as collect:
        assert (await post(plane_of(collect), sent)).status == 200
        (one,) = await stored(collect)
        assert (one["$type"], one["$session_status"], one["$site_id"]) == ("SITE_VISIT", "CLOSED_SESSION", "1")
        assert (one["$ts"], one["$session_duration"]) == (1577872800000, 120)
        assert [each["$event_name"] for each in one["$events"]] == [
            *("$item_view", "add-to-cart", "$transaction_confirmed", "$transaction_confirmed")
        ]
        digest = hashlib.sha256(b"ada@example.org").hexdigest()
        assert {json.dumps(each, sort_keys=True) for each in one["$user_identifiers"]} == {
            json.dumps(each, sort_keys=True)
            for each in (
                {"$type": "USER_AGENT", "$user_agent_id": "s1"},
                {"$type": "USER_ACCOUNT", "$user_account_id": "42", "$compartment_id": "crm"},
                {"$type": "USER_EMAIL", "$hash": digest, "$email": " Ada@Example.org"},
            )
        }
        properties = one["$events"][2]["$properties"]
        assert properties["$items"] == [{"$id": "p1", "$price": 32.5, "$qty": 1}]
        assert (properties["metadata"], properties["user"]) == (bought, person)
        assert one["$events"][1]["$properties"]["segments"] == ["mobile"]


async def test_the_app_of_a_key_is_an_app():
    async with memory_collect(**DECLARED) as collect:
        await post(plane_of(collect), activity(), APP_KEY)
        (one,) = await stored(collect)
        assert (one["$type"], one["$app_id"]) == ("APP_VISIT", "2")


@pytest.mark.parametrize(
    ("body", "message", "path"),
    [
        (b"", "the body is empty", "$"),
        (b" \n", "the body is empty", "$"),
        (b"{", None, "$"),
        (b"[{}", None, "$"),
        (b'"x"', None, "$"),
        (b"[" * 10_000, None, "$"),
        ({}, "Object missing required field `action`", "$"),
        ([{}], "Object missing required field `action`", "$[0]"),
        (activity(target=1), "Expected `object`, got `int`", "$.target"),
        ([BAD, LATE], "no identity names anybody", "$[0].user.identities"),
        (LATE, None, "$.timestamp"),
        ([LATE], None, "$[0].timestamp"),
        (activity(user={"identities": {"sessionid": "x" * 600}}), None, "$.user.identities"),
        (activity(padding="x" * 9000), None, "$"),
        ([activity(padding="x" * 9000)], None, "$[0]"),
        ([activity()] * (MAX_ACTIVITIES + 1), None, "$"),
    ],
)
async def test_a_body_of_which_nothing_can_be_taken_is_told_why(body: Any, message: str | None, path: str):
    async with memory_collect(**DECLARED) as collect:
        reply = await post(plane_of(collect), body)
        answer = said(reply)
        assert (reply.status, answer["error"], answer["path"]) == (400, "Bad Request", path)
        assert answer.keys() == {"error", "message", "path"}
        assert message is None or answer["message"] == message


async def test_of_several_the_good_are_taken_and_the_bad_are_kept():
    async with memory_collect(**DECLARED) as collect:
        reply = await post(plane_of(collect), [BAD, activity(), LATE, 1, BAD])
        assert (reply.status, said(reply)) == (200, {"profiles": {}})
        reasons = "no_user_identifier, timestamp_in_future, bad_field"
        assert dict(reply.headers)["x-sojourn-dropped"] == reasons
        letters = {(one.reason, one.detail.rpartition("(at ")[2], one.payload) for one in await dead_letters(collect)}
        assert letters == {
            ("no_user_identifier", "$[0].user.identities)", json.dumps(BAD).encode()),
            ("timestamp_in_future", "$.$events[0].$ts)", json.dumps(LATE).encode()),
            ("bad_field", "$[3])", b"1"),
            ("no_user_identifier", "$[4].user.identities)", json.dumps(BAD).encode()),
        }
        counts = await trio.to_thread.run_sync(collect.engine.reader.statistics)
        assert (counts["events_received"], counts["events_dead"]) == (5, 4)
        (one,) = await stored(collect)
        assert len(one["$events"]) == 1


async def test_what_none_of_can_be_taken_is_kept_too():
    async with memory_collect(**DECLARED) as collect:
        await post(plane_of(collect), BAD)
        (letter,) = await dead_letters(collect)
        assert (letter.stage, letter.reason, letter.payload) == ("xo", "no_user_identifier", json.dumps(BAD).encode())


async def test_an_array_that_cannot_be_read_is_refused_and_kept():
    async with memory_collect(**DECLARED) as collect:
        plane = plane_of(collect)
        assert (await post(plane, b"[{},")).status == 400
        assert (await post(plane, b"[{},", headers={"dnt": "1"})).status == 400
        assert (await post(plane, b"")).status == 400
        (letter,) = await dead_letters(collect)
        assert (letter.stage, letter.reason, letter.payload) == ("xo", "bad_json", b"[{},")
        assert letter.detail
        assert collect.counters.items["xo", "refused", "bad_json"] == 1


async def test_half_an_emoji_in_one_activity_costs_neither_it_nor_the_others():
    async with memory_collect(**DECLARED) as collect:
        reply = await post(plane_of(collect), [activity(metadata={"name": "cut \ud83d"}), activity()])
        assert (reply.status, said(reply)) == (200, {"profiles": {}})
        (one,) = await stored(collect)
        assert [event["$properties"].get("metadata") for event in one["$events"]] == [{"name": "cut \ufffd"}, None]


async def test_a_key_makes_a_retry_a_duplicate():
    async with memory_collect(**DECLARED) as collect:
        plane = plane_of(collect)
        for _ in range(2):
            assert (await post(plane, [activity(), BAD], headers={"idempotency-key": "k"})).status == 200
        assert (await post(plane, [activity()], headers={"idempotency-key": "k"})).status == 422
        assert (await post(plane, [activity()], headers={"idempotency-key": "k" * 300})).status == 400
        (one,) = await stored(collect)
        assert len(one["$events"]) == 1
        assert len(await dead_letters(collect)) == 1


async def test_without_a_key_it_is_sent_twice():
    async with memory_collect(**DECLARED) as collect:
        plane = plane_of(collect)
        for _ in range(2):
            await post(plane, activity())
        (one,) = await stored(collect)
        assert len(one["$events"]) == 2


@pytest.mark.parametrize("header", ["dnt", "sec-gpc"])
async def test_who_does_not_want_to_be_tracked_is_not(header: str):
    async with memory_collect(**DECLARED) as collect:
        reply = await post(plane_of(collect), [activity(), activity()], headers={**PAGE, header: "1"})
        assert (reply.status, said(reply)) == (200, {"profiles": {}})
        reason = dict(reply.headers)["x-sojourn-dropped"]
        assert collect.counters.items == {("xo", "dropped", reason): 2}


@pytest.mark.parametrize(
    ("key", "headers", "is_located"), [(KEY, PAGE, True), (KEY, {}, False), (APP_KEY, {}, True), (APP_KEY, PAGE, True)]
)
async def test_where_a_device_is_but_not_where_a_server_is(key: str, headers: dict[str, str], is_located: bool):
    async with memory_collect(**DECLARED) as whole:
        collect = Collect(
            whole.engine, whole.settings, locate=lambda address: b'{"$source":"IP","$city":"%s"}' % address.encode()
        )
        await post(plane_of(collect), activity(), key, headers=headers, client="192.0.2.9")
        (one,) = await stored(collect)
        location = one["$location"]
        assert (location["$city"] if location else None) == ("192.0.2.9" if is_located else None)


async def test_a_key_has_the_rate_of_a_token():
    limits = {"rates__requests_per_s_of_token": 0.001, "rates__burst_of_token": 1}
    async with memory_collect(**DECLARED, **limits) as collect:
        plane = plane_of(collect)
        assert (await post(plane, activity())).status == 200
        reply = await post(plane, activity())
        assert (reply.status, said(reply)["error"]) == (429, "Too Many Requests")
        assert int(dict(reply.headers)["retry-after"]) >= 1
        assert (await post(plane, activity(), APP_KEY)).status == 200


@pytest.mark.parametrize(
    ("error", "status", "phrase"),
    [
        (RequestError(429, "too_many", "slow down"), 429, "Too Many Requests"),
        (Overloaded("busy"), 503, "Service Unavailable"),
        (RequestError(422, "x", "no"), 422, "Unprocessable Entity"),
        (RuntimeError("secret"), 500, "Internal Server Error"),
    ],
)
def test_a_refusal_has_xos_form(error: Exception, status: int, phrase: str):
    reply = refusal(error)
    answer = said(reply)
    assert (reply.status, answer["error"]) == (status, phrase)
    assert "secret" not in answer["message"]
    assert ("error_id" in answer) is (status >= 500)
    assert ("retry-after" in dict(reply.headers)) is (status == 503)


async def test_it_explains():
    async with memory_collect(**DECLARED, collect__explain=True) as collect:
        reply = await call(
            plane_of(collect), "POST", f"/{KEY}?explain=1", json.dumps([activity(), BAD]).encode(), token=""
        )
        good, bad = said(reply)["data"]["items"]
        assert good["activities"][0]["events"] == ["$item_view"]
        assert bad["reason"] == {
            "code": "no_user_identifier",
            "error": "no identity names anybody",
            "path": "$[1].user.identities",
        }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["sessionid", "x"]), inner, max_size=2),
    max_leaves=6,
)
ODD = st.dictionaries(
    st.sampled_from(["action", "target", "user", "metadata", "timestamp", "opposite", "sourceId", "$items"]),
    VALUES | st.just({"identities": {"sessionid": "s"}}),
    max_size=4,
).map(lambda odd: activity() | odd)
BODIES = (VALUES | ODD | st.lists(ODD | VALUES, max_size=4)).map(lambda one: json.dumps(one).encode()) | st.binary()


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(BODIES, min_size=1, max_size=6))
async def test_any_body_is_taken_or_told_why(bodies: list[bytes]):
    async with memory_collect(**DECLARED) as collect:
        plane = plane_of(collect)
        for body in bodies:
            reply = await post(plane, body)
            assert reply.status == 200 or (reply.status == 400 and said(reply)["path"].startswith("$")), reply
