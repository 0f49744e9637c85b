"""Step 2, event rules: edit the events of an activity and add new ones (decisions 22 to 26).

The rules of the datamart run first, then the channel's, each in the order of creation, each once, and each sees what
those before it have done. So none sees events it made itself, and a chain cannot run in a circle: it ends with the last
rule, or at depth 10 (`rule.MAX_DEPTH`). What rules make is measured while they make it, and an activity that has become
too large is a dead letter (decision 16).

One module a rule type lives beside this one. A channel and datamart without rules: the activity goes on as it is.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from types import ModuleType
from typing import Final, cast

from engine.definitions.declared import event_rules as declared
from engine.definitions.defined import Defined
from engine.model.activity import Activity
from engine.model.limits import MAX_ACTIVITY_CHARS
from engine.pipeline.event_rules import catalog_match, identifier_insertion, origin_copy, url_match
from engine.pipeline.event_rules.rule import CompiledRule, Overgrown, PropertyNames, Work
from engine.pipeline.stage import Attach, Context, CountUp, Dead, Effect, Keep, Stage, Verdict, keep, made_too_large
from engine.session.closed import Closed

NAME = "event_rules"

MONITORED: Final = "events_step.EVENT_RULES"
"""Counter of events that matched a rule (mediarithmics 3.3)."""

TYPES: Final[dict[type, ModuleType]] = {
    declared.UrlMatch: url_match,
    declared.PropertyToOriginCopy: origin_copy,
    declared.UserIdentifierInsertion: identifier_insertion,
    declared.CatalogAutoMatch: catalog_match,
}
"""The module of each rule type. One that has `together` is given its neighbouring rules at once."""


def build(defined: Defined) -> Stage:
    """The step of a datamart.

    Raises:
        CallerError: a rule cannot work; its path is that of the fault.
    """
    if not defined.event_rules:
        return keep
    names, rules_of, everywhere = compile_rules(defined)

    def event_rules(closed: Closed, activity: Activity, context: Context) -> Verdict:
        channel = closed.channel
        rules = everywhere if channel is None else rules_of.get(channel.key, everywhere)
        if not rules:
            return Keep(activity)
        max_chars = channel.max_activity_chars if channel is not None else MAX_ACTIVITY_CHARS
        work = Work(activity, names, max_chars, context.notes)
        try:
            for rule in rules:
                rule.apply(work)
        except Overgrown:
            return Dead("activity_too_large", f"rules made far more than {max_chars} characters of it")
        if not work.matches:
            return Keep(activity)
        changed = work.result()
        too_large = made_too_large(activity, changed, max_chars)
        return too_large or Keep(changed, _effects(closed, work))

    return event_rules


def compile_rules(
    defined: Defined,
) -> tuple[PropertyNames, dict[str, tuple[CompiledRule, ...]], tuple[CompiledRule, ...]]:
    """What the rules of a datamart read; the rules by channel, for channels that have some; and those of all others."""
    compiled: list[tuple[str, ModuleType, CompiledRule]] = []
    for at, rule in enumerate(defined.event_rules):
        module = TYPES[type(rule)]
        compiled.append((rule.channel, module, module.compile(rule, defined, f"event_rules[{at}]")))
    datamart = [(module, rule) for channel, module, rule in compiled if not channel]
    rules_of: dict[str, tuple[CompiledRule, ...]] = {}
    for key in dict.fromkeys(channel for channel, _, _ in compiled if channel):
        rules_of[key] = _together([*datamart, *((module, rule) for at, module, rule in compiled if at == key)])
    properties = {name for _, _, rule in compiled for name in rule.reads}
    return PropertyNames(properties), rules_of, _together(datamart)


def _together(rules: Sequence[tuple[ModuleType, CompiledRule]]) -> tuple[CompiledRule, ...]:
    found: list[CompiledRule] = []
    for module, group in groupby(rules, key=lambda one: one[0]):
        neighbours = [rule for _, rule in group]
        if hasattr(module, "together"):
            together = cast("Callable[[Sequence[CompiledRule]], CompiledRule]", module.together)
            found.append(together(neighbours))
        else:
            found += neighbours
    return tuple(found)


def _effects(closed: Closed, work: Work) -> tuple[Effect, ...]:
    datamart = closed.datamart
    effects: list[Effect] = [CountUp(datamart, MONITORED, work.matched_events)]
    effects += [CountUp(datamart, f"event_rules_matched.{name}", amount) for name, amount in work.matches.items()]
    if work.identifiers:
        effects.append(Attach(datamart, tuple(work.identifiers)))
    return tuple(effects)
