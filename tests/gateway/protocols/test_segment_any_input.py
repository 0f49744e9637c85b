"""Whatever a message holds: properties come back as they were sent, and nothing raises but a refusal."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from engine import ChannelSettings
from gateway.collect.protocols.segment.auth import Source
from gateway.collect.protocols.segment.messages import KINDS, Refused, item_of, read_message
from gateway.collect.protocols.segment.values import list_of, object_of

SITE = Source(ChannelSettings(datamart=1, kind="SITE", id="7", token="s"), "c9")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(), json_values, max_size=6), st.sampled_from(["track", "page", "screen"]))
def test_any_properties_come_back_byte_for_byte(sent: dict[str, Any], kind: str):
    parts = {name: json.dumps(value, ensure_ascii=False).encode() for name, value in sent.items()}
    text = b",".join(json.dumps(name).encode() + b":" + value for name, value in parts.items())
    message = b'{"userId":"u","event":"Signed Up","properties":{' + text + b"}}"
    read = read_message(Raw(message), kind=kind, defaults={}, max_bytes=10**6)
    made = object_of(item_of(read, SITE, ts_ms=1, place=lambda fields, context: {}))
    properties = object_of(object_of(list_of(made["$events"])[-1])["$properties"])
    assert [*properties][: len(sent)] == [*sent]
    assert {name: bytes(properties[name]) for name in sent} == parts


@pytest.mark.slow
@given(json_values, st.sampled_from([*KINDS, ""]))
def test_whatever_is_sent_is_read_or_refused_with_a_reason(value: Any, kind: str):
    for message in (value, {"userId": "u", "event": "x", "previousId": value, "properties": value, "context": value}):
        try:
            read = read_message(Raw(json.dumps(message).encode()), kind=kind, defaults={}, max_bytes=10**6)
        except Refused:
            continue
        json.loads(item_of(read, SITE, ts_ms=None, place=lambda fields, context: {}))
