"""A file to replay, as lines: plain or gzip by its first bytes, `-` for standard input.

Everything here blocks; an async caller reads in a thread. One read gives the lines of one chunk, so that what a slow
pipe delivers is on its way at once and memory stays bounded whatever the file holds.
"""

import gzip
import os
import stat
import sys
import zlib
from io import FileIO
from types import TracebackType
from typing import Final, Self, cast

from engine import CallerError

CHUNK_BYTES: Final = 64 * 1024
"""Some hundred lines: enough that a thread call a chunk costs nothing a line, little enough that Ctrl-C is prompt."""

MAX_LINE_BYTES: Final = 256 * 1024
"""Servers write lines of some kilobytes, activities have 8000 characters. What is longer is no line of a text file."""

STDIN: Final = "-"
_GZIP_MAGIC: Final = b"\x1f\x8b"


class SourceDamaged(CallerError):
    """The file cannot be read to its end, mostly a damaged gzip; every whole line before that has been read."""


class _Raw:
    """Unbuffered bytes of a file whose first ones can be looked at before they are read.

    No `BufferedReader`: its lock is held by a thread that waits for a pipe, and closing would wait for that thread.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._first = b""
        self.position_bytes = 0

    def starts_with(self, magic: bytes) -> bool:
        while len(self._first) < len(magic) and (more := self._file.read(CHUNK_BYTES)):
            self._first += more
        return self._first.startswith(magic)

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        if self._first:
            chunk, self._first = self._first[:size], self._first[size:]
        else:
            chunk = self._file.read(size)
        self.position_bytes += len(chunk)
        return chunk


class Source:
    """One open file.

    Args:
        name: its path, or `-` for standard input.

    Raises:
        OSError: it cannot be opened.

    Attributes:
        name: the path, or `standard input`.
        size_bytes: length of the file as it is on disk; None for a pipe.
    """

    def __init__(self, name: str) -> None:
        self.name = "standard input" if name == STDIN else name
        # Standard input is only borrowed: another object over its descriptor, which does not own it.
        self._file = FileIO(sys.stdin.fileno(), closefd=False) if name == STDIN else FileIO(name)
        status = os.fstat(self._file.fileno())
        self.size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
        self._raw = _Raw(self._file)
        self._unpacked: _Raw | gzip.GzipFile | None = None
        self._rest = bytearray()
        self._skipping = False

    @property
    def position_bytes(self) -> int:
        """How far it is read, in bytes as on disk."""
        return self._raw.position_bytes

    def read(self) -> list[bytes]:
        """The next lines without their ends; an empty list at the end of the file.

        A line longer than `MAX_LINE_BYTES` comes as its first `MAX_LINE_BYTES + 1` bytes, the rest is skipped.

        Raises:
            SourceDamaged: see there.
        """
        while True:
            try:
                chunk = self._chunk()
            except (EOFError, OSError, zlib.error) as error:
                # What is left over is a piece of a line; the whole line is in the whole file.
                raise SourceDamaged(f"{self.name}: {error}", code="damaged_file") from error
            lines = self._split(chunk)
            if lines or not chunk:
                return lines

    def close(self) -> None:
        """Close the file; standard input itself stays open."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _chunk(self) -> bytes:
        if self._unpacked is None:
            packed = self._raw.starts_with(_GZIP_MAGIC)
            self._unpacked = gzip.GzipFile(fileobj=cast("FileIO", self._raw), mode="rb") if packed else self._raw
        if isinstance(self._unpacked, gzip.GzipFile):
            return self._unpacked.read1(CHUNK_BYTES)
        return self._unpacked.read()

    def _split(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk; without a chunk, what is left."""
        *ended, tail = chunk.split(b"\n")
        lines: list[bytes] = []
        for part in ended:
            line = self._take(part)
            if line is not None:
                lines.append(line)
        if self._skipping:
            return lines
        self._rest += tail
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(bytes(self._rest[: MAX_LINE_BYTES + 1]))
            self._rest.clear()
            self._skipping = True
        elif not chunk and self._rest:
            lines.append(bytes(self._rest).removesuffix(b"\r"))
            self._rest.clear()
        return lines

    def _take(self, part: bytes) -> bytes | None:
        """The line that this part ends; None when it ends one that was too long."""
        if self._skipping:
            self._skipping = False
            return None
        line = bytes(self._rest) + part if self._rest else part
        self._rest.clear()
        return line[: MAX_LINE_BYTES + 1].removesuffix(b"\r")
