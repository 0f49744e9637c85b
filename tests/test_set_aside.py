"""What cannot work is refused with its place; what worked once and does no longer is set aside, and the rest works."""

import pytest

from engine.definitions.kept import definition_key
from engine.errors import CallerError
from engine.pipeline import chain, user_choices
from engine.pipeline.stage import keep
from engine.store.memory import MemoryStore
from engine.store.port import Db, Put
from tests.applying import defined, goals, refused, visit
from tests.contract.harness import rows
from tests.definitions.files import full, small
from tests.engines import (
    HandClock,
    engine_on,
    gauges,
    letters,
    statistics,
    take,
)


async def test_what_cannot_work_is_refused_with_the_place_in_the_file_and_nothing_is_applied():
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.apply(goals("g"))
        before = rows(store, Db.DEFINITIONS)
        source = goals("g", "h") | {}
        source["datamart"][0]["query"] = [{"id": "q", "query": "SELECT { id } FROM UserActivity WHERE"}]
        source["datamart"].append({"id": 2, "goal": [{"id": "x"}, {"id": "y", "query": "SELECT nonsense"}]})
        found = await refused(engine, source)
        assert set(found) == {"datamart[0].query[0].query", "datamart[1].goal[1].query"}
        assert await refused(engine, "[[datamart]]\nid = 1\nnam = 1") == {
            "datamart[0].nam": "unknown key; did you mean name?"
        }
        assert rows(store, Db.DEFINITIONS) == before
        assert [one.id for one in defined(engine).goals] == ["g"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("event_rules[1].pattern", "datamart[0].event_rule[1].pattern"),
        ("event_rules[1]", "datamart[0].event_rule[1]"),
        ("automations[0].nodes[2].delay_ms", "datamart[0].automation[0].node[2].delay_ms"),
        ("automations[0].exit_conditions[0].query", "datamart[0].automation[0].exit_condition[0].query"),
        ("goals[0].value", "datamart[0].goal[0].default_goal_value"),
        ("catalogs[0].products[1].url", "datamart[0].catalog[0].product[1].url"),
        ("event_rules[0].event_template.event_name", "datamart[0].event_rule[0].event_template.$event_name"),
        ("analyzers_of.site:1[1]", "datamart[0].channel[0].analyzers[1]"),
        ('processings_of["app:1"]', "datamart[0].channel[1].processings"),
        ("schema.field[0].name", "datamart[0].schema.field[0].name"),
        ("", "datamart[0]"),
    ],
)
async def test_paths_of_the_steps_become_paths_of_the_file(monkeypatch: pytest.MonkeyPatch, said: str, told: str):
    def build(defined):
        if defined.version and defined.datamart == 1:
            raise CallerError("it cannot work", code="bad_definition", path=said)
        return keep

    monkeypatch.setattr(chain, "BUILDERS", tuple((name, build) for name, _ in chain.BUILDERS))
    async with engine_on(MemoryStore()) as engine:
        assert await refused(engine, full()) == {told: "it cannot work"}


async def test_a_step_that_fails_otherwise_refuses_as_well(monkeypatch: pytest.MonkeyPatch):
    def build(defined):
        return {0: keep}[defined.version]

    monkeypatch.setattr(chain, "BUILDERS", tuple((name, build) for name, _ in chain.BUILDERS))
    async with engine_on(MemoryStore()) as engine:
        assert list(await refused(engine, full())) == ["datamart[0]", "datamart[1]"]


async def test_a_definition_that_no_store_takes_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.store.checks.MAX_VALUE_BYTES", 600)
    async with engine_on(MemoryStore()) as engine:
        assert (
            "too large to be kept" in (await refused(engine, goals("g", name="x" * 200, technical_name="y" * 200)))[""]
        )


async def test_a_token_of_somebody_else_is_refused():
    async with engine_on(MemoryStore()) as engine:
        found = await refused(
            engine, small(channel=[{"id": "9", "token": engine._definitions.registry.datamart(1).token}])
        )
        assert "have the same token" in found[""]


def without_rule(name):
    """A later version of the program, which does not take this rule any more."""

    def build(defined):
        for index, one in enumerate(defined.event_rules):
            if one.id == name:
                raise CallerError("no longer", code="bad_definition", path=f"event_rules[{index}].pattern")
        return keep

    return build


