"""What MATCHES means: a regular expression over the whole value, in time that grows with the value's length only.

Backtracking engines, Python's among them, can take for ever on expressions that people write by accident. So this is a
small engine of its own: an expression becomes a set of positions and of what may follow each (Glushkov), and a value is
read once, one character at a time, with the sets of positions met so far kept as the states of an automaton.

There are: characters, `.` (any), `[a-z]` and `[^…]`, `\\d \\w \\s` and their capitals (ASCII), `\\n \\t \\r \\uXXXX`,
escaped marks, `|`, groups `( )` and `(?: )`, `* + ?` and `{m}`, `{m,}`, `{m,n}`, and `(?i)` at the beginning. `^` at
the beginning and `$` at the end say what is so anyway. There are no back references, no look-around, no captures.
"""

from typing import Final, NoReturn

from engine.query.errors import QueryError
from engine.query.limits import MAX_PATTERN_CHARS

MAX_POSITIONS: Final = 500
"""Characters of an expression, repetitions written out: what one unseen character of a value may cost."""

MAX_BUILD_STEPS: Final = 20_000
"""Parts put together, repetitions written out: an expression such as `((){999}){999}` has no positions, only these."""

MAX_REPEAT: Final = 500
MAX_GROUPS: Final = 50
"""Groups within groups: reading is recursive."""

MAX_EDGES: Final = 4096
"""What an automaton remembers; above, it forgets all and learns again."""

Range = tuple[str, str]

_DIGIT: Final[tuple[Range, ...]] = (("0", "9"),)
_WORD: Final[tuple[Range, ...]] = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACE: Final[tuple[Range, ...]] = (("\t", "\r"), (" ", " "))
_ALL: Final[tuple[Range, ...]] = (("\0", "\U0010ffff"),)
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}


