"""Beacons: every form of a body, an answer for each event, and what of a request is one."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import Overloaded, Selector
from gateway.collect.protocols.pixels.beacons import MAX_EVENTS
from gateway.collect.unreadable import MAX_KEPT_BYTES
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
    header,
    with_cookie,
    world,
)

U = "user_agent_id=u"


def envelope(*events: Any, **more: Any) -> dict[str, Any]:
    return {"$site_token": SITE, **{f"${name}": value for name, value in more.items()}, "$events": list(events)}


def statuses(answer: Any) -> list[str]:
    assert answer["status"] == "ok"
    return [one["status"] for one in answer["results"]]


async def test_an_envelope_is_answered_event_by_event():
    async with world() as here:
        events = [
            {"$ev": "a", "$event_id": "1", "$uaid": "u"},
            {"$ev": "b", "$ts": "soon", "$uaid": "u"},
            {"$ev": "c", "$event_id": "1", "$uaid": "u"},
            7,
            {"$ev": "d", "$uaid": "u", "$ts": here.collect.now_ms() + 7_200_000},
            {"$ev": "e", "$uaid": "u", "n": [1, {"x": None}]},
        ]
        answer = await here.post(VISITS, envelope(*events))
        assert statuses(answer) == ["accepted", "refused", "duplicate", "refused", "refused", "accepted"]
        assert [(one.get("error_code"), one.get("path")) for one in answer["results"]] == [
            (None, None),
            ("bad_parameter", "$.$events[1].$ts"),
            (None, None),
            ("bad_field", "$.$events[3]"),
            ("timestamp_in_future", "$.$events[4].$ts"),
            (None, None),
        ]
        activity = await here.activity(U)
        assert [one["$event_name"] for one in activity["$events"]] == ["a", "e"]
        assert activity["$events"][1]["$properties"] == {"n": [1, {"x": None}]}
        assert sorted((one.reason, one.stage, json.loads(one.payload)) for one in here.dead_letters()) == sorted(
            [
                ("bad_parameter", "visits_pixel", events[1]),
                ("bad_field", "visits_pixel", events[3]),
                ("timestamp_in_future", "visits_pixel", events[4]),
            ],
            key=str,
        )


async def test_a_dead_letter_says_what_is_wrong_and_where():
    async with world() as here:
        await here.post(VISITS, envelope({"$ev": "a", "$uaid": "u", "$ts": "soon"}, 7))
        assert sorted(one.detail for one in here.dead_letters()) == [
            "`$ts` must be milliseconds since 1970 (at $.$events[0].$ts)",
            "must be an object (at $.$events[1])",
        ]


async def test_what_events_share_may_stand_in_the_envelope_or_the_query_and_the_innermost_wins():
    async with world() as here:
        body = {"$uaid": "envelope", "color": "red", "$events": [{"$ev": "a"}, {"$ev": "b", "$uaid": "event"}]}
        target = f"{VISITS}?%24site_token={SITE}&%24uaid=query&size=9"
        assert statuses(await here.post(target, body)) == ["accepted", "accepted"]
        assert (await here.event("user_agent_id=envelope"))["$properties"] == {"size": "9", "color": "red"}
        assert (await here.event("user_agent_id=event"))["$event_name"] == "b"
        assert await here.activities("user_agent_id=query") == []


async def test_one_object_is_one_event():
    async with world() as here:
        answer = await here.post(VISITS, {"$site_token": SITE, "$ev": "a", "$uaid": "u", "k": 1})
        assert answer == {"status": "ok", "results": [{"status": "accepted"}]}
        assert (await here.event(U))["$properties"] == {"k": 1}


async def test_an_array_has_its_token_in_the_query_or_in_each():
    async with world() as here:
        events = [{"$ev": "a", "$uaid": "u"}, {"$ev": "b", "$uaid": "u"}]
        assert statuses(await here.post(f"{TOUCHES}?$dat_token={MART}", events)) == ["accepted", "accepted"]
        assert statuses(await here.post(TOUCHES, [one | {"$dat_token": MART} for one in events])) == ["accepted"] * 2
        assert len(await here.activities(U)) == 4


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_form_is_what_stands_behind_the_image(content_type):
    async with world() as here:
        body = f"%24site_token={SITE}&$ev=a&$uaid=u&$items=jso-%5B1%5D&plus=a+b".encode()
        reply = await here.beacon(VISITS, body, headers={"content-type": content_type})
        assert json.loads(reply.body)["results"] == [{"status": "accepted"}]
        assert (await here.event(U))["$properties"] == {"$items": [1], "plus": "a b"}


async def test_without_a_body_the_query_is_the_event():
    async with world() as here:
        reply = await here.beacon(f"{VISITS}?$site_token={SITE}&$ev=a&$uaid=u", b"")
        assert json.loads(reply.body)["results"] == [{"status": "accepted"}]


async def test_in_json_a_text_is_a_text_but_for_what_has_to_be_a_structure():
    async with world() as here:
        uids = 'jso-[{"$tpe":"UA","$uaid":"u"}]'
        await here.post(VISITS, envelope({"$ev": "a", "note": "jso-[1]", "$uids": uids}))
        assert (await here.event(U))["$properties"] == {"note": "jso-[1]"}


async def test_identifiers_in_json():
    async with world() as here:
        listed = [
            {"$type": "USER_ACCOUNT", "$user_account_id": "42"},
            {"$tpe": "EM", "$eh": "AB"},
        ]
        await here.post(VISITS, envelope({"$ev": "a"}, user_identifiers=listed), headers=with_cookie())
        activity = await here.activity(f"user_agent_id=vec:{VISITOR}")
        assert activity["$user_identifiers"] == [
            {"$type": "USER_ACCOUNT", "$compartment_id": "main", "$user_account_id": "42"},
            {"$type": "USER_EMAIL", "$hash": "ab"},
            {"$type": "USER_AGENT", "$user_agent_id": f"vec:{VISITOR}"},
        ]
        await here.post(VISITS, envelope({"$ev": "b", "$cuid": 7, "$comp_token": COMPARTMENT, "$email_hash": None}))
        assert await here.activities("compartment_id=77,user_account_id=7")
        answer = await here.post(VISITS, envelope({"$ev": "b", "$cuid": {"no": 1}}))
        assert answer["results"][0]["path"] == "$.$events[0].$cuid"
        answer = await here.post(VISITS, envelope({"$ev": "b", "$uids": [{"$tpe": "EM", "$eh": []}]}))
        assert answer["results"][0]["path"] == "$.$events[0].$uids[0].$eh"


async def test_the_same_bytes_come_back():
    async with world() as here:
        body = f'{{"$site_token":"{SITE}","$events":[{{"$uaid":"u","x":1.10,"y":{{"b":1,"a":1e2}}}}]}}'
        await here.beacon(VISITS, body.encode())
        engine = here.collect.engine
        user_point = engine.reader.resolve(1, _point(here))
        (shown,) = await engine.activities(1, str(user_point), live=True)
        assert b'"$properties":{"x":1.10,"y":{"b":1,"a":1e2}}' in shown


def _point(here: Any) -> str:
    found = here.collect.engine.reader.find_user_point(1, Selector.parse(U))
    assert found is not None
    return str(found)


async def test_one_browser_is_one_visitor_for_all_its_events():
    async with world() as here:
        reply = await here.beacon(VISITS, envelope({"$ev": "a"}, {"$ev": "b"}), secure=True)
        assert [
            one["$event_name"] for one in (await here.activity(f"user_agent_id=vec:{cookie(reply)}"))["$events"]
        ] == [
            "a",
            "b",
        ]


async def test_all_events_of_a_request_are_one_step_of_the_engine(monkeypatch):
    async with world() as here:
        calls: list[int] = []
        accept = here.collect.engine.accept

        def counted(items: Any, **more: Any) -> Any:
            calls.append(len(items))
            return accept(items, **more)

        monkeypatch.setattr(here.collect.engine, "accept", counted)
        await here.post(VISITS, envelope(*[{"$ev": "a", "$uaid": f"u{n}"} for n in range(20)]))
        assert calls == [20]


async def test_a_live_visit_and_a_live_touch():
    async with world() as here:
        await here.post(VISITS, envelope({"$ev": "a", "$uaid": "u"}, session_status="LIVE"))
        assert len(await here.activities(U)) == 1
        answer = await here.post(TOUCHES, envelope({"$ev": "a", "$uaid": "t"}, session_status="LIVE"))
        assert statuses(answer) == ["refused"]


async def test_an_application_may_send_beacons_too():
    async with world() as here:
        await here.post(VISITS, {"$site_token": APP, "$ev": "$app_open", "$uaid": "u"})
        assert (await here.activity(U))["$type"] == "APP_VISIT"


# --- clocks ------------------------------------------------------------------------------------------------------


async def test_a_clock_that_is_ahead_is_set_back_for_all_events():
    async with world() as here:
        now_ms = here.collect.now_ms()
        here.collect.now_ms = lambda: now_ms + 40  # The way of the request.
        ahead_ms = 3 * 3_600_000
        events = [{"$ev": "a", "$uaid": "u", "$ts": now_ms + ahead_ms - 5000}, {"$ev": "b", "$uaid": "u"}]
        events.append({"$ev": "c", "$uaid": "u", "$ts": now_ms + ahead_ms - 1000})
        answer = await here.post(VISITS, envelope(*events, sent_at=now_ms + ahead_ms))
        assert statuses(answer) == ["accepted"] * 3
        times = {one["$event_name"]: one["$ts"] for one in (await here.activity(U))["$events"]}
        assert (times["a"], times["c"]) == (now_ms - 5000, now_ms - 1000)


async def test_a_batch_that_has_waited_is_left_as_it_is():
    async with world() as here:
        now_ms = here.collect.now_ms()
        event = {"$ev": "a", "$uaid": "u", "$ts": now_ms - 90_000_000}
        await here.post(VISITS, envelope(event, sent_at=now_ms - 80_000_000))
        assert (await here.event(U))["$ts"] == now_ms - 90_000_000


async def test_a_time_of_sending_that_is_none_is_a_fault_of_the_events():
    async with world() as here:
        answer = await here.post(VISITS, envelope({"$ev": "a", "$uaid": "u"}, sent_at="now"))
        assert statuses(answer) == ["refused"]


# --- what is refused as a whole ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code", "path"),
    [
        (b"", 400, "empty_body", None),
        (b" \r\n", 400, "empty_body", None),
        (b"{", 400, "bad_json", "$"),
        (b"[1,]", 400, "bad_json", "$"),
        (b'{"$events":{}}', 400, "bad_field", "$.$events"),
        (b'{"$events":[]}', 400, "no_events", "$.$events"),
        (b"[]", 400, "no_events", "$"),
        (b'{"a":"\xff"}', 400, "not_utf8", None),
        (b"\xff", 400, "not_utf8", None),
        (b"{}", 401, "no_token", "$site_token"),
        (b'{"$site_token":"x"}', 401, "unknown_token", None),
        (b'{"$site_token":["x"]}', 400, "bad_parameter", "$site_token"),
        (b'[{"$site_token":"a"},{"$site_token":"b"}]', 400, "several_tokens", "$site_token"),
        (b"[" * 5000, 400, "bad_json", "$"),
        (b"[" + b",".join([b"{}"] * (MAX_EVENTS + 1)) + b"]", 400, "too_many_items", "$"),
        (
            json.dumps({"x": "y" * 5000, "$events": [{}] * 1000}).encode(),
            400,
            "request_too_large",
            "$.$events",
        ),
    ],
)
async def test_a_request_that_cannot_be_read_is_refused_with_the_place(body, status, code, path):
    async with world() as here:
        reply = await here.beacon(VISITS, body)
        answer = json.loads(reply.body)
        assert (reply.status, answer["error_code"], answer.get("path")) == (status, code, path)
        assert here.count("visits_pixel", "refused", code) == (2 if code == "several_tokens" else 1)
        assert (here.dead_letters(), cookie(reply)) == ([], "")


async def test_what_cannot_be_read_is_kept_of_a_sender_we_know():
    async with world() as here:
        reply = await here.beacon(f"{VISITS}?$site_token={SITE}", b"{broken")
        assert reply.status == 400
        (letter,) = here.dead_letters()
        assert (letter.payload, letter.reason, letter.stage) == (b"{broken", "bad_json", "visits_pixel")
        assert "object keys must be strings" in letter.detail
        await here.beacon(f"{VISITS}?$site_token={SITE}", b"{" + b"x" * 100_000)
        assert sorted(len(one.payload) for one in here.dead_letters()) == [7, MAX_KEPT_BYTES]


async def test_overload_takes_nothing_and_keeps_nothing(monkeypatch):
    async with world() as here:

        def refuse(*_: Any, **__: Any) -> None:
            raise Overloaded("full")

        monkeypatch.setattr(here.collect.engine, "accept", refuse)
        reply = await here.beacon(VISITS, envelope({"$ev": "a", "$uaid": "u"}, {"$ts": "broken"}))
        assert (reply.status, json.loads(reply.body)["error_code"]) == (503, "overloaded")
        assert int(header(reply, "retry-after")) >= 1
        assert here.dead_letters() == []


async def test_an_event_that_is_no_object_is_refused_alone():
    async with world() as here:
        answer = await here.post(f"{VISITS}?$site_token={SITE}", [7])
        assert answer["results"] == [
            {"status": "refused", "error_code": "bad_field", "error": "must be an object", "path": "$[0]"}
        ]
        assert [one.payload for one in here.dead_letters()] == [b"7"]


async def test_a_body_that_cannot_be_read_is_refused_for_good_also_when_it_cannot_be_kept(monkeypatch):
    async with world() as here:

        def refuse(*_: Any, **__: Any) -> None:
            raise Overloaded("full")

        monkeypatch.setattr(here.collect.engine, "accept", refuse)
        assert (await here.beacon(f"{VISITS}?$site_token={SITE}", b"{broken")).status == 400
        assert here.count("visits_pixel", "refused", "bad_json") == 1


async def test_half_an_emoji_in_one_event_costs_neither_it_nor_the_others():
    async with world() as here:
        body = json.dumps(
            envelope({"$ev": "a", "$uaid": "u", "title": "cut \ud83d"}, {"$ev": "b", "$uaid": "u"})
        ).encode()
        assert rb"\ud83d" in body
        reply = await here.beacon(VISITS, body)
        assert statuses(json.loads(reply.body)) == ["accepted", "accepted"]
        events = (await here.activity(U))["$events"]
        assert [(one["$event_name"], one["$properties"]) for one in events] == [
            ("a", {"title": "cut \ufffd"}),
            ("b", {}),
        ]


@pytest.mark.parametrize("signal", ["dnt", "sec-gpc"])
async def test_nothing_is_kept_of_who_does_not_want_to_be_tracked(signal):
    async with world() as here:
        headers = with_cookie(**{signal: "1"})
        answer = await here.post(VISITS, envelope({"$ev": "a", "$uaid": "u"}, {"$ts": "x"}), headers=headers)
        assert statuses(answer) == ["dropped", "dropped"]
        reply = await here.beacon(f"{VISITS}?$site_token={SITE}", b"{broken", headers=headers)
        assert (reply.status, here.dead_letters(), cookie(reply)) == (400, [], "")
        assert await here.activities(U) == []


async def test_one_no_is_a_no_for_the_cookie_of_the_request():
    async with world() as here:
        reply = await here.beacon(VISITS, envelope({"$ev": "a"}, {"$ev": "b", "$uaid": "u", "$consent": False}))
        assert statuses(json.loads(reply.body)) == ["dropped", "accepted"]
        assert (cookie(reply), dropped(reply)) == ("", "no_user_identifier")
        assert cookie(await here.beacon(VISITS, envelope({"$ev": "a"}, consent=True)))


async def test_answers_are_not_cached_and_pages_of_the_site_may_read_them():
    async with world() as here:
        reply = await here.beacon(VISITS, envelope({"$ev": "a"}), headers={"origin": "https://www.shop.test"})
        assert header(reply, "cache-control").startswith("no-store")
        assert header(reply, "access-control-allow-origin") == "https://www.shop.test"
        assert header(reply, "access-control-allow-credentials") == "true"


@pytest.mark.slow
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=100) | st.from_regex(rb'[\[{}\],:"$a-z0-9 \\]{0,60}', fullmatch=True))
async def test_no_body_makes_it_fail(junk):
    async with world() as here:
        bodies = (junk, b"{" + junk, b'[{"$site_token":"site-token",' + junk + b"}]", b'{"$events":[' + junk + b"]}")
        for body in bodies:
            for target in (VISITS, f"{TOUCHES}?$dat_token={MART}"):
                assert (await here.beacon(target, body)).status in (200, 400, 401)
