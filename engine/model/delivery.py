"""What a destination's answer means for a request of the outbox, and when it is tried again (decision 32).

    2xx                              done
    a fault of the request itself    refused: it would be refused for ever, so it is a dead letter at once
    anything else                    again later: not there, overloaded, or set up wrongly, which somebody may mend

Senders differ over 401, 403, 404 and the like. Here they are tried again: they speak of credentials and addresses, not
of the request, and a destination that is mended within the day then loses nothing.
"""

import re
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit, urlunsplit

REFUSING: Final = frozenset((400, 405, 406, 410, 411, 413, 414, 415, 422, 431))
"""Statuses that blame the request, however often it comes; 410 says of itself that it is for ever."""

OVERLOADED: Final = frozenset((429, 503))
"""Statuses whose `Retry-After` speaks of the destination and not of one request."""

OTHER: Final = "other"
"""The label of a destination whose id no definition can have."""

_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_SECONDS: Final = 10**9
_DIGITS: Final = re.compile(r"[0-9]{1,10}")


class Fate(StrEnum):
    """What becomes of a request after an answer."""

    DONE = "done"
    REFUSED = "refused"
    AGAIN = "again"


def fate_of(status: int) -> Fate:
    """What an answer's status means; 0 stands for no answer."""
    if 200 <= status <= 299:
        return Fate.DONE
    return Fate.REFUSED if status in REFUSING else Fate.AGAIN


def status_class(status: int) -> str:
    """`2xx`, `5xx` …, or `none` where there was no answer."""
    return f"{status // 100}xx" if status else "none"


def backoff_ms(failures: int, draw: float, *, first_ms: int, most_ms: int) -> int:
    """How long to wait before the next attempt: exponential with full jitter, at least a millisecond.

    Args:
        failures: attempts that failed so far, 1 or more.
        draw: a number in [0, 1) by chance.
        first_ms: the mean of the first wait; each further one is twice as long.
        most_ms: no wait is longer.
    """
    doublings = min(failures, 64)  # Enough to pass any bound, and no number of a thousand digits.
    return max(1, int(min(first_ms * 2**doublings, most_ms) * draw))


def retry_after_ms(header: str, now_ms: int, *, most_ms: int) -> int:
    """What a `Retry-After` asks for: seconds or a date; 0 where it says nothing that can be read.

    Args:
        header: its value, or "".
        now_ms: wall clock, for a date.
        most_ms: no more than this, whatever it asks for.
    """
    text = header.strip()
    if _DIGITS.fullmatch(text):
        wait_ms = min(int(text), _MAX_SECONDS) * 1000
    else:
        try:
            wait_ms = int(parsedate_to_datetime(text).timestamp() * 1000) - now_ms
        except (ValueError, TypeError, OverflowError):
            return 0
    return max(0, min(wait_ms, most_ms))


def address_of(url: str, path: str) -> str:
    """Where a request goes: `path` behind the path of the destination's address, the query of both kept."""
    if not path:
        return url
    base = urlsplit(url)
    more, _, query = path.partition("?")
    joined = base.path.rstrip("/") + "/" + more.lstrip("/") if more else base.path
    return urlunsplit((base.scheme, base.netloc, joined, "&".join(one for one in (base.query, query) if one), ""))


def label_of(destination: str) -> str:
    """A destination's id as it may stand in the name of a counter."""
    return destination if _ID.fullmatch(destination) else OTHER
