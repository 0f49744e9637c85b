"""Placeholders name nobody, in whatever spelling they come (decision 1)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.identity.placeholders import Placeholders
from engine.model.identifiers import account, agent, email_hash, raw_email
from engine.model.identity_rules import PLACEHOLDERS

DEFAULT = Placeholders()
NIL = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("text", [*PLACEHOLDERS, "0", "0000000", NIL, "00:00:00:00:00:00", "{" + NIL + "}", " ", "0.0"])
@pytest.mark.parametrize("spell", [str, str.upper, str.title, lambda text: f"  {text}\t"])
def test_a_placeholder_in_any_case_and_with_spaces_around(text, spell):
    assert account("1", spell(text)) in DEFAULT
    assert agent(spell(text)) in DEFAULT
    assert email_hash(spell(text)) in DEFAULT


@pytest.mark.parametrize(
    "value", ["vec:0", "vec:", "etag:-1", "net:9:undefined", f"mob:ios:raw:{NIL}", "mob:android:null"]
)
def test_the_id_within_its_registry_counts(value):
    assert agent(value) in DEFAULT


@pytest.mark.parametrize("address", ["", " ", "null", "undefined", "Guest", "0"])
def test_the_hash_of_a_placeholder_is_one(address):
    assert raw_email(address) in DEFAULT
    for digest in (hashlib.sha256, hashlib.md5, hashlib.sha1):
        assert email_hash(digest(address.strip().encode()).hexdigest().upper()) in DEFAULT


@pytest.mark.parametrize(
    "value",
    ["10", "a0", "nullable", "guest42", "vec:89090939434", "net:9:12345", "1.2.3.4", "-10", "2001:db8::1", "no"],
)
def test_what_only_resembles_one_is_none(value):
    assert agent(value) not in DEFAULT
    assert account("1", value) not in DEFAULT


def test_the_compartment_does_not_matter():
    assert account("null", "42") not in DEFAULT


def test_a_real_address_is_none():
    assert raw_email("someone@example.com") not in DEFAULT


def test_the_list_is_the_operators():
    own = Placeholders(["Kiosk-1 "], zeros=False)
    assert agent("kiosk-1") in own
    assert agent("null") not in own
    assert agent("0") not in own
    assert raw_email("0") not in own
    assert agent(" ") in own, "blanks are no id under any rules"


@given(st.text(alphabet="0-:. {}", min_size=1))
def test_zeros_and_separators(text):
    assert account("1", text) in DEFAULT or "0" not in text


@given(st.uuids(), st.integers(1))
def test_ids_and_addresses_of_people_are_none(number, person):
    if set(str(number)) - set("0f-"):
        assert agent(str(number)) not in DEFAULT
    assert raw_email(f"{person}@example.com") not in DEFAULT
