"""The reading resources as functions: their bounds, and that no address or parameter makes them fail."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import reading, timelines, user_points
from gateway.collect.collect import Collect
from gateway.collect.plane import Plane
from gateway.collect.routes import Route
from gateway.collect.table import collect_routes
from tests.gateway.engines import call, memory_collect, plane_of

BELOW = "/v1/datamarts/1"
TIMELINE = f"{BELOW}/user_timelines/user_agent_id=u1/user_activities"


@asynccontextmanager
async def readable() -> AsyncIterator[Plane]:
    """A plane to write to and to read from, with small pages."""
    async with memory_collect(api__default_page=3, api__max_page=5) as collect:
        yield plane_of(collect, routes(collect))


def routes(collect: Collect) -> tuple[Route, ...]:
    engine = collect.engine
    reading_ones = (*timelines.routes(engine, collect.settings), *user_points.routes(engine))
    return (*reading_ones, *collect_routes(collect))


async def fill(plane: Plane, count: int, **more: Any) -> None:
    """Store so many activities of `u1`, at the times 1, 2 …"""
    items = [
        {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": "u1", "$ts": ts, "$events": [], **more}
        for ts in range(1, count + 1)
    ]
    path = f"{BELOW}/user_activities?async=false"
    assert (await call(plane, "POST", path, json.dumps(items).encode())).status == 200


async def get(plane: Plane, target: str) -> Any:
    reply = await call(plane, "GET", target)
    return json.loads(reply.body) | {"http": reply.status}


async def test_pages_have_a_default_and_a_most():
    async with readable() as plane:
        await fill(plane, 7)
        for query, count, most in [("", 3, 3), ("?limit=5", 5, 5), ("?limit=6", 5, 5), ("?max_results=2", 2, 2)]:
            body = await get(plane, TIMELINE + query)
            assert (body["count"], body["max_results"], len(body["data"])) == (count, most, count)
            assert [one["$ts"] for one in body["data"]] == list(range(7, 7 - count, -1))
            assert "truncated" not in body


async def test_an_answer_is_bounded_in_bytes_and_says_how_it_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "MAX_ANSWER_BYTES", 5000)
    async with readable() as plane:
        await fill(plane, 5, padding="x" * 2000)
        seen: list[int] = []
        query = "?limit=5"
        while True:
            body = await get(plane, TIMELINE + query)
            times = [one["$ts"] for one in body["data"] if one["$ts"] not in seen]
            seen += times
            if not body.get("truncated"):
                break
            assert times
            query = f"?limit=5&filters=end_ts=={seen[-1]}"
        assert seen == [5, 4, 3, 2, 1]


async def test_one_activity_is_always_in_an_answer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "MAX_ANSWER_BYTES", 1)
    async with readable() as plane:
        await fill(plane, 2)
        body = await get(plane, TIMELINE)
        assert (body["count"], body["truncated"]) == (1, True)


async def test_reading_needs_a_token_for_it():
    async with readable() as plane:
        for path in (TIMELINE, f"{BELOW}/user_points/user_agent_id=u1/user_identifiers"):
            assert (await call(plane, "GET", path, token="")).status == 401
            assert (await call(plane, "GET", path, token="site-token")).status == 403
            assert (await call(plane, "GET", path)).status == 404


SELECTORS = st.text(max_size=20) | st.builds(
    "{}{}".format,
    st.sampled_from(["user_agent_id=", "user_point_id=", "email_hash=", "compartment_id=1,user_account_id="]),
    st.text(max_size=8),
)
FILTERS = st.text(alphabet="$atsrend_=|,\\019", max_size=20)
QUERIES = st.dictionaries(
    st.sampled_from(["filters", "live", "limit", "to", "first_result", "max_results"]),
    st.text(max_size=8) | FILTERS | st.sampled_from(["true", "1", "2023-01-01", "$ts==1", "$type==TOUCH"]),
    max_size=3,
)


@pytest.mark.slow
@given(st.lists(st.tuples(SELECTORS, QUERIES), min_size=1, max_size=10))
async def test_any_question_is_answered_or_refused(questions: list[tuple[str, dict[str, str]]]):
    async with readable() as plane:
        await fill(plane, 2)
        for selector, query in questions:
            name = quote(selector)
            for path in (
                f"user_timelines/{name}/user_activities",
                "user_timelines/user_agent_id=u1/user_activities",
                f"user_points/{name}/user_identifiers",
            ):
                body = await get(plane, f"{BELOW}/{path}?{urlencode(query)}")
                assert body["http"] in (200, 400, 404), body
