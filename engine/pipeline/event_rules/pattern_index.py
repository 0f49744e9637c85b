"""Which of thousands of patterns an address matches: a tree by host and path segment, then by parameter.

    foo.bar ─▶ category ─▶ (any) ─▶ ends here: pattern 3     An address walks down by its own segments and by (any);
            └▶ search ─▶ ends here: q=… patterns 7, 9        each node is visited once at most, and none that is not
            └▶ (any) ─▶ …                                    on one of its ways.

Patterns that end in one place and differ in a parameter are told by one look-up for each parameter of the address, so a
thousand searches on one path cost no more than one.
"""

from collections.abc import Sequence

from engine.pipeline.event_rules.address import Address, parameters_of
from engine.pipeline.event_rules.pattern import Pattern

Match = tuple[int, dict[str, str]]
"""Number of a pattern, and what the address gives its names."""


class _Ends:
    """Patterns that end in one place, by a parameter that each of them asks for."""

    __slots__ = ("by_name", "by_pair", "plain")

    def __init__(self) -> None:
        self.plain: list[int] = []
        self.by_pair: dict[tuple[str, str], list[int]] = {}
        self.by_name: dict[str, list[int]] = {}

    def add(self, number: int, pattern: Pattern) -> None:
        pair = next(((name, part) for name, part in pattern.parameters if isinstance(part, str)), None)
        if pair is not None:
            self.by_pair.setdefault(pair, []).append(number)
        elif pattern.parameters:
            self.by_name.setdefault(pattern.parameters[0][0], []).append(number)
        else:
            self.plain.append(number)


class _Node:
    __slots__ = ("any", "ends", "literal", "rest")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.ends: _Ends | None = None
        self.rest: _Ends | None = None


class PatternIndex:
    """All patterns of a run of rules.

    Args:
        patterns: their numbers are their places.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self._hosts: dict[str, _Node] = {}
        for number, pattern in enumerate(patterns):
            node = self._hosts.setdefault(pattern.host, _Node())
            for part in pattern.segments:
                if isinstance(part, str):
                    node = node.literal.setdefault(part, _Node())
                else:
                    node.any = node.any or _Node()
                    node = node.any
            if pattern.rest:
                node.rest = node.rest or _Ends()
                node.rest.add(number, pattern)
            else:
                node.ends = node.ends or _Ends()
                node.ends.add(number, pattern)

    def match(self, address: Address) -> list[Match]:
        """The patterns that match an address, in the order of their numbers."""
        root = self._hosts.get(address.host)
        if root is None:
            return []
        found = self._reached(root, address.segments)
        return self._held(found, address) if found else []

    def _reached(self, root: _Node, segments: tuple[str, ...]) -> list[_Ends]:
        found: list[_Ends] = []
        depth = len(segments)
        stack = [(root, 0)]
        while stack:
            node, at = stack.pop()
            if node.rest is not None:
                found.append(node.rest)
            if at == depth:
                if node.ends is not None:
                    found.append(node.ends)
                continue
            segment = segments[at]
            literal = node.literal.get(segment)
            if literal is not None:
                stack.append((literal, at + 1))
            if node.any is not None and segment:
                stack.append((node.any, at + 1))
        return found

    def _held(self, reached: list[_Ends], address: Address) -> list[Match]:
        parameters = parameters_of(address.query)
        numbers: set[int] = set()
        for ends in reached:
            numbers.update(ends.plain)
            if ends.by_pair or ends.by_name:
                for pair in parameters:
                    numbers.update(ends.by_pair.get(pair, ()))
                    numbers.update(ends.by_name.get(pair[0], ()))
        matches: list[Match] = []
        for number in sorted(numbers):
            extracted = self._patterns[number].extracted(address.segments, parameters)
            if extracted is not None:
                matches.append((number, extracted))
        return matches
