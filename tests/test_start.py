"""A start: definitions and tokens as the settings say, what is kept stays, and only the difference is written."""

from uuid import UUID

import pytest
from msgspec import structs

from engine.definitions.access import Scope
from engine.definitions.rows import channel_row
from engine.errors import BadSettings, StoreBroken, StoreFull
from engine.live import rules_of
from engine.settings import (
    ApiSettings,
    ChannelDeclaration,
    CompartmentDeclaration,
    DatamartSettings,
    SessionSettings,
    Settings,
    SigningKeyDeclaration,
)
from engine.start import prepare
from engine.store.memory import MemoryStore
from engine.store.port import Db, Put
from tests.contract.harness import rows
from tests.engines import HandClock


def start(store, **changed):
    return prepare(store, structs.replace(Settings(), **changed), HandClock())


def shop(*channels, **fields):
    return (DatamartSettings(id=1, channels=channels, **fields),)


def test_the_first_start_makes_what_there_is_to_have_and_an_admin_token():
    found = start(MemoryStore())
    site = found.registry.first_site(1)
    assert (site.key, site.version, len(site.token) >= 24) == ("site:1", 1, True)
    assert found.registry.datamart(1).token != site.token
    assert found.keyring.authorize(found.new_admin_token, scope=Scope.ADMIN, datamart=None)
    assert found.default_compartment(1) == "1"


def test_the_second_start_changes_nothing_and_shows_no_token():
    store = MemoryStore()
    first = start(store)
    before = rows(store, Db.DEFINITIONS)
    store.fail_next(StoreBroken)
    second = start(store)  # It need not write at all.
    assert rows(store, Db.DEFINITIONS) == before
    assert second.new_admin_token is None
    assert second.registry.first_site(1) == first.registry.first_site(1)
    assert second.keyring.authorize(first.new_admin_token, scope=Scope.ADMIN, datamart=1)


def test_tokens_are_kept_as_hashes_and_public_ones_are_not_secret():
    store = MemoryStore()
    found = start(store)
    everything = b"".join(key + value for db in Db for key, value in rows(store, db))
    assert found.new_admin_token.encode() not in everything
    assert found.registry.first_site(1).token.encode() in everything


def test_a_signing_key_is_in_memory_only():
    store = MemoryStore()
    key = SigningKeyDeclaration(id="k", secret="never in the store", channel="site:1")
    found = start(store, datamarts=shop(ChannelDeclaration(id="1"), signing_keys=(key,)))
    assert found.registry.signing_key("k").secret == "never in the store"
    assert found.registry.signing_key("k").datamart == 1
    assert b"never" not in b"".join(key + value for db in Db for key, value in rows(store, db))
    assert start(store).registry.signing_key("k") is None


def test_tracker_keys_are_made_once_also_for_a_store_from_before_there_were_any():
    store = MemoryStore()
    first = start(store).registry.first_site(1)
    assert UUID(first.tracker_key).version == 4
    old = structs.replace(first, tracker_key="")
    store.commit([Put(Db.DEFINITIONS, *channel_row(old))])
    found = start(store).registry
    assert found.channel_at(1, "site:1", 1) == old
    assert found.first_site(1).version == 2
    assert found.by_tracker_key(found.first_site(1).tracker_key) == found.first_site(1)
    assert start(store).registry.first_site(1) == found.first_site(1)


def test_compartments_and_redirect_hosts_are_as_declared():
    store = MemoryStore()
    declared = shop(compartments=(CompartmentDeclaration(id="shop"),), redirect_hosts=("Partner.example",))
    found = start(store, datamarts=declared).registry
    (compartment,) = found.datamart(1).compartments
    assert found.compartment_by_token(1, compartment.token) == "shop"
    assert found.redirect_hosts(1) == {"partner.example"}
    assert start(store, datamarts=declared).registry.datamart(1) == found.datamart(1)


def test_a_given_admin_token_replaces_the_first_one():
    store = MemoryStore()
    first = start(store).new_admin_token
    second = start(store, api=ApiSettings(admin_token="given"))
    assert second.new_admin_token is None
    assert second.keyring.find("given")
    assert second.keyring.find(first) is None
    third = start(store)
    assert third.keyring.find("given")
    assert third.new_admin_token is None


def test_a_changed_channel_is_a_new_version_and_the_old_one_stays():
    store = MemoryStore()
    start(store)
    found = start(store, session=SessionSettings(gap_ms=5))
    assert [found.registry.channel_at(1, "site:1", version).gap_ms for version in (1, 2)] == [1_800_000, 5]
    assert found.registry.channel(1, "site:1").version == 2
    assert start(store, session=SessionSettings(gap_ms=5)).registry.channel(1, "site:1").version == 2
    assert start(store).registry.channel(1, "site:1").version == 3


def test_what_is_left_out_is_kept_but_takes_nothing():
    store = MemoryStore()
    start(store, datamarts=(*shop(ChannelDeclaration(id="1")), DatamartSettings(id=2)))
    found = start(store, datamarts=shop(ChannelDeclaration(id="9")))
    assert found.registry.channel(1, "site:1") is None
    assert found.registry.channel_at(1, "site:1", 1)
    assert found.registry.datamart(2)
    assert found.default_compartment(2) == "1"
    rules = rules_of(found, Settings())
    assert rules(2) is None
    assert rules(1).channel("site:9").id == "9"
    assert rules(1).channel("site:1") is None


def test_rules_say_what_items_are_checked_against():
    store = MemoryStore()
    found = start(store, datamarts=shop(ChannelDeclaration(id="1", max_activity_chars=700), default_compartment="main"))
    session = SessionSettings(max_future_ms=7, max_activity_chars=900)
    rules = rules_of(found, structs.replace(Settings(), session=session))(1)
    assert (rules.default_compartment, rules.max_future_ms, rules.max_activity_chars) == ("main", 7, 900)
    assert rules.channel("site:1").max_activity_chars == 700
    assert rules_of(found, Settings())(2) is None


def test_many_definitions_are_read_page_by_page(monkeypatch):
    monkeypatch.setattr("engine.planning.PAGE", 7)
    channels = tuple(ChannelDeclaration(id=str(number)) for number in range(50))
    store = MemoryStore()
    first = start(store, datamarts=shop(*channels))
    second = start(store, datamarts=shop(*channels))
    assert second.registry.channels(1) == first.registry.channels(1)
    assert len(second.registry.channels(1)) == 50


def test_a_token_of_two_is_refused_and_nothing_is_written():
    store = MemoryStore()
    token = start(store).registry.first_site(1).token
    before = rows(store, Db.DEFINITIONS)
    with pytest.raises(BadSettings):
        start(store, datamarts=shop(ChannelDeclaration(id="1"), ChannelDeclaration(id="2", token=token)))
    assert rows(store, Db.DEFINITIONS) == before


@pytest.mark.parametrize("error", [StoreFull, StoreBroken])
def test_what_cannot_be_saved_is_not_begun_with(error):
    store = MemoryStore()
    store.fail_next(error)
    with pytest.raises(error):
        start(store)
    assert rows(store, Db.DEFINITIONS) == []
    assert start(store.reopen()).new_admin_token
