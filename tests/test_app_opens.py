"""Installs and updates of a whole engine: once each, whatever is in flight, dropped, sent again or killed."""

import json
from contextlib import suppress
from uuid import UUID

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine import MemoryStore, Settings
from engine.errors import Broken
from engine.model.app_state import decode_apps
from engine.model.fact import FactKind
from engine.pipeline import chain
from engine.pipeline.stage import Drop, Keep
from engine.settings import ChannelDeclaration, DatamartSettings
from engine.store.keys import fact_key
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import (
    GAP_MS,
    GatedStore,
    HandClock,
    MortalStore,
    check_books,
    dump,
    engine_on,
    later,
    letters,
    point_of,
    quiet,
    statistics,
    take,
    taken,
)

APPS = (ChannelDeclaration(id="1", kind="MOBILE_APPLICATION"), ChannelDeclaration(id="2", kind="MOBILE_APPLICATION"))
SETTINGS = structs.replace(
    Settings(), datamarts=(DatamartSettings(id=1, channels=(*APPS, ChannelDeclaration(id="1"))),)
)
START = HandClock().now_ms()


def opened(at, version=None, name="$app_open"):
    """An open so many ms after the start."""
    properties = {} if version is None else {"$app_version": version}
    return {"$event_name": name, "$ts": START + at, "$properties": properties}


def visit(*events, user="a", status="CLOSED_SESSION", app="1", also=None, **fields):
    base = {"$type": "APP_VISIT", "$session_status": status, "$app_id": app, "$user_agent_id": user}
    base["$ts"] = events[0]["$ts"]
    if also:
        base["$user_identifiers"] = [{"$type": "USER_AGENT", "$user_agent_id": also}]
    return dump(base | {f"${name}": value for name, value in fields.items()} | {"$events": list(events)})


def engine_of(store, clock=None):
    return engine_on(store, clock, SETTINGS)


def story(engine, point):
    """What the engine derived for a user point, in the order of its activities, and the opens as `at`."""
    found = []
    for shown in reversed(engine.reader.activities(1, point, limit=1000)):
        for event in json.loads(shown)["$events"]:
            name, at, said = event["$event_name"], event["$ts"] - START, event["$properties"]
            if name == "$app_update":
                found.append(f"{at} {said.get('$previous_app_version')}>{said.get('$app_version')}")
            elif name != "other":
                found.append(f"{at} {name.removeprefix('$app_')}")
    return found


def apps_of(store, point):
    return decode_apps(store.get(Db.FACTS, fact_key(1, UUID(point).bytes, FactKind.APPS)))


async def test_a_session_an_activity_and_a_live_window_all_count():
    clock = HandClock()
    async with engine_of(MemoryStore(), clock) as engine:
        point = await taken(engine, visit(opened(1, "1"), opened(2, "1"), status="IN_SESSION"))
        await later(engine, clock, GAP_MS + 2000)
        assert story(engine, point) == ["1 open", "1 install", "2 open"]
        await take(engine, visit(opened(3, "2")))
        await take(engine, visit(opened(4, "3"), status="LIVE"))
        await later(engine, clock, 62_000)
        assert story(engine, point)[3:] == ["3 open", "3 1>2", "4 open", "4 2>3"]
        totals = statistics(engine)
        assert totals["events_received"] == totals["events_stored"] == 4, "what is derived was not received"


async def test_also_where_the_processing_is_skipped():
    """Decision 42 skips steps 2 to 6; to make an activity is the first."""
    async with engine_of(MemoryStore()) as engine:
        point = await taken(engine, visit(opened(1)), process=False)
        assert story(engine, point) == ["1 open", "1 install"]


async def test_applications_and_people_are_apart_and_sites_are_no_applications():
    async with engine_of(MemoryStore()) as engine:
        first = await taken(engine, visit(opened(1)))
        await take(engine, visit(opened(2), app="2"))
        second = await taken(engine, visit(opened(1), user="b"))
        site = visit(opened(3), user="b").replace(b'"$app_id"', b'"$site_id"')
        await take(engine, site.replace(b"APP_VISIT", b"SITE_VISIT"))
        assert story(engine, first) == ["1 open", "1 install", "2 open", "2 install"]
        assert story(engine, second) == ["1 open", "1 install", "3 open"]


async def test_what_is_known_outlives_the_engine():
    store = MemoryStore()
    async with engine_of(store) as engine:
        await taken(engine, visit(opened(1, "1")))
    async with engine_of(store.reopen()) as engine:
        point = await taken(engine, visit(opened(2, "1")))
        await take(engine, visit(opened(3, "2")))
        assert story(engine, point) == ["1 open", "1 install", "2 open", "3 open", "3 1>2"]


async def test_an_equal_activity_again_writes_nothing_and_a_late_one_says_nothing():
    store = MemoryStore()
    async with engine_of(store) as engine:
        first = visit(opened(1, "1"), unique_key=str(UUID(int=1)))
        second = visit(opened(5, "2"), unique_key=str(UUID(int=2)))
        point = await taken(engine, first, second)
        before = rows(store, Db.ACTIVITIES), rows(store, Db.FACTS)
        for again in (first, second, first):
            await take(engine, again)
        assert (rows(store, Db.ACTIVITIES), rows(store, Db.FACTS)) == before
        assert statistics(engine)["events_duplicate"] == 3
        await take(engine, visit(opened(3, "1")))
        assert story(engine, point) == ["1 open", "1 install", "3 open", "5 open", "5 1>2"]


async def gated(engine, store, *items, **options):
    """Take all of it while nothing is committed, so that all of it is in flight together."""
    store.gate.clear()
    receipts = []
    for one in items:
        receipts.append(engine.accept([one], **options))
        await trio.testing.wait_all_tasks_blocked()
    store.gate.set()
    await quiet(engine)
    check_books(engine)
    return point_of(receipts[0])


