"""Whatever comes through HTTP, a real engine behind the plane never answers 500, and never with a broken answer."""

import json
from collections.abc import Awaitable
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.collect.listener.render import rendered
from gateway.collect.plane import Plane, Waiting
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from tests.gateway.engines import ADMIN, SITE, memory_collect, plane_of
from tests.gateway.listener.fake import answers_in

NAMES = [
    *("$type", "$site_id", "$app_id", "$session_status", "$ts", "$events", "$event_name", "$event_id", "$properties"),
    *("$user_agent_id", "$user_account_id", "$compartment_id", "$email_hash", "$user_identifiers", "$location"),
    *("$hash", "$uaid", "$cat", "$ev", "$dat_token", "$goal_id", "$redirect", "$uids", "$referrer", "$url", "$items"),
    *("batch", "writeKey", "messageId", "userId", "anonymousId", "event", "traits", "properties", "timestamp"),
    *("sentAt", "context", "type", "action", "target", "user", "metadata", "segments", "sourceId", "jso-x", "async"),
    *("consent", "explain"),
]
WORDS = [
    *("SITE_VISIT", "TOUCH", "EMAIL", "APP_VISIT", "IN_SESSION", "CLOSED_SESSION", "LIVE", "NO_SESSION", "true"),
    *("track", "alias", "identify", "page", "view", "purchase", "$item_view", "1", "0", "-1", "1000", "1700000000000"),
    "2024-02-30T25:00:00Z",
    *("2024-01-01T00:00:00Z", SITE, ADMIN, "9" * 30, "https://x/?a=b", "//evil", "\ud800"),
    *("", " ", "\0", "é\u202e", "x" * 300, "../..", "%00", "a,b", "{}", "[]", '{"a":', "\r\nSet-Cookie: a=b"),
]
SCALARS = (
    st.sampled_from(WORDS)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from([10**400, -0.0, 2**63, 1.5e308])
)
KEYS = st.sampled_from(NAMES) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=12
)
ACTIVITIES = st.fixed_dictionaries(
    {"$type": st.sampled_from(["SITE_VISIT", "TOUCH", "EMAIL", "APP_VISIT"]), "$site_id": st.just("1")},
    optional={
        "$session_status": st.sampled_from(["IN_SESSION", "LIVE", "CLOSED_SESSION", "NO_SESSION"]) | VALUES,
        "$user_agent_id": st.just("u") | VALUES,
        "$ts": st.integers() | VALUES,
        "$location": VALUES,
        "$user_identifiers": VALUES,
        "$events": st.lists(
            st.fixed_dictionaries({"$event_name": st.text(max_size=3)}, optional={"$properties": VALUES, "$ts": VALUES})
        )
        | VALUES,
    },
)
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "alias", "page", "screen", "group"])},
    optional=dict.fromkeys(("userId", "anonymousId", "event", "traits", "context", "timestamp", "messageId"), VALUES),
)
BODIES = (
    st.binary(max_size=100)
    | (VALUES | ACTIVITIES | st.lists(ACTIVITIES | VALUES, max_size=3)).map(lambda value: json.dumps(value).encode())
    | st.lists(MESSAGES, max_size=3).map(lambda batch: json.dumps({"batch": batch, "writeKey": SITE}).encode())
    | MESSAGES.map(lambda one: json.dumps({**one, "writeKey": SITE}).encode())
    | st.sampled_from([b"\x1f\x8b\x08\0", b"[" * 5000, b'{"a":' * 3000, b"\xff\xfe", b"", b"null"])
)
CONTENTS = [*WORDS, *("gzip", "deflate, zstd", "application/json", "text/plain", f"Basic {SITE}", "a=b; sojourn_vid=x")]
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("authorization", "content-type", "content-encoding", "origin", "cookie", "user-agent", "referer", "dnt"),
            *("sec-gpc", "idempotency-key", "if-none-match", "accept-encoding", "x-forwarded-for", "host", "date"),
            *("x-mics-ts", "x-mics-mac", "x-mics-keyid", "access-control-request-headers"),
        ]
    ),
    st.sampled_from(
        [*WORDS, "gzip", "deflate, zstd", "application/json", "text/plain", f"Basic {SITE}", "a=b; sojourn_vid=x"]
    )
    | st.text(st.characters(max_codepoint=255), max_size=20),
    max_size=5,
)
# The parser of the listener lets nothing else into a target.
TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)
PAIRS = st.tuples(st.sampled_from(NAMES), TEXT | st.sampled_from(WORDS).map(lambda word: quote(word, errors="replace")))
QUERIES = st.lists(PAIRS, max_size=6).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
SEGMENTS = st.sampled_from(["1", "1", "2", "x", "a%2Fb", "%ff", "%00", SITE, "0", "99999999999"])


@st.composite
def requests(draw: Any, ways: list[tuple[str, str]]) -> Request:
    """One request; mostly of a path that exists."""
    method, pattern = draw(st.sampled_from(ways))
    segments = [draw(SEGMENTS) if segment.startswith(":") else segment for segment in pattern.split("/")]
    path = "/".join(segments)
    if draw(st.integers(0, 9)) == 0:
        path = draw(TEXT)
    if draw(st.integers(0, 9)) == 0:
        method = draw(st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "DELETE", "TRACE", ""]))
    headers = draw(HEADERS)
    if draw(st.booleans()):
        headers["authorization"] = SITE
    return Request(
        method=method,
        path=path,
        raw_query=draw(QUERIES | TEXT),
        # What a listener remembers is shared by requests: nobody may write in it.
        headers=MappingProxyType(headers),
        body=draw(BODIES),
        client=draw(st.sampled_from(["192.0.2.7", "2001:db8::1", "", "nonsense"])),
        secure=draw(st.booleans()),
    )


async def answered(plane: Plane, request: Request) -> Reply:
    """As a listener has it answered."""
    answer = plane.answer(request)
    if isinstance(answer, Waiting):
        return await answer.wait()
    return await answer if isinstance(answer, Awaitable) else answer


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
async def test_no_request_is_answered_500(data: st.DataObject):
    async with memory_collect(collect__explain=True, collect__demo=True) as collect:
        plane = plane_of(collect)
        ways = [(route.method, route.pattern) for route in plane.routes]
        for request in data.draw(st.lists(requests(ways), min_size=5, max_size=25)):
            reply = await answered(plane, request)
            assert 200 <= reply.status <= 599
            assert reply.status != 500, request
            answers = answers_in(rendered(reply, method="GET"), ["GET"])
            assert [status for status, _, _ in answers] == [reply.status]
