"""The API plane on a real socket: Quart's own refusals wear our envelope too."""

import json

import pytest

from gateway.api.app import api_app
from tests.gateway.engines import ADMIN, memory_collect
from tests.gateway.http import Answer, ask, serving

MAX_BYTES = 64 * 1024
SETTINGS = {"collect__max_body_bytes": MAX_BYTES, "collect__body_timeout_s": 0.1}
PATH = "/v1/datamarts/1/user_activities"


async def one_request(data: bytes) -> Answer:
    """The answer to one request, of an app and an engine of its own."""
    async with memory_collect(**SETTINGS) as collect, serving(api_app(collect)) as port:
        return await ask(port, data)


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: {ADMIN}", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (head("GET", "/"), 404, "not_found"),
        (head("GET", "/v1//x"), 404, "not_found"),
        (head("GET", "/favicon.ico"), 404, "not_found"),
        (head("DELETE", "/favicon.ico"), 404, "not_found"),
        (head("POST", "/metrics"), 405, "method_not_allowed"),
        (head("DELETE", PATH), 405, "method_not_allowed"),
        (head("POST", PATH, "Content-Length: 10") + b"[", 408, "request_timeout"),
        (head("POST", PATH, f"Content-Length: {MAX_BYTES + 1}"), 413, "body_too_large"),
        (head("POST", PATH, "Content-Length: 0"), 400, "empty_body"),
        (head("GET", "/v1/datamarts/1/user_timelines/%FF%00/user_activities"), 400, "bad_selector"),
        (head("GET", "/v1/datamarts/1/user_timelines/user_agent_id=%FF/user_activities"), 404, "not_found"),
        (head("GET", f"/v1/datamarts/1/user_timelines/{'x/' * 500}/user_activities"), 400, "bad_selector"),
    ],
)
async def test_every_refusal_has_the_envelope(data: bytes, status: int, code: str):
    answer = await one_request(data)
    body = json.loads(answer.body)
    assert (answer.status, body["status"], body["error_code"]) == (status, "error", code)


async def test_a_body_of_the_greatest_size_is_read():
    body = b"[" + b" " * (MAX_BYTES - 2) + b"]"
    answer = await one_request(head("POST", PATH, f"Content-Length: {len(body)}") + body)
    assert (answer.status, json.loads(answer.body)["count"]) == (200, 0)


async def test_the_metrics_show_that_every_event_is_accounted_for():
    touch = {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": "u1", "$events": []}
    visit = {**touch, "$type": "SITE_VISIT", "$session_status": "IN_SESSION", "$site_id": "1"}
    items = [touch, {**visit, "$events": [{"$event_name": "a"}, {"$event_name": "b"}]}, {"$type": "nothing"}]
    body = json.dumps(items).encode()
    async with memory_collect(**SETTINGS) as collect, serving(api_app(collect)) as port:
        post = head("POST", f"{PATH}?async=false", f"Content-Length: {len(body)}")
        assert (await ask(port, post + body)).status == 200
        answer = await ask(port, head("GET", "/metrics"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line.rpartition(" ") for line in answer.body.decode().splitlines() if not line.startswith("#")]
    numbers = {name.removesuffix('{datamart="1"}').removesuffix("_total"): float(value) for name, _, value in lines}
    fates = ("stored", "duplicate", "refused", "dead", "dropped", "open")
    assert {fate: numbers.get(f"sojourn_events_{fate}", 0.0) for fate in fates} == {
        "stored": 1.0,
        "duplicate": 0.0,
        "refused": 1.0,
        "dead": 0.0,
        "dropped": 0.0,
        "open": 2.0,
    }
    assert numbers["sojourn_events_received"] == 4.0
