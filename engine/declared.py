"""All that a program can declare, for `Engine.apply`: the Structs of a file of definitions, by their names there.

from engine.declared import DatamartDefinition, Declared, Goal

await engine.apply(Declared(datamarts=(DatamartDefinition(id=1, goals=(Goal(id="g", query="…"),)),)))
"""

from engine.definitions.declared.analyzers import Analyzer, AnalyzerProperty
from engine.definitions.declared.automations import (
    AddToSegment,
    Automation,
    CustomAction,
    DeleteFromSegment,
    End,
    ExitCondition,
    If,
    Split,
    Wait,
    Webhook,
)
from engine.definitions.declared.campaigns import Campaign, Creative, SubCampaign
from engine.definitions.declared.catalogs import Catalog, Category, Product
from engine.definitions.declared.datamarts import Channel, DatamartDefinition, Declared
from engine.definitions.declared.destinations import Destination
from engine.definitions.declared.event_rules import (
    CatalogAutoMatch,
    EventTemplate,
    PropertyToOriginCopy,
    UrlMatch,
    UserIdentifierInsertion,
)
from engine.definitions.declared.goals import Goal, NamedQuery
from engine.definitions.declared.processings import Processing
from engine.definitions.declared.schema import SchemaField, SchemaLink, SchemaMapping
from engine.definitions.declared.segments import Segment
from engine.model.declarations import CompartmentDeclaration

__all__ = [
    "AddToSegment",
    "Analyzer",
    "AnalyzerProperty",
    "Automation",
    "Campaign",
    "Catalog",
    "CatalogAutoMatch",
    "Category",
    "Channel",
    "CompartmentDeclaration",
    "Creative",
    "CustomAction",
    "DatamartDefinition",
    "Declared",
    "DeleteFromSegment",
    "Destination",
    "End",
    "EventTemplate",
    "ExitCondition",
    "Goal",
    "If",
    "NamedQuery",
    "Processing",
    "Product",
    "PropertyToOriginCopy",
    "SchemaField",
    "SchemaLink",
    "SchemaMapping",
    "Segment",
    "Split",
    "SubCampaign",
    "UrlMatch",
    "UserIdentifierInsertion",
    "Wait",
    "Webhook",
]
