"""From what is kept, what the settings say and what is to be applied, to what holds and what is written for it.

Reading blocks; the rest is a function of its arguments, but for the tokens it makes.
"""

import secrets
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from engine.definitions.access import ApiToken
from engine.definitions.checking import faults_of
from engine.definitions.datamart import Datamart
from engine.definitions.declared.datamarts import DatamartDefinition, Declared
from engine.definitions.defined import Defined
from engine.definitions.difference import Change, Difference, MadeToken
from engine.definitions.effective import Base, Effective, effective
from engine.definitions.kept import (
    DEFINITION_PREFIX,
    HEAD_PREFIX,
    Head,
    Kept,
    Key,
    Rows,
    changed,
    definition_key,
    older_prefix,
    read_head,
    read_kept,
)
from engine.definitions.registry import Registry, Settled, settle
from engine.definitions.restored import Restored, SetAside, restored
from engine.definitions.rows import (
    CHANNEL_PREFIX,
    DATAMART_PREFIX,
    TOKEN_PREFIX,
    channel_row,
    datamart_row,
    read_channel,
    read_datamart,
    read_token,
)
from engine.definitions.signing import SigningKey
from engine.errors import BadDefinition, BadSettings
from engine.model.channel import ChannelSettings
from engine.model.identity_rules import IdentityRules
from engine.pipeline.chain import build_program
from engine.pipeline.stage import Program
from engine.programs import compiled, salvaged
from engine.settings import DatamartSettings, Settings
from engine.store.checks import check
from engine.store.port import Db, Delete, Operation, Put, Store

PUBLIC_TOKEN_BYTES: Final = 12
"""Of a public token, which stands in every page: it need not be secret, only nobody else's."""

PAGE = 10_000


class _Bases(dict[int, Base]):
    """What the settings say, by the id of a datamart; also of one that they do not name."""

    def __init__(self, settings: Settings) -> None:
        self._identity = settings.identity
        super().__init__({one.id: base_of(one, settings.identity) for one in settings.datamarts})

    def __missing__(self, datamart: int) -> Base:
        return Base(id=datamart, identity=self._identity)


class Stored(Struct):
    """All that is kept of definitions, but for older versions.

    Attributes:
        heads, kept: what was applied.
        damaged: rows of it that cannot be read.
    """

    datamarts: list[Datamart] = field(default_factory=list)
    channels: list[ChannelSettings] = field(default_factory=list)
    tokens: list[ApiToken] = field(default_factory=list)
    heads: dict[int, Head] = field(default_factory=dict)
    kept: dict[Key, Kept] = field(default_factory=dict)
    damaged: list[SetAside] = field(default_factory=list)


class Holding(Struct, frozen=True):
    """What holds.

    Attributes:
        registry: datamarts and channels.
        programs: of every known datamart.
        aside: definitions that are kept and cannot be used, by datamart.
        applied: what is applied in each datamart, as far as it can be used.
        heads: of those.
    """

    registry: Registry
    programs: Mapping[int, Program]
    aside: Mapping[int, tuple[SetAside, ...]]
    applied: Mapping[int, DatamartDefinition]
    heads: Mapping[int, Head]


class Plan(Struct, frozen=True):
    """What is to hold, and what is to be written before it does.

    Attributes:
        holding: what is to hold.
        rows: the rows of what is applied.
        settled: datamarts and channels that are new or changed by it.
        difference: what is declared against what was applied.
    """

    holding: Holding
    rows: tuple[Rows, ...]
    settled: Settled
    difference: Difference

    def definition_operations(self) -> list[Operation]:
        """What writes the definitions alone; the next start does the rest."""
        found: list[Operation] = []
        for rows in self.rows:
            found += (_put(row) for row in rows.put)
            found += (Delete(Db.DEFINITIONS, key) for key in rows.delete)
        return found

    def operations(self) -> list[Operation]:
        """All that is to be written, in one transaction; nothing where nothing changes."""
        return [
            *(_put(datamart_row(one)) for one in self.settled.datamarts),
            *(_put(channel_row(one)) for one in self.settled.channels),
            *self.definition_operations(),
        ]


