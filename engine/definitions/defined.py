"""All that is defined in one datamart beside its channels' session rules: what the steps of the chain are made from."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

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
from engine.model.identity_rules import IdentityRules


class Defined(Struct, frozen=True, kw_only=True):
    """One version of it; never changed, a change is the next version.

    Attributes:
        datamart: whose.
        version: rises with each change.
        default_compartment: of accounts that name none (decision 1).
        identity: what the settings say of identifiers, such as their placeholders (decision 1); nothing that is
            declared in the datamart, but steps that make identifiers go by it.
        event_rules: in the order of creation; those without a channel run first (decision 22).
        analyzers_of, processings_of: by channel key, the ids of the analyzers attached to it, in their order, and of
            the processings it is subject to.
        schema: names that its queries may use beside those of the default schema.
    """

    datamart: int
    version: int = 0
    default_compartment: str = "1"
    identity: IdentityRules = IdentityRules()
    catalogs: tuple[Catalog, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    event_rules: tuple[EventRule, ...] = ()
    analyzers: tuple[Analyzer, ...] = ()
    queries: tuple[NamedQuery, ...] = ()
    goals: tuple[Goal, ...] = ()
    automations: tuple[Automation, ...] = ()
    segments: tuple[Segment, ...] = ()
    processings: tuple[Processing, ...] = ()
    destinations: tuple[Destination, ...] = ()
    schema: SchemaMapping = SchemaMapping()
    analyzers_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    processings_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NOTHING: Final = Defined(datamart=0)
"""What a datamart without definitions has."""
