"""What a request is made of, and what is refused before any protocol looks at it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.request import MAX_QUERY_FIELDS, Request, parse_datamart, parse_headers, parse_query
from gateway.errors import RequestError


def test_a_query_is_form_decoded_and_keeps_repeats_and_blanks():
    assert parse_query("a=1+2&b=%24x&a=&c") == {"a": ("1 2", ""), "b": ("$x",), "c": ("",)}


@given(st.binary(max_size=200))
def test_any_query_is_read(raw: bytes):
    assert all(values for values in parse_query(raw.decode("ascii", "replace")).values())


def test_a_query_of_too_many_parameters_is_refused():
    with pytest.raises(RequestError, match="query parameters"):
        parse_query("&".join("a=1" for _ in range(MAX_QUERY_FIELDS + 1)))


def test_headers_are_found_by_lower_case_name_and_joined():
    assert parse_headers([(b"Accept", b"a"), (b"ACCEPT", b"b"), (b"X", b"\xe9")]) == {"accept": "a, b", "x": "é"}


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False), (None, None)])
def test_a_flag_is_true_false_or_not_there(text: str | None, expected: bool | None):
    assert Request(raw_query="" if text is None else f"live={text}").flag("live") is expected


@pytest.mark.parametrize("query", ["live=", "live=1", "live=True", "live=yes", "live=true&live=true"])
def test_any_other_flag_is_refused(query: str):
    with pytest.raises(RequestError) as caught:
        Request(raw_query=query).flag("live")
    assert (caught.value.status, caught.value.code, caught.value.path) == (400, "bad_parameter", "live")


@pytest.mark.parametrize("text", ["", "0", "-1", "+1", "1.0", "a", "٣", "4294967296", "99999999999999999999", " 1"])
def test_a_datamart_that_cannot_exist_is_not_found(text: str):
    with pytest.raises(RequestError) as caught:
        parse_datamart(text)
    assert caught.value.status == 404


def test_a_datamart_is_a_number():
    assert parse_datamart("4294967295") == 4294967295
