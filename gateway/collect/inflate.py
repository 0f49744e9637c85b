"""Compressed request bodies: gzip, deflate and zstd, never inflated beyond a bound.

Senders say how a body is compressed in `content-encoding`; some say so and do not compress, some the other way round
(wire facts: rudder, posthog). So gzip is told by its first bytes. Nothing behind what was inflated is left out in
silence: it is a further part of the body, or the body is refused.
"""

import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gateway.errors import RequestError

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

MAX_ENCODINGS: Final = 2
"""A proxy may compress what a sender has compressed; more is an attack."""

MAX_PARTS: Final = 64
"""Members of a gzip body, frames of a zstd one. What is behind a part is copied: 200,000 empty members in 4 MiB would
take a minute."""

ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, the most that a sender of this content encoding may ask us to hold (RFC 9659)."""

GZIP_MAGIC: Final = b"\x1f\x8b"

_ZLIB, _RAW, _GZIP = 15, -15, 31  # `wbits` of the three formats around the same stream.


class _Stream(Protocol):
    """What zlib's and zstd's decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def inflated(body: bytes, content_encoding: str, max_bytes: int) -> bytes:
    """The body as it was before it was compressed.

    Args:
        body: as sent.
        content_encoding: the header, or "": then what begins as gzip is gzip.
        max_bytes: the most that may come of it.

    Raises:
        RequestError: 415, an encoding we do not know; 400, the body is not what it says; 413, it becomes too large.
    """
    names = [name.strip().lower() for name in content_encoding.split(",") if name.strip()]
    names = [name for name in names if name != "identity"]
    if len(names) > MAX_ENCODINGS:
        raise RequestError(415, "unsupported_encoding", f"more than {MAX_ENCODINGS} content encodings")
    for name in reversed(names or ["gzip"]):
        undo = _UNDO.get(name)
        if undo is None:
            raise RequestError(415, "unsupported_encoding", f"content-encoding {name[:40]!r} is not supported")
        if not body:
            continue
        try:
            body = undo(body, max_bytes)
        except (zlib.error, ZstdError, EOFError) as error:
            raise RequestError(400, "bad_encoding", f"the body is not {name}: {error}") from None
    return body


def _gzip(body: bytes, max_bytes: int) -> bytes:
    # Said to be gzip and is not: some client libraries set the header and forget the work.
    if not body.startswith(GZIP_MAGIC):
        return body
    return _parts(lambda: zlib.decompressobj(_GZIP), body, max_bytes)


def _deflate(body: bytes, max_bytes: int) -> bytes:
    """zlib's format by the standard; some send the bare deflate stream."""
    try:
        return _parts(lambda: zlib.decompressobj(_ZLIB), body, max_bytes, max_parts=1)
    except (zlib.error, EOFError) as error:
        try:
            return _parts(lambda: zlib.decompressobj(_RAW), body, max_bytes, max_parts=1)
        except (zlib.error, EOFError):
            raise error from None


def _zstd(body: bytes, max_bytes: int) -> bytes:
    options = {int(DecompressionParameter.window_log_max): ZSTD_WINDOW_LOG}
    return _parts(lambda: ZstdDecompressor(options=options), body, max_bytes)


_UNDO: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}


def _parts(start: Callable[[], _Stream], body: bytes, max_bytes: int, *, max_parts: int = MAX_PARTS) -> bytes:
    found: list[bytes] = []
    size = 0
    while body:
        if len(found) == max_parts:
            raise EOFError("more follows behind its end")
        stream = start()
        # One more than there may be, so never 0, which would be without a bound.
        found.append(stream.decompress(body, max_bytes - size + 1))
        size += len(found[-1])
        if size > max_bytes:
            raise RequestError(413, "body_too_large", f"the body inflates to more than {max_bytes} bytes")
        if not stream.eof:
            raise EOFError("it ends too early")
        # Some archivers fill up with zeros.
        body = stream.unused_data.lstrip(b"\0")
    return b"".join(found)
