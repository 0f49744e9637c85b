"""Segment's and RudderStack's paths: what is taken, what each fault is answered, and what becomes of it."""

import base64
import gzip
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from engine import CallerError, HotUser, Overloaded, Unavailable
from engine.model.identifiers import account, agent, first_user_point
from gateway.collect.collect import Collect
from gateway.collect.protocols import segment
from gateway.collect.protocols.pixels.gif import PIXEL
from gateway.collect.protocols.segment.replies import refusal
from gateway.collect.reply import Reply
from gateway.collect.unreadable import MAX_KEPT_BYTES
from gateway.errors import RequestError
from tests.gateway.engines import SITE, call, memory_collect, plane_of

TRACK = {"type": "track", "event": "Signed Up", "userId": "u1", "messageId": "m1"}
KEY = {"writeKey": SITE}


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


async def send(
    collect: Collect, path: str, body: Any = b"", *, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    plane = plane_of(collect, segment.routes(collect))
    return await call(plane, method, path, data, token="", headers=headers)


async def activities(collect: Collect, user: str = "", anonymous: str = "") -> list[dict[str, Any]]:
    point = first_user_point(1, account("1", user) if user else agent(anonymous))
    return [json.loads(one) for one in await collect.engine.activities(1, str(point), live=True)]


async def names(collect: Collect, user: str = "", anonymous: str = "") -> list[str]:
    return [one["$event_name"] for shown in await activities(collect, user, anonymous) for one in shown["$events"]]


def letters(collect: Collect) -> list[tuple[str, str, bytes]]:
    return sorted((one.reason, one.stage, one.payload) for one in collect.engine.reader.dead_letters(1))


def header(reply: Reply, name: str) -> str | None:
    return dict(reply.headers).get(name)


# ---- ways in ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/import", "/v1/b"])
async def test_a_batch_is_taken(path: str):
    async with memory_collect() as collect:
        reply = await send(collect, path, {"batch": [TRACK], "sentAt": "2020-11-21T19:21:29Z"}, headers=basic(SITE))
        assert (reply.status, reply.body, header(reply, "x-sojourn-dropped")) == (200, b'{"success":true}', None)
        (shown,) = await activities(collect, "u1")
        assert (shown["$type"], shown["$site_id"]) == ("SITE_VISIT", "1")
        assert [one["$event_name"] for one in shown["$events"]] == ["Signed Up"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *((f"/v1/{kind}", kind) for kind in ("page", "screen", "group", "alias", "merge")),
        ("/v1/track", "Signed Up"),
        ("/v1/identify", "$set_user_profile_properties"),
        *(("/v1/p", "page"), ("/v1/s", "screen"), ("/v1/g", "group"), ("/v1/a", "alias")),
        *(("/v1/t", "Signed Up"), ("/v1/i", "$set_user_profile_properties")),
    ],
)
async def test_each_call_has_its_path(path: str, name: str):
    async with memory_collect() as collect:
        message = {"userId": "u1", "event": "Signed Up", "previousId": "old", **KEY}
        reply = await send(collect, path, message, headers={"content-type": "text/plain"})
        assert (reply.status, reply.body) == (200, b'{"success":true}')
        assert await names(collect, "u1") == [name]


@pytest.mark.parametrize(
    ("headers", "in_body", "query"),
    [
        (basic(SITE), {}, ""),
        ({}, KEY, ""),
        ({"authorization": "Bearer abc"}, KEY, ""),
        ({"authorization": "Basic !!"}, KEY, ""),
        ({}, {}, f"?writeKey={SITE}"),
        (basic(SITE), {"writeKey": "other"}, ""),
    ],
)
async def test_the_key_is_taken_from_wherever_clients_put_it(
    headers: dict[str, str], in_body: dict[str, str], query: str
):
    async with memory_collect() as collect:
        assert (await send(collect, f"/v1/track{query}", {**TRACK, **in_body}, headers=headers)).status == 200
        assert await names(collect, "u1") == ["Signed Up"]