async def test_what_is_in_flight_together_sees_each_other():
    store = GatedStore()
    async with engine_of(store) as engine:
        visits = [visit(opened(at, version)) for at, version in enumerate("11223")]
        point = await gated(engine, store, *visits)
        assert story(engine, point) == ["0 open", "0 install", "1 open", "2 open", "2 1>2", "3 open", "4 open", "4 2>3"]


@pytest.mark.parametrize("in_flight", [True, False])
async def test_what_is_known_moves_with_a_merge(in_flight):
    store = GatedStore()
    async with engine_of(store) as engine:
        await taken(engine, visit(opened(0), user="b", app="2"))
        items = [
            visit(opened(1, "1"), user="a"),
            visit(opened(2, "2"), user="b"),
            visit(opened(3, "2"), user="b", also="a"),
            visit(opened(4, "3"), user="a"),
            visit(opened(5), user="a", app="2"),
        ]
        if in_flight:
            await gated(engine, store, *items)
        else:
            for one in items:
                await take(engine, one)
        point = engine.accept([visit(opened(6), user="b")]).results[0].user_point
        await quiet(engine)
        derived = [one for one in story(engine, point) if not one.endswith("open")]
        assert derived == ["0 install", "1 install", "2 install", "4 2>3"]
        assert len(rows(store, Db.FACTS)) == 1, "the absorbed user point's are moved, not copied"
        assert apps_of(store, point).keys() == {"1", "2"}


def refuses(closed, activity, context):
    """A step that drops what says `drop`, and raises at what says `die`."""
    if any(b'"drop"' in event.body for event in activity.events):
        return Drop("no_consent")
    assert not any(b'"die"' in event.body for event in activity.events)
    return Keep(activity)


def with_refusals(monkeypatch):
    monkeypatch.setattr(chain, "BUILDERS", (*chain.BUILDERS, ("refusals", lambda defined: refuses)))


@pytest.mark.parametrize("in_flight", [True, False])
@pytest.mark.parametrize("fate", ["drop", "die"])
async def test_what_is_not_stored_has_installed_nothing(monkeypatch, in_flight, fate):
    with_refusals(monkeypatch)
    store = GatedStore()
    lost = {"$event_name": fate, "$ts": START, "$properties": {}}
    visits = [
        visit(opened(1, "1"), lost),
        visit(opened(2, "1")),
        visit(opened(3, "2"), lost),
        visit(opened(4, "2")),
        visit(opened(5, "2")),
    ]
    async with engine_of(store) as engine:
        if in_flight:
            point = await gated(engine, store, *visits)
        else:
            point, *_ = [await taken(engine, one) for one in visits]
        assert story(engine, point) == ["2 open", "2 install", "4 open", "4 1>2", "5 open"]
        assert len(letters(engine)) == (2 if fate == "die" else 0)


async def test_a_row_that_cannot_be_read_costs_one_activity_and_stops_nothing():
    store = MemoryStore()
    async with engine_of(store) as engine:
        point = await taken(engine, visit(opened(1)))
        (row,) = rows(store, Db.FACTS)
        store._tables[Db.FACTS].set(row[0], b"\xff")
        await take(engine, visit(opened(2)))
        assert letters(engine) == [("stage_error", "create")]
        await take(engine, visit({**opened(3), "$event_name": "other"}))
        assert story(engine, point) == ["1 open", "1 install"]


async def lives(script, *, die_after=None, unheard=False, in_flight=False):
    """Do a script in as many lives as it takes; gives what is stored in the end.

    Args:
        script: user, another identifier of theirs, status, time and version of each open.
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
                for number, (user, also, status, at, version) in enumerate(script[done:], done):
                    event = opened(at, version) | {"$event_id": str(number)}
                    await engine.accept([visit(event, user=user, also=also, status=status)]).durable()
                    done += 1
                    if not in_flight:
                        await quiet(engine)
                await quiet(engine)
                await engine.close_sessions()
                await quiet(engine)
                check_books(engine)
                # What is stored while a merge is on its way may already be the survivor's, or still the absorbed one's.
                return store.commits, (sorted(value for _, value in rows(store, Db.ACTIVITIES)), rows(store, Db.FACTS))
        store = store.reopen()


SCRIPT = [
    ("a", None, "IN_SESSION", 1, "1"),
    ("a", None, "CLOSED_SESSION", 2, "2"),
    ("b", None, "CLOSED_SESSION", 3, "1"),
    ("b", None, "LIVE", 4, "1"),
    ("a", "b", "CLOSED_SESSION", 5, "3"),
    ("b", None, "IN_SESSION", 6, "4"),
]


@pytest.mark.slow
async def test_a_crash_at_any_commit_is_no_crash():
    commits, expected = await lives(SCRIPT)
    assert sum(b"$app_install" in value for value in expected[0]) == 2, "one before each of them was known as one"
    for die_after in range(commits + 1):
        for unheard in (False, True):
            assert (await lives(SCRIPT, die_after=die_after, unheard=unheard))[1] == expected


STEPS = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from([None, None, "b", "c"]),
    st.sampled_from(["CLOSED_SESSION", "CLOSED_SESSION", "IN_SESSION", "LIVE"]),
    st.integers(0, 9),
    st.sampled_from([None, "1", "2"]),
)


@pytest.mark.slow
@given(st.lists(STEPS, min_size=1, max_size=7), st.integers(0, 12), st.booleans())
async def test_neither_a_crash_nor_haste_changes_what_is_derived(script, die_after, unheard):
    _, expected = await lives(script)
    assert (await lives(script, in_flight=True))[1] == expected
    assert (await lives(script, die_after=die_after, unheard=unheard, in_flight=True))[1] == expected
