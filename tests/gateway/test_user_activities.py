"""`POST user_activities`: what each body and parameter is answered, and that no input makes it fail."""

import json
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import Closing, Engine, HotUser, Overloaded, Unavailable
from gateway.collect.collect import Collect
from gateway.collect.plane import Plane
from tests.gateway.engines import SITE, call, memory_collect, plane_of

PATH = "/v1/datamarts/1/user_activities"


def visit(user: str = "u1", status: str = "CLOSED_SESSION", **more: Any) -> dict[str, Any]:
    return {
        "$type": "SITE_VISIT",
        "$session_status": status,
        "$site_id": "1",
        "$user_agent_id": user,
        "$events": [{"$event_name": "hello", "$properties": {}}],
        **more,
    }


BAD_SITE = visit(**{"$site_id": "nope"})


async def post(plane: Plane, body: Any, query: str = "", **options: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    options = {"token": SITE, **options}
    reply = await call(plane, "POST", PATH + query, data, **options)
    return reply.status, json.loads(reply.body)


async def test_one_object_is_answered_by_itself():
    async with memory_collect() as collect:
        plane = plane_of(collect)
        status, body = await post(plane, visit())
        assert status == 200
        assert body["status"] == "ok"
        assert body["data"].keys() == {"status", "user_point_id", "events"}
        assert (body["data"]["status"], body["data"]["events"]) == ("accepted", 1)

        status, body = await post(plane, BAD_SITE)
        assert (status, body["status"], body["error_code"]) == (400, "error", "unknown_channel")
        assert body["path"] == "$.$site_id"


async def test_an_array_is_answered_item_by_item():
    async with memory_collect() as collect:
        plane = plane_of(collect)
        status, body = await post(plane, [visit(), BAD_SITE, 1, visit("u2")])
        assert (status, body["count"]) == (200, 4)
        results = body["data"]["results"]
        assert [one["status"] for one in results] == ["accepted", "refused", "refused", "accepted"]
        assert (results[1]["error_code"], results[1]["path"]) == ("unknown_channel", "$.$site_id")
        assert results[0]["user_point_id"] != results[3]["user_point_id"]
        assert (await post(plane, []))[1] == {"status": "ok", "data": {"results": []}, "count": 0}


async def test_lines_are_answered_with_their_numbers():
    lines = b"\n".join([json.dumps(visit()).encode(), b"{not json", b"", b'"\xff"', json.dumps(visit("u2")).encode()])
    async with memory_collect() as collect:
        plane = plane_of(collect)
        status, body = await post(plane, lines, headers={"content-type": "application/x-ndjson"})
        assert (status, body["count"]) == (200, 4)
        results = body["data"]["results"]
        assert [(one["line"], one["status"]) for one in results] == [
            (1, "accepted"),
            (2, "refused"),
            (4, "refused"),
            (5, "accepted"),
        ]
        assert results[1]["error_code"] == "bad_json"


async def test_a_request_of_refused_items_only_was_still_read():
    async with memory_collect() as collect:
        plane = plane_of(collect)
        status, body = await post(plane, [BAD_SITE, {}])
        assert (status, [one["status"] for one in body["data"]["results"]]) == (200, ["refused", "refused"])


@pytest.mark.parametrize(
    ("query", "stored"), [("", None), ("?async=true", None), ("?async=false", True), ("?async=false&x=1", True)]
)
async def test_how_long_it_waits(query: str, stored: bool | None):
    async with memory_collect() as collect:
        plane = plane_of(collect)
        status, body = await post(plane, visit(), query)
        assert (status, body["data"].get("stored")) == (200, stored)
        point = body["data"]["user_point_id"]
        if stored:
            assert len(await collect.engine.activities(1, point)) == 1
        status, body = await post(plane, [visit(**{"$ts": 1})], query)
        assert (status, body["data"].get("stored")) == (200, stored)


@pytest.mark.parametrize("status", ["IN_SESSION", "LIVE"])
async def test_what_stays_open_is_not_called_stored(status: str):
    async with memory_collect() as collect:
        plane = plane_of(collect)
        found, body = await post(plane, visit(status=status), "?async=false")
        assert (found, body["data"]["status"], body["data"].get("stored")) == (200, "accepted", None)
        found, body = await post(plane, [visit("u2", status=status)], "?async=false")
        assert (found, body["data"].keys()) == (200, {"results"})
        found, body = await post(plane, [visit("u3", status=status), visit()], "?async=false")
        assert (found, body["data"]["stored"]) == (200, True)


async def test_a_session_cannot_skip_processing():
    async with memory_collect() as collect:
        plane = plane_of(collect)
        assert (await post(plane, visit(), "?processing_pipeline=false"))[0] == 200
        status, body = await post(plane, visit(status="IN_SESSION"), "?processing_pipeline=false")
        assert (status, body["error_code"]) == (400, "processing_required")
        assert (await post(plane, visit(status="IN_SESSION"), "?processing_pipeline=true"))[0] == 200


@pytest.mark.parametrize("query", ["?async=", "?async=1", "?processing_pipeline=no", "?async=true&async=false"])
async def test_a_parameter_that_is_neither_is_refused(query: str):
    async with memory_collect() as collect:
        plane = plane_of(collect)
        status, body = await post(plane, visit(), query)
        assert (status, body["error_code"]) == (400, "bad_parameter")


async def test_a_key_is_taken_once_and_for_one_body_only():
    key = {"idempotency-key": "k1"}
    async with memory_collect() as collect:
        plane = plane_of(collect)
        assert (await post(plane, visit(), headers=key))[1]["data"]["status"] == "accepted"
        assert (await post(plane, visit(), headers=key))[1]["data"]["status"] == "duplicate"
        status, body = await post(plane, visit("u2"), headers=key)
        assert (status, body["error_code"]) == (422, "idempotency_key_reused")
        status, body = await post(plane, visit(), headers={"idempotency-key": "k" * 256})
        assert (status, body["error_code"]) == (400, "bad_idempotency_key")


async def test_who_may_send():
    async with memory_collect() as collect:
        plane = plane_of(collect)
        assert (await post(plane, visit(), token=""))[0] == 401
        assert (await post(plane, visit(), token="wrong"))[0] == 401
        reply = await call(plane, "POST", "/v1/datamarts/2/user_activities", b"{}", token=SITE)
        assert reply.status == 401
        reply = await call(plane, "POST", "/v1/datamarts/x/user_activities", b"{}")
        assert reply.status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b"{", "bad_json"),
        (b"[", "bad_json"),
        (b"nonsense", "bad_json"),
        (b'{"$type": "\xff"}', "bad_json"),
        (b'{"a": "\\ud800"}', "bad_json"),
        (b"1", "bad_field"),
        (b"null", "bad_field"),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nesting_too_deep"),
        (json.dumps(visit(**{"$ts": 10**400})).encode(), "bad_field"),
        (json.dumps(visit(**{"$ts": -1})).encode(), "bad_field"),
        (json.dumps(visit(**{"$ts": 2**63})).encode(), "bad_field"),
        (json.dumps(visit(**{"$ts": 2**62})).encode(), "timestamp_in_future"),
        (json.dumps(visit(**{"$events": 1})).encode(), "bad_field"),
        (json.dumps(visit(**{"$events": [{"$event_name": 1}]})).encode(), "bad_field"),
        (json.dumps(visit(padding="x" * 9000)).encode(), "activity_too_large"),
        (json.dumps(visit(**{"$user_agent_id": None})).encode(), "no_user_identifier"),
        (b"\xef\xbb\xbf{}", "bad_json"),
    ],
)
async def test_what_is_refused_says_why(body: bytes, code: str | None):
    async with memory_collect() as collect:
        plane = plane_of(collect)
        status, answer = await post(plane, body)
        assert status == 400
        assert code is None or answer["error_code"] == code
        statistics = await trio.to_thread.run_sync(collect.engine.reader.statistics)
        assert statistics["events_received"] == statistics["events_refused"]


