"""Replies → bytes."""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from gateway.collect.reply import Reply

MAX_REMEMBERED: Final = 256
"""Heads that are remembered: nearly all replies have one of a few."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_WITHOUT_BODY: Final = frozenset({204, 304})
_CONTROLS: Final = dict.fromkeys((*range(32), 127), None)

_heads: dict[tuple[int, tuple[tuple[str, str], ...]], bytes] = {}
_date: tuple[int, bytes] = (0, b"")


def rendered(reply: Reply, *, method: str = "GET", keep_alive: bool = True, is_http_1_0: bool = False) -> bytes:
    """The bytes of an answer.

    Args:
        reply: what is answered.
        method: of the request; the answer to `HEAD` has no body.
        keep_alive: whether the connection goes on.
        is_http_1_0: such a sender takes the end of the connection for granted unless told otherwise.
    """
    global _date
    now_s = int(time.time())
    if _date[0] != now_s:
        _date = (now_s, b"date: %s\r\n" % formatdate(now_s, usegmt=True).encode())
    head = _heads.get((reply.status, reply.headers)) or _head(reply)
    if keep_alive and not is_http_1_0 and method == "POST" and reply.body:
        return b"%s%scontent-length: %d\r\n\r\n%s" % (head, _date[1], len(reply.body), reply.body)
    connection = b"" if keep_alive and not is_http_1_0 else _CONNECTION[keep_alive]
    if reply.status in _WITHOUT_BODY:
        return b"%s%s%s\r\n" % (head, _date[1], connection)
    body = reply.body if method != "HEAD" else b""
    return b"%s%s%scontent-length: %d\r\n\r\n%s" % (head, _date[1], connection, len(reply.body), body)


_CONNECTION: Final = {True: b"connection: keep-alive\r\n", False: b"connection: close\r\n"}


def _head(reply: Reply) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    # A line feed in a value would be the end of its header.
    lines += [f"{name}: {value.translate(_CONTROLS)}" for name, value in reply.headers]
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace")
    if len(_heads) >= MAX_REMEMBERED:
        _heads.clear()
    _heads[reply.status, reply.headers] = head
    return head