def builders(**changed):
    return tuple((name, changed.get(name, build)) for name, build in chain.BUILDERS)


async def test_what_no_longer_compiles_is_set_aside_and_the_rest_works(monkeypatch: pytest.MonkeyPatch, capsys):
    store, clock = MemoryStore(), HandClock()
    async with engine_on(store, clock) as engine:
        await engine.apply(full())
    monkeypatch.setattr(chain, "BUILDERS", builders(event_rules=without_rule("keywords")))
    async with engine_on(store.reopen(), clock) as engine:
        assert [one.id for one in defined(engine).event_rules] == ["search", "mail", "items"]
        assert len(defined(engine).goals) == 2
        assert gauges(engine)["definitions_set_aside"] == 1
        assert engine.readiness().ready
        assert "1 definitions are set aside" in engine.readiness().reason
        (aside,) = (await engine.definitions()).set_aside
        assert (aside.datamart, aside.kind, aside.id) == (1, "event_rule", "keywords")
        assert "no longer" in aside.why
        # The same again is refused, as anybody's is that cannot work; and what works puts it right.
        assert list(await refused(engine, full())) == ["datamart[0].event_rule[1].pattern"]
        await engine.apply(goals("g"))
        assert gauges(engine)["definitions_set_aside"] == 0
        assert engine.readiness().reason is None


async def test_without_a_processing_nothing_is_stored_rather_than_all(monkeypatch: pytest.MonkeyPatch):
    def build(defined):
        if defined.processings:
            raise CallerError("no longer", code="bad_definition", path="processings[0].tcf_vendor")
        return user_choices.build(defined)

    store, clock = MemoryStore(), HandClock()
    source = small(channel=[{"id": "1", "processings": ["p"]}], processing=[{"id": "p"}])
    async with engine_on(store, clock) as engine:
        await engine.apply(source)
    monkeypatch.setattr(chain, "BUILDERS", builders(user_choices=build))
    async with engine_on(store.reopen(), clock) as engine:
        await take(engine, visit(1))
        assert letters(engine) == [("bad_definition", "user_choices")]
        await engine.apply(small(channel=[{"id": "1"}]))
        await take(engine, visit(2))
        assert statistics(engine)["activities_stored"] == 1


async def test_a_fault_that_nobody_can_place_sets_all_of_the_datamart_aside(monkeypatch: pytest.MonkeyPatch):
    def build(defined):
        if defined.datamart == 1 and defined.goals:
            raise ZeroDivisionError
        return keep

    store, clock = MemoryStore(), HandClock()
    async with engine_on(store, clock) as engine:
        await engine.apply(full())
    monkeypatch.setattr(chain, "BUILDERS", builders(conversions=build))
    async with engine_on(store.reopen(), clock) as engine:
        await take(engine, visit(1))
        assert letters(engine) == [("bad_definition", "user_choices")]
        assert defined(engine, 2).version == 1
        assert engine.channel(1, "site:1").gap_ms == 900_000


@pytest.mark.parametrize("broken", [b"{", b'{"datamart":1}'])
async def test_a_damaged_head_sets_the_datamart_aside(broken: bytes):
    store, clock = MemoryStore(), HandClock()
    async with engine_on(store, clock) as engine:
        await engine.apply(goals("g"))
    store.commit([Put(Db.DEFINITIONS, b"head/" + (1).to_bytes(4, "big"), broken)])
    async with engine_on(store.reopen(), clock) as engine:
        await take(engine, visit(1))
        assert letters(engine) == [("bad_definition", "user_choices")]
        await engine.apply(goals("g"))
        await take(engine, visit(2))
        assert statistics(engine)["activities_stored"] == 1


async def test_a_damaged_definition_is_missed_where_it_is_used():
    store, clock = MemoryStore(), HandClock()
    async with engine_on(store, clock) as engine:
        await engine.apply(goals("g", "h"))
    store.commit([Put(Db.DEFINITIONS, definition_key((1, "goal", "g")), b"{")])
    async with engine_on(store.reopen(), clock) as engine:
        assert [one.id for one in defined(engine).goals] == ["h"]
        assert gauges(engine)["definitions_set_aside"] == 1
        await take(engine, visit(1))
        assert letters(engine) == []
