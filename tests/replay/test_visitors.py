"""From a line to an activity: who, what, and always the same bytes."""

import json

import pytest

from gateway.replay.access_log import LogLine, parse_line
from gateway.replay.visitors import activity, properties, user_fields

LINE = parse_line(
    b'10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 304 - "http://www.google.com/" "Mozilla"'
)
assert isinstance(LINE, LogLine)


def test_a_line_is_one_page_view_in_a_session():
    sent = activity(LINE, event_id="e1", site="7", domain="example.com")
    assert sent == (
        b'{"$type":"SITE_VISIT","$session_status":"IN_SESSION","$site_id":"7",'
        b'"$user_agent_id":"log:' + json.loads(sent)["$user_agent_id"].removeprefix("log:").encode() + b'",'
        b'"$events":[{"$ts":1431857103000,"$event_id":"e1","$event_name":"page_view","$properties":'
        b'{"$url":"https://example.com/a?b=c","$referrer":"http://www.google.com/","method":"GET","status":304}}]}'
    )


def test_a_visitor_is_an_address_with_an_agent():
    same = user_fields(LINE._replace(target="/other", referrer="", ts_ms=0))
    others = [user_fields(LINE._replace(address="10.0.0.2")), user_fields(LINE._replace(agent="Mozilla/5"))]
    assert same == user_fields(LINE)
    assert len({str(fields) for fields in (same, *others)}) == 3
    assert list(same) == ["$user_agent_id"]


def test_address_and_agent_do_not_run_together():
    assert user_fields(LINE._replace(address="ab", agent="c")) != user_fields(LINE._replace(address="a", agent="bc"))


def test_an_account_replaces_address_and_agent():
    assert user_fields(LINE._replace(user="frank")) == {"$user_account_id": "frank"}


@pytest.mark.parametrize("user", ["", "anonymous", "Guest", "UNKNOWN"])
def test_nobody_is_no_account(user):
    assert user_fields(LINE._replace(user=user)) == user_fields(LINE)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"target": "/"},
            {"$url": "https://example.com/", "$referrer": "r", "method": "GET", "status": 200, "bytes": 5},
        ),
        (
            {"target": "//a"},
            {"$url": "https://example.com//a", "$referrer": "r", "method": "GET", "status": 200, "bytes": 5},
        ),
        ({"target": "http://x/"}, {"$url": "http://x/", "$referrer": "r", "method": "GET", "status": 200, "bytes": 5}),
        ({"target": "*"}, {"$referrer": "r", "request": "GET / HTTP/1.1", "status": 200, "bytes": 5}),
        (
            {"target": "", "method": "", "request": "-", "referrer": "", "status": 408, "size_bytes": 0},
            {"status": 408, "bytes": 0},
        ),
        (
            {"target": "/", "referrer": "", "status": 0, "size_bytes": None},
            {"$url": "https://example.com/", "method": "GET"},
        ),
    ],
)
def test_properties_are_what_the_log_has(changed, expected):
    line = LINE._replace(request="GET / HTTP/1.1", referrer="r", status=200, size_bytes=5)._replace(**changed)
    found = properties(line, "example.com")
    assert found == expected
    assert list(found) == list(expected)
