"""The engine: everything that is not HTTP. These names are all that a program needs.

async with open_engine() as engine:
    receipt = engine.accept([b'{"$type": "SITE_VISIT", ...}'])
    await receipt.durable()
"""

from engine.actors.examine import split_items
from engine.actors.receipt import Idempotency, ItemError, ItemResult, Original, Receipt
from engine.clock import Clock, EventClock, SystemClock
from engine.definitions.access import Access, parse_authorization
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
from engine.reader import DeadLetter, Reader, open_reader
from engine.selector import Condition, Filters, Selector
from engine.settings import Settings, load_settings, settings_reference
from engine.store.memory import MemoryStore

__all__ = [
    "Access",
    "ActorFailed",
    "BadSettings",
    "Broken",
    "CallerError",
    "ChannelSettings",
    "Clock",
    "Closing",
    "Condition",
    "DeadLetter",
    "Engine",
    "EventClock",
    "Filters",
    "HotUser",
    "Idempotency",
    "IdempotencyConflict",
    "ItemError",
    "ItemResult",
    "MemoryStore",
    "Original",
    "Overloaded",
    "Reader",
    "Readiness",
    "Receipt",
    "SchemaTooNew",
    "Selector",
    "Settings",
    "SojournError",
    "StoreBroken",
    "StoreFull",
    "StoreLocked",
    "StoreMissing",
    "SystemClock",
    "Unavailable",
    "configure_logging",
    "load_settings",
    "log",
    "open_engine",
    "open_reader",
    "parse_authorization",
    "settings_reference",
    "split_items",
]
