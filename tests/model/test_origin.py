"""Origins: what is said is kept, nothing said is no origin, and what makes two of them the same one (decision 6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from engine.model.origin import ORIGIN_FIELDS, origin_from, origin_of_text
from engine.model.wire import encode_fields
from tests.model import texts

COMPARED = {
    "$channel",
    "$source",
    "$campaign_name",
    "$campaign_technical_name",
    "$campaign_id",
    "$sub_campaign_technical_name",
    "$sub_campaign_id",
    "$keywords",
    "$creative_name",
    "$creative_technical_name",
    "$creative_id",
    "$social_network",
    "$log_id",
    "$gclid",
}


def fields(**values):
    return {name: Raw(texts.compact(value).encode()) for name, value in values.items()}


@pytest.mark.slow
@given(texts.OBJECTS, st.dictionaries(st.sampled_from(ORIGIN_FIELDS), texts.SCALARS))
def test_all_that_is_said_stays_as_it_is(custom, documented):
    sent = {**fields(**documented), **{key: Raw(texts.compact(value).encode()) for key, value in custom}}
    said = {key: value for key, value in sent.items() if key != "$ts" and bytes(value) != b"null"}
    origin = origin_from(sent)
    if not said:
        assert origin is None
        return
    kept = {key: value for key, value in sent.items() if key in said or (key in dict(custom) and key != "$ts")}
    assert origin.body == encode_fields(kept)


def test_a_null_of_ones_own_is_a_value_beside_others():
    origin = origin_from(fields(**{"$source": "mail", "$gclid": None, "mine": None}))
    assert origin.body == b'{"$source":"mail","mine":null}'


@pytest.mark.parametrize("sent", [{}, {"$source": None}, {"$ts": texts.Number(5)}, {"mine": None}])
def test_nothing_said_is_no_origin(sent):
    assert origin_from(fields(**sent)) is None


@pytest.mark.parametrize("name", ORIGIN_FIELDS)
def test_which_fields_make_another_origin(name):
    one, other = (origin_from(fields(**{"$source": "mail", name: value})) for value in ("a", "b"))
    assert one.differs_from(other) is (name in COMPARED)
    assert not one.differs_from(one)
    assert one.differs_from(None)


@given(st.permutations([("$source", "a"), ("$channel", "b"), ("$gclid", "c")]))
def test_the_order_of_fields_is_no_difference(members):
    assert not origin_from(fields(**dict(members))).differs_from(
        origin_of_text({"$channel": "b", "$source": "a", "$gclid": "c"})
    )


def test_values_found_in_text_are_json_text():
    assert origin_of_text({"$source": 'q"é', "$channel": ""}).body == '{"$source":"q\\"é"}'.encode()
    assert origin_of_text({"$source": ""}) is None
