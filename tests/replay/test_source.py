"""Files as lines: plain, packed, damaged, with lines of any length."""

import gzip
import os
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.replay.source import CHUNK_BYTES, MAX_LINE_BYTES, Source, SourceDamaged


def lines_of(path) -> list[bytes]:
    with Source(str(path)) as source:
        found = []
        while lines := source.read():
            found += lines
        assert source.read() == []
        assert source.position_bytes == source.size_bytes == os.path.getsize(path)
        return found


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"a\x00\xff\x0b\x0cb\n", [b"a\x00\xff\x0b\x0cb"]),
        (b"x" * (3 * CHUNK_BYTES) + b"\ny\n", [b"x" * (3 * CHUNK_BYTES), b"y"]),
    ],
)
def test_the_lines_of_a_file(tmp_path, pack, content, expected):
    path = tmp_path / "access.log"
    path.write_bytes(pack(content))
    assert lines_of(path) == expected


def test_packed_parts_one_after_the_other(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n"))
    assert lines_of(path) == [b"a", b"bc", b"d"]


@given(st.lists(st.integers(0, 3 * CHUNK_BYTES // 2), max_size=8))
def test_chunks_do_not_show(tmp_path_factory, lengths):
    path = tmp_path_factory.mktemp("source") / "access.log"
    lines = [bytes((65 + index,)) * length for index, length in enumerate(lengths)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert lines_of(path) == lines


@pytest.mark.parametrize("length", [MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 5 * MAX_LINE_BYTES])
@pytest.mark.parametrize("end", [b"", b"\nb\n"])
def test_a_line_without_end_is_cut(tmp_path, length, end):
    path = tmp_path / "access.log"
    path.write_bytes(b"a" * length + end)
    assert lines_of(path) == [b"a" * min(length, MAX_LINE_BYTES + 1), *([b"b"] if end else [])]


def test_a_damaged_file_gives_what_is_before_the_damage(tmp_path):
    path = tmp_path / "access.log.gz"
    whole = b"".join(b"%06d %s\n" % (number, os.urandom(20).hex().encode()) for number in range(20_000))
    path.write_bytes(gzip.compress(whole)[:-2000])
    found = []

    def read_all(source: Source) -> None:
        while lines := source.read():
            found.extend(lines)

    with Source(str(path)) as source:
        with pytest.raises(SourceDamaged, match=r"access\.log\.gz"):
            read_all(source)
        with pytest.raises(SourceDamaged):
            source.read()
    assert len(found) > 10_000
    assert whole.startswith(b"\n".join(found))


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        Source("no such file")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input_gives_lines_as_they_come(monkeypatch, pack):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        with Source("-") as source:
            assert source.size_bytes is None
            packed = pack(b"first\nsec")
            pipe.write(packed[:1])
            writer = threading.Thread(target=pipe.write, args=(packed[1:],))
            writer.start()
            assert source.read() == [b"first"]
            writer.join()
            pipe.close()
            assert source.read() == [b"sec"]
            assert source.read() == []
        assert not stdin.closed
        os.fstat(stdin.fileno())
