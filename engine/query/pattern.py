"""What MATCHES means: a regular expression over the whole value, in time that grows with the value's length only.

Backtracking engines, Python's among them, can take for ever on expressions that people write by accident. So RE2 runs
them. Which expressions there are is told by a reader of our own (`regex`): a mistake is refused with its place where
RE2 would take it literally or as something else than people mean, and it tells how much work an expression is.

There are: characters, `.` (any), `[a-z]` and `[^…]`, `\\d \\w \\s` and their capitals (ASCII), `\\n \\t \\r \\uXXXX`,
escaped marks, `|`, groups `( )` and `(?: )`, `* + ?` and `{m}`, `{m,}`, `{m,n}`, and `(?i)` at the beginning. `^` at
the beginning and `$` at the end say what is so anyway. There are no back references, no look-around, no captures.
"""

from typing import Final

import re2  # type: ignore[import-untyped]

from engine.query.errors import QueryError
from engine.query.limits import MAX_MATCHED_CHARS, MAX_MATCHING_WORK, MAX_PATTERN_POSITIONS
from engine.query.regex import Alt, Cat, Chars, Node, PatternReader, Range, Repeat

MAX_PROGRAM_BYTES: Final = 1 << 20
"""Of a compiled expression and what RE2 remembers of it; where it would need more, it is slower, not wrong."""

_TOO_LARGE: Final = "the regular expression is too large with its repetitions"


class Pattern:
    """Regular expressions, compiled to one: a value matches where one of them does.

    Args:
        texts: the expressions.

    Attributes:
        positions: characters of all of them, repetitions written out.

    Raises:
        QueryError: one is none, or they are too large.
    """

    __slots__ = ("_max_chars", "_program", "positions")

    def __init__(self, *texts: str) -> None:
        self.positions = 0
        parts: list[str] = []
        for text in texts:
            reader = PatternReader(text)
            node = reader.read()
            self.positions += _positions(node)
            # Before anything is written out: repetitions of repetitions are short to write and long to compile.
            check_positions(self.positions)
            parts.append(f"(?{'i' if reader.ignores_case else ''}:{_written(node)})")
        self._max_chars = min(MAX_MATCHED_CHARS, MAX_MATCHING_WORK // max(1, self.positions))
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MAX_PROGRAM_BYTES
        try:
            self._program = re2.compile("|".join(parts), options)
        except re2.error:
            raise QueryError(_TOO_LARGE, kind="TYPINGS") from None

    def matches(self, text: str) -> bool:
        """Whether one matches the whole text; none matches one that would take too long."""
        if len(text) > self._max_chars:
            return False
        # Half a character, which no JSON brings here, becomes a question mark.
        return self._program.fullmatch(text.encode(errors="replace")) is not None


def check_positions(positions: int) -> None:
    """Whether a query may have expressions of so many positions in all.

    Raises:
        QueryError: it may not.
    """
    if positions > MAX_PATTERN_POSITIONS:
        message = (
            f"the regular expressions of one query have more than {MAX_PATTERN_POSITIONS} characters in all, with"
            " their repetitions"
        )
        raise QueryError(message, kind="TYPINGS")


def _positions(node: Node) -> int:
    match node:
        case Chars():
            return 1
        case Cat() | Alt():
            return sum(_positions(part) for part in node.parts)
        case Repeat():
            return _positions(node.part) * (max(node.least, 1) if node.most is None else node.most)
    return 0


def _written(node: Node) -> str:
    """As RE2 writes it, with nothing left that it could take in another way."""
    match node:
        case Chars():
            return f"[{'^' if node.negated else ''}{''.join(map(_range, node.ranges))}]"
        case Cat():
            return "".join(map(_written, node.parts))
        case Alt():
            return f"(?:{'|'.join(map(_written, node.parts))})"
        case Repeat():
            most = "" if node.most is None else node.most
            return f"(?:{_written(node.part)}){{{node.least},{most}}}"
    return ""


def _range(one: Range) -> str:
    low, high = one
    return f"\\x{{{ord(low):x}}}-\\x{{{ord(high):x}}}"