class Unwilling:
    """An engine that takes nothing, or cannot keep it."""

    results = ()

    def __init__(self, engine: Engine, error: Exception, *, late: bool) -> None:
        self._engine = engine
        self._error = error
        self._late = late

    def authorize(self, *args: Any, **more: Any) -> Any:
        return self._engine.authorize(*args, **more)

    def accept(self, *args: Any, **more: Any) -> Any:
        if not self._late:
            raise self._error
        return self

    accept_soon = accept

    def site_hosts(self) -> frozenset[str]:
        return frozenset()

    async def durable(self) -> None:
        raise self._error


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("error", "status"),
    [(Overloaded("busy"), 503), (HotUser("hot"), 429), (Unavailable("full"), 503), (Closing(), 503)],
)
async def test_what_the_engine_cannot_take_now_may_come_again(error: Exception, status: int, late: bool):
    async with memory_collect() as collect:
        unwilling: Any = Unwilling(collect.engine, error, late=late)
        plane = plane_of(Collect(unwilling, collect.settings))
        reply = await call(plane, "POST", PATH, json.dumps(visit()).encode())
        assert reply.status == status
        assert int(dict(reply.headers)["retry-after"]) >= 1


KEYS = st.sampled_from(
    [
        *("$type", "$session_status", "$ts", "$site_id", "$app_id", "$user_agent_id", "$events", "$event_name", "$ttl"),
        *("$properties", "$user_identifiers", "$email_hash", "$origin", "$location", "$unique_key", "$event_id", "x"),
        *("$session_duration", "$user_account_id", "$compartment_id", "$hash", "$email", "$latlon"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["SITE_VISIT", "TOUCH", "IN_SESSION", "NO_SESSION", "LIVE", "CLOSED_SESSION", "1", "USER_AGENT"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)
ALMOST = st.dictionaries(KEYS, VALUES, max_size=4).map(lambda odd: visit() | odd)
BODIES = st.binary(max_size=60) | (VALUES | ALMOST | st.lists(ALMOST, max_size=3)).map(
    lambda one: json.dumps(one).encode()
)
TYPES = st.sampled_from(["application/json", "application/x-ndjson", "text/plain"])


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(BODIES, TYPES), min_size=1, max_size=8))
async def test_any_body_is_taken_or_refused(bodies: list[tuple[bytes, str]]):
    async with memory_collect() as collect:
        plane = plane_of(collect)
        for body, kind in bodies:
            status, answer = await post(plane, body, headers={"content-type": kind})
            assert status in (200, 400), answer
        counts = await trio.to_thread.run_sync(collect.engine.reader.statistics)
        assert counts["events_dead"] == 0