@pytest.mark.parametrize(
    ("headers", "in_body", "code"),
    [
        ({}, {}, "no_write_key"),
        (basic("nobody's"), KEY, "unknown_token"),
        ({}, {"writeKey": "nobody's"}, "unknown_token"),
        ({}, {"writeKey": 5}, "unknown_token"),
        ({"authorization": "Basic !!"}, {}, "no_write_key"),
        ({}, {"writeKey": "of-the-datamart"}, "not_a_channel"),
    ],
)
async def test_a_bad_key_is_401(headers: dict[str, str], in_body: dict[str, Any], code: str):
    datamart = {"id": 1, "token": "of-the-datamart", "channel": [{"id": "1", "token": SITE}]}
    async with memory_collect(datamart=[datamart]) as collect:
        reply = await send(collect, "/v1/track", {**TRACK, **in_body}, headers=headers)
        body = json.loads(reply.body)
        assert (reply.status, body["success"], body["code"]) == (401, False, code)
        assert body["message"]
        assert await names(collect, "u1") == []


async def test_the_body_decides_and_not_what_it_is_called():
    async with memory_collect() as collect:
        packed = gzip.compress(json.dumps({"batch": [TRACK], **KEY}).encode())
        headers = {"content-type": "application/x-www-form-urlencoded", "content-encoding": "gzip"}
        assert (await send(collect, "/v1/batch", packed, headers=headers)).status == 200
        assert await names(collect, "u1") == ["Signed Up"]


async def test_an_application_has_visits_of_its_own():
    channels = [{"id": "1", "token": SITE}, {"id": "9", "kind": "MOBILE_APPLICATION", "token": "app-key"}]
    async with memory_collect(datamart=[{"id": 1, "channel": channels}]) as collect:
        await send(collect, "/v1/track", TRACK, headers=basic("app-key"))
        (shown,) = await activities(collect, "u1")
        assert (shown["$type"], shown["$app_id"]) == ("APP_VISIT", "9")


async def test_an_alias_makes_one_person_of_two():
    async with memory_collect() as collect:
        await send(collect, "/v1/track", {"event": "before", "anonymousId": "a1", **KEY})
        await send(collect, "/v1/track", {"event": "after", "userId": "u1", **KEY})
        await send(collect, "/v1/alias", {"previousId": "a1", "userId": "u1", **KEY})
        assert sorted(await names(collect, anonymous="a1")) == ["after", "alias", "before"]
        assert await names(collect, "u1") == await names(collect, anonymous="a1")


# ---- what is not taken -----------------------------------------------------------------------------------------------


async def test_faults_of_messages_are_dead_letters_and_the_others_are_taken():
    bad = [{"type": "track", "userId": "u1", "messageId": "m2"}, {"type": "track", "event": "x"}, {"type": "page"}, 5]
    large = {**TRACK, "messageId": "m3", "properties": {"pad": "x" * 33_000}}
    reasons = ["missing_event", "no_user_id", "no_user_id"]
    async with memory_collect() as collect:
        reply = await send(collect, "/v1/batch", {"batch": [*bad, TRACK, large], **KEY})
        assert (reply.status, reply.body) == (200, b'{"success":true}')
        assert header(reply, "x-sojourn-dropped") == (
            "bad_message, message_too_large, missing_event, no_user_id;count=2"
        )
        assert await names(collect, "u1") == ["Signed Up"]
        assert letters(collect) == sorted(
            [
                ("bad_message", "segment", b"5"),
                ("message_too_large", "segment", json.dumps(large).encode()),
                *((reason, "segment", json.dumps(one).encode()) for reason, one in zip(reasons, bad, strict=False)),
            ]
        )
        counters = collect.engine.reader.counters()[1]
        assert (counters["events_received"], counters["events_dead.no_user_id"]) == (6, 2)
        assert collect.counters.items["segment", "refused", "no_user_id"] == 2
        assert collect.counters.items["segment", "accepted", ""] == 1


