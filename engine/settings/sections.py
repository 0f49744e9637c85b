"""The engine's sections: sessions, bounds, the store, the API, logs, actors."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from engine.model.channel import ChannelSettings
from engine.model.types import (
    DAY_MS,
    GIB,
    HOUR_MS,
    MIB,
    SECOND_MS,
    ActivityChars,
    Address,
    Bytes,
    Days,
    GapMs,
    GraceMs,
    LiveWindowMs,
    MaxSessionMs,
    Number,
    Port,
    Seconds,
    Token,
)

Path = Annotated[str, Meta(max_length=4096)]

CHANNEL: Final = ChannelSettings(datamart=1, kind="SITE", id="1")
"""For the defaults of session rules."""


class SessionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What joins, cuts and closes sessions; a channel may say otherwise, all but `max_future_ms`."""

    gap_ms: Annotated[GapMs, Meta(description="Silence that ends a session: 30 minutes.")] = CHANNEL.gap_ms
    grace_ms: Annotated[
        GraceMs,
        Meta(
            description="How long an event may come behind others and still fall in its place. 0 cuts on arrival, for"
            " senders that send at once; a log that is out of order wants as much as it is."
        ),
    ] = CHANNEL.grace_ms
    max_session_ms: Annotated[
        MaxSessionMs, Meta(description="Longest session: 24 hours. A page that reloads itself never falls silent.")
    ] = CHANNEL.max_session_ms
    live_window_ms: Annotated[
        LiveWindowMs, Meta(description="How long LIVE events gather before they are one activity.")
    ] = CHANNEL.live_window_ms
    max_activity_chars: Annotated[
        ActivityChars, Meta(description="Size limit of an activity, in code points of its compact JSON.")
    ] = CHANNEL.max_activity_chars
    max_future_ms: Annotated[
        int,
        Meta(
            ge=0, le=366 * DAY_MS, description="How far ahead an event's time may be: an hour forgives a wrong clock."
        ),
    ] = HOUR_MS


class LimitsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is taken at a time. At a bound senders hear 503 and `Retry-After`; nothing already taken is lost."""

    max_live_users: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000_000,
            description="User points with something open; about 5 kB of memory each, and their events.",
        ),
    ] = 1_000_000
    max_unstored_activities: Annotated[
        Number, Meta(description="Closed but not yet stored; some 10 kB each, seconds of work for the chain.")
    ] = 50_000
    max_journal_bytes: Annotated[
        Bytes, Meta(description="Records of what is open or on its way; a start reads all of them again.")
    ] = 8 * GIB
    max_pending_write_bytes: Annotated[
        Bytes, Meta(description="Waiting for its commit: a second or two of a disk that still keeps up.")
    ] = 64 * MIB
    mailbox_messages: Annotated[
        Number, Meta(description="Requests that wait for one user point; more come from a robot, or a loop.")
    ] = 64
    mailbox_bytes: Annotated[
        Bytes, Meta(description="The same in bytes. An empty mailbox takes any legal request, however large.")
    ] = MIB


class StorageSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The LMDB environment, and how long things are kept in it."""

    data_dir: Annotated[
        Address, Meta(description="Folder of the store, on a local disk: LMDB does not bear network ones.")
    ] = "data"
    map_size_bytes: Annotated[
        Bytes, Meta(description="Address space of the map at the start. The file is only as large as what is in it.")
    ] = 64 * GIB
    max_map_size_bytes: Annotated[
        Bytes, Meta(description="A full map doubles until here; beyond, senders hear 503 as with a full disk.")
    ] = 1024 * GIB
    metasync: Annotated[
        bool,
        Meta(
            description="false saves one of two syncs of a commit; a power cut may then undo the last one, although it"
            " was acknowledged. A crash of the process alone loses nothing either way."
        ),
    ] = True
    seen_days: Annotated[
        Days, Meta(description="How long event ids are remembered, so that a repeat is a duplicate.")
    ] = 7
    dead_letter_days: Annotated[
        Days, Meta(description="How long what could not be processed is kept: three months to find and mend the cause.")
    ] = 90
    counter_days: Annotated[
        Days, Meta(description="How long counters per minute, hour and day are kept: any three months.")
    ] = 92

    def __post_init__(self) -> None:
        if self.max_map_size_bytes < self.map_size_bytes:
            raise ValueError("max_map_size_bytes is less than map_size_bytes")


class ApiSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The private plane, where activities are read and the engine is managed."""

    host: Annotated[Address, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="0 picks a free one.")] = 8081
    admin_token: Annotated[
        Token,
        Meta(
            description="The first admin token; empty: the first start makes one and prints it once. Only its hash is"
            " stored, so let it be long and random. SOJOURN_ADMIN_TOKEN keeps it out of this file."
        ),
    ] = ""
    default_page: Annotated[Number, Meta(description="Activities of a timeline where the request says no `limit`.")] = (
        50
    )
    max_page: Annotated[
        Number, Meta(description="Higher limits are clamped to this: 8 MB of activities at the very most.")
    ] = 1000
    reader_threads: Annotated[
        int,
        Meta(ge=1, le=64, description="Threads that read pages: enough to keep a disk busy, few enough to bound it."),
    ] = 4


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    format: Annotated[
        Literal["console", "json"], Meta(description="console is for people, json for what collects logs.")
    ] = "console"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="debug also names each session that closes.")
    ] = "info"


class ActorsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The chain's queues, what becomes of actors that fail, and how long a stop may take."""

    stage_queue_lists: Annotated[
        Number,
        Meta(description="Lists that wait before each stage: what it takes at a time. A full one slows closing."),
    ] = 64
    max_restarts: Annotated[
        Number, Meta(description="Restarts of a stage or the writer within the window; one more ends the process.")
    ] = 5
    restart_window_s: Annotated[Seconds, Meta(description="That window: a passing fault is over in it.")] = 60.0
    quarantine_failures: Annotated[
        Number, Meta(description="Failures of one user point within the window that set it aside.")
    ] = 5
    quarantine_window_ms: Annotated[int, Meta(ge=1, le=DAY_MS, description="That window: a minute.")] = 60 * SECOND_MS
    quarantine_ms: Annotated[
        int, Meta(ge=1, le=DAY_MS, description="How long it is set aside; its events are dead letters meanwhile.")
    ] = 600 * SECOND_MS
    drain_requests_s: Annotated[Seconds, Meta(description="At a stop: for requests in flight to be answered.")] = 5.0
    drain_chain_s: Annotated[
        Seconds,
        Meta(description="Then for actors and stages to hand on what has closed; the rest stays in the journal."),
    ] = 10.0
    drain_store_s: Annotated[Seconds, Meta(description="Then for the last commit, on a slow disk.")] = 10.0


class AnalyzersSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What bounds the calls of analyzers, beside what each of them says itself."""

    max_waiting: Annotated[
        Number,
        Meta(
            description="Activities that wait for analyzers, or behind one of the same person that does. Where there"
            " are more, those that have waited longest for the analyzer with the longest line fail: `overloaded`."
        ),
    ] = 10_000
    max_waiting_each: Annotated[
        Number,
        Meta(
            description="Of them, those that one analyzer holds, its open calls included: a burst. Further ones fail at"
            " once, `overloaded`, and its strategy is applied: one that is too slow harms nobody who does not need it."
        ),
    ] = 5000
    retries: Annotated[
        int, Meta(ge=0, le=10, description="Of a call that got 429, 503 or no connection; then the strategy.")
    ] = 3
    max_retry_after_s: Annotated[Seconds, Meta(description="Longest pause that a plugin's `Retry-After` gets.")] = 5.0
    max_answer_bytes: Annotated[
        Bytes, Meta(description="Of one answer: a hundred times the largest activity of default settings.")
    ] = MIB
    breaker_failures: Annotated[
        Number, Meta(description="Failures in a row after which an analyzer is left alone, its strategy applied.")
    ] = 20
    breaker_pause_s: Annotated[
        Seconds, Meta(description="For so long; then one call finds out whether it is back.")
    ] = 30.0
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Processes of one callable that is not fast, 15 MB or more each.")
    ] = 2
    worker_start_s: Annotated[Seconds, Meta(description="For a process to start and import its callable.")] = 30.0
    python_path: Annotated[
        tuple[Address, ...], Meta(description="Folders where callables are looked for, before all others.")
    ] = ()
    data_files: Annotated[
        str,
        Meta(max_length=255, description="Folder of the data files that plugins may read; empty: there are none."),
    ] = ""


class DefinitionsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What datamarts, channels, rules, goals and the like are declared by, beside `[[datamart]]` here."""

    file: Annotated[
        Path,
        Meta(
            description="A TOML file of definitions (`sojourn config --definitions`), applied at each start, and again"
            " at SIGHUP; empty: what was applied last holds."
        ),
    ] = ""
