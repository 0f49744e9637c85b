"""One object, an array, or lines: which it is, and that every item keeps its bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import CallerError
from gateway.collect.items import MAX_ITEMS, Items, items_of
from gateway.errors import RequestError

LINES = {"content-type": "application/x-ndjson; charset=utf-8"}

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
OBJECTS = st.dictionaries(st.text(max_size=5), SCALARS | st.lists(SCALARS, max_size=3), max_size=4)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":1}', Items([b'{"a":1}'], single=True)),
        (b'\n{\n "a": [1,\n  {}]\n}\n', Items([b'\n{\n "a": [1,\n  {}]\n}\n'], single=True)),
        (b'[{"a": 1.50}, {"b":2}]', Items([b'{"a": 1.50}', b'{"b":2}'])),
        (b"[]", Items([])),
        (b"[\n{},\n{}]", Items([b"{}", b"{}"])),
        (b'{"a":1}\n{"b":2}', Items([b'{"a":1}', b'{"b":2}'], lines=(1, 2))),
        (b'{"a":1}\r\n\n \n{"b":2}\n', Items([b'{"a":1}\r', b'{"b":2}'], lines=(1, 4))),
        (b"not json", Items([b"not json"], single=True)),
        (b'{"a":"}\\n{"}', Items([b'{"a":"}\\n{"}'], single=True)),
    ],
)
def test_what_a_body_holds(body: bytes, expected: Items):
    assert items_of(body, {}) == expected


def test_what_calls_itself_ndjson_is_lines():
    assert items_of(b'{"a":1}', LINES) == Items([b'{"a":1}'], lines=(1,))
    assert items_of(b'nonsense\n{"a":1}\n[1]', LINES) == Items([b"nonsense", b'{"a":1}', b"[1]"], lines=(1, 2, 3))


@pytest.mark.parametrize("headers", [{}, LINES])
@pytest.mark.parametrize("body", [b"", b" \n\t\r\n"])
def test_an_empty_body_is_refused(body: bytes, headers: dict[str, str]):
    with pytest.raises(RequestError) as caught:
        items_of(body, headers)
    assert (caught.value.status, caught.value.code) == (400, "empty_body")


@pytest.mark.parametrize("body", [b"[", b"[1,]", b"[1] 2", b"[" * 5000])
def test_an_array_that_is_none_is_refused_whole(body: bytes):
    with pytest.raises(CallerError):
        items_of(body, {})


@pytest.mark.parametrize("body", [b"[" + b",".join([b"1"] * (MAX_ITEMS + 1)) + b"]", b"{}\n" * (MAX_ITEMS + 1)])
def test_more_items_than_one_request_may_have_are_refused(body: bytes):
    with pytest.raises(CallerError) as caught:
        items_of(body, {})
    assert caught.value.code == "too_many_items"


@given(st.lists(OBJECTS, min_size=2, max_size=5), st.sampled_from([None, 2]))
def test_array_and_lines_hold_the_same_items(objects: list[object], indent: int | None):
    items = [json.dumps(one).encode() for one in objects]
    assert items_of(b"\n".join(items), {}).bodies == items
    assert items_of(b"[" + b" , ".join(items) + b"]", {}).bodies == items
    pretty = json.dumps(objects[0], indent=indent).encode()
    assert items_of(pretty, {}) == Items([pretty], single=True)