class _Chars:
    """A set of characters."""

    __slots__ = ("negated", "ranges")

    def __init__(self, ranges: tuple[Range, ...], negated: bool = False) -> None:
        self.ranges = ranges
        self.negated = negated

    def has(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


class _Empty:
    __slots__ = ()


class _Cat:
    __slots__ = ("parts",)

    def __init__(self, parts: "list[_Node]") -> None:
        self.parts = parts


class _Alt:
    __slots__ = ("parts",)

    def __init__(self, parts: "list[_Node]") -> None:
        self.parts = parts


class _Repeat:
    __slots__ = ("least", "most", "part")

    def __init__(self, part: "_Node", least: int, most: int | None) -> None:
        self.part = part
        self.least = least
        self.most = most


_Node = _Chars | _Empty | _Cat | _Alt | _Repeat


class _State:
    """What has been read of a value, as far as it matters: the positions that its last character may be at."""

    __slots__ = ("accepts", "candidates", "edges")

    def __init__(self, candidates: int, accepts: bool) -> None:
        self.candidates = candidates
        self.accepts = accepts
        self.edges: dict[str, _State] = {}


class Pattern:
    """A compiled regular expression.

    Args:
        text: the expression.

    Raises:
        QueryError: it is none, or too large.
    """

    def __init__(self, text: str) -> None:
        reader = _Reader(text)
        node = reader.read()
        self._ignores_case = reader.ignores_case
        self._sets: list[_Chars] = []
        self._follow: list[int] = []
        self._steps = 0
        nullable, first, self._last = self._build(node)
        self._start = _State(first, nullable)
        self._nothing = _State(0, False)
        self._states: dict[int, _State] = {}
        self._masks: dict[str, int] = {}
        self._edges = 0

    def matches(self, text: str) -> bool:
        """Whether it matches the whole text."""
        state = self._start
        for char in text:
            state = state.edges.get(char) or self._step(state, char)
            if state.candidates == 0 and not state.accepts:
                return False
        return state.accepts

    def _step(self, state: _State, char: str) -> _State:
        if self._edges >= MAX_EDGES:
            self._edges = 0
            self._states.clear()
            self._masks.clear()
            self._start.edges = {}
            state.edges = {}
        hit = state.candidates & self._mask(char)
        found = self._states.get(hit) if hit else self._nothing
        if found is None:
            candidates = 0
            for position in _bits(hit):
                candidates |= self._follow[position]
            found = self._states[hit] = _State(candidates, bool(hit & self._last))
        state.edges[char] = found
        self._edges += 1
        return found

    def _mask(self, char: str) -> int:
        """The positions that a character fits."""
        found = self._masks.get(char)
        if found is None:
            chars = {char, *(c for c in (char.lower(), char.upper()) if len(c) == 1)} if self._ignores_case else {char}
            found = sum(1 << at for at, one in enumerate(self._sets) if any(one.has(c) for c in chars))
            self._masks[char] = found
        return found

    def _build(self, node: _Node) -> tuple[bool, int, int]:
        """Whether it may be empty, and the positions it may begin and end at; notes what follows what."""
        self._steps += 1
        if self._steps > MAX_BUILD_STEPS:
            raise QueryError("the regular expression is too large with its repetitions", kind="TYPINGS")
        if isinstance(node, _Chars):
            position = len(self._sets)
            if position >= MAX_POSITIONS:
                message = f"the regular expression has more than {MAX_POSITIONS} characters with its repetitions"
                raise QueryError(message, kind="TYPINGS")
            self._sets.append(node)
            self._follow.append(0)
            return False, 1 << position, 1 << position
        if isinstance(node, _Cat):
            return self._chain(node.parts)
        if isinstance(node, _Alt):
            built = [self._build(part) for part in node.parts]
            first = last = 0
            for _, begins, ends in built:
                first |= begins
                last |= ends
            return any(nullable for nullable, _, _ in built), first, last
        if isinstance(node, _Repeat):
            return self._repeat(node)
        return True, 0, 0

    def _chain(self, parts: "list[_Node]") -> tuple[bool, int, int]:
        nullable, first, last = True, 0, 0
        for part in parts:
            may_be_empty, begins, ends = self._build(part)
            self._follows(last, begins)
            first |= begins if nullable else 0
            last = ends | (last if may_be_empty else 0)
            nullable = nullable and may_be_empty
        return nullable, first, last

    def _repeat(self, node: _Repeat) -> tuple[bool, int, int]:
        if node.most is None:
            parts: list[_Node] = [node.part] * (node.least - 1) if node.least else []
            nullable, first, last = self._chain(parts)
            may_be_empty, begins, ends = self._build(node.part)
            self._follows(ends, begins)
            self._follows(last, begins)
            may_be_empty = may_be_empty or node.least == 0
            return (
                nullable and may_be_empty,
                first | (begins if nullable else 0),
                ends | (last if may_be_empty else 0),
            )
        optional: list[_Node] = [_Alt([_Empty(), node.part])] * (node.most - node.least)
        return self._chain([node.part] * node.least + optional)

    def _follows(self, last: int, first: int) -> None:
        if first:
            for position in _bits(last):
                self._follow[position] |= first


def _bits(mask: int) -> "list[int]":
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


class _Reader:
    """Reads an expression, by recursive descent."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN_CHARS:
            raise QueryError(f"a regular expression of more than {MAX_PATTERN_CHARS} characters", kind="TYPINGS")
        self.ignores_case = text.startswith("(?i)")
        self._text = text[4:] if self.ignores_case else text
        self._at = 0
        self._depth = 0

    def read(self) -> _Node:
        self._takes("^")
        node = self._alternatives()
        if self._at < len(self._text):
            self._fail(f"`{self._text[self._at]}` is not expected")
        return node

    def _fail(self, what: str) -> NoReturn:
        raise QueryError(f"{what} at character {self._at + 1} of the regular expression", kind="TYPINGS")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _takes(self, char: str) -> bool:
        if self._text.startswith(char, self._at):
            self._at += len(char)
            return True
        return False

    def _alternatives(self) -> _Node:
        parts = [self._sequence()]
        while self._takes("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else _Alt(parts)

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while (char := self._peek()) and char not in "|)":
            if char == "$" and self._at == len(self._text) - 1:
                self._at += 1
                break
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else _Cat(parts)

    def _repeated(self, node: _Node) -> _Node:
        char = self._peek()
        if char in ("*", "+", "?"):
            self._at += 1
            node = _Repeat(node, int(char == "+"), 1 if char == "?" else None)
        elif char == "{":
            self._at += 1
            node = self._counted(node)
        else:
            return node
        # Whether as few or as many as can be is no difference where the whole value must match.
        self._takes("?")
        if self._peek() in ("*", "+", "?", "{"):
            self._fail(f"`{self._peek()}` has nothing to repeat")
        return node

    def _counted(self, node: _Node) -> _Node:
        least = self._number()
        most = least
        if self._takes(","):
            most = None if self._peek() == "}" else self._number()
        if least is None or not self._takes("}") or (most is not None and most < least):
            self._fail("expected `{m}`, `{m,}` or `{m,n}`")
        if max(least or 0, most or 0) > MAX_REPEAT:
            self._fail(f"more than {MAX_REPEAT} repetitions")
        return _Repeat(node, least or 0, most)

    def _number(self) -> int | None:
        start = self._at
        while self._peek() in tuple("0123456789") and self._at - start < 6:
            self._at += 1
        return int(self._text[start : self._at]) if self._at > start else None

    def _atom(self) -> _Node:
        char = self._peek()
        self._at += 1
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            return _Chars(_ALL)
        if char == "\\":
            return self._escape()
        if char in "*+?{}^$":
            self._at -= 1
            self._fail(f"`{char}` stands for itself only as `\\{char}`; it is not expected")
        return _Chars(((char, char),))

    def _group(self) -> _Node:
        if self._peek() == "?" and not self._takes("?:"):
            self._fail("only groups `( )` and `(?: )` are known; `(?` is not expected")
        self._depth += 1
        if self._depth > MAX_GROUPS:
            self._fail(f"more than {MAX_GROUPS} groups within groups")
        node = self._alternatives()
        if not self._takes(")"):
            self._fail("expected `)`")
        self._depth -= 1
        return node

    def _escape(self) -> _Chars:
        char = self._peek()
        self._at += 1
        known = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
        if char and char.lower() in known:
            return _Chars(known[char.lower()], negated=char.isupper())
        if char in _CONTROLS:
            control = _CONTROLS[char]
            return _Chars(((control, control),))
        if char == "u":
            code = self._code_point()
            return _Chars(((code, code),))
        if not char or (char.isalnum() and char.isascii()):
            self._at -= 1
            self._fail(f"`\\{char}` is no known escape")
        return _Chars(((char, char),))

    def _code_point(self) -> str:
        digits = self._text[self._at : self._at + 4]
        if len(digits) < 4 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            self._fail("expected four hexadecimal digits")
        self._at += 4
        return chr(int(digits, 16))

    def _class(self) -> _Chars:
        negated = self._takes("^")
        ranges: list[Range] = []
        while not self._takes("]"):
            low = self._class_char()
            if len(low.ranges) > 1 or low.negated or low.ranges[0][0] != low.ranges[0][1]:
                ranges += _without_negation(low)
                continue
            start = end = low.ranges[0][0]
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._class_char()
                end = high.ranges[0][0]
                if len(high.ranges) > 1 or high.negated or high.ranges[0][1] != end or end < start:
                    self._fail("a range in `[ ]` goes from a lower to a higher character")
            ranges.append((start, end))
        if not ranges:
            self._fail("`[]` matches nothing")
        return _Chars(tuple(ranges), negated)

    def _class_char(self) -> _Chars:
        char = self._peek()
        if not char:
            self._fail("expected `]`")
        self._at += 1
        return self._escape() if char == "\\" else _Chars(((char, char),))


def _without_negation(chars: _Chars) -> tuple[Range, ...]:
    """The same characters as ranges; of a negated set, what lies between its ranges."""
    if not chars.negated:
        return chars.ranges
    found: list[Range] = []
    start = 0
    for low, high in chars.ranges:
        if ord(low) > start:
            found.append((chr(start), chr(ord(low) - 1)))
        start = ord(high) + 1
    return (*found, (chr(start), "\U0010ffff"))
