"""Automations: who enters a scenario, what happens in it, who leaves (mediarithmics 8; decisions 31 and 32)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from engine.definitions.declared.goals import QueryText
from engine.model.types import DAY_MS, Id, Name

TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Weekday = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]


class _Node(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What all nodes have. `next` is the id of the node behind; "" ends the scenario."""

    id: Id
    name: Name = ""
    next: str = ""


class Wait(_Node, frozen=True, kw_only=True, tag="WAIT_NODE"):
    """Waits, then goes on within the windows: at a day of the week, between two times of day of the time zone."""

    delay_ms: Annotated[int, Meta(ge=0, le=3650 * DAY_MS)]
    day_window: tuple[Weekday, ...] = ()
    time_window_start: TimeOfDay = "00:00"
    time_window_end: TimeOfDay = "00:00"
    time_zone: str = "UTC"


class If(_Node, frozen=True, kw_only=True, tag="IF_NODE"):
    """Goes to `next` when the query holds of the activity and the person, else to `otherwise`."""

    query: QueryText
    otherwise: str = ""


class Split(_Node, frozen=True, kw_only=True, tag="ABN_NODE"):
    """Goes one of several ways, in equal parts unless `weights` says otherwise; the same person always the same way."""

    branches: tuple[str, ...]
    weights: tuple[Annotated[int, Meta(ge=0, le=1_000_000)], ...] = ()


class AddToSegment(_Node, frozen=True, kw_only=True, tag="ADD_TO_SEGMENT_NODE"):
    """Puts the person into a segment, for a time where `expires_ms` is given."""

    segment: Id
    expires_ms: Annotated[int, Meta(ge=1, le=3650 * DAY_MS)] | None = None


class DeleteFromSegment(_Node, frozen=True, kw_only=True, tag="DELETE_FROM_SEGMENT_NODE"):
    """Takes the person out of a segment."""

    segment: Id


class CustomAction(_Node, frozen=True, kw_only=True, tag="CUSTOM_ACTION_NODE"):
    """Calls a custom action plugin (8.2) through a destination."""

    destination: Id
    custom_action_id: Id


class Webhook(_Node, frozen=True, kw_only=True, tag="WEBHOOK_NODE"):
    """Sends the activity that led here, and whose it is, to a destination."""

    destination: Id
    payload: dict[str, Any] = field(default_factory=dict)


class End(_Node, frozen=True, kw_only=True, tag="END_NODE"):
    """Ends the scenario."""


Node = Wait | If | Split | AddToSegment | DeleteFromSegment | CustomAction | Webhook | End


class ExitCondition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever has an activity that the query matches leaves at once."""

    id: Id
    query: QueryText


class Automation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario: its trigger, its storyline from the node `begin` on, and its exit conditions."""

    id: Id
    name: Name = ""
    status: Literal["NEW", "ACTIVE", "PAUSED"] = "ACTIVE"
    trigger: QueryText
    begin: Id
    nodes: tuple[Node, ...] = field(default=(), name="node")
    exit_conditions: tuple[ExitCondition, ...] = field(default=(), name="exit_condition")
