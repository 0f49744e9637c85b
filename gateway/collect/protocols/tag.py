"""`GET /tag.js`: the website tag, `gateway/collect/tag/tag.js`, as browsers get it (facts: mediarithmics 4.1).

Stripped of comments and indentation, compressed once, with an `ETag`. Also under the addresses that the platform's own
loader asks for, so that a page that has that loader needs another host and nothing else.
"""

import gzip
import hashlib
import re
from functools import cache, partial
from importlib.resources import files
from typing import Final

from gateway.collect.collect import Collect
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route

PATTERNS: Final = ("/tag.js", "/tag/2/tag.min.js", "/tag/1/tag.min.js")

PROTOCOL: Final = "tag"

MAX_AGE_S: Final = 3600
"""How long a browser takes its copy without asking: a new tag is everywhere after so long."""

_COMMENT: Final = re.compile(r"^[ \t]*(?:/\*.*?\*/|//[^\n]*)[ \t]*\n", re.MULTILINE | re.DOTALL)
_MARGIN: Final = re.compile(r"^[ \t]+|^\n", re.MULTILINE)


def routes(collect: Collect) -> tuple[Route, ...]:
    """Where pages load the tag from."""
    return tuple(
        Route("GET", pattern, partial(get_tag, collect), protocol=PROTOCOL, is_public=True) for pattern in PATTERNS
    )


def get_tag(collect: Collect, request: Request) -> Reply:
    """The tag; 304 to who has this one."""
    body, packed, etag = served()
    is_packed = accepts_gzip(request.headers.get("accept-encoding", ""))
    caching = (
        ("cache-control", f"public, max-age={MAX_AGE_S}"),
        ("etag", f'"{etag}-gzip"' if is_packed else f'"{etag}"'),
        ("vary", "accept-encoding"),
        # Pages of any origin load it, also those that isolate themselves, or ask with CORS to check its integrity.
        ("cross-origin-resource-policy", "cross-origin"),
        ("access-control-allow-origin", "*"),
    )
    if is_known(request.headers.get("if-none-match", ""), etag):
        return Reply(304, caching)
    headers = (*caching, ("content-type", "text/javascript; charset=utf-8"), ("x-content-type-options", "nosniff"))
    if is_packed:
        return Reply(200, (*headers, ("content-encoding", "gzip")), packed)
    return Reply(200, headers, body)


@cache
def served() -> tuple[bytes, bytes, str]:
    """The tag as it is sent: plain, compressed, and a hash of it."""
    source = (files("gateway.collect") / "tag" / "tag.js").read_text(encoding="utf-8")
    body = stripped(source).encode()
    return body, gzip.compress(body, compresslevel=9, mtime=0), hashlib.sha256(body).hexdigest()[:16]


def stripped(source: str) -> str:
    """A script without its comments and indentation.

    Args:
        source: with every comment on lines of its own, and no string that goes over the end of a line.
    """
    return _MARGIN.sub("", _COMMENT.sub("", source))


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip (RFC 9110, 12.5.3); a weight of zero says no."""
    for one in accept_encoding.lower().split(","):
        coding, _, weight = one.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False


def is_known(if_none_match: str, etag: str) -> bool:
    """Whether the client has this version, plain or compressed (RFC 9110, 13.1.2: compared weakly)."""
    known = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return not known.isdisjoint(("*", f'"{etag}"', f'"{etag}-gzip"'))
