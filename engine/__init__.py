"""The engine: everything that is not HTTP. These names are all that a program needs.

async with open_engine() as engine:
    receipt = engine.accept([b'{"$type": "SITE_VISIT", ...}'])
    await receipt.durable()
"""

from engine.actors.examine import split_items
from engine.actors.gather import Gathered, Listening
from engine.actors.receipt import Idempotency, ItemError, ItemResult, Original, Receipt
from engine.clock import Clock, EventClock, SystemClock
from engine.definitions.access import Access, parse_authorization
from engine.definitions.registry import PublicToken
from engine.definitions.signing import SigningKey
from engine.engine import open_engine
from engine.errors import (
    ActorFailed,
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
from engine.facade import Engine, Readiness
from engine.model.channel import ChannelSettings
from engine.observe import configure_logging, log
from engine.rates import Buckets
from engine.reader import DeadLetter, Reader, open_reader
from engine.selector import Condition, Filters, Selector
from engine.settings import CollectSettings, RateSettings, Settings, VisitorSettings, load_settings, settings_reference
from engine.store.memory import MemoryStore

__all__ = [
    "Access",
    "ActorFailed",
    "BadSettings",
    "Broken",
    "Buckets",
    "CallerError",
    "ChannelSettings",
    "Clock",
    "Closing",
    "CollectSettings",
    "Condition",
    "DeadLetter",
    "Engine",
    "EventClock",
    "Filters",
    "Gathered",
    "HotUser",
    "Idempotency",
    "IdempotencyConflict",
    "ItemError",
    "ItemResult",
    "Listening",
    "MemoryStore",
    "Original",
    "Overloaded",
    "PublicToken",
    "RateSettings",
    "Reader",
    "Readiness",
    "Receipt",
    "SchemaTooNew",
    "Selector",
    "Settings",
    "SigningKey",
    "SojournError",
    "StoreBroken",
    "StoreFull",
    "StoreLocked",
    "StoreMissing",
    "SystemClock",
    "Unavailable",
    "VisitorSettings",
    "configure_logging",
    "load_settings",
    "log",
    "open_engine",
    "open_reader",
    "parse_authorization",
    "settings_reference",
    "split_items",
]
