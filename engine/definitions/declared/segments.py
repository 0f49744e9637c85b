"""Segments: lists of persons (mediarithmics 4.2 and 8.2)."""

from typing import Annotated

from msgspec import Meta, Struct

from engine.model.types import DAY_MS, Id, Name


class Segment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A segment; a pixel names it by its technical name. Membership ends after `expires_ms` where that is given."""

    id: Id
    name: Name = ""
    technical_name: Name = ""
    expires_ms: Annotated[int, Meta(ge=1, le=3650 * DAY_MS)] | None = None
