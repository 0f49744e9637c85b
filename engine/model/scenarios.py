"""Where in which scenario a person is (decision 31; mediarithmics 8.3).

Whoever is inside a scenario waits in it: all other nodes are passed at once. So each place has a time at which it goes
on, and a row of TIMERS says the same; of two that differ this one is right.
"""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

FORMAT: Final = 1
"""First byte of every stored value. A change of the fields below or of their order needs another number."""

MAX_INSIDE: Final = 200
"""Scenarios a person is in at the same time: some 20 kB, which each entry reads and writes. Whoever is in so many
enters no further one, and a counter says so."""


class Cause(Struct, array_like=True, frozen=True, gc=False):
    """The identity of the activity that led into a scenario.

    Attributes:
        user_point: under which it was stored.
        ts_ms, unique_key: its `$ts`, and the 16 bytes of its `$unique_key`.
    """

    user_point: bytes
    ts_ms: int
    unique_key: bytes


class Inside(Struct, array_like=True, frozen=True):
    """A person's place in one scenario.

    Attributes:
        scenario: id of the automation.
        execution: 16 bytes: this passage through it, from entry to end.
        node, previous: ids of the node where it waits and of the one before, "" where there was none.
        started_ms, entered_ms: when it entered the scenario, and this node.
        due_ms: when it goes on, engine time.
        moves: nodes entered so far.
        cause: what led in; None where nobody but an operator did.
    """

    scenario: str
    execution: bytes
    node: str
    previous: str
    started_ms: int
    entered_ms: int
    due_ms: int
    moves: int = 1
    cause: Cause | None = None

    @property
    def execution_id(self) -> str:
        """The passage as text."""
        return str(UUID(bytes=self.execution))


Scenarios = dict[str, Inside]
"""All that a person is in, by id of the automation."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Inside])
_PREFIX = bytes((FORMAT,))


def encode_scenarios(scenarios: Scenarios) -> bytes | None:
    """As they are stored, the same ones as the same bytes; None for none."""
    return _PREFIX + _encoder.encode([scenarios[key] for key in sorted(scenarios)]) if scenarios else None


def decode_scenarios(stored: bytes | None) -> Scenarios:
    """What `encode_scenarios` made; none where nothing is stored.

    Raises:
        ValueError: of another format, or damaged.
    """
    if stored is None:
        return {}
    if stored[:1] != _PREFIX:
        raise ValueError(f"scenarios of unknown format {stored[:1]!r}")
    try:
        return {one.scenario: one for one in _decoder.decode(memoryview(stored)[1:])}
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged scenarios: {error}") from error


def combine(scenarios: Scenarios, others: Iterable[Inside]) -> tuple[Scenarios, tuple[Inside, ...]]:
    """Those of two user points that turn out to be one person (decision 3).

    Where both are inside the same scenario, the passage that began first goes on: had it been known that they are one,
    the other would not have entered. Nobody is put out because of `MAX_INSIDE`.

    Returns:
        Where the person is now, and the passages that end.
    """
    combined = dict(scenarios)
    ended: list[Inside] = []
    for other in others:
        one = combined.get(other.scenario)
        if one is None:
            combined[other.scenario] = other
        elif one != other:
            first, second = sorted((one, other), key=lambda inside: (inside.started_ms, inside.execution))
            combined[first.scenario] = first
            ended.append(second)
    return combined, tuple(ended)


def shown(scenarios: Scenarios) -> list[dict[str, Any]]:
    """As the platform shows them (mediarithmics 8.3), in the order of entry."""
    return [
        {
            "scenario_id": one.scenario,
            "execution_id": one.execution_id,
            "node_id": one.node,
            "active": True,
            "callback_ts": one.due_ms,
            "start_ts": one.started_ms,
            "node_start_ts": one.entered_ms,
        }
        for one in sorted(scenarios.values(), key=lambda inside: (inside.started_ms, inside.scenario))
    ]
