"""Lines of NDJSON: ids are added where none are, the rest stays byte for byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.replay.ndjson import Item, read_item


def read(line: bytes) -> Item | None:
    return read_item(line, lambda index: f"id-{index}")


def test_events_without_an_id_get_one():
    found = read(b'{"$events":[{"$ts":5,"$event_id":"mine"},{"$ts":7},{"$ts":6,"$event_id":null}]}')
    assert found.ts_ms == 7
    assert json.loads(found.body) == {
        "$events": [
            {"$ts": 5, "$event_id": "mine"},
            {"$ts": 7, "$event_id": "id-1"},
            {"$ts": 6, "$event_id": "id-2"},
        ]
    }


def test_an_item_that_needs_no_id_stays_as_it_is():
    line = b'{ "a": 1.50, "$ts": 9, "$events": [ {"$event_id": "x", "$ts": 3} ] }'
    assert read(line) == Item(line, 9, has_events=True)


def test_numbers_and_order_survive():
    found = read('{"z":1.500,"a":1e2,"$events":[{"$ts":1,"$properties":{"b":0.10,"a":"é"}}],"m":null}'.encode())
    assert found.body == (
        '{"z":1.500,"a":1e2,"$events":[{"$ts":1,"$properties":{"b":0.10,"a":"é"},"$event_id":"id-0"}],"m":null}'.encode()
    )


@pytest.mark.parametrize("line", [b'{"$ts":4}', b'{"$ts":4,"$events":[]}'])
def test_an_item_without_events_says_so(line):
    assert read(line) == Item(line, 4, has_events=False)


@pytest.mark.parametrize("line", [b'{"$events":5}', b'{"$events":[5]}', b'{"$events":null}'])
def test_odd_events_are_left_to_the_engine(line):
    assert read(line) == Item(line, None, has_events=True)


@pytest.mark.parametrize("ts", ["-1", "null", '"5"', "1.5", "9223372036854775808", "1" + "0" * 30])
def test_a_time_that_is_none_moves_no_clock(ts):
    assert read(f'{{"$ts":{ts},"$events":[{{"$ts":{ts}}}]}}'.encode()).ts_ms is None


@pytest.mark.parametrize("line", [b"", b"[]", b"null", b"{", b'{"a":1}x', b"\xff", b'{"\xff":1}', b"[" * 100_000])
def test_what_is_no_object_is_unreadable(line):
    assert read(line) is None


def test_deep_nesting_is_left_to_the_engine_or_unreadable():
    read(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@given(st.binary())
def test_any_bytes_are_an_item_or_none(line):
    assert read(line) is None or isinstance(read(line), Item)
