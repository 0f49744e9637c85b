"""Queries over everything stored: the newest first, by the index of times, each activity once, in bounded memory."""

import json
from uuid import UUID

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import MemoryStore, QueryError
from engine import stored_query as module
from engine.model.fact import FactKind
from engine.model.identifiers import account, agent
from engine.reader import Reader
from engine.store import scan
from engine.store.keys import fact_key
from engine.store.layout import Link, encode_activity
from engine.store.port import Db, Put
from engine.stored_query import StoredQuery
from tests.contract.builders import DAY_MS, NOW_MS, absorb, activity, point, put_point
from tests.definitions.files import small
from tests.engines import HandClock, dump, engine_on, point_of, quiet, take, touch


def body(ts_ms: int, *names: str, **fields: object) -> bytes:
    events = [{"$ts": ts_ms, "$event_name": name, "$properties": {"n": at}} for at, name in enumerate(names)]
    return json.dumps({"$ts": ts_ms, "$type": "TOUCH", "$events": events, **fields}).encode()


def stored(ago_ms: int, *names: str, key: int = 1, of: int = 1, datamart: int = 1, expires_ms: int | None = None):
    ts_ms = NOW_MS - ago_ms
    return activity(
        body(ts_ms, *names), ts_ms=ts_ms, key=key, user_point=point(of), datamart=datamart, expires_ms=expires_ms
    )


def ask(store, text, datamart=1, now_ms=NOW_MS):
    return StoredQuery(store, datamart, text, now_ms=now_ms)


def rows(store, text, **options):
    return [row for row in ask(store, text, **options).rows() if row is not None]


def result(store, text, **options):
    run = ask(store, text, **options)
    assert [row for row in run.rows() if row is not None] == []
    return run.result()


@pytest.fixture
def store():
    return MemoryStore()


def test_activities_come_newest_first(store):
    store.commit([stored(ago, "a", of=ago % 3 + 1, key=ago) for ago in range(20)])
    store.commit([stored(5, "a", datamart=2)])
    found = rows(store, "SELECT { ts } FROM UserActivity")
    assert [row["ts"] for row in found] == [NOW_MS - ago for ago in range(20)]
    assert [row["ts"] for row in rows(store, "SELECT { ts } FROM UserActivity LIMIT 3")] == [
        NOW_MS - ago for ago in range(3)
    ]
    assert rows(store, "SELECT { ts } FROM UserActivity LIMIT 0") == []
    assert rows(store, "SELECT { ts } FROM UserActivity", datamart=3) == []


def test_events_and_counts(store):
    store.commit([stored(1, "a", "b", key=1), stored(2, "b", key=2), stored(3, key=3)])
    assert result(store, 'SELECT @count{} FROM UserEvent WHERE name = "b"') == {"count": 2}
    assert result(store, "SELECT @count{} FROM UserActivity") == {"count": 3}
    assert [row["name"] for row in rows(store, "SELECT { name } FROM UserEvent")] == ["a", "b", "b"]


def test_a_bare_expression_gives_whole_activities(store):
    store.commit([stored(1, "a"), stored(2, "b", key=2)])
    assert rows(store, 'events { name = "b" }') == [json.loads(body(NOW_MS - 2, "b"))]


def test_what_has_expired_is_not_there(store):
    store.commit([stored(1, "a", key=1, expires_ms=NOW_MS), stored(1, "a", key=2, expires_ms=NOW_MS + 1)])
    for root in ("UserActivity", "UserEvent"):
        assert result(store, f"SELECT @count{{}} FROM {root}") == {"count": 1}
    store.commit([put_point(point(1))])
    found = rows(store, "SELECT { activities { ts } } FROM UserPoint")
    assert found == [{"activities": [{"ts": NOW_MS - 1}]}]


def test_an_identity_of_several_user_points_of_a_person_comes_once_from_the_survivor(store):
    copies = [activity(body(NOW_MS, f"of {one}"), ts_ms=NOW_MS, key=7, user_point=point(one)) for one in (1, 2, 3, 4)]
    store.commit(copies)
    store.commit(absorb(point(3), point(1), point(2)))
    found = rows(store, "SELECT { events { name } } FROM UserActivity")
    assert sorted(row["events"][0]["name"] for row in found) == ["of 3", "of 4"]


