"""Queries that have a name, and goals (mediarithmics 7; decisions 29 and 30)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from engine.model.types import DAY_MS, Id, Name

QueryText = str | dict[str, Any]
"""OTQL as text, JSON_OTQL as a table, or `@name` for a query of the datamart."""

WindowMs = Annotated[int, Meta(ge=0, le=30 * DAY_MS)]


class NamedQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query that goals and automations may name as `@id`."""

    id: Id
    query: QueryText
    name: Name = ""


class Goal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A goal. Without a query it is one that pixels reach.

    Attributes:
        status: only an ACTIVE one counts.
        value, currency: of a conversion that names no value.
        post_click_window_ms, post_view_window_ms: how old the last touch may be (7.4); 0 attributes to none.
    """

    id: Id
    name: Name = ""
    technical_name: Name = ""
    query: QueryText = ""
    status: Literal["ACTIVE", "PAUSED"] = "ACTIVE"
    value: float | None = field(default=None, name="default_goal_value")
    currency: Name = field(default="EUR", name="goal_value_currency")
    post_click_window_ms: WindowMs = 30 * DAY_MS
    post_view_window_ms: WindowMs = 0
