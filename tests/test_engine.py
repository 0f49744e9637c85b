"""The engine as whoever embeds it sees it: time, what comes back of what was sent, and what it says of itself."""

import json

import pytest
import trio
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import structs

from engine import Condition, Engine, Filters, MemoryStore, Settings
from engine.errors import BadSettings, StoreFull
from engine.settings import ChannelDeclaration, DatamartSettings
from tests.clocks import TrioClock
from tests.contract.harness import dump as rows_of
from tests.engines import (
    GAP_MS,
    MINUTE_MS,
    GatedStore,
    HandClock,
    check_books,
    closed_by,
    engine_on,
    event,
    gauges,
    item,
    later,
    numbers,
    open_now,
    point_of,
    quiet,
    settings_of,
    statistics,
    stored,
    taken,
    touch,
    until,
    visit,
)
from tests.model import texts


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def clock():
    return HandClock()


# Time (decisions 7 and 11).


async def test_an_idle_session_ends_within_two_seconds_of_its_time_without_any_traffic(store, mock_clock):
    async with engine_on(store, TrioClock()) as engine:
        mock_clock.jump(0.4)
        point = await taken(engine, visit(1))
        mock_clock.jump(GAP_MS / 1000)
        await quiet(engine)
        assert open_now(engine, point) == [[1]], "exactly the gap is not more than the gap"
        mock_clock.jump(2)
        await quiet(engine)
        assert (stored(engine, point), open_now(engine, point)) == ([[1]], [])
        assert closed_by(engine) == {"inactivity": 1}
        assert gauges(engine)["live_users"] == 0


async def test_each_event_puts_the_end_off(store, mock_clock):
    async with engine_on(store, TrioClock()) as engine:
        point = await taken(engine, visit(1))
        for number in range(2, 6):
            mock_clock.jump(GAP_MS / 1000 - 1)
            await quiet(engine)
            await taken(engine, visit(number))
        assert open_now(engine, point) == [[1, 2, 3, 4, 5]]
        mock_clock.jump(GAP_MS / 1000 + 2)
        await quiet(engine)
        assert stored(engine, point) == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize("grace_ms", [0, MINUTE_MS])
@pytest.mark.parametrize(("more_ms", "sessions"), [(0, [[1, 2]]), (1, [[1], [2]])])
async def test_a_record_ends_a_session_by_the_same_strict_test_as_the_timer(store, clock, grace_ms, more_ms, sessions):
    async with engine_on(store, clock, grace_ms=grace_ms) as engine:
        start_ms = clock.now_ms()
        point = await taken(engine, visit(1, start_ms))
        clock.jump(GAP_MS + grace_ms + more_ms)
        receipt = engine.accept([visit(2, start_ms + GAP_MS)])
        await receipt.durable()
        await engine.close_sessions()
        await quiet(engine)
        assert stored(engine, point) == sessions


async def test_a_live_visit_is_one_activity_after_a_minute(store, mock_clock):
    async with engine_on(store, TrioClock()) as engine:
        point = await taken(engine, item(event(1), status="LIVE"))
        mock_clock.jump(30)
        await taken(engine, item(event(2), status="LIVE"), visit(3))
        (live, visit_open) = sorted(engine.live_activities(1, point), key=len, reverse=True)
        assert {json.loads(one)["$session_status"] for one in (live, visit_open)} == {"SESSION_SNAPSHOT"}
        mock_clock.jump(32)
        await quiet(engine)
        assert (stored(engine, point), open_now(engine, point)) == ([[1, 2]], [[3]])
        (shown,) = engine.reader.activities(1, point)
        assert json.loads(shown)["$session_status"] == "NO_SESSION"
        assert engine.reader.counters()[1]["live_windows_closed.live"] == 1


@pytest.mark.slow
async def test_many_that_fall_due_at_once_all_end_and_nobody_waits_long(store, clock):
    async with engine_on(store, clock) as engine:
        for start in range(0, 3000, 300):
            await engine.accept([visit(number, user=f"u{number}") for number in range(start, start + 300)]).durable()
        await quiet(engine)
        assert gauges(engine)["live_users"] == 3000
        clock.pass_ms(GAP_MS + 2000)
        longest = 0
        with trio.fail_after(60):
            while gauges(engine)["live_users"]:
                before = gauges(engine)["live_users"]
                await trio.lowlevel.checkpoint()
                longest = max(longest, before - gauges(engine)["live_users"])
        assert longest <= 600, "one pass of the loop took too many"
        await quiet(engine)
        check_books(engine)
        assert closed_by(engine) == {"inactivity": 3000}


