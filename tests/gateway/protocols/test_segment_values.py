"""Times and ids as strangers write them, and what RudderStack writes otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.collect.protocols.segment.rudder import RUDDER, SEGMENT, dialect_of, pixel_message
from gateway.collect.protocols.segment.values import id_of, time_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"2026-11-21T19:21:29.837+00:00"', 1795288889837),
        ('"2026-11-21T19:21:29.837Z"', 1795288889837),
        ('"2026-11-21T20:21:29.837+01:00"', 1795288889837),
        ('"2026-11-21T20:21:29.837+0100"', 1795288889837),
        ('"2026-11-21T19:21:29.837123456Z"', 1795288889837),
        ('"2026-11-21T19:21:29.837999+00:00"', 1795288889837),
        ('"2026-11-21T19:21:29Z"', 1795288889000),
        ('"2026-11-21t19:21:29z"', 1795288889000),
        ('"2026-11-21T19:21:29"', 1795288889000),
        ('"2026-11-21 19:21:29"', 1795288889000),
        ('"2026-11-21"', 1795219200000),
        ("1795288889837", 1795288889837),
        ("1795288889", 1795288889000),
        ("1795288889.837", 1795288889837),
        ("null", None),
    ],
)
def test_times_are_read_as_all_clients_write_them(text: str, expected: int | None):
    assert time_ms(Raw(text.encode())) == expected


@pytest.mark.parametrize("text", ['""', '"now"', "true", "{}", "[]", "1e300", '"2026-13-01"', '"\\ud800"', ""])
def test_what_is_no_time_is_said_to_be_none(text: str):
    with pytest.raises(ValueError):
        time_ms(Raw(text.encode()))


@pytest.mark.slow
@given(st.datetimes(timezones=st.timezones()), st.sampled_from(["milliseconds", "microseconds"]))
def test_every_moment_comes_back_to_the_millisecond(moment: Any, precision: str):
    text = json.dumps(moment.isoformat(timespec=precision))
    try:
        found = time_ms(Raw(text.encode()))
    except ValueError:  # Python writes offsets with seconds, from before there were zones: ISO 8601 has none.
        assert moment.year < 1980
        return
    assert found is not None
    assert abs(found / 1000 - moment.timestamp()) < 0.0021


@pytest.mark.parametrize(
    ("text", "expected"),
    [('"a"', "a"), ("5", "5"), ("1.50", "1.50"), ("true", ""), ("null", ""), ("{}", ""), ("[]", "")],
)
def test_an_id_is_text_or_a_number(text: str, expected: str):
    assert id_of(Raw(text.encode())) == expected


@pytest.mark.parametrize(
    ("headers", "message", "dialect"),
    [
        ({}, b'{"context":{"library":{"name":"analytics-python"}}}', SEGMENT),
        ({}, b'{"channel":"server","context":{"library":{"name":"analytics-python"}}}', RUDDER),
        ({}, b'{"context":{"library":{"name":"RudderLabs JavaScript SDK"}}}', RUDDER),
        ({"anonymousid": "x"}, b"{}", RUDDER),
        ({}, b"5", SEGMENT),
    ],
)
def test_rudder_clients_are_known(headers: dict[str, str], message: bytes, dialect: Any):
    assert dialect_of(headers, [Raw(message)]) is dialect


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"anonymousId": ("a1",), "writeKey": ("k",)}, {"anonymousId": "a1"}),
        ({"anonymousId": ('"a1"',)}, {"anonymousId": "a1"}),
        ({"name": ("",)}, {"name": "Unknown Page"}),
        (
            {"context.page.url": ("https://a.test/",), "properties.sku": ("1", "2"), "properties.a.b": ("3",)},
            {"context": {"page": {"url": "https://a.test/"}}, "properties": {"sku": "1", "a": {"b": "3"}}},
        ),
        ({"event": ("x",), "event.more": ("y",)}, {"event": "x"}),
        ({"a." * 1000: ("x",)}, {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a." * 993: "x"}}}}}}}}),
    ],
)
def test_parameters_of_a_pixel_make_a_message(query: dict[str, tuple[str, ...]], message: dict[str, Any]):
    assert json.loads(pixel_message(query)) == {"channel": "web", **message}
