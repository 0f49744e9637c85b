"""Queries over what is stored speak the datamart's language, and know what is known of persons (7.6, decision 30)."""

import json

import pytest

from engine import MemoryStore, QueryError
from engine.definitions.kept import definition_key, head_key
from engine.reader import Reader
from engine.store.port import Db, Put
from engine.vocabulary import schema_in
from tests.definitions.files import small
from tests.engines import HandClock, dump, engine_on, later, point_of, take

START = HandClock().now_ms()
HOUR = 3_600_000

OWN = {
    "schema": {
        "field": [{"object_type": "UserEvent", "name": "color", "paths": ["$properties.color"], "type": "STRING"}],
        "link": [{"object_type": "UserEvent", "name": "basket", "path": "$properties.basket", "to": "Basket"}],
    },
    "query": [
        {"id": "red", "query": 'SELECT @count{} FROM UserEvent WHERE color = "red"'},
        {"id": "also", "query": "@red"},
        {"id": "json", "query": {"from": "UserPoint", "operations": [{"directives": [{"name": "count"}]}]}},
    ],
    "segment": [{"id": "vip", "expires_ms": HOUR}],
    "processing": [{"id": "ads"}],
    "automation": [
        {
            "id": "7",
            "trigger": 'events { name = "buy" }',
            "begin": "add",
            "node": [
                {"id": "add", "type": "ADD_TO_SEGMENT_NODE", "segment": "vip", "next": "wait"},
                {"id": "wait", "type": "WAIT_NODE", "delay_ms": 24 * HOUR},
            ],
        }
    ],
}


def told(user, *events, **fields):
    base = {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": user, **fields}
    return dump(base | {"$events": [{"$event_name": name, "$properties": said} for name, said in events]})


async def asked(engine, text):
    found = await engine.query(text)
    return found.rows if found.result is None else found.result


async def test_names_of_the_datamart_and_its_named_queries_are_known():
    store = MemoryStore()
    async with engine_on(store) as engine:
        await take(engine, told("a", ("x", {"color": "red", "basket": {"total": 5}}), ("x", {"color": "blue"})))
        with pytest.raises(QueryError, match="color"):
            await engine.query('color = "red"')
        with pytest.raises(QueryError, match="no query `red`"):
            await engine.query("@red")
        await engine.apply(small(**OWN))
        assert await asked(engine, "@red") == await asked(engine, " @also\n") == {"count": 1}
        assert await asked(engine, "@json") == {"count": 1}
        assert await asked(engine, "SELECT { color } FROM UserEvent WHERE basket { total = 5 }") == [{"color": "red"}]
        with pytest.raises(QueryError, match="no query `blue`"):
            await engine.query("@blue")
        with pytest.raises(QueryError, match="color"):
            await engine.query('color = "red"', datamart=2)
        await engine.apply(small())
        with pytest.raises(QueryError, match="no query `red`"):
            await engine.query("@red")
        with pytest.raises(QueryError, match="color"):
            await engine.query('color = "red"')


async def test_persons_are_asked_about_what_is_known_of_them():
    """7.6: segments, scenarios, profiles and choices, also of whom two people have become."""
    clock, store = HandClock(), MemoryStore()
    async with engine_on(store, clock) as engine:
        await engine.apply(small(**OWN))
        choice = ("$set_user_choice", {"$processing_id": "ads", "$choice_acceptance_value": False})
        profile = ("$set_user_profile_properties", {"$user_account_id": "42", "city": "Lyon"})
        gone = point_of(await take(engine, told("a", ("see", {}))))
        kept = point_of(await take(engine, told("b", ("buy", {}), choice, profile)))
        await take(engine, told("c", ("see", {})))
        whole = {
            'segments { id = "vip" }': 1,
            'NOT segments { id = "vip" }': 2,
            'scenarios { scenario_id = "7" }': 1,
            'profiles { city = "Lyon" }': 1,
            "choices { $choice_acceptance_value = false }": 1,
            "choices { $choice_acceptance_value = true }": 0,
            'profiles { city = "Lyon" } AND events { name = "see" }': 0,
        }
        for text, count in whole.items():
            assert await asked(engine, f"SELECT @count{{}} FROM UserPoint WHERE {text}") == {"count": count}, text
        await take(
            engine, told("a", ("login", {}), **{"$user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": "b"}]})
        )
        assert engine.reader.resolve(1, gone) == engine.reader.resolve(1, kept)
        both = 'SELECT @count{} FROM UserPoint WHERE profiles { city = "Lyon" } AND events { name = "see" }'
        assert await asked(engine, both) == {"count": 1}
        (row,) = await asked(engine, "SELECT { profiles { city } segments { id } } FROM UserPoint WHERE segments {}")
        assert row == {"profiles": [{"city": "Lyon"}], "segments": [{"id": "vip"}]}
        await later(engine, clock, HOUR)
        assert await asked(engine, "SELECT @count{} FROM UserPoint WHERE segments {}") == {"count": 0}, "it is over"


async def test_what_cannot_be_used_adds_nothing():
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.apply(small(**OWN))
    for name in ("red", "also"):
        store.commit([Put(Db.DEFINITIONS, definition_key((1, "query", name)), b"what?")])
    reader = Reader(store, lambda: START)
    with pytest.raises(QueryError, match="no query `red`"):
        reader.query(1, "@red")
    assert json.dumps(list(reader.query(1, "@json").rows())) == "[]"
    assert "color" in schema_in(store, 1).types["UserEvent"].fields
    store.commit([Put(Db.DEFINITIONS, definition_key((1, "schema", "schema")), b"what?")])
    assert "color" not in schema_in(store, 1).types["UserEvent"].fields
    store.commit([Put(Db.DEFINITIONS, head_key(1), b"what?")])
    with pytest.raises(QueryError, match="no query `json`"):
        reader.query(1, "@json")