async def test_what_the_engine_refuses_is_a_dead_letter_too():
    ahead = {**TRACK, "timestamp": "2999-01-01T00:00:00Z"}
    async with memory_collect() as collect:
        reply = await send(collect, "/v1/track", {**ahead, **KEY})
        assert (reply.status, header(reply, "x-sojourn-dropped")) == (200, "timestamp_in_future")
        assert [reason for reason, _, _ in letters(collect)] == ["timestamp_in_future"]


async def test_the_same_message_again_is_a_duplicate():
    async with memory_collect() as collect:
        body = {"batch": [TRACK, {"type": "page", "messageId": "m2", "userId": "u1"}, {"messageId": "m3"}], **KEY}
        await send(collect, "/v1/batch", body)
        reply = await send(collect, "/v1/batch", body)
        assert (reply.status, header(reply, "x-sojourn-dropped")) == (200, "duplicate;count=3")
        assert await names(collect, "u1") == ["Signed Up", "page"]
        assert len(letters(collect)) == 1


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/batch", b"", "invalid_json"),
        ("/v1/batch", b"{", "invalid_json"),
        ("/v1/batch", b"[]", "invalid_json"),
        ("/v1/batch", b"\xff\xfe", "invalid_json"),
        ("/v1/batch", b"[" * 100_000, "invalid_json"),
        ("/v1/batch", b'{"writeKey":"%s"}' % SITE.encode(), "no_batch"),
        ("/v1/batch", b'{"batch":{},"writeKey":"%s"}' % SITE.encode(), "no_batch"),
        ("/v1/batch", b'{"batch":[%s1]}' % (b"1," * 10_000), "too_many_messages"),
        ("/v1/batch", b'{"batch":[],"pad":"%s"}' % (b"x" * 512_000), "batch_too_large"),
        ("/v1/track", b"nope", "invalid_json"),
    ],
)
async def test_a_body_that_is_no_request_is_400(path: str, body: bytes, code: str):
    async with memory_collect() as collect:
        reply = await send(collect, path, body, headers=basic(SITE))
        said = json.loads(reply.body)
        assert (reply.status, said["success"], said["code"]) == (400, False, code)
        assert letters(collect) == ([(code, "segment", body[:MAX_KEPT_BYTES])] if body else [])


@pytest.mark.parametrize("headers", [{}, basic("nobody"), basic(SITE) | {"dnt": "1"}, basic(SITE) | {"sec-gpc": "1"}])
async def test_of_who_is_not_known_or_objects_nothing_is_kept(headers: dict[str, str]):
    async with memory_collect() as collect:
        assert (await send(collect, "/v1/batch", b"{broken", headers=headers)).status == 400
        assert letters(collect) == []


async def test_what_cannot_be_read_counts_against_the_rate_of_its_key():
    async with memory_collect(rates__requests_per_s_of_token=0.001, rates__burst_of_token=2) as collect:
        for status in (400, 400, 429):
            assert (await send(collect, "/v1/batch", b"{broken", headers=basic(SITE))).status == status
        assert len(letters(collect)) == 2


async def test_half_an_emoji_in_one_message_costs_neither_it_nor_the_others():
    async with memory_collect() as collect:
        cut = {
            **TRACK,
            "messageId": "m2",
            "event": "cut \ud83d",
            "properties": {"whole": "\U0001f600", "no": r"\ud83d"},
        }
        reply = await send(collect, "/v1/batch", {"batch": [cut, TRACK], **KEY})
        assert (reply.status, header(reply, "x-sojourn-dropped")) == (200, None)
        (shown,) = await activities(collect, "u1")
        assert [one["$event_name"] for one in shown["$events"]] == ["cut \ufffd", "Signed Up"]
        assert shown["$events"][0]["$properties"] == {"whole": "\U0001f600", "no": r"\ud83d"}


