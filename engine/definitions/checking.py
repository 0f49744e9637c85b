"""What must hold between definitions: ids that are unique, and references that lead somewhere.

What a definition means by itself is compiled by its step; storylines that go nowhere are the automations' own.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from engine.definitions.declared.catalogs import Catalog
from engine.definitions.declared.datamarts import DatamartDefinition, Declared
from engine.definitions.kinds import CHANNEL, COMPARTMENT, DEFINED, MASK, id_of

Faults = Iterator[tuple[str, str]]


def faults_of(
    declared: Declared,
    channels_of: Callable[[int], Collection[str]],
    others: Iterable[tuple[int, str, str]] = (),
) -> list[tuple[str, str]]:
    """Each fault's path and what is wrong.

    Args:
        declared: what is to be applied.
        channels_of: keys of the channels of a datamart that declares none here: those of the settings.
        others: `worker_id` and token of the analyzers of datamarts that nothing is declared for here, after their
            datamart.
    """
    found: list[tuple[str, str]] = []
    seen: dict[int, int] = {}
    tokens: dict[str, str] = {}
    workers = {worker: (token, f"datamart {other}") for other, worker, token in others}
    for index, one in enumerate(declared.datamarts):
        path = f"datamart[{index}]"
        if (first := seen.setdefault(one.id, index)) != index:
            found.append((f"{path}.id", f"datamart {one.id} is declared already, as datamart[{first}]"))
        channels = {channel.key for channel in one.channels} if one.channels is not None else set(channels_of(one.id))
        for below, problem in (*_repeats(one), *_references(one, channels), *_unusable(one)):
            found.append((f"{path}.{below}", problem))
        found += _tokens(one, path, tokens)
        found += _workers(one, path, workers)
    return found


def _repeats(one: DatamartDefinition) -> Faults:
    for kind in (CHANNEL, COMPARTMENT, *DEFINED):
        for name in ("id", *kind.unique):
            first: dict[str, int] = {}
            for index, row in enumerate(getattr(one, kind.field) or ()):
                value = id_of(kind, row) if name == "id" else getattr(row, name, "")
                if value and (at := first.setdefault(value, index)) != index:
                    yield f"{kind.name}[{index}].{name}", f"{kind.name}[{at}] has the same: {value}"


def _references(one: DatamartDefinition, channels: Collection[str]) -> Faults:
    ids = {kind.name: {row.id for row in getattr(one, kind.field)} for kind in DEFINED}

    def missing(kind: str, value: object, path: str) -> Faults:
        if value and value not in ids[kind]:
            yield path, f"there is no {kind.replace('_', ' ')} {value}"

    def query(value: object, path: str) -> Faults:
        if isinstance(value, str) and value.startswith("@"):
            yield from missing("query", value.removeprefix("@"), path)

    for index, channel in enumerate(one.channels or ()):
        for field, kind in (("analyzers", "analyzer"), ("processings", "processing")):
            listed = getattr(channel, field)
            for place, value in enumerate(listed):
                path = f"channel[{index}].{field}[{place}]"
                yield from missing(kind, value, path)
                if value in listed[:place]:
                    yield path, f"{kind} {value} is attached twice"
    for index, rule in enumerate(one.event_rules):
        if rule.channel and rule.channel not in channels:
            known = ", ".join(sorted(channels)[:20]) or "none"
            yield f"event_rule[{index}].channel", f"there is no channel {rule.channel}; there are {known}"
        yield from missing("catalog", getattr(rule, "catalog", ""), f"event_rule[{index}].catalog")
    for index, named in enumerate(one.queries):
        yield from query(named.query, f"query[{index}].query")
    for index, goal in enumerate(one.goals):
        yield from query(goal.query, f"goal[{index}].query")
    for index, automation in enumerate(one.automations):
        path = f"automation[{index}]"
        yield from query(automation.trigger, f"{path}.trigger")
        for at, condition in enumerate(automation.exit_conditions):
            yield from query(condition.query, f"{path}.exit_condition[{at}].query")
        for at, node in enumerate(automation.nodes):
            below = f"{path}.node[{at}]"
            yield from query(getattr(node, "query", ""), f"{below}.query")
            for kind in ("segment", "destination"):
                yield from missing(kind, getattr(node, kind, ""), f"{below}.{kind}")


def _unusable(one: DatamartDefinition) -> Faults:
    for kind in DEFINED:
        for index, row in enumerate(getattr(one, kind.field)):
            for name in kind.masked:
                held = getattr(row, name, "")
                if held == MASK or (isinstance(held, Mapping) and MASK in held.values()):
                    yield f"{kind.name}[{index}].{name}", f"{MASK} is what is shown in place of a secret"
    for index, catalog in enumerate(one.catalogs):
        if isinstance(catalog, Catalog) and catalog.products_file:
            yield (
                f"catalog[{index}].products_file",
                "a file is read where it is: by `sojourn apply` or a server's start; send the products themselves",
            )


def _tokens(one: DatamartDefinition, path: str, tokens: dict[str, str]) -> Faults:
    places: list[tuple[str, Any]] = [(f"{path}.token", one.token)]
    for kind in (CHANNEL, COMPARTMENT):
        rows = getattr(one, kind.field) or ()
        places += ((f"{path}.{kind.name}[{index}].token", row.token) for index, row in enumerate(rows))
    places += (
        (f"{path}.channel[{index}].tracker_key", row.tracker_key) for index, row in enumerate(one.channels or ())
    )
    for place, token in places:
        if token and (other := tokens.setdefault(token, place)) != place:
            yield place, f"{other} is the same: each needs one of its own"


def _workers(one: DatamartDefinition, path: str, workers: dict[str, tuple[str, str]]) -> Faults:
    """A plugin is known by its worker id, and its files are kept under it: with two tokens it would be two plugins."""
    for index, analyzer in enumerate(one.analyzers):
        if not analyzer.worker_id:
            continue
        place = f"{path}.analyzer[{index}]"
        token, other = workers.setdefault(analyzer.worker_id, (analyzer.token, place))
        if token != analyzer.token:
            yield f"{place}.token", f"worker {analyzer.worker_id} has another token in {other}: it is one plugin"
