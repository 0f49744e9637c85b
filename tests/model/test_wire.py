"""The one place of JSON: every spelling becomes the same compact text, everything else an error with its place."""

import json
import math
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from engine.errors import CallerError
from engine.model.limits import MAX_NESTING
from engine.model.wire import (
    chars,
    compact,
    decode,
    decode_fields,
    decode_list,
    decode_value,
    decode_values,
    encode,
    encode_fields,
    fields_decoder,
    readable,
    text_of,
    without_nulls,
)
from tests.model import texts


@pytest.mark.slow
@given(st.data())
def test_every_spelling_of_a_value_becomes_the_one_compact_text(data):
    value = data.draw(texts.VALUES)
    text = data.draw(texts.spelled(value))
    assert compact(text.encode()).decode() == texts.compact(value)


@pytest.mark.slow
@given(texts.VALUES)
def test_compact_text_stays_as_it_is(value):
    text = texts.compact(value).encode()
    assert compact(text) == text
    assert texts.read(text) == value


@pytest.mark.slow
@given(texts.OBJECTS)
def test_fields_come_back_in_their_order_with_their_number_text(value):
    text = texts.compact(value).encode()
    fields = decode_fields(text)
    assert [(key, bytes(one).decode()) for key, one in fields.items()] == [
        (key, texts.compact(one)) for key, one in value
    ]
    assert encode_fields(fields) == text


@pytest.mark.slow
@given(st.lists(texts.VALUES, max_size=5))
def test_elements_come_back_as_they_are(values):
    elements = decode_list(texts.compact(values).encode())
    assert [bytes(one).decode() for one in elements] == [texts.compact(one) for one in values]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b'{"a"',
        b'{"a":1,}',
        b"[1,]",
        b'{"a":1}{"b":2}',
        b'{"a":1}\0',
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"Infinity",
        b"01",
        b"1.",
        b"-",
        b".5",
        b"tru",
        b"'a'",
        b'"\\x41"',
        b'"\\u12"',
        b'"\\u12g4"',
        b'"tab\there"',
        b'"line\nhere"',
        b'"\x00"',
    ],
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(CallerError) as caught:
        compact(text)
    assert caught.value.code == "bad_json"
    assert caught.value.path == "$"


@pytest.mark.parametrize(
    "text",
    [
        b'"\xff"',
        b'"\xc3"',
        b'"\xed\xa0\x80"',  # A surrogate in three bytes.
        b'"\xf4\x90\x80\x80"',  # Beyond the last code point.
        b'"\xc0\x80"',  # A zero in two bytes.
        rb'"\ud800"',
        rb'"\udc00"',
        rb'"\ud800A"',
        rb'"\udc00\ud800"',
        rb'{"\ud800":1}',
        rb'["\ud83d"]',
    ],
)
def test_bad_utf8_and_lone_surrogates_are_refused(text):
    with pytest.raises(CallerError) as caught:
        compact(text)
    assert caught.value.code == "bad_json"


def test_a_surrogate_pair_is_the_character_it_stands_for():
    assert compact(rb'"\ud83d\ude00"') == '"😀"'.encode()


@pytest.mark.slow
@given(st.binary(max_size=40) | st.text('[]{}",:\\u01eE.-+ntf \n', max_size=40).map(str.encode))
@example(b'"\\')
@example(b'["\\u"')
def test_any_bytes_give_valid_json_or_an_error_of_the_caller(data):
    try:
        text = compact(data)
    except CallerError:
        return
    texts.read(text)  # As another parser reads it.
    assert texts.read(data) == texts.read(text)


def nested(depth, opening=b"[", closing=b"]"):
    return opening * depth + closing * depth


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_bounded_exactly(opening, closing):
    inner = b"" if opening == b"[" else b"1"
    deepest = opening * MAX_NESTING + inner + closing * MAX_NESTING
    assert compact(deepest) == deepest
    with pytest.raises(CallerError) as caught:
        compact(opening + deepest + closing)
    assert caught.value.code == "nesting_too_deep"


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, nested(100_000), b"[{" * 50_000])
def test_absurd_nesting_is_refused_before_any_recursion(text):
    with pytest.raises(CallerError) as caught:
        compact(text)
    assert caught.value.code == "nesting_too_deep"