async def test_a_replay_moves_time_by_its_own_clock(store, clock):
    async with engine_on(store, clock, grace_ms=MINUTE_MS) as engine:
        start_ms = clock.now_ms()
        points = set()
        for number in range(50):
            clock.advance(start_ms + number * 10 * MINUTE_MS)
            points.add(point_of(engine.accept([visit(number, clock.now_ms(), user=f"u{number % 5}")])))
            await trio.lowlevel.checkpoint()
        await quiet(engine)
        await later(engine, clock, 2 * GAP_MS)
        assert gauges(engine)["live_users"] == 0
        assert sorted(one for point in points for found in stored(engine, point) for one in found) == list(range(50))
        assert statistics(engine)["activities_stored"] == 50, "fifty minutes between the events of a user"


# What is sent (decision 37).


@pytest.mark.slow
@hypothesis_settings(max_examples=60)
@given(data=st.data(), status=st.sampled_from(["IN_SESSION", "LIVE", "NO_SESSION", "CLOSED_SESSION"]))
def test_custom_values_come_back_as_they_were_sent(data, status):
    """At root, origin, location, event and property level: the same values, number text and order of keys kept."""
    root, origin, location, event_fields, properties = (data.draw(texts.OBJECTS) for _ in range(5))
    one = [("$event_name", "buy"), *event_fields, ("$properties", properties), ("$unknown", properties)]
    sent = [
        ("$type", "SITE_VISIT"),
        ("$session_status", status),
        ("$site_id", "1"),
        ("$user_agent_id", "vec:1"),
        ("$origin", texts.Object((("$source", "mail"), *origin))),
        *root,
        ("$location", location),
        ("$events", [texts.Object(one)]),
        ("$new", properties),
    ]
    text = data.draw(texts.spelled(texts.Object(sent)))

    async def main():
        async with engine_on(MemoryStore(), HandClock()) as engine:
            receipt = engine.accept([text.encode()])
            assert receipt.results[0].error is None
            await quiet(engine)
            await engine.close_sessions()
            await quiet(engine)
            (shown,) = engine.reader.activities(1, point_of(receipt))
            found = texts.read(shown)
            fields = dict(found)
            assert own(found) == list(root)
            assert fields["$new"] == properties
            assert own(fields["$origin"]) == list(origin)
            assert own(fields["$location"]) == list(location)
            (event_shown,) = fields["$events"]
            assert own(event_shown) == list(event_fields)
            assert dict(event_shown)["$properties"] == dict(event_shown)["$unknown"] == properties

    trio.run(main)


def own(members):
    """The members that are the sender's own."""
    return [member for member in members if not member[0].startswith("$")]


# Reading.


async def test_open_and_stored_activities_read_as_one_timeline(store, clock):
    async with engine_on(store, clock) as engine:
        now = clock.now_ms()
        point = await taken(engine, touch(1, now - 5), touch(2, now - 3), visit(3, now - 4), visit(4, now, site_id="1"))

        async def read(**options):
            return [numbers(one) for one in await engine.activities(1, point, **options)]

        assert await read() == [[2], [1]]
        assert await read(live=True) == [[2], [3, 4], [1]]
        assert await read(live=True, limit=2) == [[2], [3, 4]]
        assert await read(live=True, before_ms=now - 3) == [[3, 4], [1]]
        assert await read(live=True, before_ms=now - 4) == [[1]]
        visits = Filters((Condition("$type", ("SITE_VISIT",)),))
        assert await read(live=True, filters=visits) == [[3, 4]]
        assert await read(filters=visits) == []
        assert await read(live=True, filters=Filters(start_ms=now - 4, end_ms=now - 4)) == [[3, 4]]


async def test_nobody_has_nothing_open(store, clock):
    async with engine_on(store, clock) as engine:
        assert engine.live_activities(1, "00000000-0000-0000-0000-000000000000") == []
        assert await engine.activities(1, "00000000-0000-0000-0000-000000000000", live=True) == []


# What it says of itself.


