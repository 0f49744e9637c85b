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
from engine.store.layout import META_SCHEMA, decode_number, encode_number
from engine.store.port import SCHEMA_VERSION, Db
from engine.store.environment import DATA_FILE, NO_ROOM, Databases, Environment, StoreOptions, Txn

LOCK_FILE: Final = "engine.lock"

LIB_VERSION: Final = 0
"""New files are written in LMDB's format 1, which every tool reads; an existing file chooses for itself."""


def open_for_writing(directory: Path, options: StoreOptions) -> Environment:
    """The environment in `directory`, made when there is none, for the one engine that writes.

    Raises:
        StoreLocked: another engine has it.
        SchemaTooNew: a newer version wrote it; nothing was touched.
        StoreFull: there is no room to make it.
        StoreBroken: what is there is damaged, or no store.
        BadSettings: the directory cannot be made or written to.
    """
    with _clear_errors(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(directory)
        try:
            return _open_locked(directory, options, lock)
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
            databases = _find_databases(env)
            if not _check_schema(directory, env, databases):
                raise StoreMissing(f"there is no store in {directory}")
        except BaseException:
            env.close()
            raise
        return Environment(directory, env, databases, max_size_bytes=0, lock=None)


def _lock(directory: Path) -> int:
    """The descriptor that holds the lock; the file stays, as removing it would let two engines in."""
    lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
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


def _open_locked(directory: Path, options: StoreOptions, lock: int) -> Environment:
    is_new = _is_new(directory)
    if not is_new:
        _look(directory)
    env = lmdb.open(
        str(directory),
        map_size=options.map_size_bytes,
        metasync=options.metasync,
        mode=0o600,
        max_readers=options.max_readers,
        max_dbs=len(Db),
        # -1: the file's own. Any other than that would be refused.
        lib_version=LIB_VERSION if is_new else -1,
    )

    def create(txn: Txn) -> Databases:
        databases = {db: env.open_db(db.encode(), txn=txn) for db in Db}
        if txn.get(META_SCHEMA, db=databases[Db.META]) is None:
            txn.put(META_SCHEMA, encode_number(SCHEMA_VERSION), db=databases[Db.META])
        return databases

    try:
        env.reader_check()
        environment = Environment(directory, env, {}, options.max_map_size_bytes, lock)
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
        _check_schema(directory, env, _find_databases(env))
    finally:
        env.close()


def _find_databases(env: lmdb.Environment) -> Databases:
    """Those that are there: a store may be older than a database that was added to the list."""
    found: Databases = {}
    for db in Db:
        with suppress(lmdb.NotFoundError):
            found[db] = env.open_db(db.encode(), create=False)
    return found


def _check_schema(directory: Path, env: lmdb.Environment, databases: Databases) -> bool:
    """Whether a store is there; one that was begun and not finished is none."""
    stored = None
    if Db.META in databases:
        with env.begin() as txn:
            stored = txn.get(META_SCHEMA, db=databases[Db.META])
    if stored is None:
        if env.stat()["entries"]:
            raise StoreBroken(f"what is in {directory} was not written by this program")
        return False
    schema = decode_number(stored)
    if schema > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"the store in {directory} has schema {schema}, this version knows {SCHEMA_VERSION}: "
            "use the version that wrote it; nothing was changed"
        )
    return True


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
