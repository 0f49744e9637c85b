"""A slow disk: a library that makes the calls of a process that wait for the disk wait longer, as long as asked for.

It is built here with the machine's C compiler and loaded in front of libc (`LD_PRELOAD`), so that nothing of what is
measured knows of it, and a thread that waits holds no lock of Python's, as with a real disk. LMDB waits twice a commit:
`fdatasync` for the pages, and a write to a descriptor opened with `O_DSYNC` for the page that makes them valid. The two
kinds are delayed and counted apart.

The library and the bench share a page of memory, a file: the delays can be changed while the server runs.
"""

import mmap
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

VARIABLE: Final = "BENCH_SLOW_DISK"
"""Environment variable with the path of the shared file."""

_CELL: Final = Struct("<Q")
_SYNC_US, _WRITE_US, _SYNCS, _WRITES = range(4)

SOURCE: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t *cells;  /* delay of a sync, delay of a synchronous write, how many of each */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("BENCH_SLOW_DISK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED) cells = page;
}

static void wait_for(int kind) {
    if (!cells) return;
    int kept = errno;
    __atomic_add_fetch(&cells[2 + kind], 1, __ATOMIC_RELAXED);
    uint64_t us = cells[kind];
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (us && nanosleep(&left, &left) && errno == EINTR) {}
    errno = kept;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int fsync(int fd) { REAL(int, "fsync", int); int done = real(fd); wait_for(0); return done; }

int fdatasync(int fd) { REAL(int, "fdatasync", int); int done = real(fd); wait_for(0); return done; }

int msync(void *start, size_t size, int flags) {
    REAL(int, "msync", void *, size_t, int);
    int done = real(start, size, flags);
    if (flags & MS_SYNC) wait_for(0);
    return done;
}

static void written(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags != -1 && flags & (O_SYNC | O_DSYNC)) wait_for(1);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    ssize_t done = real(fd, data, size, at);
    written(fd);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    ssize_t done = real(fd, data, size, at);
    written(fd);
    return done;
}
"""


class NoCompiler(Exception):
    """The library cannot be built here."""


@dataclass(frozen=True)
class Waits:
    """How often a process waited for its disk: by a sync, by a synchronous write."""

    syncs: int
    writes: int


class SlowDisk:
    """The library and its shared page, in a folder. Without delays at first.

    Raises:
        NoCompiler: there is no C compiler, or it does not build a shared library.
    """

    def __init__(self, folder: Path) -> None:
        self._page_file = folder / "disk"
        self._library = _built(folder)
        self._page_file.write_bytes(bytes(mmap.PAGESIZE))
        with self._page_file.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def environment(self) -> dict[str, str]:
        """What the environment of a process needs in addition, for it to have this disk."""
        return {"LD_PRELOAD": str(self._library), VARIABLE: str(self._page_file)}

    def delay(self, *, sync_ms: float, write_ms: float) -> None:
        """From now on each sync, and each synchronous write, takes so much longer."""
        _CELL.pack_into(self._page, _SYNC_US * _CELL.size, round(sync_ms * 1000))
        _CELL.pack_into(self._page, _WRITE_US * _CELL.size, round(write_ms * 1000))

    def waits(self) -> Waits:
        """How often it was waited for up to now."""
        cells = [_CELL.unpack_from(self._page, cell * _CELL.size)[0] for cell in (_SYNCS, _WRITES)]
        return Waits(*cells)

    def close(self) -> None:
        """Let go of the page."""
        self._page.close()


def _built(folder: Path) -> Path:
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoCompiler("no C compiler (gcc, cc or $CC)")
    library = folder / "slow_fsync.so"
    command = [*compiler.split(), "-shared", "-fPIC", "-O2", "-x", "c", "-o", str(library), "-", "-ldl"]
    run = subprocess.run(command, input=SOURCE, text=True, capture_output=True)
    if run.returncode:
        raise NoCompiler(f"{compiler} cannot build it: {run.stderr.strip()}")
    return library
