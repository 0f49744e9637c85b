"""Activity analyzers: user code that changes or drops an activity (mediarithmics 6; decisions 27 and 28)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from engine.model.types import Id, Name

RecoveryStrategy = Literal["STORE_WITH_ERROR_ID", "STORE_WITH_ERROR_ID_AND_SKIP_UPCOMING_ANALYZERS", "DROP"]

PropertyType = Literal[
    "ASSET",
    "ASSET_FILE",
    "ASSET_FOLDER",
    "DATA_FILE",
    "URL",
    "STRING",
    "AD_LAYOUT",
    "STYLE_SHEET",
    "PIXEL_TAG",
    "DOUBLE",
    "BOOLEAN",
    "INT",
    "RECOMMENDER",
    "NATIVE_DATA",
    "NATIVE_TITLE",
    "NATIVE_IMAGE",
]


class AnalyzerProperty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A property of an analyzer as its plugin reads it (6.3)."""

    technical_name: Annotated[Name, Meta(min_length=1, description="What the plugin knows it by.")]
    property_type: Annotated[PropertyType, Meta(description="What its value looks like.")] = "STRING"
    value: Annotated[
        dict[str, Any],
        Meta(
            description="{ value = … } of a STRING, INT, DOUBLE or BOOLEAN, { url = … } of a URL,"
            " { uri = … } of a DATA_FILE."
        ),
    ] = field(default_factory=dict)


class Analyzer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An analyzer: either `callable` or `url` is given."""

    id: Annotated[Id, Meta(description="What `$error_analyzer_id` says when it fails; the platform uses numbers.")]
    name: Annotated[Name, Meta(description="For people.")] = ""
    callable: Annotated[
        Name, Meta(description="`package.module:function` in Python; it takes the activity and the properties.")
    ] = ""
    fast: Annotated[
        bool,
        Meta(
            description="The callable runs in the loop itself: only for one that takes microseconds and never waits."
            " Nothing can stop it; others run in processes of their own and are killed at the timeout."
        ),
    ] = False
    url: Annotated[Name, Meta(description="Base address of an HTTP plugin; it is asked at /v1/activity_analysis.")] = ""
    error_recovery_strategy: Annotated[
        RecoveryStrategy,
        Meta(description="When it fails: go on without its changes, skip all analyzers behind it, or do not store."),
    ] = "STORE_WITH_ERROR_ID"
    timeout_ms: Annotated[
        int, Meta(ge=1, le=600_000, description="Of one call; one that takes longer has failed. A retry has it anew.")
    ] = 5000
    max_calls: Annotated[
        int, Meta(ge=1, le=10_000, description="Calls of a plugin that are open at a time; others wait in a line.")
    ] = 64
    properties: tuple[AnalyzerProperty, ...] = field(default=(), name="property")
    worker_id: Annotated[
        Name, Meta(description="With `token`, what the plugin calls back with; empty: it may not.")
    ] = ""
    token: Annotated[Name, Meta(description="Long and random; only the plugin and this server know it.")] = ""
    group_id: Annotated[Name, Meta(description="What the plugin reads about itself; for people.")] = ""
    artifact_id: Annotated[Name, Meta(description="Likewise.")] = ""
    version_value: Annotated[Name, Meta(description="Likewise.")] = ""

    def __repr__(self) -> str:
        return f"Analyzer(id={self.id!r}, callable={self.callable!r}, url={self.url!r})"