def test_persons_are_asked_with_all_their_activities(store):
    known = (Link(1, "1", "42", "", 5), Link(3, "", "vec:1", "", 6))
    store.commit([*absorb(point(1), point(2)), put_point(point(3)), put_point(point(4), links=known)])
    store.commit([stored(1, "a", of=1), stored(2, "b", of=2), stored(1, "a", of=3)])
    both = 'SELECT { id } FROM UserPoint WHERE events { name = "a" } AND activities { events { name = "b" } }'
    assert rows(store, both) == [{"id": str(UUID(bytes=point(1)))}]
    assert result(store, "SELECT @count{} FROM UserPoint") == {"count": 3}
    assert result(store, 'SELECT @count{} FROM UserPoint WHERE NOT events { name = "b" }') == {"count": 2}
    accounts = "SELECT { devices { user_agent_id } } FROM UserPoint WHERE accounts { user_account_id = 42 }"
    assert rows(store, accounts) == [{"devices": [{"user_agent_id": "vec:1"}]}]
    assert agent("vec:1").as_json()["$user_agent_id"] == "vec:1"
    assert account("1", "42").as_json()["$user_account_id"] == "42"


async def test_persons_are_asked_for_what_is_known_of_them():
    """Links of UserPoint that show facts; those that automations ask for are answered here as well (7.5)."""
    definitions = small(
        processing=[{"id": "ads", "token": "ads"}],
        segment=[{"id": "vip"}],
        automation=[
            {
                "id": "7",
                "trigger": 'events { name = "start" }',
                "begin": "wait",
                "node": [{"id": "wait", "type": "WAIT_NODE", "delay_ms": DAY_MS}],
            }
        ],
    )
    clock = HandClock()
    async with engine_on(MemoryStore(), clock) as engine:
        await engine.apply(definitions)
        choice = {"$processing_token": "ads", "$choice_acceptance_value": True}
        profile = {"$user_account_id": "42", "$compartment_id": "1", "tier": "gold"}
        told = [("start", {}), ("$add_to_segment", {"$segtn": "vip"}), ("$set_user_choice", choice)]
        events = [{"$event_name": name, "$properties": properties} for name, properties in told]
        events.append({"$event_name": "$set_user_profile_properties", "$properties": profile})
        base = {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": "vec:1"}
        await take(engine, dump(base | {"$events": events}), touch(1, user="vec:2"))
        for where, selected, value in (
            ('segments { id = "vip" }', "segments { id }", {"id": "vip"}),
            ("choices { choice_acceptance_value = true }", "choices { processing_id }", {"processing_id": "ads"}),
            ('scenarios { node_id = "wait" }', "scenarios { scenario_id }", {"scenario_id": "7"}),
            ('profiles { tier = "gold" }', "profiles { tier }", {"tier": "gold"}),
        ):
            link = where.split()[0]
            found = await engine.query(f"SELECT {{ {selected} }} FROM UserPoint WHERE {where}")
            assert found.rows == [{link: [value]}], where


async def test_a_query_may_name_what_its_datamart_defines():
    """Names that the schema adds, and queries as `@name`: as goals and triggers do, at once after an apply."""
    clock, backing = HandClock(), MemoryStore()
    async with engine_on(backing, clock) as engine:
        await take(engine, touch(7, clock.now_ms()), touch(8, clock.now_ms()))
        count = "SELECT @count{} FROM UserEvent WHERE number = 7"
        for text in (count, "@sevens"):
            with pytest.raises(QueryError):
                await engine.query(text)
        field = {"object_type": "UserEvent", "name": "number", "paths": ["$properties.n"], "type": "NUMBER"}
        queries = [{"id": "sevens", "query": count}, {"id": "same", "query": "@sevens"}]
        await engine.apply(small(query=queries, schema={"field": [field]}))
        for text in (count, "@sevens", " @same "):
            assert (await engine.query(text)).result == {"count": 1}, text
        with pytest.raises(QueryError) as caught:
            await engine.query("@eights")
        assert "there is no query `eights`" in str(caught.value)
        with pytest.raises(QueryError):
            await engine.query("@sevens", datamart=2)
        await engine.apply(small())
        with pytest.raises(QueryError):
            await engine.query(count)
    assert Reader(backing, clock.wall_ms).query(1, "SELECT @count{} FROM UserEvent").is_aggregation


def test_very_many_activities_of_one_person_are_cut_and_counted(store, monkeypatch):
    monkeypatch.setattr(module, "MAX_PERSON_ACTIVITIES", 5)
    store.commit([put_point(point(1)), put_point(point(2))])
    store.commit([stored(ago, "a", key=ago) for ago in range(8)] + [stored(1, of=2)])
    run = ask(store, "SELECT { activities { ts } } FROM UserPoint")
    found = [row for row in run.rows() if row is not None]
    assert [len(row["activities"]) for row in found] == [5, 1]
    assert found[0]["activities"][0] == {"ts": NOW_MS}, "the newest are kept"
    assert run.cut_persons == 1


class CountingStore(MemoryStore):
    """Counts the activities that are read."""

    read = 0

    def get_many(self, db, keys):
        CountingStore.read += len(keys)
        return super().get_many(db, keys)


def test_a_bound_on_the_time_reads_no_other_activities(monkeypatch):
    monkeypatch.setattr(scan, "ACTIVITIES", 1)
    store = CountingStore()
    store.commit([stored(ago * DAY_MS, "a", key=ago) for ago in range(100)])
    for text, count in (
        ('SELECT @count{} FROM UserActivity WHERE date >= "now-3d"', 4),
        ('SELECT @count{} FROM UserActivity WHERE date < "now-90d" AND date >= "now-95d"', 5),
        ('SELECT @count{} FROM UserActivity WHERE date <= "now-90d" AND date >= "now-95d"', 6),
        ('SELECT @count{} FROM UserEvent WHERE activity_date > "now-3d" AND name = "a"', 3),
        ("SELECT @count{} FROM UserActivity WHERE date < 5 AND date > 9", 0),
        ("SELECT @count{} FROM UserActivity WHERE date < 0", 0),
    ):
        CountingStore.read = 0
        assert result(store, text) == {"count": count}
        assert CountingStore.read <= count + 1


TEXTS = [
    'date >= "now-3d"',
    'date > "now-3d/d" AND date <= "now-1d/d"',
    'date = "now-2d/d" OR date = "now-5d/d"',
    'NOT date < "now-2d"',
    'type = "TOUCH" AND (date < "now-4d" AND events { name = "a" })',
    'events { name IN ["a", "b"] }',
    'events { name = "\\"x\\\\é" } OR date = "now/d"',
]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(TEXTS),
    st.lists(
        st.tuples(
            st.integers(0, 6 * DAY_MS),
            st.lists(st.sampled_from(["a", "b", "c", '"x\\é', "ab"]), max_size=2),
            st.integers(1, 3),
        ),
        max_size=30,
    ),
)
def test_the_index_of_times_and_the_filter_of_names_lose_no_match(text, drawn):
    store = MemoryStore()
    store.commit([stored(ago, *names, of=of, key=at) for at, (ago, names, of) in enumerate(drawn)])
    run = ask(store, text)
    expected = sorted(
        (json.loads(one.value)["$ts"], one.value)
        for one in scan.walk_by_time(store, 1, now_ms=NOW_MS)
        if one is not None and run._compiled.match(run._document(one.value, one.user_point)) is not None
    )
    found = [row for row in run.rows() if row is not None]
    assert [row["$ts"] for row in found] == [ts_ms for ts_ms, _ in reversed(expected)]
    assert len(found) == len(expected)


