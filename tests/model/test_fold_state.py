"""Saved fold states as bytes (decision 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.fold_state import FoldState, SavedLeaving, SavedRun, decode_fold_state, encode_fold_state

sequences = st.lists(st.integers(0, 2**63)).map(tuple)
numbers = st.integers(0, 2**40)
saved_runs = st.builds(SavedRun, st.sampled_from(["session", "live"]), st.text(), sequences, numbers)
saved_leaving = st.builds(
    SavedLeaving, st.text(), st.text(), st.text(), sequences, sequences, st.binary(max_size=16), numbers
)
fold_states = st.builds(
    FoldState, st.integers(-1, 2**63), st.lists(saved_runs).map(tuple), st.lists(saved_leaving).map(tuple)
)


@pytest.mark.slow
@given(fold_states)
def test_bytes_and_back(state: FoldState):
    data = encode_fold_state(state)
    assert data[0] == 1
    assert decode_fold_state(data) == state


def test_sequences_are_all_that_is_held():
    state = FoldState(
        9,
        (SavedRun("session", "site:1", (3, 1)), SavedRun("live", "site:1", (2,))),
        (SavedLeaving("session", "size", "site:1", (4,), (), b""), SavedLeaving("state", "", "", (), (9,), b"u")),
    )
    assert state.sequences() == (3, 1, 2, 4, 9)


@pytest.mark.parametrize("data", [b"", b"\x02\x93", b"\x01", b"\x01\x93\x01", b"\x01garbage", b"\x01\xc0"])
def test_damage_is_a_value_error(data: bytes):
    with pytest.raises(ValueError, match="fold state"):
        decode_fold_state(data)
