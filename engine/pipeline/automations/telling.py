"""What others hear of a scenario: activities for the timeline (mediarithmics 8.3), requests for the outbox (8.2).

All of it is made of the passage and the step alone: made again it is the same, byte for byte, and what was stored or
sent once is not stored or sent twice (decisions 31 and 32).
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw, Struct

from engine.definitions.declared.automations import CustomAction, Webhook
from engine.model.activity import Activity
from engine.model.identifiers import Identifier, uuid_text
from engine.model.unique_key import generated_key
from engine.model.wire import Fields, encode
from engine.scenario.moves import Told, What
from engine.scenario.storyline import Storyline

CUSTOM_ACTIONS: Final = "/v1/scenario_custom_actions"
"""Where a custom action plugin listens, behind the address of its destination (8.2)."""

NOTHING_BEFORE: Final = "None"
"""`$previous_node_name` of the first node (8.3)."""

MAX_PLAIN_DIGITS: Final = 15
"""Longest id of digits alone that is written as a number: a longer one would not survive in every reader."""


class Passage(Struct, frozen=True):
    """One person's way through one scenario, once.

    Attributes:
        datamart, user_point: whose.
        scenario: id of the automation.
        execution: 16 bytes.
        line: the automation; None when it is gone.
    """

    datamart: int
    user_point: bytes
    scenario: str
    execution: bytes
    line: Storyline | None

    def request_id(self, node: str, done: int) -> bytes:
        """16 bytes: the idempotency key of what a node sends.

        Args:
            node: its id.
            done: nodes entered so far: in a circle a node is entered again.
        """
        parts = (self.datamart.to_bytes(4, "big"), self.execution, done.to_bytes(8, "big"), node.encode())
        return hashlib.sha256(b"\0".join(parts)).digest()[:16]

    def name(self) -> str:
        """Of the scenario; its id where it is gone."""
        return self.line.name if self.line is not None else self.scenario

    def node_name(self, node: str) -> str:
        """Of a node; its id where the scenario is gone."""
        return self.line.node_name(node) if self.line is not None else node


class Telling(Struct, frozen=True):
    """A step to be told.

    Attributes:
        passage, told: what happens where.
        at_ms: when.
        number: of the step among all that happen to the person at once: they are shown in this order.
    """

    passage: Passage
    told: Told
    at_ms: int
    number: int


def activity_of(telling: Telling) -> Activity:
    """The activity that tells of a step."""
    passage, told = telling.passage, telling.told
    extras: Fields = {
        "$scenario_id": _id(passage.scenario),
        "$scenario_name": _json(passage.name()),
        "$node_id": _id(told.node),
        "$node_name": _json(passage.node_name(told.node)),
        "$previous_node_id": _id(told.previous),
        "$previous_node_name": _json(passage.node_name(told.previous) or NOTHING_BEFORE),
    }
    if told.what is What.STOP and told.exit_condition:
        extras["$matched_exit_condition_id"] = _id(told.exit_condition)
    parts = (
        b"scenario",
        passage.user_point,
        passage.scenario.encode(),
        passage.execution,
        told.node.encode(),
        told.what.encode(),
    )
    return Activity(
        ts_ms=telling.at_ms,
        unique_key=generated_key(telling.at_ms, parts, telling.number),
        type=told.what.value,
        status="NO_SESSION",
        extras=extras,
    )


def custom_action(passage: Passage, node: CustomAction) -> tuple[str, bytes]:
    """Path and body of the request that calls a custom action plugin (8.2)."""
    body = {
        "user_point_id": uuid_text(passage.user_point),
        "custom_action_id": node.custom_action_id,
        "datamart_id": str(passage.datamart),
        "node_id": node.id,
        "scenario_id": passage.scenario,
    }
    return CUSTOM_ACTIONS, encode(body)


def webhook(
    passage: Passage, node: Webhook, now_ms: int, activity: bytes | None, identifiers: Sequence[Identifier]
) -> tuple[str, bytes]:
    """Path and body of a webhook.

    Args:
        passage, node: which.
        now_ms: engine time.
        activity: JSON of the one that led into the scenario; None where there is none any more.
        identifiers: by what the person is known.
    """
    body: dict[str, Any] = {
        "datamart_id": str(passage.datamart),
        "user_point_id": uuid_text(passage.user_point),
        "user_identifiers": [one.as_json() for one in identifiers],
        "scenario_id": passage.scenario,
        "scenario_name": passage.name(),
        "execution_id": uuid_text(passage.execution),
        "node_id": node.id,
        "node_name": passage.node_name(node.id),
        "ts": now_ms,
        "activity": Raw(activity) if activity is not None else None,
        "payload": node.payload,
    }
    return "", encode(body)


def _id(text: str) -> Raw:
    """An id as the platform writes it: a number where it is one (8.3)."""
    if not text:
        return Raw(b"null")
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_PLAIN_DIGITS and (text[0] != "0" or text == "0")
    return Raw(text.encode()) if is_number else _json(text)


def _json(value: str) -> Raw:
    return Raw(encode(value))
