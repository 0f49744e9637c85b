"""An automation as it runs: its nodes, its compiled queries and windows, and that it can work at all.

What is refused when it is compiled cannot happen when somebody walks it:

- the first node and all that edges lead to exist; no id is used twice; no node has two edges in (mediarithmics 8.2),
  where the way in through the trigger is no edge;
- a circle holds a wait of at least a minute, so that every walk ends, and nobody is moved in a tight loop;
- every node can be reached, unless the automation is `NEW`, somebody's draft;
- a split has a part for each branch and not only empty ones; time zones, segments, destinations exist.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.definitions.declared.automations import (
    AddToSegment,
    Automation,
    CustomAction,
    DeleteFromSegment,
    End,
    ExitCondition,
    If,
    Node,
    Split,
    Wait,
    Webhook,
)
from engine.definitions.declared.goals import QueryText
from engine.errors import CallerError
from engine.model.types import SECOND_MS
from engine.query.condition import Condition
from engine.scenario.windows import Windows

MAX_NODES: Final = 256
"""Of one automation: also the most that a person is moved in one step. People draw such plans by hand."""

MIN_CIRCLE_MS: Final = 60 * SECOND_MS
"""The shortest wait in a circle. Shorter ones would be a load and no plan."""

_WEEKDAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


class Known(Struct, frozen=True):
    """What the nodes of a datamart may name.

    Attributes:
        segments: their ids.
        destinations: their ids.
        compile: a query and the path to it, to what is asked; raises CallerError.
    """

    segments: Collection[str]
    destinations: Collection[str]
    compile: Callable[[QueryText, str], Condition]


class Exit(Struct, frozen=True):
    """An exit condition."""

    id: str
    condition: Condition


class Storyline(Struct, frozen=True):
    """An automation, compiled.

    Attributes:
        automation: as it is declared.
        nodes: by id.
        trigger: who enters.
        exits: who leaves, in their order.
        windows: of the waits, by node.
        conditions: of the ifs, by node.
    """

    automation: Automation
    nodes: Mapping[str, Node]
    trigger: Condition
    exits: tuple[Exit, ...]
    windows: Mapping[str, Windows]
    conditions: Mapping[str, Condition]

    @property
    def id(self) -> str:
        """Of the automation."""
        return self.automation.id

    @property
    def name(self) -> str:
        """Of the automation; its id where it has none."""
        return self.automation.name or self.automation.id

    @property
    def is_active(self) -> bool:
        """Whether people enter it, and move in it."""
        return self.automation.status == "ACTIVE"

    def node_name(self, node: str) -> str:
        """What a node is called; its id where it has no name, or is gone."""
        found = self.nodes.get(node)
        return (found.name if found is not None else "") or node


def edges_of(node: Node) -> Iterator[tuple[str, str]]:
    """Where a node leads to: the field that says so, and the id of the node behind. What ends the scenario is none."""
    if isinstance(node, End):
        return
    if isinstance(node, Split):
        edges = ((f"branches[{index}]", branch) for index, branch in enumerate(node.branches))
    elif isinstance(node, If):
        edges = (edge for edge in (("next", node.next), ("otherwise", node.otherwise)))
    else:
        edges = (edge for edge in (("next", node.next),))
    yield from (edge for edge in edges if edge[1])


def compile_storyline(automation: Automation, path: str, known: Known) -> Storyline:
    """Make it ready.

    Args:
        automation: as it is declared.
        path: where it stands.
        known: what it may name.

    Raises:
        CallerError: it cannot work (`bad_definition`, or what the compiler of queries says).
    """
    nodes = _nodes(automation, path)
    _check_edges(automation, nodes, path)
    _check_circle(automation, nodes, path)
    _check_reached(automation, nodes, path)
    windows: dict[str, Windows] = {}
    conditions: dict[str, Condition] = {}
    for place, node in zip(_places(automation, path), automation.nodes, strict=True):
        if node.next and isinstance(node, Split | End):
            raise _bad("a split goes on with its branches, and behind an end is nothing", f"{place}.next")
        match node:
            case Wait():
                windows[node.id] = windows_of(node, place)
            case If():
                conditions[node.id] = known.compile(node.query, f"{place}.query")
            case Split():
                _check_split(node, place)
            case AddToSegment() | DeleteFromSegment():
                if node.segment not in known.segments:
                    raise _bad(f"there is no segment {node.segment!r}", f"{place}.segment")
            case CustomAction() | Webhook():
                if node.destination not in known.destinations:
                    raise _bad(f"there is no destination {node.destination!r}", f"{place}.destination")
            case _:
                pass
    return Storyline(
        automation=automation,
        nodes=nodes,
        trigger=known.compile(automation.trigger, f"{path}.trigger"),
        exits=_exits(automation.exit_conditions, path, known),
        windows=windows,
        conditions=conditions,
    )


def windows_of(wait: Wait, path: str = "") -> Windows:
    """When a wait may end.

    Raises:
        CallerError: there is no such time zone.
    """
    try:
        zone = ZoneInfo(wait.time_zone)
    except (LookupError, ValueError, OSError):  # Not found, no name of a zone, a folder of zones.
        raise _bad(f"there is no time zone {wait.time_zone!r}", f"{path}.time_zone") from None
    return Windows(
        zone=zone,
        days=frozenset(_WEEKDAYS.index(day) for day in wait.day_window),
        start_ms=_since_midnight(wait.time_window_start),
        end_ms=_since_midnight(wait.time_window_end),
    )


def _since_midnight(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return (int(hours) * 60 + int(minutes)) * 60 * SECOND_MS


def _places(automation: Automation, path: str) -> list[str]:
    return [f"{path}.node[{index}]" for index in range(len(automation.nodes))]


def _nodes(automation: Automation, path: str) -> dict[str, Node]:
    if len(automation.nodes) > MAX_NODES:
        raise _bad(f"{len(automation.nodes)} nodes, the limit is {MAX_NODES}", f"{path}.node")
    nodes: dict[str, Node] = {}
    for place, node in zip(_places(automation, path), automation.nodes, strict=True):
        if node.id in nodes:
            raise _bad(f"two nodes have the id {node.id!r}", f"{place}.id")
        nodes[node.id] = node
    if automation.begin not in nodes:
        raise _bad(f"there is no node {automation.begin!r} to begin with", f"{path}.begin")
    return nodes


def _check_edges(automation: Automation, nodes: Mapping[str, Node], path: str) -> None:
    from_where: dict[str, str] = {}
    for place, node in zip(_places(automation, path), automation.nodes, strict=True):
        for field, target in edges_of(node):
            if target not in nodes:
                raise _bad(f"there is no node {target!r}", f"{place}.{field}")
            if target in from_where:
                raise _bad(
                    f"{target!r} has an edge in already, from {from_where[target]!r}; a node has one at the most: "
                    "give each branch its own, or end it with an empty edge",
                    f"{place}.{field}",
                )
            from_where[target] = node.id


def _check_circle(automation: Automation, nodes: Mapping[str, Node], path: str) -> None:
    # With one edge in at the most, a circle can be walked backwards, and every node is in one circle at most.
    before = {target: node for node in automation.nodes for _, target in edges_of(node)}
    for place, node in zip(_places(automation, path), automation.nodes, strict=True):
        circle = [node]
        while (one := before.get(circle[-1].id)) is not None and one is not node and len(circle) <= len(nodes):
            circle.append(one)
        if one is node and sum(found.delay_ms for found in circle if isinstance(found, Wait)) < MIN_CIRCLE_MS:
            names = " → ".join(found.id for found in reversed(circle))
            raise _bad(f"{names} is a circle without a wait of at least {MIN_CIRCLE_MS} ms", f"{place}.id")


def _check_reached(automation: Automation, nodes: Mapping[str, Node], path: str) -> None:
    reached = {automation.begin}
    ahead = [automation.begin]
    while ahead:
        found = {target for _, target in edges_of(nodes[ahead.pop()])} - reached
        reached |= found
        ahead += found
    for place, node in zip(_places(automation, path), automation.nodes, strict=True):
        if node.id not in reached and automation.status != "NEW":
            raise _bad(f"nothing leads to the node {node.id!r}", f"{place}.id")


def _check_split(node: Split, place: str) -> None:
    if not node.branches:
        raise _bad("a split has at least one branch", f"{place}.branches")
    if node.weights and len(node.weights) != len(node.branches):
        message = f"{len(node.weights)} weights for {len(node.branches)} branches"
        raise _bad(message, f"{place}.weights")
    if node.weights and not any(node.weights):
        raise _bad("all weights are 0: nobody could go on", f"{place}.weights")


def _exits(declared: tuple[ExitCondition, ...], path: str, known: Known) -> tuple[Exit, ...]:
    exits: dict[str, Exit] = {}
    for index, one in enumerate(declared):
        place = f"{path}.exit_condition[{index}]"
        if one.id in exits:
            raise _bad(f"two exit conditions have the id {one.id!r}", f"{place}.id")
        exits[one.id] = Exit(one.id, known.compile(one.query, f"{place}.query"))
    return tuple(exits.values())


def _bad(message: str, path: str) -> CallerError:
    return CallerError(message, code="bad_definition", path=path)
