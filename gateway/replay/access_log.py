"""Lines of web server access logs, common and combined format, as Apache and nginx write them.

A line's *frame* is what the server wrote itself: address, time, status, quotes and brackets. Whoever sent the request
had no hand in it, so a line whose frame is broken was damaged later and is unreadable. What stands inside the quotes
came from outside and may be anything, TLS handshakes in the place of a request included: such a line is still a visit.

Bytes that servers escape (`\\"`, `\\\\`, `\\x16`) are read back as what was sent; what is not UTF-8 after that is
shown escaped again, as `\\xe4`. So a field is always text, and no byte is lost.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final, NamedTuple

MINUTES_KEPT: Final = 4096
"""Minutes whose time is remembered. A log's neighbours share theirs; the bound is for lines with random dates."""


class LogLine(NamedTuple):
    """One request as the server logged it.

    Attributes:
        ts_ms: when, ms since the epoch; logs know whole seconds.
        address: of the client, or its name.
        user: who authenticated, or "".
        method, target, protocol: of the request line; all "" when it is none.
        request: the request line whole.
        status: the answer's status, 0 where the server logged none.
        size_bytes: of the answer, None where the server logged none.
        referrer, agent: the headers, "" where absent.
    """

    ts_ms: int
    address: str
    user: str
    method: str
    target: str
    protocol: str
    request: str
    status: int
    size_bytes: int | None
    referrer: str
    agent: str


class Unreadable(StrEnum):
    """Why a line is no log line."""

    FRAME = "frame"
    """Fields are missing, a quote or bracket is not closed, or a number is none."""
    TIME = "time"
    """The time stands in its place but there is no such time, or it is before 1970."""


# Possessive quantifiers: a field that was read is never read again in another way, so any line costs linear time.
_QUOTED = rb'"((?:[^"\\]++|\\.)*+)"'
_FRAME = re.compile(
    rb"(\S+) \S+ (.+?) "
    rb"\[(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d):(\d\d) ([+-]\d{4})\] "
    + _QUOTED
    + rb" (\d{3}|-) (\d{1,18}|-)"
    + rb"(?: "
    + _QUOTED
    + rb" "
    + _QUOTED
    + rb"(?: .*)?)?\s*",  # Servers are often told to write more behind the agent.
    re.DOTALL,
)
_REQUEST = re.compile(r"([A-Za-z-]+) (\S.*?)(?: (HTTP/\d[\d.]*))?", re.ASCII)
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|([\\"bnrtvf]))')
_NAMED: Final = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"f": b"\f", b"\\": b"\\", b'"': b'"'}
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_LEAP_SECOND: Final = 60
_ABSENT: Final = ("", "-", '""')
"""What servers write for an empty field."""

_minutes: dict[tuple[bytes, bytes], int] = {}


def parse_line(line: bytes) -> LogLine | Unreadable:
    """Read one line of a log.

    Args:
        line: its bytes, with or without the end of line.

    Returns:
        The request, or why the line is unreadable. Never raises.
    """
    found = _FRAME.fullmatch(line)
    if found is None:
        return Unreadable.FRAME
    address, user, minute, second, zone, request, status, size, referrer, agent = found.groups()
    minute_ms = _minutes.get((minute, zone))
    if minute_ms is None:
        minute_ms = _minute_ms(minute, zone)
        if minute_ms is None:
            return Unreadable.TIME
    ts_ms = minute_ms + int(second) * 1000
    if ts_ms < 0 or int(second) > _LEAP_SECOND:
        return Unreadable.TIME
    text = _text(request)
    parts = _REQUEST.fullmatch(text)
    method, target, protocol = parts.groups("") if parts is not None else ("", "", "")
    return LogLine(
        ts_ms=ts_ms,
        address=_text(address),
        user=_present(user),
        method=method,
        target=target,
        protocol=protocol,
        request=text,
        status=0 if status == b"-" else int(status),
        size_bytes=None if size == b"-" else int(size),
        referrer=_present(referrer),
        agent=_present(agent),
    )


def _present(field: bytes | None) -> str:
    if field is None or field == b"-":
        return ""
    text = _text(field)
    return "" if text in _ABSENT else text


def _text(field: bytes) -> str:
    if b"\\" in field:
        field = _ESCAPE.sub(_unescape, field)
    return field.decode("utf-8", "backslashreplace")


def _unescape(found: "re.Match[bytes]") -> bytes:
    byte, name = found.groups()
    return bytes((int(byte, 16),)) if byte is not None else _NAMED[name]


def _minute_ms(minute: bytes, zone: bytes) -> int | None:
    """The time of a full minute, remembered; None when there is no such minute."""
    month = _MONTHS.get(minute[3:6])
    if month is None or int(zone[3:]) > 59:
        return None
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    try:
        moment = datetime(
            int(minute[7:11]),
            month,
            int(minute[:2]),
            int(minute[12:14]),
            int(minute[15:17]),
            tzinfo=timezone(-offset if zone[:1] == b"-" else offset),
        )
    except ValueError:
        return None
    minute_ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if len(_minutes) >= MINUTES_KEPT:
        _minutes.clear()
    _minutes[minute, zone] = minute_ms
    return minute_ms


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
