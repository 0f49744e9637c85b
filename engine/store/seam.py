"""The seam to LMDB: how its map grows, what its errors mean, who waits for whom.

`read` and `write` run a function in a transaction, and all that LMDB raises there becomes one of our errors:

    no room in the map      the map grows and the function runs again; at the largest size StoreFull
    no room on the disk     StoreFull: LMDB writes the page that makes a commit valid last, so nothing is left behind
    anything else           StoreBroken, and no write ever after: a failed sync is not made good by a later one

Growing moves the map, which would end the transactions of other threads. They pass a gate; growing waits until none is
under way and holds new ones back. So does undoing a batch.
"""

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import lmdb

from engine.errors import Closing, StoreBroken, StoreFull, Unavailable
from engine.store.port import Db

DATA_FILE: Final = "data.mdb"

ROOM_PROBE_BYTES: Final = 1 << 20
"""A write that found the disk full used up what was left; with this much to be had, it failed for another reason."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Disk full, quota reached, file size limit reached."""

# LMDB's classes are generic for the type checker only.
Databases: TypeAlias = dict[Db, "lmdb._Database"]
Txn: TypeAlias = "lmdb.Transaction[bytes]"
Cursor: TypeAlias = "lmdb.Cursor[bytes]"
T = TypeVar("T")


class Environment:
    """One open LMDB environment; `engine.store.opening` makes it.

    Args:
        directory: where its files are.
        env, databases: open and checked.
        max_size_bytes: up to which the map grows.
        lock: descriptor of the lock that makes this the one engine that writes; None when opened for reading.
    """

    def __init__(
        self, directory: Path, env: lmdb.Environment, databases: Databases, max_size_bytes: int, lock: int | None
    ) -> None:
        self.directory = directory
        self.databases = databases
        self.max_size_bytes = max_size_bytes
        self._env = env
        self._lock = lock
        self._gate = _Gate()
        self._writing = threading.Lock()
        self._broken = ""
        self._closed = False

    @property
    def broken(self) -> str:
        """Why no more is written, or ""."""
        return self._broken

    def read(self, work: Callable[[Txn], T]) -> T:
        """What `work` returns, called in a read transaction that ends with it.

        `work` may be called more than once and must not call `read` again.

        Raises:
            StoreBroken: the store cannot be read.
            Unavailable: too many are reading at this moment.
            Closing: it was closed.
        """
        while True:
            with self._gate:
                self._check_open()
                try:
                    with self._env.begin() as txn:
                        return work(txn)
                except lmdb.MapResizedError:
                    pass
                except (lmdb.ReadersFullError, lmdb.MemoryError) as error:
                    raise Unavailable(f"the store in {self.directory} cannot be read now: {error}") from error
                except lmdb.Error as error:
                    raise self._break(error) from error
            self._resize(0)  # Another process made the map grow: take over its size.

    def write(self, work: Callable[[Txn], T]) -> T:
        """What `work` returns, called in a write transaction and then committed.

        `work` may be called more than once: nothing of a call remains when the map is found too small.

        Raises:
            StoreFull, StoreBroken: as `port.Store.commit`.
            Closing: it was closed.
        """
        with self._writing:
            if self._lock is None:
                raise RuntimeError(f"the store in {self.directory} was opened for reading")
            while True:
                self._check_open()
                if self._broken:
                    raise StoreBroken(self._broken)
                try:
                    return self._commit(work)
                except lmdb.MapFullError:
                    self._grow()
                except lmdb.Error as error:
                    raise self._write_fault(error) from error

    def _commit(self, work: Callable[[Txn], T]) -> T:
        txn = self._env.begin(write=True)
        try:
            result = work(txn)
            txn.commit()
        except BaseException:
            # LMDB's binding aborts only at a moment when no thread reads. Between busy readers there may be none for
            # a minute [measured], so they are held back for it.
            with self._gate.alone():
                txn.abort()
            raise
        return result

    def size_bytes(self) -> tuple[int, int]:
        """What the map may hold now, and how much of it was ever used."""
        with self._gate:
            self._check_open()
            info = self._env.info()
            return info["map_size"], (info["last_pgno"] + 1) * self._env.stat()["psize"]

    def close(self) -> None:
        """Sync, close, and let another engine in.

        Raises:
            StoreBroken: the sync failed; it is closed all the same.
        """
        with self._writing, self._gate.alone():
            if self._closed:
                return
            self._closed = True
            try:
                if self._lock is not None and not self._broken:
                    self._env.sync(True)
            except lmdb.Error as error:
                raise self._break(error) from error
            finally:
                self._env.close()
                if self._lock is not None:
                    os.close(self._lock)

    def _check_open(self) -> None:
        if self._closed:
            raise Closing(f"the store in {self.directory} is closed")

    def _grow(self) -> None:
        size_bytes = self._env.info()["map_size"]
        if size_bytes >= self.max_size_bytes:
            raise StoreFull(f"the store in {self.directory} is full at its largest size, {size_bytes} bytes")
        # A process that died reading keeps the pages of its time from being used again.
        self._env.reader_check()
        self._resize(min(2 * size_bytes, self.max_size_bytes))

    def _resize(self, size_bytes: int) -> None:
        with self._gate.alone():
            self._check_open()
            try:
                self._env.set_mapsize(size_bytes)
            except lmdb.Error as error:
                raise self._break(error) from error

    def _write_fault(self, error: lmdb.Error) -> StoreFull | StoreBroken:
        # LMDB calls a write cut short an I/O error, and that is how a disk most often says that it is full.
        full = error.code in NO_ROOM or (error.code == errno.EIO and not self._has_room())
        if (full or isinstance(error, lmdb.MemoryError)) and self._is_alive():
            return StoreFull(f"no room for the store in {self.directory}: {error}")
        return self._break(error)

    def _break(self, error: lmdb.Error) -> StoreBroken:
        self._broken = self._broken or f"the store in {self.directory} failed: {error}"
        return StoreBroken(self._broken)

    def _is_alive(self) -> bool:
        """Whether LMDB itself still trusts what is in memory; not after a failed write of the page that commits."""
        try:
            with self._gate, self._env.begin():
                return True
        except lmdb.Error:
            return False

    def _has_room(self) -> bool:
        """Whether the file could grow: asked on the file itself, so that quotas and limits count."""
        if sys.platform == "darwin":
            return True
        try:
            with open(self.directory / DATA_FILE, "r+b") as file:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), ROOM_PROBE_BYTES)
        except OSError as error:
            return error.errno not in NO_ROOM
        return True


class _Gate:
    """Any number pass together; `alone` waits until nobody is inside, and holds newcomers back."""

    __slots__ = ("_alone", "_changed", "_inside")

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._alone = False

    def __enter__(self) -> None:
        with self._changed:
            while self._alone:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            if self._alone:
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            while self._alone:
                self._changed.wait()
            self._alone = True
        try:
            with self._changed:
                while self._inside:
                    self._changed.wait()
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
