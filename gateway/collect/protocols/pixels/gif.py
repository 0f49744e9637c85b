"""The image that a pixel answers: always a GIF, so that no page and no mail shows a broken one."""

from typing import Final

from engine import SojournError
from gateway.collect.collect import DROPPED
from gateway.collect.reply import Reply
from gateway.errors import RequestError, reply_for

PIXEL: Final = b"".join(
    (
        b"GIF89a",
        b"\x01\x00\x01\x00\x80\x00\x00",  # a screen of 1 by 1 with a colour table of two
        b"\x00\x00\x00\xff\xff\xff",  # black, white
        b"\x21\xf9\x04\x01\x00\x00\x00\x00",  # colour 0 is transparent
        b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00",  # an image of 1 by 1
        b"\x02\x02\x44\x01\x00",  # LZW in three bits a code: clear, colour 0, end
        b"\x3b",
    )
)
"""One transparent dot, 43 bytes."""

UNCACHED: Final = (
    ("cache-control", "no-store, no-cache, must-revalidate, private"),
    ("pragma", "no-cache"),
    ("expires", "0"),
)
"""For every answer about one event: the next one must reach us too."""

# Pages that isolate themselves (COEP) load only what says that it may be loaded from anywhere.
_HEADERS: Final = (("content-type", "image/gif"), *UNCACHED, ("cross-origin-resource-policy", "cross-origin"))


def gif(*, status: int = 200, reason: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """The image.

    Args:
        status: HTTP status.
        reason: why nothing was kept of the request, or "".
        headers: further ones.
    """
    dropped = ((DROPPED, reason),) if reason else ()
    return Reply(status, (*_HEADERS, *dropped, *headers), PIXEL)


def gif_refusal(error: BaseException) -> Reply:
    """The image for a request that is refused: 200, as who asks for images can do nothing about it.

    Who sends too fast, an engine that cannot take it now and a fault of ours keep their status and `Retry-After`.
    """
    reply = reply_for(error)
    retry = tuple((name, value) for name, value in reply.headers if name == "retry-after")
    return gif(
        status=reply.status if reply.status == 429 or reply.status >= 500 else 200,
        reason=reason_of(error),
        headers=retry,
    )


def reason_of(error: BaseException) -> str:
    """The stable name of an error."""
    return error.code if isinstance(error, RequestError | SojournError) else "internal_error"
