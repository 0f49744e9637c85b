"""Identifiers that a rule finds, and a process that dies at any of its commits (decisions 8 and 25)."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Broken
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import HandClock, MortalStore, check_books, quiet, statistics
from tests.logins import engine_of, install, install_noting, seen, visit


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    install(monkeypatch)


@pytest.fixture
def noting(monkeypatch):
    install_noting(monkeypatch)


async def lives(script, *, die_after=None, unheard=False, in_flight=False):
    """Do a script in as many lives as it takes; gives what is stored in the end.

    Args:
        script: user, account, login, status and time of each visit.
        die_after, unheard: the commits before the process dies, and whether the next is on disk all the same.
        in_flight: whether to go on while what came before is on its way.
    """
    store, clock = MortalStore(), HandClock()
    if die_after is not None:
        store.die_after(die_after, unheard=unheard)
    done = 0
    while True:
        with suppress(Broken):
            async with engine_of(store, clock) as engine:
                await engine.wait_recovered()
                for number, (user, account, login, status, at) in enumerate(script[done:], done):
                    event = seen(number, at, login) | {"$event_id": str(number)}
                    await engine.accept([visit(event, user=user, account=account, status=status)]).durable()
                    done += 1
                    if not in_flight:
                        await quiet(engine)
                await quiet(engine)
                await engine.close_sessions()
                await quiet(engine)
                check_books(engine)
                links = len(rows(store, Db.IDENTIFIERS))
                merged = sorted(value for _, value in rows(store, Db.ACTIVITIES))
                assert rows(store, Db.JOURNAL) == [], "every merge has come through"
                return store.commits, (merged, rows(store, Db.FACTS), links, statistics(engine)["user_points"])
        store = store.reopen()


SCRIPT = [
    ("a", None, None, "IN_SESSION", 1),
    (None, "me", None, "CLOSED_SESSION", 2),
    (None, "me", None, "IN_SESSION", 3),
    ("a", None, "me", "CLOSED_SESSION", 4),
    ("b", None, None, "IN_SESSION", 5),
    ("a", None, None, "IN_SESSION", 6),
    ("b", None, "me", "LIVE", 7),
]


@pytest.mark.slow
async def test_a_crash_at_any_commit_is_no_crash(noting):
    commits, expected = await lives(SCRIPT)
    assert expected[3] == 1
    for die_after in range(commits + 1):
        for unheard in (False, True):
            assert (await lives(SCRIPT, die_after=die_after, unheard=unheard))[1] == expected


@pytest.mark.slow
async def test_a_crash_while_all_is_in_flight_leaves_each_event_once_and_one_person(noting):
    commits, _ = await lives(SCRIPT, in_flight=True)
    for die_after in range(commits + 1):
        for unheard in (False, True):
            _, (activities, facts, _, persons) = await lives(
                SCRIPT, die_after=die_after, unheard=unheard, in_flight=True
            )
            numbers = sorted(one["$properties"]["n"] for value in activities for one in events_of(value))
            assert (numbers, persons) == (list(range(len(SCRIPT))), 1)
            assert [sorted(value) for _, value in facts] == [list(range(len(SCRIPT)))]


def events_of(value):
    return json.loads(value[value.index(b'{"$ts"') :])["$events"]


STEPS = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([None, None, None, "me"]),
    st.sampled_from([None, None, "me", "you"]),
    st.sampled_from(["CLOSED_SESSION", "CLOSED_SESSION", "IN_SESSION", "LIVE"]),
    st.integers(0, 9),
)


@pytest.mark.slow
@given(st.lists(STEPS, min_size=1, max_size=7), st.integers(0, 14), st.booleans())
async def test_no_crash_loses_or_doubles_an_event(script, die_after, unheard):
    _, (activities, _, _, _) = await lives(script, die_after=die_after, unheard=unheard, in_flight=True)
    numbers = sorted(one["$properties"]["n"] for value in activities for one in events_of(value))
    assert numbers == list(range(len(script)))
