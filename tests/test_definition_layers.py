"""Settings below, what is applied above: what holds, what a file at the start does, what is shown, a store at rest."""

from pathlib import Path

import pytest
import trio
from msgspec import structs

from engine import Settings, apply_to_directory, open_engine
from engine.clock import EventClock
from engine.declared import DatamartDefinition, Declared
from engine.definitions.kept import DEFINITION_PREFIX
from engine.errors import BadDefinition, BadSettings, StoreLocked
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
from engine.store.port import Db
from tests.applying import defined, goals, refused
from tests.contract.harness import rows
from tests.definitions.files import full, small
from tests.engines import (
    HandClock,
    engine_on,
)


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


def test_where_both_say_something_the_log_tells_it(monkeypatch):
    lines = []
    monkeypatch.setattr("engine.start.log", lambda *told, **more: lines.append(f"{told} {more}"))
    store = MemoryStore()
    store.commit(plan(load(store), settings_with(SHOP), full(), 1).operations())
    start(store, SHOP)
    (line,) = [one for one in lines if "disagree" in one]
    for key in ("name", "redirect_hosts", "channel", "compartment"):
        assert f"'{key}'" in line
    assert "default_compartment" not in line  # Both say the same.
    lines.clear()
    prepare(store, Settings(), HandClock())
    assert not [one for one in lines if "disagree" in one]


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
