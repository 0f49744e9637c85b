"""Ids of events that bring none: the hash of a line's bytes and of its occurrence number in the file.

The same file always gives the same ids, so the engine knows what it has seen when a replay is repeated or goes on
after an interruption (decision 18). Equal lines of one file are different events: the second is occurrence 1.

Counting occurrences needs a memory of every line, and no bound on it would be exact: any line may come again at the
end of the file. What is kept is an 8-byte digest and a number, about 100 bytes a line of the file.
"""

from hashlib import blake2b
from typing import Final

_ID_BYTES: Final = 12
"""96 bits: among ten thousand million lines two share an id with a chance of one in 1.6 thousand million."""
_SEEN_BYTES: Final = 8
"""A collision here makes a first occurrence the second one: another id, but the same one in every replay."""


class Occurrences:
    """Counts equal lines of one file."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def next_of(self, line: bytes) -> int:
        """How many lines equal to this one came before it."""
        digest = int.from_bytes(blake2b(line, digest_size=_SEEN_BYTES).digest(), "big")
        number = self._seen.get(digest, 0)
        self._seen[digest] = number + 1
        return number


def line_id(line: bytes, occurrence: int, index: int = 0) -> str:
    """The id of an event that a line tells of.

    Args:
        line: the bytes of the line without its end.
        occurrence: number of equal lines before it in the file.
        index: place of the event in the line, where a line tells of several.
    """
    salt = occurrence.to_bytes(8, "big") + index.to_bytes(8, "big")
    return blake2b(line, digest_size=_ID_BYTES, salt=salt).hexdigest()
