"""Segments of a person: encoded, expired, made one of two (decision 3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.segments import FORMAT, Membership, combine, decode_segments, encode_segments, joined, shown

MEMBERSHIPS = st.builds(Membership, st.sampled_from("abc"), st.integers(0, 9), st.none() | st.integers(10, 20))
SEGMENTS = st.lists(MEMBERSHIPS, max_size=3).map(lambda found: {one.segment: one for one in found})


@given(SEGMENTS, st.integers(0, 30))
def test_they_come_back_but_for_those_that_are_over(segments, now_ms):
    stored = encode_segments(segments)
    assert decode_segments(stored, 0) == segments
    assert encode_segments(dict(reversed(segments.items()))) == stored
    left = decode_segments(stored, now_ms)
    assert left == {name: one for name, one in segments.items() if one.expires_ms is None or now_ms < one.expires_ms}


@pytest.mark.parametrize("stored", [b"", b"\0", bytes((FORMAT,)), bytes((FORMAT,)) + b"\x91\x01"])
def test_what_cannot_be_read_is_an_error(stored):
    with pytest.raises(ValueError):
        decode_segments(stored, 0)


@given(SEGMENTS, SEGMENTS)
def test_two_people_who_are_one_are_in_all_of_them(one, other):
    combined = combine(one, other.values())
    assert combined == combine(other, one.values())
    assert combine(combined, other.values()) == combined, "again the same changes nothing"
    assert combined.keys() == one.keys() | other.keys()


def test_joining_again_never_makes_a_stay_shorter():
    stay = Membership("a", 1, 20)
    assert joined(None, stay) == stay
    assert joined(stay, Membership("a", 5, 10)) == stay
    assert joined(stay, Membership("a", 5, 30)) == Membership("a", 1, 30)
    assert joined(stay, Membership("a", 5)) == Membership("a", 1)


def test_as_they_are_shown():
    (found,) = shown({"a": Membership("a", 1, 2)})
    assert found == {"id": "a", "segment_id": "a", "creation_ts": 1, "expiration_ts": 2}
