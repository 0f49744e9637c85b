"""All that a file of definitions can say, one datamart a table.

What it does not say of a datamart's own keys is as the settings say: the settings are the base, the file goes over
them, key by key. Everything else is the file's alone: what it leaves out of a datamart is not in use any more.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.declared.automations import Automation
from engine.definitions.declared.campaigns import Campaign
from engine.definitions.declared.catalogs import Catalog
from engine.definitions.declared.destinations import Destination
from engine.definitions.declared.event_rules import EventRule
from engine.definitions.declared.goals import Goal, NamedQuery
from engine.definitions.declared.processings import Processing
from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.declared.segments import Segment
from engine.model.declarations import ChannelDeclaration, CompartmentDeclaration
from engine.model.limits import MAX_DATAMART
from engine.model.types import Host, Id, Name, Token


class Channel(ChannelDeclaration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site or an application, and what its activities go through."""

    analyzers: Annotated[
        tuple[Id, ...], Meta(max_length=100, description="Ids of the analyzers of its activities, in their order.")
    ] = ()
    processings: Annotated[
        tuple[Id, ...],
        Meta(max_length=100, description="Ids of the processings its activities are subject to; none: all are kept."),
    ] = ()


class DatamartDefinition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A datamart. Keys of its own that are left out are as the settings say; so are channels and compartments when
    there is no table of them at all (`channel = []` says that there are none)."""

    id: Annotated[int, Meta(ge=1, le=MAX_DATAMART, description="Part of every address and of every key.")]
    name: Annotated[Name | None, Meta(description="For people.")] = None
    default_compartment: Annotated[
        Id | None, Meta(description="Namespace of accounts sent without `$compartment_id`.")
    ] = None
    token: Annotated[Token | None, Meta(description="Public token for collecting; empty: made once, then kept.")] = None
    redirect_hosts: Annotated[
        tuple[Host, ...] | None,
        Meta(description="Hosts that a click may lead to, with all below them, beside the sites' own."),
    ] = None
    channels: tuple[Channel, ...] | None = field(default=None, name="channel")
    compartments: tuple[CompartmentDeclaration, ...] | None = field(default=None, name="compartment")
    schema: SchemaMapping = SchemaMapping()
    catalogs: tuple[Catalog, ...] = field(default=(), name="catalog")
    campaigns: tuple[Campaign, ...] = field(default=(), name="campaign")
    event_rules: tuple[EventRule, ...] = field(default=(), name="event_rule")
    analyzers: tuple[Analyzer, ...] = field(default=(), name="analyzer")
    queries: tuple[NamedQuery, ...] = field(default=(), name="query")
    goals: tuple[Goal, ...] = field(default=(), name="goal")
    automations: tuple[Automation, ...] = field(default=(), name="automation")
    segments: tuple[Segment, ...] = field(default=(), name="segment")
    processings: tuple[Processing, ...] = field(default=(), name="processing")
    destinations: tuple[Destination, ...] = field(default=(), name="destination")


class Declared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole file of definitions. Datamarts it does not name stay as they are."""

    datamarts: tuple[DatamartDefinition, ...] = field(default=(), name="datamart")
