"""The engine: everything that is not HTTP. These names are all that a program needs.

async with open_engine() as engine:
    receipt = engine.accept([b'{"$type": "SITE_VISIT", ...}'])
    await receipt.durable()
"""

from engine.actors.examine import split_items
from engine.actors.gather import Gathered, Listening
from engine.actors.plugin_desk import PluginAnalyzer, PluginDesk
from engine.actors.receipt import Idempotency, ItemError, ItemResult, Original, Receipt
from engine.applying import apply_to_directory
from engine.clock import Clock, EventClock, SystemClock
from engine.declaring import file_tables
from engine.definitions.access import Access, parse_authorization
from engine.definitions.declared.datamarts import Declared
from engine.definitions.difference import Change, Difference, FieldChange, MadeToken
from engine.definitions.reading import definitions_reference
from engine.definitions.registry import PublicToken
from engine.definitions.shown import DefinitionVersion, Shown
from engine.definitions.signing import SigningKey
from engine.engine import open_engine
from engine.errors import (
    ActorFailed,
    BadDefinition,
    BadSettings,
    Broken,
    CallerError,
    Closing,
    HotUser,
    IdempotencyConflict,
    Overloaded,
    SchemaTooNew,
    SojournError,
    StoreBroken,
    StoreFull,
    StoreLocked,
    StoreMissing,
    Unavailable,
)
from engine.explain import Explainer, open_explainer
from engine.explaining import Explanation, StepExplained
from engine.facade import Engine, Readiness
from engine.model.channel import ChannelSettings
from engine.model.wire import decode_values
from engine.observe import configure_logging, log
from engine.query.errors import QueryError
from engine.rates import Buckets
from engine.reader import DeadLetter, Reader, open_reader
from engine.selector import Condition, Filters, Selector
from engine.settings import CollectSettings, RateSettings, Settings, VisitorSettings, load_settings, settings_reference
from engine.store.memory import MemoryStore
from engine.stored_query import QueryAnswer, StoredQuery

__all__ = [
    "Access",
    "ActorFailed",
    "BadDefinition",
    "BadSettings",
    "Broken",
    "Buckets",
    "CallerError",
    "Change",
    "ChannelSettings",
    "Clock",
    "Closing",
    "CollectSettings",
    "Condition",
    "DeadLetter",
    "Declared",
    "DefinitionVersion",
    "Difference",
    "Engine",
    "EventClock",
    "Explainer",
    "Explanation",
    "FieldChange",
    "Filters",
    "Gathered",
    "HotUser",
    "Idempotency",
    "IdempotencyConflict",
    "ItemError",
    "ItemResult",
    "Listening",
    "MadeToken",
    "MemoryStore",
    "Original",
    "Overloaded",
    "PluginAnalyzer",
    "PluginDesk",
    "PublicToken",
    "QueryAnswer",
    "QueryError",
    "RateSettings",
    "Reader",
    "Readiness",
    "Receipt",
    "SchemaTooNew",
    "Selector",
    "Settings",
    "Shown",
    "SigningKey",
    "SojournError",
    "StepExplained",
    "StoreBroken",
    "StoreFull",
    "StoreLocked",
    "StoreMissing",
    "StoredQuery",
    "SystemClock",
    "Unavailable",
    "VisitorSettings",
    "apply_to_directory",
    "configure_logging",
    "decode_values",
    "definitions_reference",
    "file_tables",
    "load_settings",
    "log",
    "open_engine",
    "open_explainer",
    "open_reader",
    "parse_authorization",
    "settings_reference",
    "split_items",
]
