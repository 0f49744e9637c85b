"""OTQL as tokens. Total: any text gives tokens or a `QueryError` with its row and column."""

import re
from enum import Enum
from typing import Final

from msgspec import Struct

from engine.query.ast import Place, Value
from engine.query.errors import QueryError
from engine.query.limits import MAX_NAME_CHARS, MAX_QUERY_CHARS


class Sort(Enum):
    """What a token is."""

    NAME = "a name"
    TEXT = "a text"
    NUMBER = "a number"
    MARK = "a mark"
    END = "the end"


class Token(Struct, frozen=True, gc=False):
    """A token.

    Attributes:
        text: of a name, its dotted path with escapes taken out; else as it stands.
        value: of a text or a number.
        quoted: a name in back quotes, which is never a keyword.
    """

    sort: Sort
    text: str
    at: Place
    value: Value = ""
    quoted: bool = False

    def __str__(self) -> str:
        return "the end of the query" if self.sort is Sort.END else f"`{self.text[:40]}`"


# A part of a name is a word, or anything in back quotes: `$properties.color`, `$properties.`product-id``.
_PART = r"(?:[A-Za-z_$][A-Za-z0-9_$]*|`[^`\n]+`)"
_DOTTED: Final = re.compile(rf"{_PART}(?:\.{_PART})*")
_TOKEN: Final = re.compile(
    rf"""
    (?P<space>[ \t\r\n\f]+|\#[^\n]*)
  | (?P<name>{_PART}(?:\.{_PART})*)
  | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_$]))
  | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<mark><=|>=|!=|<>|==|[=<>(){{}}\[\],:@])
    """,
    re.VERBOSE | re.DOTALL,
)
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'"}
MAX_NUMBER_CHARS: Final = 40
"""Enough for any double; Python refuses to read integers of thousands of digits."""


def tokens_of(text: str, path: str = "") -> list[Token]:
    """The tokens of a query, the last one of sort END.

    Args:
        text: OTQL.
        path: of the query in what the caller sent, for errors.

    Raises:
        QueryError: something that no query has, or too long.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise QueryError(f"{len(text)} characters are more than {MAX_QUERY_CHARS}", row=1, col=1, path=path)
    if (broken := _SURROGATE.search(text)) is not None:
        before = text[: broken.start()]
        row, col = before.count("\n") + 1, broken.start() - before.rfind("\n")
        raise QueryError("half a character (a lone surrogate)", row=row, col=col, path=path)
    found: list[Token] = []
    offset, row, line_start = 0, 1, 0
    while offset < len(text):
        at = Place(row, offset - line_start + 1)
        match = _TOKEN.match(text, offset)
        if match is None:
            raise QueryError(_what_is_wrong(text, offset), row=at.row, col=at.col, path=path)
        piece = match.group()
        if match.lastgroup != "space":
            found.append(_token(match, at, path))
        if newlines := piece.count("\n"):
            row += newlines
            line_start = offset + piece.rfind("\n") + 1
        offset = match.end()
    found.append(Token(Sort.END, "", Place(row, offset - line_start + 1)))
    return found


def _token(match: "re.Match[str]", at: Place, path: str) -> Token:
    text = match.group()
    if match.lastgroup == "name":
        if len(text) > MAX_NAME_CHARS:
            raise QueryError(f"a name of more than {MAX_NAME_CHARS} characters", row=at.row, col=at.col, path=path)
        return Token(Sort.NAME, name_of(parts_of(text)), at, quoted="`" in text)
    if match.lastgroup == "number":
        if len(text) > MAX_NUMBER_CHARS:
            raise QueryError("a number of too many digits", row=at.row, col=at.col, path=path)
        number = float(text) if set(text) & set(".eE") else int(text)
        if number in (float("inf"), float("-inf")):
            raise QueryError(f"`{text}` is too large a number", row=at.row, col=at.col, path=path)
        return Token(Sort.NUMBER, text, at, number)
    if match.lastgroup == "text":
        return Token(Sort.TEXT, text, at, _unescaped(text, at, path))
    return Token(Sort.MARK, {"==": "=", "<>": "!="}.get(text, text), at)


def _unescaped(text: str, at: Place, path: str) -> str:
    def of(found: "re.Match[str]") -> str:
        escape = found.group(1)
        if escape[0] == "u" and len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPES:
            raise QueryError(f"`\\{escape}` is no escape; a backslash is `\\\\`", row=at.row, col=at.col, path=path)
        return _ESCAPES[escape]

    # Two escaped surrogates, as JSON writes what is beyond the basic plane, are one character.
    found = _ESCAPE.sub(of, text[1:-1])
    try:
        return found.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise QueryError("half a character (a lone surrogate)", row=at.row, col=at.col, path=path) from None


def _what_is_wrong(text: str, offset: int) -> str:
    if text[offset] in "\"'":
        return "the text that begins here has no end"
    if text[offset] == "`":
        return "the name in back quotes that begins here has no end"
    return f"`{text[offset]}` is not expected here"


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a dotted name, back quotes taken off; one that is "" where it is no name."""
    if "`" not in name:
        return tuple(name.split(".")) if "\n" not in name else ("",)
    if not _DOTTED.fullmatch(name):
        return ("",)
    return tuple(part[1:-1] if part.startswith("`") else part for part in re.findall(_PART, name))


_WORD: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def name_of(parts: tuple[str, ...]) -> str:
    """The dotted name with these parts, in back quotes where one is no word."""
    return ".".join(part if _WORD.fullmatch(part) else f"`{part}`" for part in parts)


def quoted(text: str) -> str:
    """A text as OTQL writes it."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(one, one) for one in text) + '"'
