"""`URL_MATCH`: a page view whose address matches a pattern generates an event (5.3, decision 23)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Raw, Struct

from engine.definitions.declared.event_rules import UrlMatch
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.wire import Fields, encode
from engine.pipeline.event_rules.pattern import Pattern, parse_pattern, variable_in
from engine.pipeline.event_rules.pattern_index import PatternIndex
from engine.pipeline.event_rules.rule import Seen, Work

TYPE: Final = "URL_MATCH"

Extracted = Mapping[str, str]
Filler = Callable[[Extracted], Any]


class UrlRule(Struct, frozen=True):
    """One rule, compiled.

    Attributes:
        about: what notes call it.
        pattern: what must match.
        event_name: of the event it generates.
        properties: of that event, what fills each.
    """

    about: str
    pattern: Pattern
    event_name: str
    properties: tuple[tuple[str, Filler], ...]

    reads = ()


class UrlRules:
    """Neighbouring rules, one after the other. What that comes to is found in one look at each page.

    A page that rule 2 makes is looked at by the rules behind rule 2, as it is there when their turn comes.
    """

    reads: Final[tuple[str, ...]] = ()

    def __init__(self, rules: Sequence[UrlRule]) -> None:
        self._rules = rules
        self._index = PatternIndex([rule.pattern for rule in rules])

    def apply(self, work: Work) -> None:
        """Generate what the pages among the events match."""
        pages = [seen for seen in work.events if seen.is_page]
        matched: set[int] = set()
        for seen in pages:
            self._look(work, seen, 0, matched)
        if work.notes is not None:
            self._explain(work, pages, matched)

    def _look(self, work: Work, seen: Seen, first: int, matched: set[int]) -> None:
        address = seen.address
        if address is None:
            return
        for number, extracted in self._index.match(address):
            if number < first:
                continue
            rule = self._rules[number]
            matched.add(number)
            work.match(TYPE, seen)
            properties: Fields = {name: Raw(encode(filled(extracted))) for name, filled in rule.properties}
            made = work.make(seen, rule.event_name, properties)
            if work.notes is not None:
                said = ", ".join(f"{name}={value!r}" for name, value in extracted.items())
                work.note(rule.about, "matched", f"{rule.event_name} made of {address.host}" + (said and f": {said}"))
            if made.is_page:
                self._look(work, made, number + 1, matched)

    def _explain(self, work: Work, pages: Sequence[Seen], matched: set[int]) -> None:
        for number, rule in enumerate(self._rules):
            if number not in matched:
                reasons = [
                    rule.pattern.why_not(seen.address) if seen.address is not None else "its $url names no host"
                    for seen in pages
                ]
                work.note(rule.about, "skipped", "; ".join(dict.fromkeys(reasons)) or "no $page_view")


def compile(rule: UrlMatch, defined: Defined, path: str) -> UrlRule:
    """The rule, with its pattern parsed and its template ready to be filled.

    Raises:
        CallerError: the pattern is none, or the template names what the pattern does not extract.
    """
    pattern = parse_pattern(rule.pattern, f"{path}.pattern")
    names = pattern.names
    at = f"{path}.event_template.$properties"
    properties = tuple(
        [(name, _filler(value, names, f"{at}.{name}")) for name, value in rule.event_template.properties.items()]
    )
    return UrlRule(f"event_rule {rule.id}", pattern, rule.event_template.event_name, properties)


def together(rules: Sequence[UrlRule]) -> UrlRules:
    """Neighbouring rules as one, over one index."""
    return UrlRules(rules)


def _filler(value: Any, names: frozenset[str], path: str) -> Filler:  # noqa: ANN401 - any JSON value may be declared
    if isinstance(value, str) and (name := variable_in(value)):
        if name not in names:
            raise CallerError(f"the pattern extracts no `:{name}`", code="bad_definition", path=path)
        return lambda extracted: extracted[name]
    if isinstance(value, dict):
        members = {key: _filler(inner, names, f"{path}.{key}") for key, inner in value.items()}
        return lambda extracted: {key: filled(extracted) for key, filled in members.items()}
    if isinstance(value, list):
        elements = [_filler(inner, names, f"{path}[{at}]") for at, inner in enumerate(value)]
        return lambda extracted: [filled(extracted) for filled in elements]
    return lambda extracted: value
