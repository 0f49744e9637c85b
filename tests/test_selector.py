"""How a reader names a person, and which activities are meant (mediarithmics 4.6 and 11.1)."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from engine import CallerError, Condition, Filters, Selector
from engine.model.identifiers import account, agent, email_hash
from engine.selector import scalar_text, ts_of

POINT = UUID("6a1f3f0e-6f0c-5c55-9d0a-5d8f6d1b7c11")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        (str(POINT), Selector(user_point=POINT)),
        (POINT.hex, Selector(user_point=POINT)),
        (str(POINT).upper(), Selector(user_point=POINT)),
        (f"user_point_id={POINT}", Selector(user_point=POINT)),
        ("user_agent_id=vec:1", Selector(identifier=agent("vec:1"))),
        ("user_agent_id=a=b", Selector(identifier=agent("a=b"))),
        ("user_agent_id=a,b/c", Selector(identifier=agent("a,b/c"))),
        ("email_hash=AbC", Selector(identifier=email_hash("abc"))),
        ("compartment_id=1,user_account_id=ann", Selector(identifier=account("1", "ann"))),
        ("compartment_id=1/user_account_id=ann", Selector(identifier=account("1", "ann"))),
        ("compartment_id=1,user_account_id=a,b/c=d", Selector(identifier=account("1", "a,b/c=d"))),
    ],
)
def test_each_form_names_somebody(text, selector):
    assert Selector.parse(text) == selector


@given(TEXT)
def test_any_agent_and_any_account_can_be_named(value):
    assert Selector.parse(f"user_agent_id={value}").identifier == agent(value)
    assert Selector.parse(f"compartment_id=1,user_account_id={value}").identifier == account("1", value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "user_agent_id=",
        "email_hash=",
        "user_point_id=",
        "user_point_id=ann",
        "user_account_id=ann",
        "compartment_id=1",
        "compartment_id=,user_account_id=ann",
        "compartment_id=1,user_account_id=",
        "user_agent_idx=1",
    ],
)
def test_any_other_text_is_the_callers_fault(text):
    with pytest.raises(CallerError) as caught:
        Selector.parse(text)
    assert caught.value.code == "bad_selector"


@given(st.text())
def test_no_text_does_worse(text):
    try:
        found = Selector.parse(text)
    except CallerError:
        return
    assert (found.user_point is None) is not (found.identifier is None)


SHOWN = {
    "$ts": 500,
    "$type": "SITE_VISIT",
    "$site_id": "1",
    "$session_duration": None,
    "price": 1.50,
    "ok": True,
    "list": ["a"],
    "é": "ü",
}


def match(*conditions, **bounds):
    filters = Filters(tuple(Condition(field, tuple(values)) for field, *values in conditions), **bounds)
    return filters.match(json.dumps(SHOWN).replace("1.5", "1.50").encode())


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (("$type", "SITE_VISIT"), True),
        (("$type", "TOUCH", "SITE_VISIT"), True),
        (("$type", "TOUCH"), False),
        (("$type",), False),
        (("$channel_id", "1"), True),
        (("$channel_id", "2"), False),
        (("$site_id", "1"), True),
        (("$app_id", "1"), False),
        (("$ts", "500"), True),
        (("price", "1.50"), True),
        (("price", "1.5"), False),
        (("ok", "true"), True),
        (("$session_duration", "null"), True),
        (("list", "a"), False),
        (("missing", "null"), False),
        (("é", "ü"), True),
    ],
)
def test_a_condition_compares_text(condition, holds):
    assert match(condition) is holds


def test_all_conditions_and_bounds_hold_together():
    assert match(("$type", "SITE_VISIT"), ("$site_id", "1"), start_ms=500, end_ms=500)
    assert not match(("$type", "SITE_VISIT"), ("$site_id", "2"))
    assert not match(start_ms=501)
    assert not match(end_ms=499)
    assert match()


def test_the_channel_of_an_application_and_of_nobody():
    channel = Filters((Condition("$channel_id", ("7",)),))
    assert channel.match(b'{"$ts":1,"$app_id":"7"}')
    assert not channel.match(b'{"$ts":1}')
    assert not channel.match(b'{"$ts":1,"$site_id":null,"$app_id":null}')


def test_the_text_of_values():
    assert scalar_text(Raw(b'"\\u00e9"')) == "é"
    assert scalar_text(Raw(b"1E5")) == "1E5"
    assert scalar_text(Raw(b"[1]")) is scalar_text(Raw(b'{"a":1}')) is None
    assert ts_of(b'{"$ts":12}') == 12
