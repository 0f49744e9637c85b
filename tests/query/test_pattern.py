"""MATCHES: what Python's own engine says, for the expressions that both have; and never slow."""

import contextlib
import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.query.errors import QueryError
from engine.query.limits import MAX_MATCHED_CHARS, MAX_MATCHING_WORK, MAX_PATTERN_POSITIONS
from engine.query.pattern import Pattern


@st.composite
def regexes(draw: st.DrawFn, depth: int = 3) -> str:
    atoms = [
        "a",
        "b",
        "c",
        ".",
        "[ab]",
        "[^a]",
        "[a-c]",
        "[^b-z]",
        r"\d",
        r"\W",
        r"\.",
        r"[\w-]",
        r"[^\s]",
        "é",
        "[]-a]",
    ]
    kinds = ["atom", "atom"] + (["group", "alternatives", "sequence"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "atom":
        found = draw(st.sampled_from(atoms[:-1]))
    elif kind == "group":
        found = draw(st.sampled_from(["(", "(?:"])) + draw(regexes(depth - 1)) + ")"
    else:
        parts = draw(st.lists(regexes(depth - 1), min_size=1, max_size=3))
        found = f"({'|'.join(parts)})" if kind == "alternatives" else f"({''.join(parts)})"
    return found + draw(st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "{1,3}?", "*?", "{0}"]))


TEXTS = st.text(st.sampled_from("abcd1 .-é\nA"), max_size=8)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(regexes(), st.lists(TEXTS, min_size=1, max_size=6), st.booleans())
def test_it_is_pythons_full_match(text: str, values: list[str], ignores_case: bool):
    # Python's engine, which is asked here, takes minutes on some expressions of many repetitions.
    assume(sum(text.count(mark) for mark in "*+?{") <= 6)
    text = "(?i)" * ignores_case + text
    pattern = Pattern(text)
    python = re.compile(text, re.DOTALL)
    for value in values:
        # \d and \w are ASCII here, as they are in Java.
        if value.isascii():
            assert pattern.matches(value) == (python.fullmatch(value) is not None), (text, value)


@pytest.mark.parametrize(
    ("text", "fitting", "others"),
    [
        ("", [""], ["a"]),
        ("^abc$", ["abc"], ["abcd", "^abc$"]),
        (r"https://[^/]+/p/\d+(\?.*)?", ["https://a.b/p/12", "https://a/p/1?x=y"], ["https://a/p/", "http://a/p/1"]),
        ("(?i)straße", ["STRAßE", "strasse"[:0] + "straße"], ["strasse"]),
        ("(?i)[a-c]+é", ["ABCÉ"], ["abd"]),
        (r"\u0061\n", ["a\n"], ["u0061n"]),
        ("[-a]+", ["-a-"], ["b"]),
        (r"[\]\\]", ["]", "\\"], ["["]),
        ("a|", ["a", ""], ["b"]),
        ("日本.", ["日本語"], ["日本"]),
        (r"\$page_view", ["$page_view"], ["page_view"]),
        ("(a|b)*c{3}", ["ccc", "abccc"], ["cc"]),
        ("[^\\d]+", ["ab"], ["a1"]),
        ("[\\D]+", ["ab"], ["a1"]),
    ],
)
def test_what_there_is(text: str, fitting: list[str], others: list[str]):
    pattern = Pattern(text)
    assert [value for value in fitting if not pattern.matches(value)] == []
    assert [value for value in others if pattern.matches(value)] == []


@pytest.mark.parametrize(
    "text",
    [
        "(",
        ")",
        "(a",
        "a)",
        "[",
        "[]",
        "[a",
        "[b-a]",
        "[a-\\d]",
        "*",
        "a**",
        "a{2",
        "a{x}",
        "a{3,2}",
        "a{,2}",
        "a{999}",
        "{1}",
        r"\\"[:1],
        r"\q",
        r"\1",
        r"\b",
        r"\u12",
        "(?=a)",
        "(?<n>a)",
        "(?!a)",
        "a$b",
        "a^b",
        "(" * 60 + ")" * 60,
        "x" * 1001,
        "(a{200}){200}",
        "((){250}){250}{2}",
        "((((){250}){250}){250}){250}",
    ],
)
def test_what_there_is_not(text: str):
    with pytest.raises(QueryError):
        Pattern(text)


SLOW_ELSEWHERE = [
    "(a|aa)*b",
    "(a*)*b",
    "(a+)+b",
    "(.*.*)*=(.*)",
    "(x+x+)+y",
    "(a|a|a)*b",
    ".*" * 100 + "b",
    "(a?){120}b",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", [*SLOW_ELSEWHERE, ".*a.{120}.*a.{120}", "(.|a){120}c", "(.*a.{20}b)*c"])
def test_no_expression_takes_for_ever(text: str):
    """A backtracking engine would not end on most of these; the bound is far above what they take."""
    pattern = Pattern(text)
    for value in ("a" * 8000, "ab" * 4000, "".join(chr(97 + (at * at) % 7 % 2) for at in range(8000))):
        began = time.process_time()
        pattern.matches(value)
        assert time.process_time() - began < 0.5


def test_longer_values_match_nothing():
    assert Pattern("a*").matches("a" * MAX_MATCHED_CHARS)
    assert not Pattern("a*").matches("a" * (MAX_MATCHED_CHARS + 1))


def test_many_are_matched_as_one():
    pattern = Pattern("a+|b", "(?i)x[yz]", "c|d")
    assert all(map(pattern.matches, ("aa", "b", "XY", "xz", "c", "d")))
    assert not any(map(pattern.matches, ("A", "ab", "C", "xw", "aac", "")))


def test_positions_and_the_work_on_a_value_are_bounded():
    """`(a|b)*a(a|b){50}x` defeats what any automaton remembers: then each position costs at each character."""
    assert Pattern("(a|b)*a(a|b){50}x").positions == 2 + 1 + 100 + 1
    assert Pattern("a{3}(b{2,})?c*").positions == 3 + 2 + 1
    many = [f"(a|b)*a(a|b){{50}}x{at}" for at in range(9)]
    pattern = Pattern(*many)
    longest = MAX_MATCHING_WORK // pattern.positions - len("x0")
    value = "".join("ab"[at * at // 7 % 2] for at in range(longest - 60)) + "a" * 60
    began = time.process_time()
    assert pattern.matches(value + "x0")
    assert time.process_time() - began < 0.25
    assert not pattern.matches("a" + value + "x0")
    with pytest.raises(QueryError, match=f"more than {MAX_PATTERN_POSITIONS} characters in all"):
        Pattern(*many, *many)


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_an_error(text: str):
    with contextlib.suppress(QueryError):
        Pattern(text).matches(text)
