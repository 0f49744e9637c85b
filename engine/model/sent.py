"""An activity as a client sends it: what the engine checks before it takes anything (facts: mediarithmics 1.2 to 1.5).

Only fields that the engine acts on are named; everything else is kept encoded beside them.
"""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from engine.errors import CallerError
from engine.model.event import SentEvent, Ts
from engine.model.identifiers import (
    Identifier,
    SentEmailHash,
    SentId,
    SentIdentifier,
    has_text,
    legacy,
    normalise,
    unique,
)
from engine.model.limits import MAX_EVENTS_PER_ITEM, MAX_IDENTIFIERS
from engine.model.location import SentLocation
from engine.model.origin import SentOrigin

ActivityType = Literal[
    "SITE_VISIT",
    "APP_VISIT",
    "TOUCH",
    "EMAIL",
    "DISPLAY_AD",
    "RECOMMENDER",
    "USER_SCENARIO_START",
    "USER_SCENARIO_STOP",
    "USER_SCENARIO_NODE_ENTER",
    "USER_SCENARIO_NODE_EXIT",
]
SentStatus = Literal["NO_SESSION", "IN_SESSION", "CLOSED_SESSION", "LIVE"]


class SentActivity(Struct, rename=lambda name: "$" + name, kw_only=True):
    """One item of a request."""

    type: ActivityType
    session_status: SentStatus
    ts: Ts | None = None
    ttl: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    user_agent_id: SentId | None = None
    user_account_id: SentId | None = None
    compartment_id: SentId | None = None
    email_hash: SentEmailHash | None = None
    user_identifiers: Annotated[list[SentIdentifier], Meta(max_length=MAX_IDENTIFIERS)] | None = None
    origin: SentOrigin | None = None
    location: SentLocation | None = None
    events: Annotated[list[SentEvent], Meta(max_length=MAX_EVENTS_PER_ITEM)] = []
    unique_key: str | None = None
    site_id: SentId | None = None
    app_id: SentId | None = None
    session_duration: Annotated[int, Meta(ge=0, le=2**40)] | None = None

    def identifiers(self, default_compartment: str) -> tuple[Identifier, ...]:
        """The identifiers of both forms, merged, each once (decision 1).

        Raises:
            CallerError: one of them is incomplete, or there are too many.
        """
        return _merged(self, default_compartment, MAX_IDENTIFIERS)

    def is_whole(self) -> bool:
        """Whether it is an activity as it stands, and not events of a session or live window (decision 12)."""
        return self.session_status in ("NO_SESSION", "CLOSED_SESSION")

    def has_two_channels(self) -> bool:
        """Whether it names a site and an app."""
        return has_text(self.site_id) and has_text(self.app_id)

    def channel_key(self) -> str:
        """`site:<id>`, `app:<id>`, or "" when the item names no channel."""
        if has_text(self.site_id):
            return f"site:{self.site_id}"
        return f"app:{self.app_id}" if has_text(self.app_id) else ""


sent_decoder: msgspec.json.Decoder[SentActivity] = msgspec.json.Decoder(SentActivity)


class _Identified(Struct, rename=lambda name: "$" + name, kw_only=True):
    user_agent_id: SentId | None = None
    user_account_id: SentId | None = None
    compartment_id: SentId | None = None
    email_hash: SentEmailHash | None = None
    user_identifiers: list[SentIdentifier] | None = None


_identified_decoder: msgspec.json.Decoder[_Identified] = msgspec.json.Decoder(_Identified)


def identifiers_in(root: bytes, default_compartment: str) -> tuple[Identifier, ...]:
    """The identifiers of an accepted item, read again from its root fields.

    They may be a few more than when it was accepted: under another default compartment two accounts are no longer one.
    """
    return _merged(_identified_decoder.decode(root), default_compartment, 2 * MAX_IDENTIFIERS)


def _merged(sent: SentActivity | _Identified, default_compartment: str, most: int) -> tuple[Identifier, ...]:
    listed = normalise(sent.user_identifiers or (), default_compartment)
    rooted = legacy(
        user_agent_id=sent.user_agent_id,
        user_account_id=sent.user_account_id,
        compartment_id=sent.compartment_id,
        hashed=sent.email_hash,
        default_compartment=default_compartment,
    )
    return unique([*listed, *rooted], most=most)


def parse_unique_key(text: str | None) -> UUID | None:
    """The sender's `$unique_key`; None where it is absent or empty (decision 13).

    Raises:
        CallerError: not a UUID.
    """
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise CallerError("not a UUID", code="bad_field", path="$.$unique_key") from None
