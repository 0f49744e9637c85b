"""Journal records and fold states come back from their bytes as they were; damaged ones are noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.model.fold_state import FoldState, SavedLeaving, SavedRun, decode_fold_state, encode_fold_state
from engine.model.record import Record, RecordKind, decode_record, encode_record, record_size_bytes
from tests.engines import error_of

NUMBERS = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
POINTS = st.binary(min_size=16, max_size=16)

RECORDS = st.builds(
    Record,
    sequence=NUMBERS,
    kind=st.sampled_from(RecordKind).map(int),
    arrival_ms=NUMBERS,
    datamart=st.integers(0, 2**32 - 1),
    user_point=POINTS,
    channel=TEXT,
    channel_version=NUMBERS,
    ts_ms=NUMBERS,
    weight=NUMBERS,
    process=st.booleans(),
    root=st.binary(max_size=50),
    event=st.binary(max_size=50),
)
SEQUENCES = st.lists(NUMBERS, max_size=4).map(tuple)
STATES = st.builds(
    FoldState,
    NUMBERS,
    st.lists(st.builds(SavedRun, st.sampled_from(["session", "live"]), TEXT, SEQUENCES, NUMBERS), max_size=3).map(
        tuple
    ),
    st.lists(
        st.builds(SavedLeaving, TEXT, TEXT, TEXT, SEQUENCES, SEQUENCES, POINTS | st.just(b""), NUMBERS), max_size=3
    ).map(tuple),
)


@given(RECORDS)
def test_a_record_comes_back(record):
    assert decode_record(encode_record(record)) == record


@given(STATES)
def test_a_state_comes_back_and_names_all_it_holds(state):
    assert decode_fold_state(encode_fold_state(state)) == state
    held = [sequence for run in state.open for sequence in run.members]
    held += [sequence for part in state.pending for sequence in (*part.members, *part.records)]
    assert list(state.sequences()) == held


@given(RECORDS, st.data())
def test_a_record_cut_short_or_of_another_format_is_damaged(record, data):
    encoded = encode_record(record)
    place = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(ValueError, match="record"):
        decode_record(encoded[:place])
    with pytest.raises(ValueError, match="unknown format"):
        decode_record(b"\x02" + encoded[1:])


@given(STATES, st.data())
def test_a_state_cut_short_or_of_another_format_is_damaged(state, data):
    encoded = encode_fold_state(state)
    place = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(ValueError, match="state"):
        decode_fold_state(encoded[:place])
    with pytest.raises(ValueError, match="unknown format"):
        decode_fold_state(b"\0" + encoded[1:])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_record_or_a_clear_error(data):
    for decode in (decode_record, decode_fold_state):
        error = error_of(ValueError, decode, b"\x01" + data)
        assert error is None or "damaged" in str(error)


@given(RECORDS)
def test_what_a_record_weighs_follows_from_its_payload_alone(record):
    """What the journal's bound adds for a record is what it later takes off for what is held of it."""
    assert record_size_bytes(record) == record_size_bytes(structs.replace(record, sequence=1, channel="another"))
    assert record_size_bytes(record) > len(record.root) + len(record.event)
