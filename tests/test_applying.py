"""Definitions applied to a running engine: what holds for whom, what is written, and what a crash or a fault leaves."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from msgspec import structs

from engine import Settings, SystemClock, apply_to_directory, open_engine
from engine.clock import EventClock
from engine.declared import DatamartDefinition, Declared, Goal
from engine.definitions.kept import DEFINITION_PREFIX, definition_key
from engine.errors import BadDefinition, BadSettings, Broken, CallerError, StoreFull, StoreLocked, Unavailable
from engine.live import definitions_of
from engine.pipeline import chain, user_choices
from engine.pipeline.chain import build_chain
from engine.pipeline.stage import Drop, keep
from engine.planning import load, plan
from engine.settings import (
    ChannelDeclaration,
    CompartmentDeclaration,
    DatamartSettings,
    DefinitionsSettings,
    SessionSettings,
    StorageSettings,
)
from engine.start import prepare
from engine.store.environment import LmdbStore
from engine.store.memory import MemoryStore
from engine.store.port import Db, Put
from tests.contract.harness import rows
from tests.definitions.files import full, small
from tests.engines import (
    GatedStore,
    HandClock,
    MortalStore,
    check_books,
    dump,
    engine_on,
    gauges,
    letters,
    point_of,
    quiet,
    statistics,
    take,
    until,
)
from tests.pipeline.test_chain import session


def defined(engine, datamart=1):
    return engine._definitions.program_of(datamart).defined


def goals(*names, **fields):
    return small(goal=[{"id": name, **fields} for name in names])


def visit(number, *, site="1", user="vec:1"):
    base = {"$type": "SITE_VISIT", "$session_status": "NO_SESSION", "$site_id": site, "$user_agent_id": user}
    return dump(base | {"$events": [{"$event_name": "seen", "$properties": {"n": number}}]})


async def refused(engine, source) -> dict[str, str]:
    with pytest.raises(BadDefinition) as fault:
        await engine.apply(source)
    return dict(fault.value.faults)


async def test_what_is_applied_holds_and_is_there_after_a_restart():
    store, clock = MemoryStore(), HandClock()
    async with engine_on(store, clock) as engine:
        found = await engine.apply(full())
        assert found.applied
        assert found.counts()["added"] == len(found.changes)
        before = defined(engine)
        assert (before.version, before.default_compartment) == (1, "main")
        assert [rule.id for rule in before.event_rules] == ["search", "keywords", "mail", "items"]
        assert before.analyzers_of == {"site:1": ("names", "prices")}
        assert before.processings_of == {"site:1": ("audience",)}
        assert engine.default_compartment(1) == "main"
        assert engine.redirect_hosts(1) == {"partner.example", "shop.example", "www.shop.example"}
        assert defined(engine, 2).version == 1
    async with engine_on(store.reopen(), clock) as engine:
        assert defined(engine) == before
        assert engine.channel(1, "site:1").gap_ms == 900_000
        assert not await engine.apply(full())
        assert defined(engine).version == 1


async def test_tables_text_and_structs_are_applied_alike():
    async with engine_on(MemoryStore()) as engine:
        assert await engine.apply("[[datamart]]\nid = 1\n[[datamart.goal]]\nid = 'g'")
        assert not await engine.apply(b'{"datamart": [{"id": 1, "goal": [{"id": "g"}]}]}')
        assert not await engine.apply(goals("g"))
        assert not await engine.apply(Declared(datamarts=(DatamartDefinition(id=1, goals=(Goal(id="g"),)),)))


async def test_an_apply_that_changes_nothing_and_a_dry_run_write_nothing():
    store = MemoryStore()
    async with engine_on(store) as engine:
        before = rows(store, Db.DEFINITIONS)
        found = await engine.apply(full(), dry_run=True)
        assert found
        assert not found.applied
        assert not found.made
        assert rows(store, Db.DEFINITIONS) == before
        assert defined(engine).version == 0
        await engine.apply(full())
        before, commits = rows(store, Db.DEFINITIONS), gauges(engine)["writer_commits"]
        again = await engine.apply(full())
        assert not again
        assert not again.applied
        assert rows(store, Db.DEFINITIONS) == before
        assert gauges(engine)["writer_commits"] == commits


async def test_what_is_left_out_goes_and_other_datamarts_stay():
    async with engine_on(MemoryStore()) as engine:
        await engine.apply(full())
        other = engine._definitions.program_of(2)
        found = await engine.apply(goals("sale"))
        assert {one.what for one in found.changes} == {"removed", "changed"}
        assert [one.id for one in defined(engine).goals] == ["sale"]
        assert defined(engine).event_rules == ()
        assert engine.channel(1, "app:1") is None
        assert engine.default_compartment(1) == "1"
        assert engine._definitions.program_of(2) is other


async def test_a_new_channel_takes_events_at_once_and_a_removed_one_none():
    async with engine_on(MemoryStore()) as engine:
        assert (await take(engine, visit(1, site="9"))).results[0].error.code == "unknown_channel"
        found = await engine.apply(small(channel=[{"id": "1"}, {"id": "9", "domain": "nine.example"}]))
        (token, tracker_key) = found.made
        assert (token.kind, token.id, token.field) == ("channel", "site:9", "token")
        assert engine.public_token(token.value).channel.key == "site:9"
        assert engine.channel_by_tracker_key(tracker_key.value).key == "site:9"
        assert engine.site_hosts() == {"nine.example"}
        assert (await take(engine, visit(2, site="9"))).results[0].status == "accepted"
        await engine.apply(small(channel=[{"id": "1"}]))
        assert (await take(engine, visit(3, site="9"))).results[0].error.code == "unknown_channel"
        assert engine.public_token(token.value) is None
        await engine.apply(small(channel=[{"id": "1"}, {"id": "9"}]))
        assert engine.public_token(token.value).channel.key == "site:9"  # It comes back as it was.


async def test_changed_session_rules_are_the_next_version_of_the_channel():
    clock = HandClock()
    async with engine_on(MemoryStore(), clock) as engine:
        item = json.loads(visit(1)) | {"$session_status": "IN_SESSION"}
        receipt = await take(engine, dump(item))
        await engine.apply(small(channel=[{"id": "1", "gap_ms": 60_000}]))
        assert engine.channel(1, "site:1").version == 2
        await take(engine, dump(item | {"$user_agent_id": "vec:2"}))
        clock.pass_ms(120_000)
        await quiet(engine)
        # What was accepted under the old version keeps its half an hour.
        assert engine.live_activities(1, point_of(receipt))
        assert statistics(engine)["activities_stored"] == 1


async def test_the_admin_token_stays_valid():
    async with engine_on(MemoryStore()) as engine:
        token = engine.new_admin_token
        await engine.apply(full())
        assert engine.authorize(token, scope="admin", datamart=None)
        assert engine.authorize(engine.site(1).token, scope="collect", datamart=1)


def test_an_activity_in_the_chain_keeps_its_program_and_the_next_has_the_new_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        chain,
        "BUILDERS",
        (*((name, lambda defined: keep) for name, _ in chain.BUILDERS[:-1]), ("user_choices", versioned)),
    )
    store, settings = MemoryStore(), Settings()
    first = plan(load(store), settings, full(), 1)
    definitions = definitions_of(settings, first.holding, (), None)
    steps = {one.name: one for one in build_chain(definitions.default_compartment, None, definitions.program_of)}
    on_its_way = session("a")
    on_its_way.activity = steps["create"].run(on_its_way).activity
    store.commit(first.operations())
    definitions.swap(plan(load(store), settings, full_with_goal("another"), 2, first.holding).holding)
    behind = session("b")
    behind.activity = steps["create"].run(behind).activity
    assert steps["user_choices"].run(on_its_way).reason == "1"
    assert steps["user_choices"].run(behind).reason == "2"


def versioned(defined):
    return lambda closed, activity, context: Drop(str(defined.version))


def full_with_goal(name):
    (first, second) = full().datamarts
    return Declared(datamarts=(structs.replace(first, goals=(*first.goals, Goal(id=name))), second))


async def test_while_events_flow_each_activity_is_made_under_one_version_of_all():
    query = 'SELECT { id } FROM UserActivity WHERE events { name = "seen" }'
    async with engine_on(GatedStore(), SystemClock()) as engine:
        points: set[str] = set()
        over = False

        async def send() -> None:
            number = 0
            while not over:
                number += 1
                receipt = engine.accept([visit(number, user=f"vec:{1 + number % 7}")])
                points.add(point_of(receipt))
                await receipt.durable()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            for number in range(15):
                names = [f"{letter}{number}" for letter in "ab"]
                await engine.apply(goals(*names, query=query))
                await trio.sleep(0.005)
            over = True
        await quiet(engine)
        check_books(engine)
        seen = set()
        for point in points:
            for shown in engine.reader.activities(1, point, limit=100_000):
                found = [
                    event["$properties"]["$goal_id"]
                    for event in json.loads(shown)["$events"]
                    if event["$event_name"] == "$conversion"
                ]
                assert [name[0] for name in found] in ([], ["a", "b"])
                assert len({name[1:] for name in found}) <= 1
                seen.update(name[1:] for name in found)
        assert len(seen) > 3


async def test_applies_at_once_come_one_after_the_other():
    async with engine_on(MemoryStore()) as engine:
        found = []

        async def apply(number: int) -> None:
            found.append(await engine.apply(goals("g", default_goal_value=number)))

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(apply, number)
        assert all(one.applied for one in found)
        assert sorted(change.version for one in found for change in one.changes if change.kind == "goal") == [
            *range(1, 11)
        ]
        assert defined(engine).version == 10
        versions = await engine.definition_versions(1, "goal", "g")
        assert [one.version for one in versions] == [*range(10, 0, -1)]
        assert versions[0].value["default_goal_value"] == defined(engine).goals[0].value


async def test_a_caller_that_goes_away_leaves_the_next_one_right():
    store = GatedStore()
    async with engine_on(store) as engine:
        store.gate.clear()
        with trio.move_on_after(0.05):
            await engine.apply(goals("g"))
        with pytest.raises(Unavailable):
            await engine.apply(goals("h"))
        assert defined(engine).goals == ()
        store.gate.set()
        await quiet(engine)
        assert [one.id for one in defined(engine).goals] == ["g"]
        found = await engine.apply(goals("h"))
        assert [(one.what, one.id) for one in found.changes] == [("added", "h"), ("removed", "g")]


async def test_a_full_store_applies_nothing_until_it_has_room():
    store = MemoryStore()
    async with engine_on(store) as engine:
        await quiet(engine)
        store.fail_next(StoreFull)
        with pytest.raises(Unavailable):
            await engine.apply(goals("g"))
        assert defined(engine).goals == ()
        await until(lambda: defined(engine).goals)
        assert not await engine.apply(goals("g"))


async def test_during_recovery_it_is_applied_as_at_any_time():
    store, clock = MemoryStore(), HandClock()
    async with engine_on(store, clock) as engine:
        await take(
            engine, *(dump(json.loads(visit(1, user=f"u{n}")) | {"$session_status": "IN_SESSION"}) for n in range(300))
        )
    async with engine_on(store.reopen(), clock) as engine:
        assert not engine.recovered
        await engine.apply(small(channel=[{"id": "1", "gap_ms": 5}], goal=[{"id": "g"}]))
        await engine.wait_recovered()
        assert engine.channel(1, "site:1").gap_ms == 5
        await engine.close_sessions()
        await quiet(engine)
        assert statistics(engine)["activities_stored"] == 300


@pytest.mark.parametrize("unheard", [False, True])
async def test_a_crash_in_the_middle_leaves_the_old_or_the_new_and_never_a_mix(unheard: bool):
    clock = HandClock()
    for after in range(3):
        store = MortalStore()
        async with engine_on(store, clock) as engine:
            await engine.apply(goals("old", "both"))
        store = store.reopen()
        with suppress(Broken):
            async with engine_on(store, clock) as engine:
                await quiet(engine)
                old = defined(engine)
                store.die_after(after, unheard=unheard)
                for name in ("one", "two", "three"):
                    await engine.apply(goals(name, "both", default_goal_value=after))
        async with engine_on(store.reopen(), clock) as engine:
            found = [one.id for one in defined(engine).goals]
            wanted = [["old", "both"], ["one", "both"], ["two", "both"], ["three", "both"]]
            assert found == wanted[after + unheard]
            assert defined(engine).version == old.version + after + unheard
            assert not gauges(engine)["definitions_set_aside"]


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


def settings_with(*datamarts, file="", **fields):
    return structs.replace(Settings(), datamarts=datamarts, definitions=DefinitionsSettings(file=str(file)), **fields)


SHOP = DatamartSettings(
    id=1,
    name="settings",
    default_compartment="main",
    redirect_hosts=("Settings.example",),
    channels=(ChannelDeclaration(id="1", token="site-token"), ChannelDeclaration(id="2")),
    compartments=(CompartmentDeclaration(id="c", token="c-token"),),
)


def start(store, *datamarts, **fields):
    return prepare(store, settings_with(*datamarts, **fields), HandClock())


async def test_settings_are_the_base_and_definitions_go_over_them_key_by_key():
    store = MemoryStore()
    settings = settings_with(SHOP)
    async with engine_on(store, settings=settings) as engine:
        await engine.apply(small(goal=[{"id": "g"}], name="applied"))
        assert engine.default_compartment(1) == "main"
        assert engine.redirect_hosts(1) == {"settings.example"}
        assert engine.channel(1, "site:2")
        assert engine.compartment_by_token(1, "c-token") == "c"
        await engine.apply(small(channel=[{"id": "1"}], compartment=[{"id": "c"}, {"id": "d"}], redirect_hosts=[]))
        assert engine.redirect_hosts(1) == frozenset()
        assert engine.channel(1, "site:2") is None
        assert engine.site(1).token == "site-token"
        assert engine.compartment_by_token(1, "c-token") == "c"
    found = start(store.reopen(), SHOP)
    assert found.registry.channel(1, "site:2") is None
    assert found.registry.first_site(1).token == "site-token"
    assert found.registry.datamart(1).name == "settings"


def test_changed_session_rules_of_the_settings_reach_applied_channels():
    store = MemoryStore()
    start(store, SHOP)
    plan_of = plan(load(store), settings_with(SHOP), full(), 1)
    store.commit(plan_of.operations())
    found = start(store, SHOP, session=SessionSettings(gap_ms=7, grace_ms=3))
    site = found.registry.channel(1, "site:1")
    assert (site.gap_ms, site.grace_ms) == (900_000, 3)
    assert found.registry.channel(1, "app:1").gap_ms == 7


def test_an_applied_datamart_is_there_though_the_settings_do_not_name_it():
    store = MemoryStore()
    store.commit(plan(load(store), settings_with(SHOP), full(), 1).operations())
    assert start(store, SHOP).registry.accepts(2)


def test_where_both_say_something_the_log_tells_it(caplog):
    store = MemoryStore()
    store.commit(plan(load(store), settings_with(SHOP), full(), 1).operations())
    start(store, SHOP)
    (line,) = [one.getMessage() for one in caplog.records if "disagree" in one.getMessage()]
    for key in ("name", "redirect_hosts", "channel", "compartment"):
        assert f"'{key}'" in line
    assert "default_compartment" not in line  # Both say the same.
    caplog.clear()
    prepare(store, Settings(), HandClock())
    assert not [one for one in caplog.records if "disagree" in one.getMessage()]


async def test_the_file_of_the_settings_is_applied_at_each_start_and_again_when_asked(tmp_path: Path):
    file = tmp_path / "shop.toml"
    file.write_text("[[datamart]]\nid = 1\n[[datamart.goal]]\nid = 'a'\n")
    store, clock, settings = MemoryStore(), HandClock(), settings_with(SHOP, file=file)
    async with engine_on(store, clock, settings) as engine:
        assert [one.id for one in defined(engine).goals] == ["a"]
        assert not await engine.apply_file()
        file.write_text("[[datamart]]\nid = 1\n[[datamart.goal]]\nid = 'b'\n")
        assert (await engine.apply_file()).applied
        assert [one.id for one in defined(engine).goals] == ["b"]
    before = rows(store, Db.DEFINITIONS)
    async with engine_on(store.reopen(), clock, settings) as engine:
        assert defined(engine).version == 2
    assert rows(store, Db.DEFINITIONS) == before
    async with engine_on(store.reopen(), clock, settings_with(SHOP)) as engine:
        assert await engine.apply_file() is None
        assert [one.id for one in defined(engine).goals] == ["b"]


async def test_a_start_with_a_file_that_cannot_work_begins_nothing(tmp_path: Path):
    file = tmp_path / "shop.toml"
    store = MemoryStore()
    with pytest.raises(BadDefinition, match="No such file"):
        async with engine_on(store, settings=settings_with(SHOP, file=file)):
            pass
    file.write_text("[[datamart]]\nid = 1\n[[datamart.goal]]\nid = 'a'\nquery = '@none'\n")
    with pytest.raises(BadDefinition, match="there is no query none"):
        async with engine_on(store, settings=settings_with(SHOP, file=file)):
            pass
    assert rows(store, Db.DEFINITIONS) == []


def test_settings_that_clash_with_what_was_applied_are_refused():
    store = MemoryStore()
    applied = Declared(datamarts=(DatamartDefinition(id=5, token="t"),))
    store.commit(plan(load(store), Settings(), applied, 1).operations())
    with pytest.raises(BadSettings, match="have the same token"):
        start(store, structs.replace(SHOP, token="t"))


async def test_what_is_defined_is_shown_as_a_file_would_say_it_without_secrets():
    async with engine_on(MemoryStore()) as engine:
        await engine.apply(full())
        shown = await engine.definitions()
        first, second = shown.datamart
        assert (first["id"], first["name"], second["name"]) == (1, "Shop", "Another")
        site = first["channel"][0]
        assert (site["id"], site["token"], site["analyzers"]) == ("1", engine.site(1).token, ["names", "prices"])
        assert first["destination"][0]["secret"] == "***"
        assert first["destination"][0]["headers"] == {"authorization": "***"}
        assert first["analyzer"][0]["token"] == "***"
        assert first["event_rule"][2]["salt"] == "***"
        assert first["schema"]["field"][0]["name"] == "color"
        assert ("goal", "sale", 1) in [(one.kind, one.id, one.version) for one in shown.versions]
        text = repr(shown) + repr(await engine.definition_versions(1, "destination", "crm"))
        for secret in ("long-and-random-secret", "of-the-crm", "secret-of-the-plugin", "pepper"):
            assert secret not in text
        assert await engine.definition_versions(1, "goal", "none") == []


async def test_what_is_shown_can_be_applied_again_but_for_secrets():
    async with engine_on(MemoryStore()) as engine:
        await engine.apply(small(channel=[{"id": "1", "domain": "a.example"}], goal=[{"id": "g"}]))
        shown = (await engine.definitions()).datamart
        assert await engine.apply({"datamart": list(shown)}) is not None
        assert (await engine.definitions()).datamart == shown
        await engine.apply(full())
        shown = (await engine.definitions()).datamart
        assert all(
            "in place of a secret" in told for told in (await refused(engine, {"datamart": list(shown)})).values()
        )


def lmdb(path: Path) -> Settings:
    return structs.replace(Settings(), storage=StorageSettings(data_dir=str(path), map_size_bytes=1 << 26))


async def test_a_store_at_rest_takes_definitions_for_its_next_start(tmp_path: Path):
    data = tmp_path / "data"
    assert apply_to_directory(data, lmdb(data), full(), dry_run=True)
    assert not data.exists()
    found = await trio.to_thread.run_sync(apply_to_directory, data, lmdb(data), full())
    assert found.applied
    assert not found.made
    assert not apply_to_directory(data, lmdb(data), full()).applied
    async with open_engine(lmdb(data), clock=EventClock(1_700_000_000_000)) as engine:
        assert defined(engine).version == 1
        assert engine.channel(1, "app:1").token
        with pytest.raises(StoreLocked):
            apply_to_directory(data, lmdb(data), full())
    changed = apply_to_directory(data, lmdb(data), goals("g"), dry_run=True)
    assert changed.counts()["removed"] > 10
    with pytest.raises(BadDefinition):
        apply_to_directory(data, lmdb(data), small(goal=[{"id": "g", "query": "@none"}]))
    assert not apply_to_directory(data, lmdb(data), full())


def test_only_definitions_are_written_to_a_store_at_rest(tmp_path: Path):
    data = tmp_path / "data"
    apply_to_directory(data, lmdb(data), full())
    store = LmdbStore.open_reader(data)
    try:
        keys = [key for key, _ in store.page(Db.DEFINITIONS, limit=1000)]
    finally:
        store.close()
    assert keys
    assert all(key.startswith((DEFINITION_PREFIX, b"head/")) for key in keys)