def load(store: Store) -> Stored:
    """Read what is kept. Blocks.

    Raises:
        ValueError: a datamart, a channel or a token is damaged.
    """
    found = Stored(
        datamarts=[read_datamart(value) for _, value in _rows(store, DATAMART_PREFIX)],
        channels=[read_channel(value) for _, value in _rows(store, CHANNEL_PREFIX)],
        tokens=[read_token(value) for _, value in _rows(store, TOKEN_PREFIX)],
    )
    for key, value in _rows(store, HEAD_PREFIX):
        datamart = int.from_bytes(key.removeprefix(HEAD_PREFIX), "big")
        try:
            found.heads[datamart] = read_head(value)
        except ValueError as error:
            found.damaged.append(SetAside(datamart, "", "", str(error)))
    for _, value in _rows(store, DEFINITION_PREFIX):
        try:
            kept = read_kept(value)
        except ValueError:
            continue  # Where it is in use, it will be missed there.
        found.kept[kept.datamart, kept.kind, kept.id] = kept
    return found


def versions_of(store: Store, key: Key) -> list[Kept]:
    """The versions of a definition that are kept, newest first. Blocks."""
    newest = store.get(Db.DEFINITIONS, definition_key(key))
    older = [read_kept(value) for _, value in _rows(store, older_prefix(key))]
    return [] if newest is None else [read_kept(newest), *reversed(older)]


def plan(
    stored: Stored, settings: Settings, declared: Declared | None, now_ms: int, current: Holding | None = None
) -> Plan:
    """What holds once `declared` is applied.

    Args:
        stored: what is kept.
        settings: the base of what holds.
        declared: what is to be applied; None for nothing.
        now_ms: wall time.
        current: what holds now: the programs of datamarts in which nothing changes run on.

    Raises:
        BadDefinition: what is declared cannot work.
        BadSettings: two of what holds have the same token or tracker key, though nothing is declared.
    """
    bases = _Bases(settings)
    rows_of = declared.datamarts if declared is not None else ()
    if declared is not None:
        faults = faults_of(
            declared,
            lambda one: [channel.key for channel in bases[one].channels],
            _workers(stored, {one.id for one in rows_of}),
        )
        if faults:
            raise BadDefinition(faults)
    heads = dict(stored.heads)
    changes: list[Change] = []
    rows: list[Rows] = []
    for one in rows_of:
        next_one = changed(one, stored.heads.get(one.id), stored.kept, now_ms)
        heads[one.id] = next_one.head
        changes += next_one.changes
        rows.append(next_one.rows)
    holding, programs, aside, applied = _holding(stored, bases, rows_of, heads, current)
    settled = _settle(stored, settings, holding, is_apply=declared is not None)
    for mart in settled.registry.datamarts():
        if mart.id not in programs:
            programs[mart.id] = build_program(
                Defined(datamart=mart.id, default_compartment=mart.default_compartment, identity=settings.identity)
            )
    made = tuple(_made(stored, settled, {one.id for one in rows_of}, holding))
    found = Plan(
        Holding(settled.registry, programs, aside, applied, heads),
        tuple(rows),
        settled,
        Difference(tuple(changes), made=made),
    )
    try:
        check(found.definition_operations())
    except ValueError as error:
        raise BadDefinition([("", f"a definition is too large to be kept: {error}")]) from error
    return found


def _workers(stored: Stored, declared: Collection[int]) -> Iterator[tuple[int, str, str]]:
    """Who plugins of the other datamarts are."""
    for datamart, head in stored.heads.items():
        if datamart not in declared:
            for one in restored(head, stored.kept).definition.analyzers:
                if one.worker_id:
                    yield datamart, one.worker_id, one.token


