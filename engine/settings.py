"""Settings: one frozen Struct a section, read from a TOML file and the environment. What is not known is refused.

Each key's type carries its range and its reason. `settings_reference` prints them, errors quote them, and a test reads
the reference back. A key comes from, the later winning: its default, the file, `SOJOURN_<SECTION>__<KEY>` in the
environment (two underscores between the parts), what the command line overrides.
"""

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field, structs

from engine.errors import BadSettings
from engine.model.channel import ChannelKind, ChannelSettings
from engine.model.described import as_toml, from_data, is_text, keys_of
from engine.model.identity_rules import IdentityRules
from engine.model.limits import MAX_DATAMART

ENV_PREFIX: Final = "SOJOURN_"
ADMIN_TOKEN_VARIABLE: Final = "SOJOURN_ADMIN_TOKEN"
SITE_TOKEN_VARIABLE: Final = "SOJOURN_SITE_TOKEN"

_SECOND_MS: Final = 1000
_HOUR_MS: Final = 3600 * _SECOND_MS
_DAY_MS: Final = 24 * _HOUR_MS
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
_CHANNEL: Final = ChannelSettings(datamart=1, kind="SITE", id="1")

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")]
Name = Annotated[str, Meta(max_length=255)]
Token = Annotated[str, Meta(max_length=255, pattern=r"^[A-Za-z0-9_.~+/=-]*$")]
HostName = Annotated[str, Meta(max_length=253, pattern=r"^[^\s/:@]*$")]
Address = Annotated[str, Meta(min_length=1, max_length=255)]
Port = Annotated[int, Meta(ge=0, le=65535)]
GapMs = Annotated[int, Meta(ge=1, le=_DAY_MS)]
GraceMs = Annotated[int, Meta(ge=0, le=_HOUR_MS)]
MaxSessionMs = Annotated[int, Meta(ge=1, le=30 * _DAY_MS)]
LiveWindowMs = Annotated[int, Meta(ge=1, le=_HOUR_MS)]
ActivityChars = Annotated[int, Meta(ge=500, le=1_000_000)]
Days = Annotated[int, Meta(ge=1, le=3660)]
Bytes = Annotated[int, Meta(ge=64 * 1024, le=1 << 46)]
Seconds = Annotated[float, Meta(ge=0.1, le=3600)]
Number = Annotated[int, Meta(ge=1, le=1_000_000)]


class SessionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What joins, cuts and closes sessions; a channel may say otherwise, all but `max_future_ms`."""

    gap_ms: Annotated[GapMs, Meta(description="Silence that ends a session: 30 minutes.")] = _CHANNEL.gap_ms
    grace_ms: Annotated[
        GraceMs,
        Meta(
            description="How long an event may come behind others and still fall in its place. 0 cuts on arrival, for"
            " senders that send at once; a log that is out of order wants as much as it is."
        ),
    ] = _CHANNEL.grace_ms
    max_session_ms: Annotated[
        MaxSessionMs, Meta(description="Longest session: 24 hours. A page that reloads itself never falls silent.")
    ] = _CHANNEL.max_session_ms
    live_window_ms: Annotated[
        LiveWindowMs, Meta(description="How long LIVE events gather before they are one activity.")
    ] = _CHANNEL.live_window_ms
    max_activity_chars: Annotated[
        ActivityChars, Meta(description="Size limit of an activity, in code points of its compact JSON.")
    ] = _CHANNEL.max_activity_chars
    max_future_ms: Annotated[
        int,
        Meta(
            ge=0, le=366 * _DAY_MS, description="How far ahead an event's time may be: an hour forgives a wrong clock."
        ),
    ] = _HOUR_MS


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
    ] = 8 * _GIB
    max_pending_write_bytes: Annotated[
        Bytes, Meta(description="Waiting for its commit: a second or two of a disk that still keeps up.")
    ] = 64 * _MIB
    mailbox_messages: Annotated[
        Number, Meta(description="Requests that wait for one user point; more come from a robot, or a loop.")
    ] = 64
    mailbox_bytes: Annotated[
        Bytes, Meta(description="The same in bytes. An empty mailbox takes any legal request, however large.")
    ] = _MIB


class StorageSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The LMDB environment, and how long things are kept in it."""

    data_dir: Annotated[
        Address, Meta(description="Folder of the store, on a local disk: LMDB does not bear network ones.")
    ] = "data"
    map_size_bytes: Annotated[
        Bytes, Meta(description="Address space of the map at the start. The file is only as large as what is in it.")
    ] = 64 * _GIB
    max_map_size_bytes: Annotated[
        Bytes, Meta(description="A full map doubles until here; beyond, senders hear 503 as with a full disk.")
    ] = 1024 * _GIB
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


class CollectSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public plane, where events come in."""

    host: Annotated[
        Address, Meta(description="Address to listen on. Local by default: nothing is public until somebody says so.")
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="0 picks a free one.")] = 8080
    max_body_bytes: Annotated[
        Bytes, Meta(description="Largest body: 100 activities of 8000 characters fit even at four bytes a character.")
    ] = 4 * _MIB
    body_timeout_s: Annotated[
        Seconds, Meta(description="How long a body may take: 4 MiB from a slow phone, but no connection held for ever.")
    ] = 30.0


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
    stage_concurrency: Annotated[Number, Meta(description="Calls that a waiting stage has open at a time.")] = 16
    max_restarts: Annotated[
        Number, Meta(description="Restarts of a stage or the writer within the window; one more ends the process.")
    ] = 5
    restart_window_s: Annotated[Seconds, Meta(description="That window: a passing fault is over in it.")] = 60.0
    quarantine_failures: Annotated[
        Number, Meta(description="Failures of one user point within the window that set it aside.")
    ] = 5
    quarantine_window_ms: Annotated[int, Meta(ge=1, le=_DAY_MS, description="That window: a minute.")] = 60 * _SECOND_MS
    quarantine_ms: Annotated[
        int, Meta(ge=1, le=_DAY_MS, description="How long it is set aside; its events are dead letters meanwhile.")
    ] = 600 * _SECOND_MS
    drain_requests_s: Annotated[Seconds, Meta(description="At a stop: for requests in flight to be answered.")] = 5.0
    drain_chain_s: Annotated[
        Seconds,
        Meta(description="Then for actors and stages to hand on what has closed; the rest stays in the journal."),
    ] = 10.0
    drain_store_s: Annotated[Seconds, Meta(description="Then for the last commit, on a slow disk.")] = 10.0


class ChannelDeclaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site or an application. Changing one starts a new version of it: what came before keeps the old rules."""

    id: Annotated[Id, Meta(description="What `$site_id` or `$app_id` says.")]
    kind: Annotated[ChannelKind, Meta(description="A site's sessions are SITE_VISIT, an application's APP_VISIT.")] = (
        "SITE"
    )
    name: Annotated[Name, Meta(description="For people.")] = ""
    token: Annotated[Token, Meta(description="Public token for collecting; empty: made once, then kept.")] = ""
    domain: Annotated[HostName, Meta(description="The site's own host: coming from there is no new visit.")] = ""
    aliases: Annotated[tuple[HostName, ...], Meta(description="Its other hosts.")] = ()
    gap_ms: Annotated[GapMs | None, Meta(description="Unless given, as in [session].")] = None
    grace_ms: Annotated[GraceMs | None, Meta(description="Likewise.")] = None
    max_session_ms: Annotated[MaxSessionMs | None, Meta(description="Likewise.")] = None
    live_window_ms: Annotated[LiveWindowMs | None, Meta(description="Likewise.")] = None
    max_activity_chars: Annotated[ActivityChars | None, Meta(description="Likewise.")] = None


class DatamartSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A datamart: people, and what they did, apart from all others. What is left out of the list keeps its data."""

    id: Annotated[int, Meta(ge=1, le=MAX_DATAMART, description="Part of every address and of every key.")]
    name: Annotated[Name, Meta(description="For people.")] = ""
    default_compartment: Annotated[Id, Meta(description="Namespace of accounts sent without `$compartment_id`.")] = "1"
    token: Annotated[Token, Meta(description="Public token for collecting; empty: made once, then kept.")] = ""
    channels: tuple[ChannelDeclaration, ...] = field(default=(), name="channel")


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of an engine and its gateway."""

    session: SessionSettings = SessionSettings()
    identity: IdentityRules = IdentityRules()
    limits: LimitsSettings = LimitsSettings()
    storage: StorageSettings = StorageSettings()
    collect: CollectSettings = CollectSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    actors: ActorsSettings = ActorsSettings()
    datamarts: tuple[DatamartSettings, ...] = field(
        default=(DatamartSettings(id=1, channels=(ChannelDeclaration(id="1"),)),), name="datamart"
    )

    def __post_init__(self) -> None:
        channels = [(datamart.id, one) for datamart in self.datamarts for one in datamart.channels]
        tokens = [self.api.admin_token, *(one.token for one in self.datamarts), *(one.token for _, one in channels)]
        _refuse_repeats("datamart", (datamart.id for datamart in self.datamarts))
        _refuse_repeats("channel", (f"{datamart}/{one.kind}/{one.id}" for datamart, one in channels))
        if len(given := [token for token in tokens if token]) > len(set(given)):
            raise ValueError("a token is given twice: each channel, datamart and admin needs one of their own")
        if not self.datamarts:
            raise ValueError("at least one datamart is needed")
        if self.collect.port and (self.collect.host, self.collect.port) == (self.api.host, self.api.port):
            raise ValueError("collect and api need different ports")

    def declared_channels(self) -> list[ChannelSettings]:
        """The declared channels with the session rules that hold for each; tokens may be missing, versions are 1."""
        return [self._channel(datamart.id, one) for datamart in self.datamarts for one in datamart.channels]

    def _channel(self, datamart: int, declared: ChannelDeclaration) -> ChannelSettings:
        rules = structs.asdict(self.session) | {
            key: value for key, value in structs.asdict(declared).items() if value is not None
        }
        del rules["max_future_ms"]
        return ChannelSettings(datamart=datamart, **rules)


