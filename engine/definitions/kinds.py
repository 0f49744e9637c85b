"""The kinds of definitions of a datamart: what a file calls each, its Struct, and where `Defined` has it.

A new kind is a Struct in `declared/`, a field of `DatamartDefinition`, one of `Defined`, and a row here.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from msgspec import Struct

from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.declared.automations import Automation
from engine.definitions.declared.campaigns import Campaign
from engine.definitions.declared.catalogs import Catalog
from engine.definitions.declared.datamarts import Channel, DatamartDefinition
from engine.definitions.declared.destinations import Destination
from engine.definitions.declared.event_rules import EventRule
from engine.definitions.declared.goals import Goal, NamedQuery
from engine.definitions.declared.processings import Processing
from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.declared.segments import Segment
from engine.model.declarations import CompartmentDeclaration


class DatamartHead(Struct, frozen=True, kw_only=True):
    """What a file says of a datamart's own keys; None where it says nothing. A definition like the others.

    Attributes:
        says: those of the kinds `channel` and `compartment` of which it says anything, be it that there are none.
    """

    id: str
    name: str | None = None
    default_compartment: str | None = None
    token: str | None = None
    redirect_hosts: tuple[str, ...] | None = None
    says: tuple[str, ...] = ()


class Kind(NamedTuple):
    """A kind of definitions.

    Attributes:
        name: the table's name in a file.
        field: of `DatamartDefinition`, and of `Defined` where it has it.
        type: what one of them is.
        unique: names that no two of a datamart may share, beside the id.
        masked: fields that are never shown: secrets.
    """

    name: str
    field: str
    type: Any
    unique: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()


HEAD: Final = Kind("datamart", "", DatamartHead)
CHANNEL: Final = Kind("channel", "channels", Channel)
COMPARTMENT: Final = Kind("compartment", "compartments", CompartmentDeclaration)
SCHEMA: Final = Kind("schema", "schema", SchemaMapping)
"""There is one in a datamart at the most, and its id is that of its kind."""

DEFINED: Final = (
    Kind("catalog", "catalogs", Catalog),
    Kind("campaign", "campaigns", Campaign),
    Kind("event_rule", "event_rules", EventRule, masked=("salt",)),
    Kind("analyzer", "analyzers", Analyzer, masked=("token",)),
    Kind("query", "queries", NamedQuery),
    Kind("goal", "goals", Goal, unique=("technical_name",)),
    Kind("automation", "automations", Automation),
    Kind("segment", "segments", Segment, unique=("technical_name",)),
    Kind("processing", "processings", Processing, unique=("technical_name", "token")),
    Kind("destination", "destinations", Destination, masked=("secret", "headers")),
)
"""The kinds of which `Defined` has any number, in the order of a file."""

KINDS: Final = {one.name: one for one in (HEAD, CHANNEL, COMPARTMENT, SCHEMA, *DEFINED)}

MASK: Final = "***"
"""What is shown of a secret."""


def id_of(kind: Kind, one: Struct) -> str:
    """What tells a definition from the others of its kind: its id, a channel's key."""
    return one.key if isinstance(one, Channel) else str(getattr(one, "id", kind.name))


def definitions_of(declared: DatamartDefinition) -> Iterator[tuple[Kind, tuple[Struct, ...]]]:
    """All definitions of a datamart by kind, in the order of a file; first what it says of its own keys."""
    says = tuple(kind.name for kind in (CHANNEL, COMPARTMENT) if getattr(declared, kind.field) is not None)
    head = DatamartHead(
        id=str(declared.id),
        name=declared.name,
        default_compartment=declared.default_compartment,
        token=declared.token,
        redirect_hosts=declared.redirect_hosts,
        says=says,
    )
    yield HEAD, (head,)
    for kind in (CHANNEL, COMPARTMENT):
        yield kind, getattr(declared, kind.field) or ()
    if declared.schema != SchemaMapping():
        yield SCHEMA, (declared.schema,)
    for kind in DEFINED:
        yield kind, getattr(declared, kind.field)


def masked(kind: Kind, value: dict[str, Any]) -> dict[str, Any]:
    """A definition as plain values, its secrets not shown."""
    hidden = {name: _hidden(value[name]) for name in kind.masked if value.get(name)}
    return value | hidden


def _hidden(value: object) -> object:
    return dict.fromkeys(value, MASK) if isinstance(value, dict) else MASK
