"""Any bytes, fed whole or byte by byte or cut anywhere, give the same requests and the same refusal; never a crash."""

import random
import sys

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import fuzz.http
from fuzz.http import check_connection, check_cuts, outcome
from fuzz.mutations import mutated, valid_requests
from gateway.collect.listener.heads import KnownHeads
from tests.gateway.listener.cases import GROUPS, SMUGGLED

PLACES = st.lists(st.integers(0, 600), max_size=4)
KNOWN = KnownHeads()
"""Of all examples together, as connections share them."""


@pytest.mark.slow
@settings(max_examples=200)
@given(st.randoms(use_true_random=False), PLACES)
def test_cuts_change_nothing(chance: random.Random, places: list[int]):
    check_cuts(mutated(chance, valid_requests(chance)), places, KNOWN)


@settings(max_examples=200)
@given(st.binary(max_size=200), PLACES)
def test_cuts_change_nothing_of_what_is_no_request(data: bytes, places: list[int]):
    check_cuts(data, places, KNOWN)


@pytest.mark.parametrize("group", GROUPS)
def test_cuts_change_nothing_of_what_is_read_differently_elsewhere(group: str):
    for data, _ in GROUPS[group].values():
        check_cuts(data + SMUGGLED, [len(data) // 2, len(data)], KNOWN)


def test_the_grammar_makes_requests_that_are_taken():
    """Else the other tests would test refusals only."""
    chance = random.Random(1)
    found = [outcome([valid_requests(chance)]) for _ in range(300)]
    assert sum(bool(one.requests) for one in found) > 200
    assert sum(one.refusal is not None for one in found) > 20


@pytest.mark.slow
@settings(max_examples=150)
@given(st.randoms(use_true_random=False), PLACES)
def test_every_input_has_an_answer_or_a_clean_close(chance: random.Random, places: list[int]):
    trio.run(check_connection, mutated(chance, valid_requests(chance)), places)


@pytest.mark.slow
def test_the_command_runs_and_finds_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert fuzz.http.main(["--seconds", "0.5", "--seed", "7"]) == 0
    assert capsys.readouterr().out.endswith("nothing found\n")
