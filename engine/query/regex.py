"""Regular expressions, read: text → tree. Which ones there are is told in `pattern`. Total, and bounded in depth."""

from typing import Final, NoReturn

from engine.query.errors import QueryError
from engine.query.limits import MAX_PATTERN_CHARS

MAX_REPEAT: Final = 256
MAX_GROUPS: Final = 50
"""Groups within groups: reading is recursive."""

Range = tuple[str, str]

_DIGIT: Final[tuple[Range, ...]] = (("0", "9"),)
_WORD: Final[tuple[Range, ...]] = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACE: Final[tuple[Range, ...]] = (("\t", "\r"), (" ", " "))
_ALL: Final[tuple[Range, ...]] = (("\0", "\U0010ffff"),)
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}


class Chars:
    """A set of characters."""

    __slots__ = ("negated", "ranges")

    def __init__(self, ranges: tuple[Range, ...], negated: bool = False) -> None:
        self.ranges = ranges
        self.negated = negated

    def has(self, forms: "list[str]") -> bool:
        """Whether a character is in the set, of which these are the forms: itself, and where case is ignored, both."""
        return any(low <= form <= high for low, high in self.ranges for form in forms) != self.negated


class Empty:
    """Nothing."""

    __slots__ = ()


class Cat:
    """Parts, one behind the other."""

    __slots__ = ("parts",)

    def __init__(self, parts: "list[Node]") -> None:
        self.parts = parts


class Alt:
    """One of these parts."""

    __slots__ = ("parts",)

    def __init__(self, parts: "list[Node]") -> None:
        self.parts = parts


class Repeat:
    """A part, so many times; `most` is None for any number."""

    __slots__ = ("least", "most", "part")

    def __init__(self, part: "Node", least: int, most: int | None) -> None:
        self.part = part
        self.least = least
        self.most = most


Node = Chars | Empty | Cat | Alt | Repeat


class PatternReader:
    """Reads an expression, by recursive descent.

    Args:
        text: the expression.

    Attributes:
        ignores_case: whether it says `(?i)`.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN_CHARS:
            raise QueryError(f"a regular expression of more than {MAX_PATTERN_CHARS} characters", kind="TYPINGS")
        self.ignores_case = text.startswith("(?i)")
        self._text = text[4:] if self.ignores_case else text
        self._at = 0
        self._depth = 0

    def read(self) -> Node:
        """The tree of the whole text.

        Raises:
            QueryError: it is no regular expression.
        """
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

    def _alternatives(self) -> Node:
        parts = [self._sequence()]
        while self._takes("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Alt(parts)

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while (char := self._peek()) and char not in "|)":
            if char == "$" and self._at == len(self._text) - 1:
                self._at += 1
                break
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Cat(parts)

    def _repeated(self, node: Node) -> Node:
        char = self._peek()
        if char in ("*", "+", "?"):
            self._at += 1
            node = Repeat(node, int(char == "+"), 1 if char == "?" else None)
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

    def _counted(self, node: Node) -> Node:
        least = self._number()
        most = least
        if self._takes(","):
            most = None if self._peek() == "}" else self._number()
        if least is None or not self._takes("}") or (most is not None and most < least):
            self._fail("expected `{m}`, `{m,}` or `{m,n}`")
        if max(least or 0, most or 0) > MAX_REPEAT:
            self._fail(f"more than {MAX_REPEAT} repetitions")
        return Repeat(node, least or 0, most)

    def _number(self) -> int | None:
        start = self._at
        while self._peek() in tuple("0123456789") and self._at - start < 6:
            self._at += 1
        return int(self._text[start : self._at]) if self._at > start else None

    def _atom(self) -> Node:
        char = self._peek()
        self._at += 1
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            return Chars(_ALL)
        if char == "\\":
            return self._escape()
        if char in "*+?{}^$":
            self._at -= 1
            self._fail(f"`{char}` stands for itself only as `\\{char}`; it is not expected")
        return Chars(((char, char),))

    def _group(self) -> Node:
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

    def _escape(self) -> Chars:
        char = self._peek()
        self._at += 1
        known = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
        if char and char.lower() in known:
            return Chars(known[char.lower()], negated=char.isupper())
        if char in _CONTROLS:
            control = _CONTROLS[char]
            return Chars(((control, control),))
        if char == "u":
            code = self._code_point()
            return Chars(((code, code),))
        if not char or (char.isalnum() and char.isascii()):
            self._at -= 1
            self._fail(f"`\\{char}` is no known escape")
        return Chars(((char, char),))

    def _code_point(self) -> str:
        digits = self._text[self._at : self._at + 4]
        if len(digits) < 4 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            self._fail("expected four hexadecimal digits")
        self._at += 4
        return chr(int(digits, 16))

    def _class(self) -> Chars:
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
        return Chars(tuple(ranges), negated)

    def _class_char(self) -> Chars:
        char = self._peek()
        if not char:
            self._fail("expected `]`")
        self._at += 1
        return self._escape() if char == "\\" else Chars(((char, char),))


def _without_negation(chars: Chars) -> tuple[Range, ...]:
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