def _refuse_repeats(what: str, ids: Iterable[int] | Iterable[str]) -> None:
    seen: set[int | str] = set()
    for one in ids:
        if one in seen:
            raise ValueError(f"{what} {one} is declared twice")
        seen.add(one)


def load_settings(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Settings:
    """Read the settings.

    Args:
        path: a TOML file, or None for the defaults.
        environ: the process environment. An empty variable counts as not set.
        overrides: what the command line says, by dotted key, such as `{"storage.data_dir": "data"}`.

    Raises:
        BadSettings: the file cannot be read, or a key is unknown, of the wrong type or out of range.
    """
    return _Loader(path).load(environ, overrides or {})


def settings_reference() -> str:
    """A TOML file with every key, its default, what is allowed and the reason."""
    return as_toml(Settings())


_VARIABLES: Final = (
    ADMIN_TOKEN_VARIABLE,
    SITE_TOKEN_VARIABLE,
    *(ENV_PREFIX + key.replace(".", "__").upper() for key in keys_of(Settings)),
)
"""What the environment may set."""


class _Loader:
    """One reading of the settings. `_from` remembers what did not come from the file, so that errors name the place."""

    def __init__(self, path: Path | None) -> None:
        self._file = str(path) if path else "settings"
        self._data: dict[str, Any] = self._read(path) if path else {}
        self._from: dict[str, str] = {}

    def load(self, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
        site_token = ""
        for name, text in sorted(environ.items()):
            if not name.startswith(ENV_PREFIX) or not text:
                continue
            if name == SITE_TOKEN_VARIABLE:
                site_token = text
            elif name == ADMIN_TOKEN_VARIABLE:
                self._set("api.admin_token", text, name)
            elif "__" in name:
                key = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
                self._set(key, self._parse(key, text), name)
            elif near := get_close_matches(name, _VARIABLES, n=1, cutoff=0.9):
                # Others without "__" are not ours to refuse: scripts have variables of their own.
                raise BadSettings(f"environment: unknown variable {name}; did you mean {near[0]}?")
        for key, value in overrides.items():
            self._set(key, value, "command line")
        settings = from_data(Settings, self._data, place=self._place)
        return _with_site_token(settings, site_token) if site_token else settings

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadSettings(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSettings(f"{path}: not a TOML file: {error}") from error

    def _set(self, key: str, value: object, place: str) -> None:
        self._from[key] = place
        *tables, last = key.split(".")
        table = self._data
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise BadSettings(f"{place}: cannot set {key}: {name} is no table")
        table[last] = value

    def _parse(self, key: str, text: str) -> object:
        """Text of the environment as the key's type wants it: as it is, or as TOML would have it."""
        if is_text(Settings, key):
            return text
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text  # Of the wrong type, as the error will say with what is allowed.

    def _place(self, key: str) -> str:
        place = next((place for one, place in self._from.items() if f"{one}.".startswith(f"{key}.")), self._file)
        return f"{place}: {key}" if key else self._file


def _with_site_token(settings: Settings, token: str) -> Settings:
    data = msgspec.to_builtins(settings)
    site = next((one for one in data["datamart"][0]["channel"] if one["kind"] == "SITE"), None)
    if site is None:
        raise BadSettings(f"{SITE_TOKEN_VARIABLE}: the first datamart has no site")
    site["token"] = token
    return from_data(Settings, data, place=lambda key: f"{SITE_TOKEN_VARIABLE}: {key}" if key else SITE_TOKEN_VARIABLE)
