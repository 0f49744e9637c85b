"""The visitor's cookie: made, found again, and never anything that we did not make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import VisitorSettings
from gateway.collect.cookies import Visitor, cookie_header, known_visitor, new_visitor

DEFAULT = VisitorSettings()
ID = "5a3b0a1c-9f61-4a0e-8d55-0c9d6a7b1e2f"


def found(cookies: str) -> str:
    visitor = known_visitor({"cookie": cookies}, DEFAULT)
    return visitor.id if visitor is not None else ""


def test_what_is_set_comes_back():
    visitor = new_visitor()
    (name, value) = cookie_header(visitor, DEFAULT, secure=True)
    assert name == "set-cookie"
    assert known_visitor({"cookie": value.partition(";")[0]}, DEFAULT) == Visitor(visitor.id, False)
    assert visitor.user_agent_id == f"vec:{visitor.id}"
    assert new_visitor().id != visitor.id


def test_a_first_visit_that_is_sent_twice_is_one_visitor():
    visitor = new_visitor(ID)
    assert visitor == new_visitor(ID) == new_visitor(ID.upper())
    assert visitor.id not in (ID, new_visitor(ID.replace("5", "6")).id)
    assert found(f"sojourn_vid={visitor.id}") == visitor.id


@pytest.mark.parametrize("guessable", ["", "1", "order-42", f"{ID}0", "1700000000000"])
def test_an_event_id_that_could_be_guessed_makes_no_visitor(guessable):
    assert new_visitor(guessable) != new_visitor(guessable)


@pytest.mark.parametrize(
    "cookies",
    [
        f"sojourn_vid={ID}",
        f"a=b; sojourn_vid={ID}; c=d",
        f"a=b;sojourn_vid={ID}",
        f"a=b, sojourn_vid={ID}",
        f"sojourn_vid=broken; sojourn_vid={ID}",
        f"sojourn_vid; sojourn_vid={ID}",
    ],
)
def test_it_is_found_among_others(cookies):
    assert found(cookies) == ID


@pytest.mark.parametrize(
    "cookies",
    [
        "",
        "sojourn_vid",
        "sojourn_vid=",
        f"sojourn_vid={ID.upper()}",
        f"sojourn_vid={ID}x",
        f'sojourn_vid="{ID}"',
        f"xsojourn_vid={ID}",
        f"sojourn_vid2={ID}",
        f"a=sojourn_vid={ID}",
        "sojourn_vid=00000000-0000-0000-0000-000000000000",
    ],
)
def test_another_value_counts_as_none(cookies):
    assert found(cookies) == ""


def test_settings_name_it():
    visitors = VisitorSettings(cookie_name="vid", cookie_days=30, cookie_domain="shop.test")
    _, value = cookie_header(Visitor(ID, True), visitors, secure=False)
    assert value == f"vid={ID}; Max-Age=2592000; Path=/; Domain=shop.test; HttpOnly; SameSite=Lax"
    assert known_visitor({"cookie": f"vid={ID}"}, visitors) == Visitor(ID, False)


@given(st.text())
def test_no_header_makes_it_fail(text):
    known_visitor({"cookie": text}, DEFAULT)
    known_visitor({"cookie": f"sojourn_vid={text}"}, DEFAULT)