async def test_rudder_sends_more_at_once():
    async with memory_collect() as collect:
        message = {**TRACK, "channel": "server", "integrations": {"All": True}}
        body = json.dumps({"batch": [message], "pad": "x" * 600_000}).encode()
        assert (await send(collect, "/v1/batch", body, headers=basic(SITE))).status == 200
        assert collect.counters.items["rudder", "accepted", ""] == 1
        body = json.dumps({"batch": [message], "pad": "x" * 4_096_000}).encode()
        assert (await send(collect, "/v1/batch", body, headers=basic(SITE))).status == 413


async def test_an_empty_batch_is_fine():
    async with memory_collect() as collect:
        reply = await send(collect, "/v1/batch", {"batch": [], **KEY})
        assert (reply.status, reply.body) == (200, b'{"success":true}')


async def test_a_browser_that_objects_is_told_that_all_is_well_and_nothing_is_taken():
    async with memory_collect() as collect:
        reply = await send(collect, "/v1/t", {**TRACK, **KEY}, headers={"dnt": "1"})
        assert (reply.status, header(reply, "x-sojourn-dropped")) == (200, "do_not_track")
        assert await names(collect, "u1") == []
        assert collect.counters.items["segment", "dropped", "do_not_track"] == 1


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Overloaded("busy", retry_after_s=3), 503, "overloaded"),
        (Unavailable("full"), 503, "storage_unavailable"),
        (HotUser("slow down"), 429, "hot_user"),
        (RequestError(429, "too_fast", "slow down", headers={"retry-after": "7"}), 429, "too_fast"),
        (CallerError("no", code="no", path="$.x"), 400, "no"),
        (RuntimeError(), 500, "internal_error"),
    ],
)
def test_a_refusal_is_what_clients_read(error: Exception, status: int, code: str):
    reply = refusal(error)
    said = json.loads(reply.body)
    assert (reply.status, said["success"], said["code"]) == (status, False, code)
    assert isinstance(said["message"], str)
    wait = header(reply, "retry-after")
    assert (wait is not None and wait.isdecimal()) == (status in (429, 503))
    assert header(reply, "x-ratelimit-reset") == (wait if status == 429 else None)


# ---- clocks and places -----------------------------------------------------------------------------------------------


async def test_a_clock_that_is_ahead_is_corrected_for_the_whole_batch():
    async with memory_collect() as collect:
        collect.now_ms = lambda: time_of("2020-11-21T10:00:00Z")
        messages = [
            {**TRACK, "messageId": f"m{second}", "timestamp": f"2020-11-21T12:00:{second:02}Z"} for second in (1, 2)
        ]
        await send(collect, "/v1/batch", {"batch": messages, "sentAt": "2020-11-21T12:00:30.5Z", **KEY})
        (shown,) = await activities(collect, "u1")
        assert [one["$ts"] for one in shown["$events"]] == [
            time_of("2020-11-21T10:00:01Z"),
            time_of("2020-11-21T10:00:02Z"),
        ]


def time_of(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("headers", "message", "address"),
    [
        ({}, {"context": {"ip": "198.51.100.7"}}, "198.51.100.7"),
        ({"origin": "https://a.test"}, {"context": {"ip": "198.51.100.7"}}, "198.51.100.7"),
        ({"origin": "https://a.test"}, {"context": {"ip": "0.0.0.0"}}, None),
        ({"origin": "https://a.test"}, {"context": {"ip": 'x","$site_id":"2'}}, None),
        ({"origin": "https://a.test"}, {}, "192.0.2.7"),
        ({"user-agent": "Mozilla/5.0 (X11)"}, {}, "192.0.2.7"),
        ({}, {"context": {"library": {"name": "analytics-ios"}}}, "192.0.2.7"),
        ({}, {"channel": "mobile"}, "192.0.2.7"),
        ({}, {"context": {"library": {"name": "analytics-python"}}}, None),
        ({}, {"context": {"library": {"name": "@segment/analytics-node"}}}, None),
    ],
)
async def test_a_place_is_the_visitors_and_never_a_servers(
    headers: dict[str, str], message: dict[str, Any], address: str | None
):
    async with memory_collect(visitors__store_client_address=True) as collect:
        await send(collect, "/v1/track", {**TRACK, **message, **KEY}, headers=headers)
        (shown,) = await activities(collect, "u1")
        assert shown.get("client_address") == address


