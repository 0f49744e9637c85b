"""Definitions come back from their rows, and their keys keep apart and in order what they should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definitions import rows
from engine.definitions.access import ApiToken, Scope, hash_token
from engine.definitions.datamart import Compartment, Datamart
from engine.model.channel import ChannelSettings
from engine.model.limits import MAX_DATAMART

DATAMARTS = st.integers(1, MAX_DATAMART)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
CHANNELS = st.builds(
    ChannelSettings,
    datamart=DATAMARTS,
    kind=st.sampled_from(["SITE", "MOBILE_APPLICATION"]),
    id=st.text("ab.-_1", min_size=1, max_size=64),
    version=DATAMARTS,
    name=TEXTS,
    aliases=st.lists(TEXTS, max_size=3).map(tuple),
    gap_ms=st.integers(1, 2**53),
)


@given(CHANNELS, CHANNELS)
def test_a_channel_comes_back_and_its_versions_stand_in_order(one, other):
    key, value = rows.channel_row(one)
    other_key, _ = rows.channel_row(other)
    assert rows.read_channel(value) == one
    assert key.startswith(rows.CHANNEL_PREFIX)
    assert len(key) <= 511
    assert (key == other_key) == ((one.datamart, one.key, one.version) == (other.datamart, other.key, other.version))
    if (one.datamart, one.key) == (other.datamart, other.key):
        assert (key < other_key) == (one.version < other.version)


COMPARTMENTS = st.builds(Compartment, id=TEXTS, name=TEXTS, token=TEXTS, removed=st.booleans())


@given(
    st.builds(
        Datamart,
        id=DATAMARTS,
        name=TEXTS,
        default_compartment=TEXTS,
        token=TEXTS,
        compartments=st.lists(COMPARTMENTS, max_size=3).map(tuple),
        redirect_hosts=st.lists(TEXTS, max_size=3).map(tuple),
    )
)
def test_a_datamart_comes_back(datamart):
    key, value = rows.datamart_row(datamart)
    assert rows.read_datamart(value) == datamart
    assert key == b"datamart/" + datamart.id.to_bytes(4, "big")


def test_a_token_comes_back_and_the_secret_is_not_in_its_row():
    token = ApiToken(hash=hash_token("secret"), name="n", scopes=(Scope.READ, Scope.COLLECT), datamart=3, created_ms=4)
    key, value = rows.token_row(token)
    assert rows.read_token(value) == token
    assert key == b"token/" + token.hash
    assert b"secret" not in key + value


def test_a_field_that_is_not_known_yet_does_not_hinder_reading():
    assert rows.read_datamart(b'{"id":3,"colour":"blue"}') == Datamart(id=3)


def test_a_channel_from_before_there_were_tracker_keys_is_read():
    old = b'{"datamart":1,"kind":"SITE","id":"1","version":4,"token":"t","gap_ms":5}'
    assert rows.read_channel(old) == ChannelSettings(datamart=1, kind="SITE", id="1", version=4, token="t", gap_ms=5)


@pytest.mark.parametrize("read", [rows.read_datamart, rows.read_channel, rows.read_token])
@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"id":"x","hash":3}'])
def test_a_damaged_row_is_no_callers_fault(read, value):
    with pytest.raises(ValueError, match="damaged definition"):
        read(value)
