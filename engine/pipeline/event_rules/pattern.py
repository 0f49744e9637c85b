"""URL patterns (5.3, decision 23): what one says, and what an address gives it.

    https://foo.bar/category/:category/*/article/:id?q=:terms&lang=fr
            host    literal  variable  any       …   parameter that is kept, parameter that must be equal

`:name` is one segment, or the value of one parameter; `*` is any one of either; `**` ends the path and stands for the
rest of it, which may be empty. A variable or wildcard in a path takes no empty segment.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote_plus

from msgspec import Struct

from engine.errors import CallerError
from engine.pipeline.event_rules.address import Address, Parameters, address_of, parameters_of, without_scheme

MAX_SEGMENTS: Final = 64
"""Segments of a pattern's path; also how deep a look into the index goes."""

_VARIABLE = re.compile(r":([A-Za-z_][A-Za-z0-9_]*)")
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")


class Variable(Struct, frozen=True):
    """Stands for any value, and keeps it where it has a name; "" is `*`."""

    name: str = ""


Part = str | Variable
"""A literal, decoded, or a variable."""


class Pattern(Struct, frozen=True):
    """A pattern.

    Attributes:
        host: as `Address.host`.
        segments: of the path.
        rest: whether any number of segments may follow.
        parameters: names, and what the value must be; None where it only must be there.
    """

    host: str
    segments: tuple[Part, ...]
    rest: bool
    parameters: tuple[tuple[str, Part | None], ...]

    @property
    def names(self) -> frozenset[str]:
        """What it extracts."""
        parts = (*self.segments, *(value for _, value in self.parameters))
        return frozenset(part.name for part in parts if isinstance(part, Variable) and part.name)

    def match(self, address: Address) -> dict[str, str] | None:
        """What the address gives each name, or None: it does not match."""
        return None if self.why_not(address) else self.extracted(address.segments, parameters_of(address.query))

    def why_not(self, address: Address) -> str:
        """Why the address does not match, or ""."""
        if address.host != self.host:
            return f"the host is {address.host}, not {self.host}"
        there, wanted = len(address.segments), len(self.segments)
        if there < wanted or (there > wanted and not self.rest):
            return f"the path has {there} segments, not {wanted}{' or more' if self.rest else ''}"
        for number, (part, segment) in enumerate(zip(self.segments, address.segments, strict=False), 1):
            if isinstance(part, str) and segment != part:
                return f"segment {number} is {segment!r}, not {part!r}"
            if isinstance(part, Variable) and not segment:
                return f"segment {number} is empty"
        missing = self._missing(parameters_of(address.query))
        return f"no parameter {missing}" if missing else ""

    def extracted(self, segments: Sequence[str], parameters: Parameters) -> dict[str, str] | None:
        """What segments that match its path, and parameters, give each name; None where a parameter is missing."""
        if self.parameters and self._missing(parameters):
            return None
        found = {
            part.name: segment
            for part, segment in zip(self.segments, segments, strict=False)
            if isinstance(part, Variable) and part.name
        }
        for name, part in self.parameters:
            if isinstance(part, Variable) and part.name:
                found[part.name] = next(value for at, value in parameters if at == name)
        return found

    def _missing(self, parameters: Parameters) -> str:
        for name, part in self.parameters:
            if isinstance(part, str):
                if (name, part) not in parameters:
                    return f"{name}={part}"
            elif not any(at == name for at, _ in parameters):
                return name
        return ""


def parse_pattern(text: str, path: str) -> Pattern:
    """What a pattern says.

    Args:
        text: as it is declared.
        path: of it in what is declared.

    Raises:
        CallerError: it is none; `bad_definition`.
    """

    def fault(message: str) -> CallerError:
        return CallerError(f"{message}: {text!r}", code="bad_definition", path=path)

    if _UNFIT.search(text):
        raise fault("a pattern has no spaces, control characters or backslashes; write %20")
    if "#" in text:
        raise fault("what stands behind # is not looked at, so a pattern has none")
    before_query, question, query = text.partition("?")
    address = address_of(before_query)
    if address is None or "*" in address.host:
        raise fault("a pattern begins with a host without wildcards, as in shop.test/item/:id")
    # Parted again, since a segment that is decoded no longer tells `*` from %2A.
    path_text = without_scheme(before_query).partition("/")[2].removesuffix("/")
    written = path_text.split("/") if path_text else []
    rest = bool(written) and written[-1] == "**"
    if rest:
        written.pop()
    if len(written) > MAX_SEGMENTS:
        raise fault(f"a pattern has at most {MAX_SEGMENTS} segments")
    segments: list[Part] = []
    for raw, decoded in zip(written, address.segments, strict=False):
        if raw == "**":
            raise fault("`**` stands for the rest of the path, so it comes last")
        segments.append(_part(raw, decoded, fault))
    parameters: list[tuple[str, Part | None]] = []
    for pair in query.split("&") if question else ():
        name, equals, value = pair.partition("=")
        if not name:
            raise fault("a parameter has no name")
        if name[0] in ":*":
            raise fault("only the value of a parameter can be a variable or a wildcard")
        part = _part(value, unquote_plus(value), fault) if equals else None
        parameters.append((unquote_plus(name), part))
    names = [part.name for part in (*segments, *(one for _, one in parameters)) if isinstance(part, Variable)]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise fault(f"`:{twice}` stands for two things")
    return Pattern(address.host, tuple(segments), rest, tuple(parameters))


def _part(raw: str, decoded: str, fault: Callable[[str], CallerError]) -> Part:
    if raw == "*":
        return Variable()
    if raw.startswith(":"):
        found = _VARIABLE.fullmatch(raw)
        if found is None:
            raise fault(f"`{raw}` is no variable: a letter, then letters, digits and _")
        return Variable(found[1])
    if "*" in raw:
        raise fault("`*` stands for a whole segment or value; write %2A for a star")
    return decoded


def variable_in(text: str) -> str:
    """The name in a text that is `:name` and no more, else ""."""
    found = _VARIABLE.fullmatch(text)
    return found[1] if found else ""
