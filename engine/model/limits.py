"""Named limits of what one item may be. Each bound has its reason beside it.

Limits that an operator may change live in `engine.settings`; these protect keys, encodings and the parser.
"""

from typing import Final

MAX_TS_MS: Final = 2**63 - 1
"""Times are eight bytes of a key; msgspec accepts integers of any size, so the bound is checked before packing."""

MAX_ACTIVITY_CHARS: Final = 8000
"""Default size limit of an activity in code points of compact JSON (decision 15)."""

MAX_IDENTIFIERS: Final = 32
"""Identifiers of one item. A person has a handful; each costs a look-up before the item is taken."""

MAX_IDENTIFIER_CHARS: Final = 512
"""Length of one identifier value; identifiers are hashed for keys, so this only bounds what is stored beside them."""

MAX_EVENT_NAME_CHARS: Final = 255
"""Event names become labels and rule keys."""

MAX_EVENT_ID_CHARS: Final = 255
"""Event ids and idempotency keys are hashed for keys; longer ones are somebody's payload in the wrong place."""

MAX_EVENTS_PER_ITEM: Final = 1000
"""Events of one item; more belong in more items. Bounds the work of one synchronous accept."""

MAX_EXPANDED_BYTES: Final = 2 << 20
"""Root fields of one item times its events: each event's journal record carries them. A thousand events with two
kilobytes of root fields fit; more is one small request that fills the journal."""

MAX_REQUEST_RECORD_BYTES: Final = 16 << 20
"""Journal records of one request together: four times the largest body, and a quarter of what may wait for the disk."""

MAX_NESTING: Final = 64
"""Depth of JSON arrays and objects. Deeper input is refused before any recursive parser sees it."""

MAX_DATAMART: Final = 2**32 - 1
"""A datamart id is four bytes of every key."""
