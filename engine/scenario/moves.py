"""A walk through a storyline: from a node on, until somebody waits or the scenario ends. Pure.

    begin    START, ENTER first node …                 go on    EXIT, ENTER next node …
    end      EXIT last node, STOP                      leave    EXIT, STOP with the exit condition

Only a wait keeps a person; every other node does what it does, and the person goes on in the same step. Who walks says
what a condition holds and takes each step as it happens, in order, so that a condition sees what the nodes before it
have done. A walk is never longer than the storyline has nodes: every circle holds a wait (`storyline`).
"""

import hashlib
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from engine.definitions.declared.automations import End, If, Node, Split, Wait
from engine.scenario.storyline import Storyline
from engine.scenario.windows import Windows

NO_NODE: Final = ""
"""Behind the last node, and before the first."""


class What(StrEnum):
    """What happens, by the type of the activity that tells of it (mediarithmics 1.3)."""

    START = "USER_SCENARIO_START"
    ENTER = "USER_SCENARIO_NODE_ENTER"
    EXIT = "USER_SCENARIO_NODE_EXIT"
    STOP = "USER_SCENARIO_STOP"


class Told(Struct, frozen=True):
    """A step that an activity tells of.

    Attributes:
        what: happens.
        node, previous: ids of the node it happens at and of the one before; "" for none.
        exit_condition: why somebody left at once; "" for any other reason.
    """

    what: What
    node: str
    previous: str
    exit_condition: str = ""


class Place(Struct, frozen=True):
    """Where a walk ended: at a wait, until then."""

    node: str
    previous: str
    due_ms: int


class Walker(Protocol):
    """Who walks."""

    def tell(self, told: Told) -> None:
        """This happens now."""
        ...

    def act(self, node: Node) -> None:
        """Do what this node does: change a segment, send something."""
        ...

    def holds(self, node: If) -> bool:
        """Whether the condition of this node holds now."""
        ...


def begin(storyline: Storyline, walker: Walker, user_point: bytes, now_ms: int) -> Place | None:
    """Enter the scenario and walk.

    Args:
        storyline: which one.
        walker: who walks.
        user_point: whose way it is, 16 bytes.
        now_ms: engine time.

    Returns:
        Where the person waits; None when the scenario is over already.
    """
    first = storyline.automation.begin
    walker.tell(Told(What.START, first, NO_NODE))
    walker.tell(Told(What.ENTER, first, NO_NODE))
    return _walk(storyline, walker, user_point, now_ms, first, NO_NODE)


def go_on(
    storyline: Storyline, walker: Walker, user_point: bytes, now_ms: int, node: str, previous: str
) -> Place | None:
    """The wait at a node is over: walk on.

    A node that has become another one since does now what it does now. One that is gone ends the scenario.

    Args:
        storyline, walker, user_point, now_ms: as for `begin`.
        node, previous: where the person waited, and the node before.

    Returns:
        As `begin`.
    """
    found = storyline.nodes.get(node)
    if found is None:
        leave(walker, node, previous)
        return None
    if not isinstance(found, Wait):
        return _walk(storyline, walker, user_point, now_ms, node, previous)
    if not found.next:
        leave(walker, node, previous)
        return None
    walker.tell(Told(What.EXIT, node, previous))
    walker.tell(Told(What.ENTER, found.next, node))
    return _walk(storyline, walker, user_point, now_ms, found.next, node)


def leave(walker: Walker, node: str, previous: str, exit_condition: str = NO_NODE) -> None:
    """Leave the scenario at once, from wherever (mediarithmics 8.4).

    Args:
        walker: who leaves.
        node, previous: where the person is, and the node before.
        exit_condition: id of the one that was met, if it was one.
    """
    walker.tell(Told(What.EXIT, node, previous))
    walker.tell(Told(What.STOP, node, previous, exit_condition))


def _walk(
    storyline: Storyline, walker: Walker, user_point: bytes, now_ms: int, node: str, previous: str
) -> Place | None:
    """From a node that was just entered."""
    while True:
        found = storyline.nodes[node]
        if isinstance(found, Wait):
            return Place(node, previous, due_at(found, storyline.windows[node], now_ms))
        following = _following(storyline, walker, user_point, found)
        if not following:
            leave(walker, node, previous)
            return None
        walker.tell(Told(What.EXIT, node, previous))
        walker.tell(Told(What.ENTER, following, node))
        node, previous = following, node


def _following(storyline: Storyline, walker: Walker, user_point: bytes, node: Node) -> str:
    match node:
        case End():
            return NO_NODE
        case If():
            return node.next if walker.holds(node) else node.otherwise
        case Split():
            return node.branches[branch_of(node, storyline.id, user_point)]
        case _:
            walker.act(node)
            return node.next


def due_at(wait: Wait, windows: Windows, now_ms: int) -> int:
    """When a wait that begins now is over: the first time within its windows after its delay."""
    return windows.first(now_ms + wait.delay_ms)


def branch_of(split: Split, scenario: str, user_point: bytes) -> int:
    """Which way a person goes at a split: always the same, and independent of every other split.

    Args:
        split: the node.
        scenario: id of its automation.
        user_point: 16 bytes.
    """
    weights = split.weights or (1,) * len(split.branches)
    what = b"\0".join((scenario.encode(), split.id.encode(), user_point))
    # The hash as a fraction of 2^64, times the sum: no remainder favours the first branches.
    at = (int.from_bytes(hashlib.sha256(what).digest()[:8], "big") * sum(weights)) >> 64
    for index, weight in enumerate(weights):
        at -= weight
        if at < 0:
            return index
    raise ValueError(f"no way out of split {split.id!r}")
