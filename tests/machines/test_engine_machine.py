"""The engine against itself: whatever is sent, whenever it dies, it ends with what it would have stored without dying.

Each example is a list of commands, run twice on the same hand-moved clock: as it is, and without its crashes and stops.
After a crash the interrupted request is sent again under its `Idempotency-Key`, as a sender would. Then

* at every quiet point the books balance (decision 17), and each accepted event is in exactly one stored activity or in
  what is open,
* at the end both runs have stored the same activities, user points and links, byte for byte (decision 8).
"""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines import GAP_MS, MINUTE_MS
from tests.machines.world import (
    ACCOUNTS,
    AGENTS,
    Accept,
    Close,
    Die,
    Go,
    Kill,
    Look,
    Pass,
    Sent,
    Stop,
    crashed_as_plain,
)

AGES = st.sampled_from([0, 0, 0, 1000, 59_000, 10 * MINUTE_MS, GAP_MS, GAP_MS + 1, 3 * GAP_MS])


@st.composite
def sent_items(draw) -> Sent:
    ages = tuple(draw(st.lists(AGES, min_size=1, max_size=3)))
    event_id = st.none() | st.none() | st.sampled_from("pqr")
    return Sent(
        agent=draw(st.sampled_from(AGENTS)),
        account=draw(st.none() | st.none() | st.sampled_from(ACCOUNTS)),
        status=draw(st.sampled_from(["IN_SESSION"] * 4 + ["LIVE", "LIVE", "NO_SESSION", "CLOSED_SESSION"])),
        site=draw(st.sampled_from(["1"] * 6 + ["2", "2", "nowhere"])),
        origin=draw(st.sampled_from(["", "mail", "ads"])),
        ages_ms=ages,
        ids=tuple(draw(event_id) for _ in ages),
    )


ACCEPTS = st.builds(Accept, st.lists(sent_items(), min_size=1, max_size=3).map(tuple))
COMMANDS = st.lists(
    st.one_of(
        ACCEPTS,
        ACCEPTS,
        ACCEPTS,
        ACCEPTS,
        st.builds(Pass, st.sampled_from([1, 1000, MINUTE_MS, GAP_MS, GAP_MS + 1, GAP_MS + 2000, 5 * GAP_MS])),
        st.builds(Go, st.integers(1, 12)),
        st.just(Look()),
        st.just(Close()),
        st.builds(Die, st.integers(0, 3), st.booleans()),
        st.just(Kill()),
        st.just(Stop()),
    ),
    max_size=24,
)


@pytest.mark.slow
@settings(max_examples=300)
@given(commands=COMMANDS, grace_ms=st.sampled_from([0, MINUTE_MS]))
def test_a_crash_anywhere_is_no_crash(commands, grace_ms):
    trio.run(crashed_as_plain, commands, grace_ms)