def test_brackets_in_strings_are_no_nesting():
    text = b'{"a":"' + b"[{" * 200 + rb"\"" + b"[{" * 200 + b'"}'
    assert compact(text) == text


def test_many_arrays_beside_each_other_are_not_deep():
    text = b"[" + b",".join([b"[]"] * 500) + b"]"
    assert compact(text) == text


@given(texts.STRINGS)
def test_characters_are_code_points(text):
    assert chars(text.encode()) == len(text)


def test_a_fault_names_its_place():
    with pytest.raises(CallerError) as caught:
        decode(fields_decoder, b"[]", path="$.$events[2]")
    assert (caught.value.code, caught.value.path) == ("bad_field", "$.$events[2]")


@pytest.mark.parametrize("value", [b"1", b"null", b"[]", b"{}", b"true"])
def test_only_a_string_has_a_text(value):
    assert text_of(Raw(value)) == ""


def test_the_text_of_a_string_and_of_nothing():
    assert text_of(Raw(b'"a\\u00e9"')) == "aé"
    assert text_of(None) == ""


def test_nulls_are_left_out_and_nothing_else():
    fields = {"a": Raw(b"null"), "b": Raw(b"0"), "c": Raw(b'""'), "d": Raw(b"false")}
    assert dict(without_nulls(fields)) == {"b": b"0", "c": b'""', "d": b"false"}


def test_what_cannot_be_written_is_not_written():
    with pytest.raises(TypeError):
        encode(object())


OUT_OF_RANGE = ["1e400", "-1e400", "1E+309", "0.1e400", "1" * 5000, "-" + "1" * 4301, "1" * 310 + ".5", "1e99999999999"]
IN_RANGE = ["1e-400", "1" * 4300, "0e999", "-0", "1.50", "12345678901234567890", "1." + "1" * 5000, "1e308"]


@pytest.mark.parametrize("number", OUT_OF_RANGE)
def test_a_number_that_is_out_of_range_is_its_text_and_all_else_stays_a_value(number):
    text = f'{{"a":{number},"{number}":[1,"x{number}\\"{number}",{{"b":[{number}]}}],"c":1.5,"d":"é\\\\"}}'
    found = decode_values(text.encode())
    assert found == {"a": number, number: [1, f'x{number}"{number}', {"b": [number]}], "c": 1.5, "d": "é\\"}
    assert decode_value(number.encode()) == number
    assert readable(number.encode()) == f'"{number}"'.encode()


@pytest.mark.parametrize("number", IN_RANGE)
def test_any_other_number_is_one_also_beside_one_that_is_out_of_range(number):
    value = decode_value(number.encode())
    assert isinstance(value, int | float)
    assert decode_values(f'{{"a":{number},"b":1e400}}'.encode()) == {"a": value, "b": "1e400"}
    assert readable(number.encode()) == number.encode()


@pytest.mark.parametrize("text", ['{"a":1e400', '{"a":1e400.5}', '{"a":01e400}', "[1e400]", '{"a":1e400,"b":tru}', ""])
def test_what_is_no_object_is_refused_whatever_numbers_it_has(text):
    with pytest.raises(CallerError):
        decode_values(text.encode())


def plain(number):
    """A number as another reader has it, or its text."""
    value = float(number)
    return number if math.isinf(value) else json.loads(number)


@given(texts.VALUES)
def test_plain_values_are_those_that_were_written(value):
    text = texts.compact(value)
    expected = json.loads(text, parse_float=plain, parse_int=plain)
    assert decode_value(text.encode()) == expected
    assert json.loads(readable(text.encode()), parse_float=plain, parse_int=plain) == expected


@pytest.mark.slow
def test_many_numbers_out_of_range_take_bounded_time():
    text = b"[" + b",".join([b"1e400"] * 100_000) + b"]"
    started = time.process_time()
    assert decode_value(text) == ["1e400"] * 100_000
    assert time.process_time() - started < 5
