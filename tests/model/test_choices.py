"""Choices: the newest of each processing, whatever their order, and how they look as bytes (decision 33)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.choices import (
    MAX_CHOICES,
    Choice,
    choice_as_values,
    choice_id,
    choices_as_values,
    combine,
    decode_choice,
    decode_choices,
    encode_choice,
    encode_choices,
    newest,
)

CHOICES = st.lists(
    st.builds(
        Choice,
        processing=st.sampled_from("abc"),
        ts_ms=st.integers(0, 3),
        accepted=st.booleans(),
        id=st.binary(min_size=16, max_size=16),
        created_ms=st.integers(0, 2),
        channel=st.sampled_from(["", "1"]),
        fields=st.sampled_from([b"{}", b'{"a":1}']),
    ),
    max_size=10,
)


def choice(processing="a", ts_ms=1, accepted=True, **fields):
    return Choice(processing, ts_ms, accepted, choice_id(processing, accepted, b"%d" % ts_ms), ts_ms, **fields)


@given(CHOICES, st.randoms(use_true_random=False))
def test_the_same_choices_in_any_order_leave_the_same(choices, random):
    def of(some):
        known = {}
        for one in some:
            known = combine(known, newest([one]))
        return encode_choices(known)

    shuffled = list(choices)
    random.shuffle(shuffled)
    assert of(shuffled) == of(choices) == encode_choices(newest(choices))
    half = len(choices) // 2
    assert encode_choices(combine(newest(choices[:half]), newest(choices[half:]))) == of(choices)


def test_the_newest_choice_wins_and_at_the_same_time_the_refusing_one():
    assert newest([choice(ts_ms=2), choice(ts_ms=3, accepted=False), choice(ts_ms=1)])["a"].ts_ms == 3
    assert not newest([choice(accepted=False), choice()])["a"].accepted
    assert not newest([choice(), choice(accepted=False)])["a"].accepted


def test_choices_are_bounded():
    many = [choice(f"p{number}", number) for number in range(MAX_CHOICES + 3)]
    assert [one.ts_ms for one in newest(many).values()] == list(range(3, MAX_CHOICES + 3))
    assert len(combine(newest(many), newest([choice("more", 9999)]))) == MAX_CHOICES


@given(CHOICES)
def test_they_come_back_as_they_were(choices):
    found = newest(choices)
    assert decode_choices(encode_choices(found)) == found
    for one in choices:
        assert decode_choice(encode_choice(one)) == one
    assert decode_choices(None) == {}


@pytest.mark.parametrize("damaged", [b"", b"\x07", b"\x01", b"\x01\xc1", b"\x01\x91\x01"])
def test_what_is_damaged_is_refused(damaged):
    with pytest.raises(ValueError, match="choices"):
        decode_choices(damaged)
    with pytest.raises(ValueError, match="choices"):
        decode_choice(damaged)


def test_9_1_how_a_choice_is_shown():
    one = choice(channel="7", fields=b'{"$choice_source_token":"cmp","mine":{"n":1.5}}')
    assert choice_as_values(one) == {
        "$processing_id": "a",
        "$choice_ts": 1,
        "$choice_acceptance_value": True,
        "$creation_ts": 1,
        "$channel_id": "7",
        "$choice_source_token": "cmp",
        "mine": {"n": 1.5},
    }
    assert choices_as_values(encode_choices({"a": one})) == [choice_as_values(one)]
    assert choices_as_values(None) == []


def test_a_choice_is_told_from_others_by_all_it_says():
    ids = {
        choice_id(*one) for one in [("a", True), ("a", False), ("b", True), ("a", True, b"1"), ("a", True, b"1", b"2")]
    }
    assert len(ids | {choice_id("a", True, b"12")}) == 6
