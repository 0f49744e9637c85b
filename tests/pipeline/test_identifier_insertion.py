"""USER_IDENTIFIER_INSERTION: the fields of 5.2, the algorithm of 5.5 and decision 25."""

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.identifiers import account, agent, email_hash
from engine.model.identity_rules import IdentityRules
from engine.model.limits import MAX_IDENTIFIER_CHARS
from engine.pipeline.event_rules.md2 import md2
from tests.pipeline.rules import (
    activity,
    attached,
    counts,
    defined,
    event,
    fault_of,
    identify,
    notes_of,
    run,
    told,
    url_match,
    verdict_on,
)

PLAIN = {"hash_function": "NO_HASH"}


def made(rule, *values, **fields):
    """The identifiers that a rule makes of these values of `email`."""
    verdict = verdict_on(defined(rule, **fields), activity(*[event("e", email=value) for value in values]))
    assert tuple(attached(verdict)) == verdict.activity.identifiers
    return attached(verdict)


@pytest.mark.parametrize(
    ("function", "digest"),
    [
        ("NO_HASH", "me@x.test"),
        ("SHA_256", hashlib.sha256(b"me@x.test").hexdigest()),
        ("MD5", hashlib.md5(b"me@x.test").hexdigest()),
        ("MD2", md2(b"me@x.test")),
        ("SHA_1", hashlib.sha1(b"me@x.test").hexdigest()),
        ("SHA_384", hashlib.sha384(b"me@x.test").hexdigest()),
        ("SHA_512", hashlib.sha512(b"me@x.test").hexdigest()),
    ],
)
def test_5_2_hash_function(function, digest):
    assert made(identify(hash_function=function), "me@x.test") == [account("1", digest)]


@pytest.mark.parametrize(
    ("row", "fields", "identifier"),
    [
        ("default creation and function", {}, account("1", hashlib.sha256(b"Me").hexdigest())),
        ("EMAIL_HASH", {"identifier_creation": "EMAIL_HASH"}, email_hash(hashlib.sha256(b"Me").hexdigest())),
        ("EMAIL_HASH of a hash", {"identifier_creation": "EMAIL_HASH", **PLAIN}, email_hash("me")),
        ("compartment_id", {"compartment_id": "crm", **PLAIN}, account("crm", "Me")),
        ("compartment_id null is the default", {"compartment_id": None, **PLAIN}, account("1", "Me")),
        ("to_lower_case", {"to_lower_case": True, **PLAIN}, account("1", "me")),
        ("salt behind the value", {"salt": "S", **PLAIN}, account("1", "MeS")),
        ("salt is not lower-cased", {"salt": "S", "to_lower_case": True, **PLAIN}, account("1", "meS")),
        ("salt null is none", {"salt": None, **PLAIN}, account("1", "Me")),
        ("validation_regexp null is none", {"validation_regexp": None, **PLAIN}, account("1", "Me")),
        ("validated as it was sent", {"validation_regexp": "M.", "to_lower_case": True, **PLAIN}, account("1", "me")),
    ],
)  # fmt: skip
def test_5_2_fields(row, fields, identifier):
    assert made(identify(**fields), "Me") == [identifier], row


def test_the_default_compartment_is_the_datamarts():
    assert made(identify(**PLAIN), "x", default_compartment="crm") == [account("crm", "x")]


@pytest.mark.parametrize(
    ("value", "text"),
    [("x", "x"), (7, "7"), (1.50, "1.5"), ("", None), (None, None), (True, None), ({}, None), (["x"], None)],
)
def test_decision_25_the_value_as_text_and_an_empty_one_is_skipped(value, text):
    assert made(identify(**PLAIN), value) == ([] if text is None else [account("1", text)])


def test_decision_25_all_of_the_value_must_match():
    rule = identify(validation_regexp="[a-z]+@x\\.test|b", **PLAIN)
    assert made(rule, "a@x.test!", " a@x.test", "a@x.test\n", "b@x.test b", "bb", "a@y.test") == []
    assert made(rule, "a@x.test", "b") == [account("1", "a@x.test"), account("1", "b")]


def test_an_expression_takes_linear_time():
    rule = identify(validation_regexp="(a+)+|(a|a)*|(a*)*(.*)*x", **PLAIN)
    started_s = time.perf_counter()
    assert made(rule, "a" * 500 + "b") == []
    assert time.perf_counter() - started_s < 1


