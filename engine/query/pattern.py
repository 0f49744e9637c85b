"""What MATCHES means: a regular expression over the whole value, in time that grows with the value's length only.

Backtracking engines, Python's among them, can take for ever on expressions that people write by accident. So this is a
small engine of its own: an expression becomes a set of positions and of what may follow each (Glushkov), and a value is
read once, one character at a time, with the sets of positions met so far kept as the states of an automaton.

There are: characters, `.` (any), `[a-z]` and `[^…]`, `\\d \\w \\s` and their capitals (ASCII), `\\n \\t \\r \\uXXXX`,
escaped marks, `|`, groups `( )` and `(?: )`, `* + ?` and `{m}`, `{m,}`, `{m,n}`, and `(?i)` at the beginning. `^` at
the beginning and `$` at the end say what is so anyway. There are no back references, no look-around, no captures.
"""

from bisect import bisect_right
from typing import Final

from engine.query.errors import QueryError
from engine.query.regex import Alt, Cat, Chars, Empty, Node, PatternReader, Repeat

MAX_POSITIONS: Final = 256
"""Characters of an expression, repetitions written out. The worst of them costs some 30 µs for a character."""

MAX_MATCHED_CHARS: Final = 20_000
"""A longer value matches nothing: more than twice what an activity may have, and at most half a second."""

MAX_BUILD_STEPS: Final = 20_000
"""Parts put together, repetitions written out: an expression such as `((){999}){999}` has no positions, only these."""

MAX_EDGES: Final = 4096
"""What an automaton remembers; above, it forgets all and learns again."""


class _State:
    """What has been read of a value, as far as it matters: the positions that its last character may be at."""

    __slots__ = ("accepts", "candidates", "edges")

    def __init__(self, candidates: int, accepts: bool) -> None:
        self.candidates = candidates
        self.accepts = accepts
        self.edges: dict[int, _State] = {}


class Pattern:
    """A compiled regular expression.

    Args:
        text: the expression.

    Raises:
        QueryError: it is none, or too large.
    """

    def __init__(self, text: str) -> None:
        reader = PatternReader(text)
        node = reader.read()
        self._ignores_case = reader.ignores_case
        self._sets: list[Chars] = []
        self._follow: list[int] = []
        self._steps = 0
        nullable, first, self._last = self._build(node)
        self._start = _State(first, nullable)
        self._nothing = _State(0, False)
        self._states: dict[int, _State] = {}
        self._edges = 0
        # Characters between two bounds fit the same positions: they are one class.
        ends = {bound for one in self._sets for low, high in one.ranges for bound in (ord(low), ord(high) + 1)}
        self._bounds = sorted(ends)
        self._masks: dict[int, int] = {}
        self._classes: dict[str, int] = {}

    def matches(self, text: str) -> bool:
        """Whether it matches the whole text."""
        if len(text) > MAX_MATCHED_CHARS:
            return False
        state, classes = self._start, self._classes
        for char in text:
            kind = classes.get(char)
            if kind is None:
                kind = self._class(char)
            state = state.edges.get(kind) or self._step(state, kind)
            if state.candidates == 0 and not state.accepts:
                return False
        return state.accepts

    def _step(self, state: _State, kind: int) -> _State:
        if self._edges >= MAX_EDGES:
            self._edges = 0
            self._states.clear()
            self._start.edges = {}
            state.edges = {}
        hit = state.candidates & self._masks[kind]
        found = self._states.get(hit) if hit else self._nothing
        if found is None:
            candidates = 0
            for position in _bits(hit):
                candidates |= self._follow[position]
            found = self._states[hit] = _State(candidates, bool(hit & self._last))
        state.edges[kind] = found
        self._edges += 1
        return found

    def _class(self, char: str) -> int:
        """The class of a character: of two that are in the same, the one fits where the other does."""
        forms = {char, char.lower(), char.upper()} if self._ignores_case else {char}
        letters = [form for form in forms if len(form) == 1]
        places = {bisect_right(self._bounds, ord(letter)) for letter in letters}
        # Where case is ignored, a character is in the classes of its forms: a number for each such set of them.
        kind = 0
        for place in sorted(places):
            kind = kind * (len(self._bounds) + 1) + place
        if kind not in self._masks:
            if len(self._masks) >= MAX_EDGES:
                self._masks.clear()
                self._classes.clear()
            fits = (one.has(letters) for one in self._sets)
            self._masks[kind] = sum(1 << at for at, fit in enumerate(fits) if fit)
        if len(self._classes) >= MAX_EDGES:
            self._classes.clear()
        self._classes[char] = kind
        return kind

    def _build(self, node: Node) -> tuple[bool, int, int]:
        """Whether it may be empty, and the positions it may begin and end at; notes what follows what."""
        self._steps += 1
        if self._steps > MAX_BUILD_STEPS:
            raise QueryError("the regular expression is too large with its repetitions", kind="TYPINGS")
        if isinstance(node, Chars):
            position = len(self._sets)
            if position >= MAX_POSITIONS:
                message = f"the regular expression has more than {MAX_POSITIONS} characters with its repetitions"
                raise QueryError(message, kind="TYPINGS")
            self._sets.append(node)
            self._follow.append(0)
            return False, 1 << position, 1 << position
        if isinstance(node, Cat):
            return self._chain(node.parts)
        if isinstance(node, Alt):
            built = [self._build(part) for part in node.parts]
            first = last = 0
            for _, begins, ends in built:
                first |= begins
                last |= ends
            return any(nullable for nullable, _, _ in built), first, last
        if isinstance(node, Repeat):
            return self._repeat(node)
        return True, 0, 0

    def _chain(self, parts: "list[Node]") -> tuple[bool, int, int]:
        nullable, first, last = True, 0, 0
        for part in parts:
            may_be_empty, begins, ends = self._build(part)
            self._follows(last, begins)
            first |= begins if nullable else 0
            last = ends | (last if may_be_empty else 0)
            nullable = nullable and may_be_empty
        return nullable, first, last

    def _repeat(self, node: Repeat) -> tuple[bool, int, int]:
        if node.most is None:
            parts: list[Node] = [node.part] * (node.least - 1) if node.least else []
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
        optional: list[Node] = [Alt([Empty(), node.part])] * (node.most - node.least)
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