def _holding(
    stored: Stored,
    bases: _Bases,
    declared: Sequence[DatamartDefinition],
    heads: Mapping[int, Head],
    current: Holding | None,
) -> tuple[dict[int, Effective], dict[int, Program], dict[int, tuple[SetAside, ...]], dict[int, DatamartDefinition]]:
    """What holds by datamart, its program, what is set aside, and what is applied."""
    holding: dict[int, Effective] = {}
    programs: dict[int, Program] = {}
    aside: dict[int, tuple[SetAside, ...]] = {}
    applied: dict[int, DatamartDefinition] = {}
    faults: list[tuple[str, str]] = []
    for index, one in enumerate(declared):
        applied[one.id], holding[one.id] = one, effective(bases[one.id], one, heads[one.id].version)
        running = current.programs.get(one.id) if current is not None and not current.aside.get(one.id) else None
        if running is not None and running.defined.version == heads[one.id].version:
            programs[one.id] = running
            continue
        try:
            programs[one.id] = compiled(holding[one.id].defined, one, f"datamart[{index}]")
        except BadDefinition as error:
            faults += error.faults
    if faults:
        raise BadDefinition(faults)
    damaged = {one.datamart: one for one in stored.damaged}
    for datamart in (*bases, *heads, *damaged):
        if datamart in holding:
            continue
        base = bases[datamart]
        if datamart in damaged:
            found = Restored(DatamartDefinition(id=datamart), 0, (damaged[datamart],))
        elif datamart in heads:
            found = restored(heads[datamart], stored.kept)
            applied[datamart] = found.definition
        else:
            found = Restored(DatamartDefinition(id=datamart), 0)
        if current is not None and datamart in current.programs:
            programs[datamart], aside[datamart] = current.programs[datamart], current.aside.get(datamart, ())
            holding[datamart] = effective(base, found.definition, found.version)
        else:
            holding[datamart], programs[datamart], aside[datamart] = salvaged(base, found)
    return holding, programs, {one: rows for one, rows in aside.items() if rows}, applied


def _settle(stored: Stored, settings: Settings, holding: Mapping[int, Effective], *, is_apply: bool) -> Settled:
    try:
        return settle(
            stored_datamarts=stored.datamarts,
            stored_channels=stored.channels,
            declared_datamarts=[one.datamart for one in holding.values()],
            declared_channels=[
                settings.channel(datamart, channel) for datamart, one in holding.items() for channel in one.channels
            ],
            signing_keys=[
                SigningKey(id=key.id, secret=key.secret, datamart=one.id, channel=key.channel)
                for one in settings.datamarts
                for key in one.signing_keys
            ],
            new_token=lambda: secrets.token_hex(PUBLIC_TOKEN_BYTES),
            new_tracker_key=lambda: str(uuid.uuid4()),
        )
    except BadSettings as error:
        if is_apply:
            raise BadDefinition([("", str(error))]) from error
        raise


def _made(
    stored: Stored, settled: Settled, datamarts: set[int], holding: Mapping[int, Effective]
) -> Iterator[MadeToken]:
    """Tokens and tracker keys that were made for what is new in these datamarts."""
    known = {(one.datamart, one.key) for one in stored.channels}
    for one in settled.channels:
        if one.datamart not in datamarts or (one.datamart, one.key) in known:
            continue
        said = next((channel for channel in holding[one.datamart].channels if channel.key == one.key), None)
        for name in ("token", "tracker_key"):
            if said is None or not getattr(said, name):
                yield MadeToken(one.datamart, "channel", one.key, name, getattr(one, name))
    for mart in settled.datamarts:
        if mart.id not in datamarts:
            continue
        before = next((one for one in stored.datamarts if one.id == mart.id), None)
        if before is None and not holding[mart.id].datamart.token:
            yield MadeToken(mart.id, "datamart", str(mart.id), "token", mart.token)
        had = {one.id for one in before.compartments} if before else set()
        given = {one.id for one in holding[mart.id].datamart.compartments if one.token}
        for compartment in mart.compartments:
            if not compartment.removed and compartment.id not in had | given:
                yield MadeToken(mart.id, "compartment", compartment.id, "token", compartment.token)


def base_of(datamart: DatamartSettings, identity: IdentityRules) -> Base:
    """What the settings say of a datamart, and of identifiers in all of them."""
    return Base(
        id=datamart.id,
        name=datamart.name,
        default_compartment=datamart.default_compartment,
        token=datamart.token,
        redirect_hosts=datamart.redirect_hosts,
        channels=datamart.channels,
        compartments=datamart.compartments,
        identity=identity,
    )


def _rows(store: Store, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    after: bytes | None = None
    while rows := store.page(Db.DEFINITIONS, prefix=prefix, after=after, limit=PAGE):
        yield from rows
        after = rows[-1][0]


def _put(row: tuple[bytes, bytes]) -> Put:
    return Put(Db.DEFINITIONS, *row)