@pytest.mark.parametrize("value", ["null", "NULL", " guest ", "undefined", "00000000-0000-0000-0000-000000000000", "0"])
def test_decision_1_a_placeholder_names_nobody_even_before_it_is_hashed(value):
    assert made(identify(identifier_creation="EMAIL_HASH"), value) == []


def test_decision_1_the_placeholders_are_those_of_the_settings():
    rule = identify(identifier_creation="EMAIL_HASH")
    kiosk = IdentityRules(placeholders=("Kiosk",), zeros_are_placeholders=False)
    assert made(rule, "kiosk", identity=kiosk) == []
    assert (
        len(made(rule, "kiosk"))
        == len(made(rule, "guest", identity=kiosk))
        == len(made(rule, "0", identity=kiosk))
        == 1
    )


def test_values_and_identifiers_are_bounded():
    longest = "x" * MAX_IDENTIFIER_CHARS
    assert made(identify(**PLAIN), longest) == [account("1", longest)]
    assert made(identify(**PLAIN), longest + "x") == []
    assert made(identify(salt="s", **PLAIN), longest) == []
    assert len(made(identify(salt="s"), longest)) == 1


def test_each_identifier_once_also_beside_those_it_came_with():
    rules = defined(identify(**PLAIN), identify("other", **PLAIN))
    before = (agent("a"), account("1", "x"))
    after = run(rules, event(email="x"), event(email="y"), event(email="y", other="y"), identifiers=before)
    assert after.identifiers == (*before, account("1", "y"))


def test_remove_source_takes_the_property_away_where_it_became_an_identifier():
    rules = defined(identify(remove_source=True, validation_regexp="[a-z]+"), url_match("a.b/x", "made"))
    after = run(rules, event("one", ts=5, email="x", n=1), event("two", email="7"), event("three"))
    assert told(after) == [("one", {"n": 1}), ("two", {"email": "7"}), ("three", {})]
    assert after.events[0].body == b'{"$ts":5,"$event_name":"one","$properties":{"n":1}}'
    assert run(defined(identify()), event(email="x")).events[0].properties()["email"]


def test_decision_22_what_a_rule_took_away_is_gone_for_the_next_and_what_it_made_is_there():
    rules = defined(identify(remove_source=True, **PLAIN), identify(salt="2", **PLAIN))
    assert run(rules, event(email="x")).identifiers == (account("1", "x"),)
    rules = defined(url_match("a.b/:v", "m", email=":v"), identify(**PLAIN))
    assert run(rules, event(url="https://a.b/me")).identifiers == (account("1", "me"),)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"validation_regexp": "("}, "validation_regexp"),
        ({"validation_regexp": "(?=a)b"}, "validation_regexp"),
        ({"validation_regexp": "(a)\\1"}, "validation_regexp"),
        ({"validation_regexp": "((a{100}){100}){100}"}, "validation_regexp"),
        ({"identifier_creation": "EMAIL_HASH", "compartment_id": "crm"}, "compartment_id"),
        ({"compartment_id": "a\0b"}, "compartment_id"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_place(fields, field):
    assert fault_of(identify(**fields)) == ("bad_definition", f"event_rules[0].{field}")


def test_notes_and_counters():
    rules = defined(identify(validation_regexp="x", **PLAIN), identify("other"))
    assert notes_of(rules, event("a", email="x"), event("b", email="yy"), event("c", email="guest")) == [
        ("0", "matched", "account x of a"),
        ("0", "skipped", "email of b does not match the expression"),
        ("0", "skipped", "email of c is a placeholder, which names nobody"),
        ("1", "skipped", "no event has a other"),
    ]
    assert counts(verdict_on(rules, activity(event(email="x"), event(email="y")))) == {
        "events_step.EVENT_RULES": 1,
        "event_rules_matched.USER_IDENTIFIER_INSERTION": 1,
    }


@given(st.text(max_size=40), st.sampled_from(["SHA_256", "MD2", "NO_HASH"]), st.text(max_size=5), st.booleans())
def test_any_value_gives_an_identifier_or_none(value, function, salt, lower):
    found = made(identify(hash_function=function, salt=salt, to_lower_case=lower), value)
    assert len(found) <= 1
