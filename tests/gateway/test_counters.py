"""What the plane counts, and how that reads in Prometheus' text."""

import json

from gateway.collect.counters import Counters
from tests.gateway.engines import call, memory_collect, plane_of


def values(counters: Counters) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in counters.text().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_a_plane_nobody_has_asked_counts_nothing():
    assert values(Counters()) == {}


def test_gauges_are_read_when_they_are_asked_for():
    counters = Counters()
    now = {"connections": 3.0}
    counters.watch(lambda: now)
    counters.watch(lambda: {"others": 1.0})
    assert values(counters) == {"sojourn_connections": 3.0, "sojourn_others": 1.0}
    now["connections"] = 2.0
    assert values(counters)["sojourn_connections"] == 2.0


async def test_requests_and_events_are_counted_by_protocol_fate_and_reason():
    good = {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": "u1", "$events": []}
    visit = {**good, "$type": "SITE_VISIT", "$session_status": "IN_SESSION", "$site_id": "1"}
    two = {**visit, "$events": [{"$event_name": "a"}, {"$event_name": "b"}]}
    body = json.dumps([good, two, {**visit, "$site_id": "nope"}, 1]).encode()
    async with memory_collect() as collect:
        plane = plane_of(collect)
        await call(plane, "POST", "/v1/datamarts/1/user_activities", body)
        key = {"idempotency-key": "k"}
        for _ in range(2):
            await call(plane, "POST", "/v1/datamarts/1/user_activities", json.dumps(good).encode(), headers=key)
        await call(plane, "POST", "/v1/datamarts/1/user_activities", token="wrong")
        collect.dropped("visits_pixel", "do_not_track")
        collect.dropped("visits_pixel", "do_not_track", 2)
    label = 'sojourn_collected_total{{fate="{}",protocol="{}",reason="{}"}}'.format
    assert {name: value for name, value in values(collect.counters).items() if "{" in name} == {
        'sojourn_requests_total{protocol="user_activities",status="200"}': 3.0,
        'sojourn_requests_total{protocol="user_activities",status="401"}': 1.0,
        label("accepted", "user_activities", ""): 4.0,
        label("duplicate", "user_activities", ""): 1.0,
        label("refused", "user_activities", "bad_field"): 1.0,
        label("refused", "user_activities", "unknown_channel"): 1.0,
        label("dropped", "visits_pixel", "do_not_track"): 3.0,
    }
