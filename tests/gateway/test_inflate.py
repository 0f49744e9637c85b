"""Compressed bodies: what each encoding becomes, that nothing becomes larger than it may, and what is refused."""

import gzip
import sys
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.inflate import MAX_PARTS, ZSTD_WINDOW_LOG, inflated
from gateway.errors import RequestError
from tests.gateway.engines import call, memory_collect, plane_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST = 1 << 20
BODY = b'[{"a": 1}, {"b": "\xc3\xa9"}]'


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def wide_zstd(body: bytes) -> bytes:
    """With a window that a decoder of this content encoding need not have."""
    options = {int(zstd.CompressionParameter.window_log): ZSTD_WINDOW_LOG + 1}
    packer = zstd.ZstdCompressor(options=options)
    return packer.compress(body) + packer.flush()


def packed(body: bytes) -> bytes:
    """Without the time of packing: parameters of tests have to be the same in each process that collects them."""
    return gzip.compress(body, mtime=0)


PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    " gzip , identity": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "identity": bytes,
    "": bytes,
    ",": bytes,
}


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("body", [BODY, b"", b"x", b"\0" * 5000])
def test_each_encoding_is_undone(name: str, body: bytes):
    assert inflated(PACKERS[name](body), name, MOST) == body


@given(st.binary(max_size=300), st.sampled_from(sorted(PACKERS)), st.sampled_from(sorted(PACKERS)))
def test_two_encodings_are_undone_last_first(body: bytes, first: str, second: str):
    # What begins as gzip is gzip: such a body cannot be told from a sender's that forgot to say so.
    if not body.startswith(b"\x1f\x8b"):
        assert inflated(PACKERS[second](PACKERS[first](body)), f"{first}, {second}", MOST) == body


@given(st.binary(max_size=300))
def test_a_bare_deflate_stream_is_undone(body: bytes):
    assert inflated(raw_deflate(body), "deflate", MOST) == body


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_parts_that_follow_one_another_are_one_body(name: str):
    pack = PACKERS[name]
    assert inflated(b"".join(pack(part) for part in (b"one", b"", b"two")), name, MOST) == b"onetwo"
    assert inflated(pack(b"one") + b"\0" * 30, name, MOST) == b"one"
    assert inflated(pack(b"") * MAX_PARTS, name, MOST) == b""


def test_a_lie_is_seen_through():
    assert inflated(BODY, "gzip", MOST) == BODY
    assert inflated(gzip.compress(BODY), "", MOST) == BODY
    assert inflated(gzip.compress(BODY), "identity", MOST) == BODY


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", packed(BODY)[:-1]),
        ("gzip", packed(BODY)[:12]),
        ("gzip", packed(BODY)[:-5] + b"\0\0\0\0\0"),
        ("gzip", packed(BODY) + b"rest"),
        ("gzip", packed(b"") * (MAX_PARTS + 1)),
        ("gzip", b"\x1f\x8b"),
        ("deflate", BODY),
        ("deflate", zlib.compress(BODY)[:-1]),
        ("deflate", zlib.compress(BODY) + b"rest"),
        ("zstd", BODY),
        ("zstd", zstd.compress(BODY)[:-1]),
        ("zstd", zstd.compress(BODY) + b"rest"),
        ("zstd", wide_zstd(BODY)),
        ("gzip, gzip", packed(packed(BODY)[:-1])),
    ],
)
def test_what_is_not_what_it_says_is_refused(name: str, body: bytes):
    with pytest.raises(RequestError) as caught:
        inflated(body, name, MOST)
    assert (caught.value.status, caught.value.code) == (400, "bad_encoding")


@pytest.mark.parametrize("name", ["br", "gzip, br", "gzip, gzip, gzip", "x" * 10_000])
def test_what_we_do_not_know_is_refused(name: str):
    with pytest.raises(RequestError) as caught:
        inflated(gzip.compress(BODY), name, MOST)
    assert (caught.value.status, caught.value.code) == (415, "unsupported_encoding")
    assert len(caught.value.message) < 100


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd"])
def test_the_bound_is_exact(name: str):
    packed = PACKERS[name](b"x" * 1000)
    assert inflated(packed, name, 1000) == b"x" * 1000
    with pytest.raises(RequestError) as caught:
        inflated(packed, name, 999)
    assert (caught.value.status, caught.value.code) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        ("gzip", packed(bytes(10 << 20))),
        ("gzip", packed(bytes(1 << 16)) * 1000),
        ("gzip", packed(b"") * 200_000),
        ("gzip, gzip", packed(packed(bytes(10 << 20)))),
        ("deflate", zlib.compress(bytes(10 << 20))),
        ("zstd", zstd.compress(bytes(10 << 20))),
        ("zstd", zstd.compress(b"") * 200_000),
    ],
)
def test_a_bomb_costs_little(name: str, bomb: bytes):
    before = time.process_time()
    with pytest.raises(RequestError) as caught:
        inflated(bomb, name, MOST)
    assert caught.value.status in (400, 413)
    # It takes some milliseconds; without the bounds seconds, or gigabytes.
    assert time.process_time() - before < 0.5


@given(st.binary(max_size=200), st.text(alphabet="gzipdeflatstx-,; ", max_size=20) | st.sampled_from(sorted(PACKERS)))
def test_anything_is_inflated_or_refused(body: bytes, name: str):
    try:
        size = len(inflated(body, name, 500))
    except RequestError as error:
        size = 0 if error.status in (400, 413, 415) else -1
    assert 0 <= size <= 500


@pytest.mark.parametrize("headers", [{"content-encoding": "gzip"}, {}])
async def test_a_plane_inflates_before_the_protocol_looks(headers: dict[str, str]):
    async with memory_collect(collect__max_body_bytes=1 << 16) as collect:
        plane = plane_of(collect)
        path = "/v1/datamarts/1/user_activities"
        assert (await call(plane, "POST", path, gzip.compress(b"[]"), headers=headers)).status == 200
        assert (await call(plane, "POST", path, gzip.compress(b" " * ((1 << 16) + 1)), headers=headers)).status == 413
        assert (await call(plane, "POST", path, b"[]", headers={"content-encoding": "br"})).status == 415