async def test_metrics_balance_and_name_every_bound(store, clock):
    async with engine_on(store, clock) as engine:
        await taken(engine, visit(1), touch(2), visit(3, site_id="9"), item(event(4, event_id="a")))
        engine.accept([item(event(5, event_id="a")), visit(6, user="b")])
        engine.reject(b"?", reason="bad_line", stage="test")
        await quiet(engine)
        await later(engine, clock, GAP_MS + 2000)
        await taken(engine, visit(7))
        found = dict(line.rsplit(" ", 1) for line in engine.metrics().decode().splitlines() if line[0] != "#")
        value = {
            fate: float(found.get(f'sojourn_events_{fate}_total{{datamart="1"}}', 0))
            for fate in ("received", "stored", "duplicate", "refused", "dead", "dropped")
        }
        assert value == {"received": 8, "stored": 4, "duplicate": 1, "refused": 1, "dead": 1, "dropped": 0}
        assert float(found['sojourn_events_open{datamart="1"}']) == 1
        assert found['sojourn_sessions_closed_total{datamart="1",reason="inactivity"}'] == "2.0"
        assert found['sojourn_events_dead_by_reason_total{datamart="1",reason="bad_line"}'] == "1.0"
        assert found['sojourn_user_points{datamart="1"}'] == "2.0"
        bounded = {name.removesuffix("_max") for name in found if name.endswith("_max")}
        assert bounded >= {
            "sojourn_live_users",
            "sojourn_activities_unstored",
            "sojourn_journal_bytes",
            "sojourn_writer_pending_bytes",
        }
        assert all(name in found for name in bounded if name != "sojourn_gc_pause_ms")


async def test_who_may_do_what(store, clock):
    settings = structs.replace(settings_of(), api=structs.replace(Settings().api, admin_token="the admin token"))
    async with engine_on(store, clock, settings) as engine:
        assert engine.new_admin_token is None
        assert engine.authorize("the admin token", scope="admin", datamart=1)
        assert engine.authorize(engine.site().token, scope="collect", datamart=1)
        assert engine.authorize(engine.site().token, scope="read", datamart=1) is None
        assert engine.authorize("another", scope="collect", datamart=1) is None
    async with engine_on(MemoryStore(), clock) as engine:
        assert engine.authorize(engine.new_admin_token, scope="admin", datamart=1)
        with pytest.raises(LookupError):
            engine.site(9)


async def test_a_receipt_tells_when_items_are_stored(store, clock):
    async with engine_on(store, clock) as engine:
        receipt = engine.accept([touch(1), item(event(2), status="CLOSED_SESSION"), visit(3)])
        assert await receipt.stored()
        assert sorted(stored(engine, point_of(receipt))) == [[1], [2]]
        assert await receipt.stored(), "a second time as well"
        assert await engine.accept([visit(4)]).stored(), "nothing to wait for"


async def test_a_receipt_gives_up_waiting_in_time(clock, mock_clock):
    store = GatedStore()
    async with engine_on(store, clock) as engine:
        await quiet(engine)
        receipt = engine.accept([touch(1)])
        await receipt.durable()
        store.gate.clear()
        answers = []

        async def ask():
            answers.append(await receipt.stored(10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            for _ in range(50):
                await trio.lowlevel.checkpoint()
            mock_clock.jump(11)
            await until(lambda: answers)
            store.gate.set()
        assert answers in ([False], [True])
        assert await receipt.stored(10)


async def test_settings_that_contradict_what_is_kept_change_nothing(store, clock):
    def sites(token):
        channels = (ChannelDeclaration(id="1", token=token), ChannelDeclaration(id="2"))
        return structs.replace(Settings(), datamarts=(DatamartSettings(id=1, channels=channels),))

    async with engine_on(store, clock, sites("")) as engine:
        (_, second) = engine._definitions.registry.channels(1)
    before = rows_of(store)
    with pytest.raises(BadSettings):
        async with engine_on(store.reopen(), clock, sites(second.token)):
            pass
    assert rows_of(store) == before


async def test_a_store_that_cannot_take_the_definitions_ends_the_start(clock):
    store = MemoryStore(capacity_bytes=0)
    with pytest.raises(StoreFull):
        async with engine_on(store, clock):
            pass


def test_every_method_of_an_engine_is_documented():
    for name, member in vars(Engine).items():
        if not name.startswith("_"):
            assert member.__doc__, name
