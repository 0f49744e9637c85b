"""Opening a store: one engine at a time, and never a store that a newer version wrote.

    DIRECTORY/data.mdb      the store
    DIRECTORY/lock.mdb      LMDB's table of readers
    DIRECTORY/engine.lock   held by the one engine that writes

What is there is looked at read-only first, without LMDB's table of readers: a store that is refused stays as it was.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import lmdb

from engine.errors import (
    BadSettings,
    SchemaTooNew,
    SojournError,
    StoreBroken,
    StoreFull,
    StoreLocked,
    StoreMissing,
)
from engine.settings import StorageSettings
from engine.store.layout import META_SCHEMA, decode_number, encode_number
from engine.store.port import SCHEMA_VERSION, Db
from engine.store.seam import DATA_FILE, NO_ROOM, Databases, Environment, Txn

LOCK_FILE: Final = "engine.lock"

MAX_READERS: Final = 126
"""Read transactions at a time, over all processes: the engine's few threads, and commands beside it."""

FILE_MODE: Final = 0o600
"""What people did is nobody else's to read."""

LIB_VERSION: Final = 0
"""LMDB 0.9: the format that every tool reads."""


def open_for_writing(settings: StorageSettings) -> Environment:
    """The environment in `settings.data_dir`, made when there is none, for the one engine that writes.

    Raises:
        StoreLocked: another engine has it.
        SchemaTooNew: a newer version wrote it; nothing was touched.
        StoreFull: there is no room to make it.
        StoreBroken: what is there is damaged, or no store.
        BadSettings: the directory cannot be made or written to.
    """
    directory = Path(settings.data_dir)
    with _clear_errors(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(directory)
        try:
            return _open_locked(directory, settings, lock)
        except BaseException:
            os.close(lock)
            raise


def open_for_reading(directory: Path) -> Environment:
    """The environment in `directory` for another process than the engine's; it works beside a running one.

    Raises:
        StoreMissing: there is none.
        SchemaTooNew: a newer version wrote it.
        StoreBroken: what is there is damaged, or no store.
        BadSettings: it may not be read.
    """
    with _clear_errors(directory):
        if _is_new(directory):
            raise StoreMissing(f"there is no store in {directory}")
        # A map size of 0: the size the engine last gave it.
        env = lmdb.open(str(directory), map_size=0, readonly=True, create=False, max_dbs=len(Db))
        try:
            databases = _find_databases(directory, env)
            if not databases:
                raise StoreMissing(f"there is no store in {directory}")
        except BaseException:
            env.close()
            raise
        return Environment(directory, env, databases, max_size_bytes=0, lock=None)


def _lock(directory: Path) -> int:
    """The descriptor that holds the lock; the file stays, as removing it would let two engines in."""
    lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
        os.close(lock)
        by = f" (process {owner})" if owner else ""
        raise StoreLocked(f"another engine{by} works on {directory}; stop it, or choose another directory") from None
    with suppress(OSError):  # A full disk: the lock holds without its owner's name.
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _open_locked(directory: Path, settings: StorageSettings, lock: int) -> Environment:
    if _is_new(directory):
        # The file chooses the format ever after; to ask an existing one for a format is an error.
        lmdb.open(str(directory), map_size=settings.map_size_bytes, mode=FILE_MODE, lib_version=LIB_VERSION).close()
    else:
        _look(directory)
    env = lmdb.open(
        str(directory),
        map_size=settings.map_size_bytes,
        metasync=settings.metasync,
        mode=FILE_MODE,
        max_readers=MAX_READERS,
        max_dbs=len(Db),
    )

    def create(txn: Txn) -> Databases:
        databases = {db: env.open_db(db.encode(), txn=txn) for db in Db}
        if txn.get(META_SCHEMA, db=databases[Db.META]) is None:
            txn.put(META_SCHEMA, encode_number(SCHEMA_VERSION), db=databases[Db.META])
        return databases

    try:
        env.reader_check()
        environment = Environment(directory, env, {}, settings.max_map_size_bytes, lock)
        environment.databases.update(environment.write(create))
    except BaseException:
        env.close()
        raise
    return environment


def _is_new(directory: Path) -> bool:
    data = directory / DATA_FILE
    return not data.exists() or data.stat().st_size == 0


def _look(directory: Path) -> None:
    """Check the schema of what is there. No engine writes to it while this one holds the lock."""
    env = lmdb.open(str(directory), map_size=0, readonly=True, lock=False, create=False, max_dbs=len(Db))
    try:
        _find_databases(directory, env)
    finally:
        env.close()


def _find_databases(directory: Path, env: lmdb.Environment) -> Databases:
    """The databases of the store, or none when there is no store; one that was begun and not finished is none.

    There may be fewer than this version knows: a store may be older than a database that was added to the list.

    Raises:
        SchemaTooNew, StoreBroken: it is no store that may be opened.
    """
    found: Databases = {}
    # META comes first, and an engine makes all of them at once: beside one that does so just now, META or the second
    # look finds them all. (Handles that are opened inside a read transaction end with it.)
    for _ in range(2):
        for db in Db:
            with suppress(lmdb.NotFoundError):
                found[db] = env.open_db(db.encode(), create=False)
        if Db.META in found:
            _check_schema(directory, env, found[Db.META])
            return found
        if not env.stat()["entries"]:
            return {}
    raise StoreBroken(f"what is in {directory} was not written by this program")


def _check_schema(directory: Path, env: lmdb.Environment, meta: "lmdb._Database") -> None:
    with env.begin() as txn:
        stored = txn.get(META_SCHEMA, db=meta)
    if stored is None:
        raise StoreBroken(f"what is in {directory} was not written by this program")
    schema = decode_number(stored)
    if schema > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"the store in {directory} has schema {schema}, this version knows {SCHEMA_VERSION}: "
            "use the version that wrote it; nothing was changed"
        )


@contextmanager
def _clear_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except SojournError:
        raise
    except lmdb.Error as error:
        if error.code in NO_ROOM:
            raise StoreFull(f"no room for a store in {directory}: {error}") from error
        if isinstance(error, lmdb.ReadonlyError):  # LMDB's name for "permission denied".
            raise BadSettings(f"the store in {directory} cannot be opened: {error}") from error
        if "already open in this process" in str(error):
            raise StoreLocked(f"this process has the store in {directory} open already") from error
        raise StoreBroken(f"the store in {directory} cannot be opened: {error}") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreFull(f"no room for a store in {directory}: {error}") from error
        raise BadSettings(f"the data directory {directory} cannot be used: {error.strerror}") from error
