"""Activity analyzers: user code that changes or drops an activity (mediarithmics 6; decisions 27 and 28)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from engine.model.types import Id, Name

RecoveryStrategy = Literal["STORE_WITH_ERROR_ID", "STORE_WITH_ERROR_ID_AND_SKIP_UPCOMING_ANALYZERS", "DROP"]


class AnalyzerProperty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A property of an analyzer as its plugin reads it (6.3)."""

    technical_name: Name
    property_type: str = "STRING"
    value: dict[str, Any] = field(default_factory=dict)


class Analyzer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An analyzer: either `callable` or `url` is given.

    Attributes:
        id, name: of the analyzer. An SDK wants a number as id.
        callable: `package.module:function` in Python, or "".
        fast: the callable runs in the loop itself: only for one that takes microseconds and never waits.
        url: base address of an HTTP plugin (6.4), or "".
        error_recovery_strategy: what happens when it fails (6.5).
        timeout_ms, max_calls: of one call; calls open at a time.
        properties: what the plugin reads about itself.
        worker_id, token: the plugin's credentials when it calls back (6.4); without them it may not.
    """

    id: Id
    name: Name = ""
    callable: str = ""
    fast: bool = False
    url: str = ""
    error_recovery_strategy: RecoveryStrategy = "STORE_WITH_ERROR_ID"
    timeout_ms: Annotated[int, Meta(ge=1, le=600_000)] = 5000
    max_calls: Annotated[int, Meta(ge=1, le=10_000)] = 64
    properties: tuple[AnalyzerProperty, ...] = field(default=(), name="property")
    worker_id: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Analyzer(id={self.id!r}, callable={self.callable!r}, url={self.url!r})"
