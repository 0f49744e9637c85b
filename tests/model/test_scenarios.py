"""Where people are in scenarios comes back as it was, and of two user points becomes one (decisions 3 and 31)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.model.scenarios import (
    FORMAT,
    Cause,
    Inside,
    combine,
    decode_scenarios,
    encode_scenarios,
    shown,
)

IDS = st.binary(min_size=16, max_size=16)
TIMES = st.integers(0, 9)
INSIDE = st.builds(
    Inside,
    scenario=st.sampled_from("abc"),
    execution=IDS,
    node=st.text("xy", max_size=2),
    previous=st.text("xy", max_size=2),
    started_ms=TIMES,
    entered_ms=TIMES,
    due_ms=TIMES,
    moves=TIMES,
    cause=st.none() | st.builds(Cause, IDS, TIMES, IDS),
)
SCENARIOS = st.lists(INSIDE, max_size=3).map(lambda found: {one.scenario: one for one in found})


@given(SCENARIOS)
def test_they_come_back_as_they_were(scenarios):
    stored = encode_scenarios(scenarios)
    assert decode_scenarios(stored) == scenarios
    assert encode_scenarios(dict(reversed(scenarios.items()))) == stored, "the same are the same bytes"
    assert (stored is None) == (not scenarios)


@pytest.mark.parametrize("stored", [b"", b"\0", bytes((FORMAT,)), bytes((FORMAT,)) + b"\x91\x01", b"\x02\x90"])
def test_what_cannot_be_read_is_an_error(stored):
    with pytest.raises(ValueError):
        decode_scenarios(stored)


@given(SCENARIOS, SCENARIOS)
def test_of_two_passages_that_which_began_first_goes_on(ones, others):
    one = {name: structs.replace(inside, execution=b"1" * 16) for name, inside in ones.items()}
    other = {name: structs.replace(inside, execution=b"2" * 16) for name, inside in others.items()}
    combined, ended = combine(one, other.values())
    assert combined == combine(other, one.values())[0], "whoever is the survivor"
    assert combined.keys() == one.keys() | other.keys()
    for scenario, inside in combined.items():
        both = [found[scenario] for found in (one, other) if scenario in found]
        assert inside is min(both, key=lambda found: (found.started_ms, found.execution))
        assert [found for found in ended if found.scenario == scenario] == [
            found for found in both if found is not inside
        ]
    assert combine(combined, combined.values()) == (combined, ()), "again the same changes nothing"


def test_8_3_as_the_platform_shows_them():
    inside = Inside("7", bytes(16), "3", "2", 10, 20, 30)
    assert shown({"7": inside}) == [
        {
            "scenario_id": "7",
            "execution_id": "00000000-0000-0000-0000-000000000000",
            "node_id": "3",
            "active": True,
            "callback_ts": 30,
            "start_ts": 10,
            "node_start_ts": 20,
        }
    ]
