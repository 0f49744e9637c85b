"""Halves of surrogate pairs in JSON: each becomes U+FFFD, and nothing else changes."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.surrogates import without_halves

ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from('\\u"d8\U0001f600'))


@pytest.mark.parametrize(
    ("sent", "made"),
    [
        (rb'"a\ud83d"', rb'"a\ufffd"'),
        (rb'"\uDE00b"', rb'"\ufffdb"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\u00e9 \uD83D\uDE00"', rb'"\u00e9 \uD83D\uDE00"'),
        (b"\\ud83", b"\\ud83"),
        (b"\\ud83d\\", b"\\ufffd\\"),
    ],
)
def test_what_becomes_of_a_half(sent: bytes, made: bytes):
    assert without_halves(sent) == made


@given(st.lists(ANY_TEXT))
def test_only_halves_change(texts: list[str]):
    # Python joins escapes of two halves that stand side by side; as texts they are one character already.
    whole = json.loads(json.dumps(texts))
    made = without_halves(json.dumps(texts).encode())
    assert json.loads(made) == [re.sub("[\ud800-\udfff]", "\ufffd", text) for text in whole]
    made.decode("utf-8")


@given(st.binary())
def test_bytes_without_a_half_are_as_they_were(data: bytes):
    if not re.search(rb"\\u[dD][89a-fA-F]", data):
        assert without_halves(data) == data
