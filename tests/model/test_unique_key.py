"""Generated keys: a UUIDv1 that says when, and differs in whatever its activity differs (decision 13)."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from engine.model.unique_key import generated_key

TIMES = st.integers(0, 2**43)
PARTS = st.lists(st.binary(max_size=10), max_size=4)
GREGORY = datetime(1582, 10, 15, tzinfo=UTC)


@given(TIMES, PARTS)
def test_it_is_a_version_1_of_nobodys_network_card_and_says_its_time(ts_ms, parts):
    key = generated_key(ts_ms, parts)
    assert (key.variant, key.version) == (RFC_4122, 1)
    assert key.node >> 40 & 1, "the multicast bit is not set"
    shown = GREGORY + timedelta(microseconds=key.time // 10)
    assert shown == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ts_ms)


@given(TIMES, PARTS, PARTS)
def test_equal_parts_and_only_those_give_the_same_key(ts_ms, parts, others):
    assert (generated_key(ts_ms, parts) == generated_key(ts_ms, others)) is (parts == others)


@given(TIMES, st.binary(max_size=8), st.binary(max_size=8))
def test_parts_do_not_run_together(ts_ms, one, other):
    assert (generated_key(ts_ms, [one + other]) == generated_key(ts_ms, [one, other])) is False
    assert (generated_key(ts_ms, [one, b"", other]) == generated_key(ts_ms, [one, other])) is False


def test_keys_do_not_change_with_a_new_version_of_the_program():
    assert generated_key(1_700_000_000_000, [b"session", b"{}"]) == UUID("04afc000-833b-11ee-8845-a3e8da831769")
