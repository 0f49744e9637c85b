"""Who may open a store, and what becomes of one that is refused."""

import os
import stat

import lmdb
import pytest

from engine.errors import BadSettings, SchemaTooNew, StoreBroken, StoreLocked, StoreMissing
from engine.settings import StorageSettings
from engine.store.environment import LmdbStore
from engine.store.layout import META_SCHEMA, decode_number, encode_number
from engine.store.port import SCHEMA_VERSION, Db, Put
from tests.store.processes import child


def settings(directory, **fields):
    return StorageSettings(data_dir=str(directory), **{"map_size_bytes": 1 << 20, **fields})


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "not" / "yet" / "there"


@pytest.fixture
def written(directory):
    """The directory of a store that was written and closed."""
    store = LmdbStore.open(settings(directory))
    store.commit([Put(Db.META, b"k", b"v")])
    store.close()
    return directory


def reads_k(directory):
    store = LmdbStore.open_reader(directory)
    try:
        return store.get(Db.META, b"k")
    finally:
        store.close()


def refused(directory, error):
    """Opening fails with `error` for writing and for reading, and the data file stays as it was."""
    data = directory / "data.mdb"
    before = data.read_bytes(), data.stat().st_mtime_ns
    with pytest.raises(error) as first:
        LmdbStore.open(settings(directory))
    with pytest.raises(error):
        LmdbStore.open_reader(directory)
    assert (data.read_bytes(), data.stat().st_mtime_ns) == before
    return str(first.value)


def write_schema(directory, version):
    with lmdb.open(str(directory), max_dbs=20) as env, env.begin(write=True) as txn:
        txn.put(META_SCHEMA, encode_number(version), db=env.open_db(Db.META.encode(), txn=txn))


def test_a_new_store_has_a_schema_and_is_private(written):
    assert stat.S_IMODE(written.stat().st_mode) == 0o700
    assert {stat.S_IMODE((written / name).stat().st_mode) for name in os.listdir(written)} == {0o600}
    store = LmdbStore.open_reader(written)
    assert decode_number(store.get(Db.META, META_SCHEMA)) == SCHEMA_VERSION
    store.close()


def test_new_files_are_of_the_format_every_tool_reads(written, monkeypatch):
    with lmdb.open(str(written), readonly=True) as env:
        assert env.lib_version()[:2] == (0, 9)


def test_the_second_engine_is_refused_and_told_where_and_who(written):
    store = LmdbStore.open(settings(written))
    with pytest.raises(StoreLocked) as refusal:
        LmdbStore.open(settings(written))
    assert str(written) in str(refusal.value)
    assert f"process {os.getpid()}" in str(refusal.value)
    store.commit([Put(Db.META, b"k", b"still works")])
    store.close()
    LmdbStore.open(settings(written)).close()


def test_the_lock_is_free_after_an_opening_that_failed(written):
    write_schema(written, SCHEMA_VERSION + 1)
    for _ in range(2):
        with pytest.raises(SchemaTooNew):
            LmdbStore.open(settings(written))
    write_schema(written, SCHEMA_VERSION)
    LmdbStore.open(settings(written)).close()


@pytest.mark.slow
def test_the_lock_is_free_after_a_kill(directory):
    with child("commit", directory) as other:
        assert other.line()
        with pytest.raises(StoreLocked):
            LmdbStore.open(settings(directory))
    LmdbStore.open(settings(directory)).close()


def test_a_store_of_a_newer_schema_is_refused_untouched(written):
    write_schema(written, SCHEMA_VERSION + 1)
    message = refused(written, SchemaTooNew)
    assert f"schema {SCHEMA_VERSION + 1}" in message
    assert str(written) in message


@pytest.mark.parametrize("content", [b"no LMDB file" * 1000, b"short"])
def test_what_is_no_store_is_refused_untouched(directory, content):
    directory.mkdir(parents=True)
    (directory / "data.mdb").write_bytes(content)
    assert str(directory) in refused(directory, StoreBroken)


def test_the_store_of_another_program_is_refused_untouched(directory):
    directory.mkdir(parents=True)
    with lmdb.open(str(directory), max_dbs=1) as env, env.begin(write=True) as txn:
        txn.put(b"k", b"v", db=env.open_db(b"their own", txn=txn))
    assert "not written by this program" in refused(directory, StoreBroken)


@pytest.mark.parametrize("begin", [lambda data: data.touch(), lambda data: lmdb.open(str(data.parent)).close()])
def test_a_store_that_was_begun_and_not_finished_is_new(directory, begin):
    directory.mkdir(parents=True)
    begin(directory / "data.mdb")
    with pytest.raises(StoreMissing):
        LmdbStore.open_reader(directory)
    LmdbStore.open(settings(directory)).close()
    assert reads_k(directory) is None


def test_reading_what_is_not_there_makes_nothing(directory):
    with pytest.raises(StoreMissing, match=str(directory)):
        LmdbStore.open_reader(directory)
    assert not directory.exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadSettings, match="file"):
            LmdbStore.open(settings(directory))


def test_a_reader_does_not_write(written):
    store = LmdbStore.open_reader(written)
    with pytest.raises(RuntimeError, match="reading"):
        store.commit([Put(Db.META, b"k", b"w")])
    assert store.get(Db.META, b"k") == b"v"
    store.close()


def test_one_process_opens_a_store_once(written):
    store = LmdbStore.open(settings(written))
    with pytest.raises(StoreLocked, match="this process"):
        LmdbStore.open_reader(written)
    store.close()
    assert reads_k(written) == b"v"


def test_a_store_larger_than_the_map_that_is_asked_for_opens(written):
    store = LmdbStore.open(settings(written, max_map_size_bytes=1 << 24))
    store.commit([Put(Db.DEFINITIONS, bytes((one,)), bytes(100_000)) for one in range(40)])
    store.close()
    store = LmdbStore.open(settings(written, map_size_bytes=1 << 17, max_map_size_bytes=1 << 24))
    assert len(store.page(Db.DEFINITIONS, max_bytes=1 << 30)) == 40
    store.commit([Put(Db.DEFINITIONS, bytes((one,)), bytes(100_000)) for one in range(40, 80)])
    store.close()


def test_a_store_without_a_database_that_was_added_later_reads_as_empty_there(written):
    with lmdb.open(str(written), max_dbs=20) as env, env.begin(write=True) as txn:
        txn.drop(env.open_db(Db.DEFINITIONS.encode(), txn=txn))
    store = LmdbStore.open_reader(written)
    assert store.get(Db.DEFINITIONS, b"k") is None
    assert store.page(Db.DEFINITIONS) == []
    assert Db.DEFINITIONS not in store.statistics().entries
    store.close()
    store = LmdbStore.open(settings(written))
    store.commit([Put(Db.DEFINITIONS, b"k", b"v")])
    store.close()


def test_less_syncing_is_an_option(directory):
    store = LmdbStore.open(settings(directory, metasync=False))
    assert store._environment._env.flags()["metasync"] is False
    assert store._environment._env.flags()["sync"] is True
    store.commit([Put(Db.META, b"k", b"v")])
    store.close()
    assert reads_k(directory) == b"v"