def test_pauses_come_where_nothing_is_found(store):
    store.commit([stored(at, "a", key=at % 256) for at in range(600)])
    found = list(ask(store, 'SELECT { ts } FROM UserActivity WHERE type = "EMAIL"').rows())
    assert found == [None, None]


def test_a_query_that_cannot_be_asked_is_refused_before_anything_is_read(store):
    with pytest.raises(QueryError) as caught:
        ask(store, "SELECT { nam } FROM UserEvent")
    assert caught.value.kind == "FIELD"


async def test_a_running_engine_answers_beside_its_work():
    clock = HandClock()
    async with engine_on(MemoryStore(), clock) as engine:
        receipt = engine.accept([touch(number, clock.now_ms() - number) for number in range(30)])
        await receipt.durable()
        await quiet(engine)
        found = await engine.query('SELECT { properties.n } FROM UserEvent WHERE name = "seen"', limit=5)
        assert [row["properties.n"] for row in found.rows] == [0, 1, 2, 3, 4]
        assert not found.is_complete
        assert found.result is None
        counted = await engine.query({"from": "UserPoint", "operations": [{"directives": [{"name": "count"}]}]})
        assert (counted.result, counted.is_complete) == ({"count": 1}, True)
        ids = await engine.query("SELECT { id } FROM UserPoint")
        assert ids.rows == [{"id": point_of(receipt)}]
        with pytest.raises(QueryError):
            await engine.query("nonsense")


