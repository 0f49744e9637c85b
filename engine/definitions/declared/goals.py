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
    """A goal: what a query finds in an activity, or what pixels say was reached. Each conversion is counted."""

    id: Annotated[Id, Meta(description="`$goal_id` of its conversions.")]
    name: Annotated[Name, Meta(description="For people.")] = ""
    technical_name: Annotated[
        Name, Meta(description="`$goal_technical_name` of its conversions; pixels may name it by this alone.")
    ] = ""
    query: Annotated[
        QueryText,
        Meta(description="OTQL, a table of JSON_OTQL or `@name`; empty: reached only by `$conversion` events sent."),
    ] = ""
    status: Annotated[Literal["ACTIVE", "PAUSED"], Meta(description="Only an ACTIVE one counts.")] = "ACTIVE"
    value: Annotated[float | None, Meta(description="Of a conversion that names no value.")] = field(
        default=None, name="default_goal_value"
    )
    currency: Annotated[Name, Meta(description="Of its values; for people.")] = field(
        default="EUR", name="goal_value_currency"
    )
    post_click_window_ms: Annotated[
        WindowMs, Meta(description="How old the click may be that a conversion is attributed to; 0: to none.")
    ] = 30 * DAY_MS
    post_view_window_ms: Annotated[
        WindowMs, Meta(description="The same for a view, where no click is within its own window.")
    ] = 0