# ---- the browser library, and RudderStack's addresses ----------------------------------------------------------------


async def test_the_browser_library_gets_the_settings_that_make_it_run():
    async with memory_collect() as collect:
        path = f"/v1/projects/{SITE}/settings"
        reply = await send(collect, path, method="GET", headers={"host": "stats.shop.test:8443"})
        ours = json.loads(reply.body)["integrations"]["Segment.io"]
        assert (ours["apiKey"], ours["apiHost"], ours["protocol"]) == (SITE, "stats.shop.test:8443/v1", "http")
        # A cache that was asked without an origin first must not give that answer to a page.
        assert (header(reply, "cache-control"), header(reply, "vary")) == ("public, max-age=120", "origin")

        assert (await send(collect, "/v1/projects/nobody/settings", method="GET")).status == 404
        for host in ("", 'evil"', "a b", "a/b"):
            assert (await send(collect, path, method="GET", headers={"host": host})).status == 400


async def test_a_beacon_has_its_key_in_its_address():
    async with memory_collect() as collect:
        body = {"batch": [{**TRACK, "channel": "web"}]}
        reply = await send(collect, f"/beacon/v1/batch?writeKey={SITE}", body, headers={"content-type": "text/plain"})
        assert (reply.status, reply.body) == (200, b"OK")
        assert await names(collect, "u1") == ["Signed Up"]
        reply = await send(collect, "/beacon/v1/batch?writeKey=nobody", body)
        assert (reply.status, header(reply, "content-type")) == (401, "text/plain; charset=utf-8")


async def test_a_pixel_is_an_image_whatever_becomes_of_it():
    async with memory_collect() as collect:
        query = f"writeKey={SITE}&anonymousId=a1&event=Ad+Seen&properties.slot=top"
        reply = await send(collect, f"/pixel/v1/track?{query}", method="GET")
        assert (reply.status, reply.body, header(reply, "x-sojourn-dropped")) == (200, PIXEL, None)
        await send(collect, f"/pixel/v1/page?writeKey={SITE}&anonymousId=a1&name=", method="GET")
        (shown,) = await activities(collect, anonymous="a1")
        ad, page = shown["$events"]
        assert (ad["$event_name"], ad["$properties"]) == ("Ad Seen", {"slot": "top"})
        assert (page["$event_name"], page["$properties"]) == ("page", {"name": "Unknown Page"})
        assert ad["channel"] == "web"

        for query, reason in (("anonymousId=a1&event=x", "no_write_key"), (f"writeKey={SITE}&event=x", "no_user_id")):
            reply = await send(collect, f"/pixel/v1/track?{query}", method="GET")
            assert (reply.status, reply.body, header(reply, "x-sojourn-dropped")) == (200, PIXEL, reason)


async def test_addresses_of_rudders_server():
    async with memory_collect() as collect:
        assert (await send(collect, "/health", method="GET")).status == 200
        assert json.loads((await send(collect, "/version", method="GET")).body)["version"]
        assert (await send(collect, "/robots.txt", method="GET")).body.startswith(b"User-agent: *")
        for path in ("/v1/webhook", "/v1/audiencelist"):
            reply = await send(collect, path, {})
            assert (reply.status, header(reply, "content-type")) == (404, "text/plain; charset=utf-8")
            assert b"not supported" in reply.body
