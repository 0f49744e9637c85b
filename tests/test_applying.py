"""Definitions applied to a running engine: what holds for whom, what is written, what a crash or a full disk leaves."""

import json
from contextlib import suppress

import pytest
import trio
from msgspec import structs

from engine import Settings, SystemClock
from engine.declared import DatamartDefinition, Declared, Goal
from engine.errors import Broken, StoreFull, Unavailable
from engine.live import definitions_of
from engine.model.identity_rules import IdentityRules
from engine.pipeline import chain
from engine.pipeline.chain import build_chain
from engine.pipeline.stage import Drop, keep
from engine.planning import load, plan
from engine.store.memory import MemoryStore
from engine.store.port import Db
from tests.applying import defined, goals, visit
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
    point_of,
    quiet,
    statistics,
    take,
    taken,
    until,
)
from tests.pipeline.test_chain import session


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


LOGIN = {"type": "USER_IDENTIFIER_INSERTION", "id": "login", "property_source": "login"}


@pytest.mark.parametrize("in_settings", [True, False])
async def test_decision_1_rules_go_by_the_placeholders_of_the_settings(in_settings: bool):
    settings = structs.replace(Settings(), identity=IdentityRules(placeholders=("visitor",)))
    datamart, store, clock = 1 if in_settings else 2, MemoryStore(), HandClock()
    declared = small(id=datamart, channel=[{"id": "1"}], event_rule=[LOGIN])
    async with engine_on(store, clock, settings) as engine:
        assert defined(engine).identity == settings.identity
        assert "visitor" not in repr(await engine.apply(declared))
        assert not await engine.apply(declared)
    async with engine_on(store.reopen(), clock, settings) as engine:
        for login, is_one in (("visitor", False), ("guest", True)):
            users = [f"vec:{login}{at}" for at in range(2)]
            for user in users:
                await take(engine, visit(0, user=user, login=login), datamart=datamart)
            points = {await taken(engine, visit(1, user=user), datamart=datamart) for user in users}
            assert (len(points) == 1) is is_one


async def test_a_new_channel_takes_events_at_once_and_a_removed_one_none():
    async with engine_on(MemoryStore()) as engine:
        assert (await take(engine, visit(1, site="9"))).results[0].error.code == "unknown_channel"
        found = await engine.apply(small(channel=[{"id": "1"}, {"id": "9", "domain": "nine.example"}]))
        (token, tracker_key) = found.made
        assert (token.kind, token.id, token.field) == ("channel", "site:9", "token")
        assert engine.public_token(token.value).channel.key == "site:9"
        assert engine.authorize(token.value, scope="collect", datamart=1)
        assert engine.channel_by_tracker_key(tracker_key.value).key == "site:9"
        assert engine.site_hosts() == {"nine.example"}
        assert (await take(engine, visit(2, site="9"))).results[0].status == "accepted"
        await engine.apply(small(channel=[{"id": "1"}]))
        assert (await take(engine, visit(3, site="9"))).results[0].error.code == "unknown_channel"
        assert engine.public_token(token.value) is None
        assert engine.authorize(token.value, scope="collect", datamart=1) is None
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
        with pytest.raises(Unavailable), trio.fail_after(5):
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
