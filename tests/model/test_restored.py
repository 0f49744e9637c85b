"""What somebody else decoded and encoded again has the text that it had."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.restored import restored


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("1.50", "1.5", "1.50"),
        ("1.0", "1", "1.0"),
        ("1e3", "1000", "1e3"),
        ("true", "1", "1"),
        ("1", "true", "true"),
        ('"1"', "1", "1"),
        ("null", "0", "0"),
        ("{}", "[]", "[]"),
        ('{"10":1.0,"9":2}', '{"9":2,"10":1}', '{"10":1.0,"9":2}'),
        ('{"a":1.0,"b":2}', '{"b":2}', '{"b":2}'),
        ('{"b":2}', '{"c":1,"b":2.0}', '{"b":2,"c":1}'),
        ('{"a":{"x":1.0,"y":1}}', '{"a":{"x":1,"y":2}}', '{"a":{"x":1.0,"y":2}}'),
        ("[1.0,2.0,3.0]", "[1,3]", "[1.0,3.0]"),
        ("[1.0,2.0]", "[2,1]", "[2.0,1.0]"),
        ("[1.0,1.00]", "[1]", "[1.0]"),
        ('[{"$ts":1,"a":1.0,"b":1},{"$ts":2,"a":2.0}]', '[{"$ts":2,"a":2,"b":3}]', '[{"$ts":2,"a":2.0,"b":3}]'),
        ('[{"a":1.0,"b":1}]', '[{"a":1,"b":2}]', '[{"a":1.0,"b":2}]'),
        ("12345678901234567890", "12345678901234567000", "12345678901234567000"),
        ("[]", "[]", "[]"),
        ('{"a":1e400,"b":1}', '{"a":"1e400","b":2}', '{"a":1e400,"b":2}'),
        ('{"a":[1e400,{"b":1e400}]}', '{"a":[{"b":"1e400"},"1e400"]}', '{"a":[{"b":1e400},1e400]}'),
        ("1e400", "1e500", "1e500"),
        ("1" * 5000, "2" * 5000, "2" * 5000),
        ("1e40", '"1e40"', '"1e40"'),
        ('"1e400"', '"1e400"', '"1e400"'),
        ('{"a":1}', '{"b":1}', '{"b":1}'),
    ],
)
def test_the_text_is_the_old_one_where_the_value_is_the_same(before, after, found):
    assert restored(before.encode(), after.encode(), doubles=False).decode() == found


def test_two_integers_that_are_one_double_are_the_same_to_javascript():
    before, after = b'{"a":[12345678901234567890]}', b'{"a":[12345678901234567000]}'
    assert restored(before, after, doubles=True) == before
    assert restored(before, after, doubles=False) == after


numbers = st.sampled_from(["1", "1.0", "1.50", "1.5", "2", "1e1", "10", "-0", "0", "9007199254740993"])
texts = st.recursive(
    numbers | st.sampled_from(["null", "true", '"a"', '"1"']),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda found: "[" + ",".join(found) + "]")
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda found: "{" + ",".join(f'"{key}":{value}' for key, value in found.items()) + "}"
        )
    ),
    max_leaves=10,
)


def exact(value):
    """Equal for equal values, order of members aside."""
    if isinstance(value, dict):
        return frozenset((key, exact(one)) for key, one in value.items())
    return tuple(map(exact, value)) if isinstance(value, list) else (isinstance(value, bool), value)


@given(texts, texts)
def test_it_never_changes_a_value(before, after):
    found = restored(before.encode(), after.encode(), doubles=False)
    assert exact(json.loads(found)) == exact(json.loads(after))


@given(texts)
def test_what_is_the_same_is_the_same_text(before):
    assert restored(before.encode(), json.dumps(json.loads(before)).encode().replace(b" ", b""), doubles=False) == (
        before.encode()
    )
    for doubles in (False, True):
        through = json.dumps(json.loads(before, parse_int=float), separators=(",", ":"), sort_keys=True)
        if doubles or "9007199254740993" not in before:
            assert restored(before.encode(), through.encode(), doubles=doubles) == before.encode()
