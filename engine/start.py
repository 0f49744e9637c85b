"""What a start does before anything is accepted: bring definitions and tokens in line with the settings."""

import secrets
import uuid
from collections.abc import Callable

from msgspec import Struct

from engine.actors.examine import Rules
from engine.clock import Clock
from engine.definitions.access import Keyring, first_token
from engine.definitions.datamart import Compartment, Datamart
from engine.definitions.registry import Registry, settle
from engine.definitions.rows import (
    CHANNEL_PREFIX,
    DATAMART_PREFIX,
    TOKEN_PREFIX,
    channel_row,
    datamart_row,
    read_channel,
    read_datamart,
    read_token,
    token_row,
)
from engine.definitions.signing import SigningKey
from engine.settings import DatamartSettings, Settings
from engine.store.port import Db, Delete, Operation, Put, Store

TOKEN_BYTES = 32
"""Of an admin token: 256 bits of chance."""

PUBLIC_TOKEN_BYTES = 12
"""Of a public token, which stands in every page: it need not be secret, only nobody else's."""

PAGE = 10_000


class Definitions(Struct, frozen=True):
    """What is defined as of this start.

    Attributes:
        registry: datamarts and channels.
        keyring: who may call.
        new_admin_token: when this start made one.
    """

    registry: Registry
    keyring: Keyring
    new_admin_token: str | None

    def default_compartment(self, datamart: int) -> str:
        """The compartment of accounts that name none; also of a datamart that has been removed."""
        return self.registry.default_compartment(datamart)


def rules_of(definitions: Definitions, settings: Settings) -> Callable[[int], Rules | None]:
    """What items are checked against, by datamart; None for one that takes no events."""
    registry, session = definitions.registry, settings.session
    found = {
        one.id: Rules(
            channel={channel.key: channel for channel in registry.channels(one.id)}.get,
            default_compartment=one.default_compartment,
            max_future_ms=session.max_future_ms,
            max_activity_chars=session.max_activity_chars,
        )
        for one in registry.datamarts()
        if registry.accepts(one.id)
    }
    return found.get


def prepare(store: Store, settings: Settings, clock: Clock) -> Definitions:
    """Read what is defined, add what the settings declare, save the difference. Blocks.

    Raises:
        BadSettings: two of the declared have the same token or tracker key.
        StoreFull, StoreBroken: the difference cannot be saved.
    """
    settled = settle(
        stored_datamarts=[read_datamart(value) for value in _rows(store, DATAMART_PREFIX)],
        stored_channels=[read_channel(value) for value in _rows(store, CHANNEL_PREFIX)],
        declared_datamarts=[_declared(one) for one in settings.datamarts],
        declared_channels=settings.declared_channels(),
        signing_keys=[
            SigningKey(id=key.id, secret=key.secret, datamart=one.id, channel=key.channel)
            for one in settings.datamarts
            for key in one.signing_keys
        ],
        new_token=lambda: secrets.token_hex(PUBLIC_TOKEN_BYTES),
        new_tracker_key=lambda: str(uuid.uuid4()),
    )
    tokens = [read_token(value) for value in _rows(store, TOKEN_PREFIX)]
    first = first_token(
        tokens,
        settings.api.admin_token,
        new_token=lambda: secrets.token_urlsafe(TOKEN_BYTES),
        created_ms=clock.wall_ms(),
    )
    operations: list[Operation] = [
        *(_put(datamart_row(one)) for one in settled.datamarts),
        *(_put(channel_row(one)) for one in settled.channels),
        *(Delete(Db.DEFINITIONS, token_row(one)[0]) for one in first.remove),
    ]
    if first.save is not None:
        operations.append(_put(token_row(first.save)))
        tokens = [one for one in tokens if one not in first.remove] + [first.save]
    if operations:
        store.commit(operations)
    return Definitions(settled.registry, Keyring(tokens, settled.registry), first.show)


def _declared(datamart: DatamartSettings) -> Datamart:
    return Datamart(
        id=datamart.id,
        name=datamart.name,
        default_compartment=datamart.default_compartment,
        token=datamart.token,
        compartments=tuple(Compartment(id=one.id, name=one.name, token=one.token) for one in datamart.compartments),
        redirect_hosts=tuple(host.lower() for host in datamart.redirect_hosts),
    )


def _rows(store: Store, prefix: bytes) -> list[bytes]:
    found: list[bytes] = []
    after: bytes | None = None
    while rows := store.page(Db.DEFINITIONS, prefix=prefix, after=after, limit=PAGE):
        found += [value for _, value in rows]
        after = rows[-1][0]
    return found


def _put(row: tuple[bytes, bytes]) -> Put:
    return Put(Db.DEFINITIONS, *row)