async def test_a_long_query_can_be_cancelled():
    clock = HandClock()
    async with engine_on(MemoryStore(), clock) as engine:
        receipt = engine.accept([touch(number, clock.now_ms() - number) for number in range(50)])
        await receipt.durable()
        await quiet(engine)
        with trio.CancelScope() as scope:
            scope.cancel()
            await engine.query("SELECT @count{} FROM UserEvent")
        assert scope.cancelled_caught


def test_the_reader_asks_with_its_own_clock():
    store = MemoryStore()
    store.commit([stored(DAY_MS, "a")])
    reader = Reader(store, lambda: NOW_MS)
    run = reader.query(1, 'SELECT @count{} FROM UserActivity WHERE date = "now-1d/d"')
    assert list(run.rows()) == []
    assert run.result() == {"count": 1}
    assert (run.scanned, run.matched, run.at_ms) == (1, 1, NOW_MS - DAY_MS)


class TestWhatCannotBeRead:
    NUMBERS = ("1e400", "1" * 5000, "-" + "9" * 400)

    def activities(self):
        return [
            activity(body(NOW_MS - at, "buy", x="@").replace(b'"@"', number.encode()), ts_ms=NOW_MS - at, key=at + 1)
            for at, number in enumerate(self.NUMBERS)
        ]

    def test_numbers_out_of_range_are_texts_and_end_no_query(self, store):
        store.commit([*self.activities(), stored(10, "buy", key=9), put_point(point(1))])
        assert result(store, "SELECT @count{} FROM UserActivity") == {"count": 4}
        assert result(store, 'SELECT @count{} FROM UserPoint WHERE events { name = "buy" }') == {"count": 1}
        assert [one.get("x") for one in rows(store, 'events { name = "buy" }')] == [
            "1e400",
            "1" * 5000,
            -int("9" * 400),
            None,
        ]

    @pytest.mark.parametrize("name", ["avg", "sum", "min", "max", "cardinality", "map"])
    def test_numbers_out_of_range_are_reckoned_with_by_nobody(self, name):
        store = MemoryStore()
        values = ("1e400", "1" * 5000, "-" + "9" * 400, "1.5", "9" * 308, "9" * 308)
        texts = [body(NOW_MS, "buy").replace(b'"n": 0', b'"$items": [{"$price": %s}]' % one.encode()) for one in values]
        store.commit([activity(text, ts_ms=NOW_MS, key=at + 1) for at, text in enumerate(texts)])
        found = result(store, f"SELECT {{ items {{ price @{name} }} }} FROM UserEvent")
        assert dump(found)

    @pytest.mark.parametrize("damage", [b"", b"\x01", b"{", b"[]", b"\x7f" + bytes(40)])
    def test_a_damaged_activity_is_passed_over_and_counted(self, store, damage):
        store.commit([stored(5, "buy", key=1), stored(1, "buy", key=2), put_point(point(1))])
        key = store.page(Db.ACTIVITIES)[0][0]
        is_json = damage[:1] in (b"{", b"[")
        store.commit([Put(Db.ACTIVITIES, key, encode_activity(damage, None) if is_json else damage)])
        for text, expected in (
            ("SELECT { ts } FROM UserActivity", 1),
            ("SELECT { id } FROM UserPoint WHERE activities { ts > 0 }", 1),
        ):
            run = ask(store, text)
            assert len([row for row in run.rows() if row is not None]) == expected
            assert run.unreadable == 1

    def test_a_damaged_fact_is_nothing_and_counted(self, store):
        store.commit([put_point(point(1)), Put(Db.FACTS, fact_key(1, point(1), FactKind.PROFILES), b"\x7fno")])
        run = ask(store, 'SELECT { id } FROM UserPoint WHERE profiles { plan = "x" }')
        assert [row for row in run.rows() if row is not None] == []
        assert run.unreadable == 1
