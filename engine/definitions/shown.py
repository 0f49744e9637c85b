"""What is defined now, as a file would say it, for people and scripts. Secrets are masked."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from engine.definitions.datamart import Datamart
from engine.definitions.declared.datamarts import Channel, DatamartDefinition
from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.difference import plain_values
from engine.definitions.kept import Head, Kept, Key, in_use
from engine.definitions.kinds import DEFINED, KINDS, SCHEMA, masked
from engine.definitions.restored import SetAside
from engine.model.channel import ChannelSettings
from engine.model.wire import decode, decoder

_values = decoder(dict[str, Any])


class DefinitionVersion(Struct, frozen=True):
    """A version of a definition.

    Attributes:
        datamart, kind, id: which one.
        version: its number.
        created_ms, changed_ms: wall time of the first version, and of this one.
        removed: whether it is not in use any more.
        value: the definition as plain values; None where only its version is told.
    """

    datamart: int
    kind: str
    id: str
    version: int
    created_ms: int
    changed_ms: int
    removed: bool = False
    value: dict[str, Any] | None = None


class Shown(Struct, frozen=True):
    """All that is defined now.

    Attributes:
        datamart: each as a file would say it, with what the settings say beside it, and the tokens that were made.
        versions: of each definition in use.
        set_aside: what is kept and cannot be used.
    """

    datamart: tuple[dict[str, Any], ...]
    versions: tuple[DefinitionVersion, ...]
    set_aside: tuple[SetAside, ...]


def datamart_shown(
    datamart: Datamart, channels: Iterable[ChannelSettings], applied: DatamartDefinition | None
) -> dict[str, Any]:
    """A datamart as a file would say it.

    Args:
        datamart, channels: as they hold.
        applied: what was applied, as far as it can be used.
    """
    attached = {one.key: one for one in (applied.channels if applied and applied.channels else ())}
    found: dict[str, Any] = {
        "id": datamart.id,
        "name": datamart.name,
        "default_compartment": datamart.default_compartment,
        "token": datamart.token,
        "redirect_hosts": list(datamart.redirect_hosts),
        "channel": [_channel(one, attached.get(one.key)) for one in channels],
        "compartment": [
            {"id": one.id, "name": one.name, "token": one.token} for one in datamart.compartments if not one.removed
        ],
    }
    if applied is not None and applied.schema != SchemaMapping():
        found[SCHEMA.name] = plain_values(SCHEMA, applied.schema)
    for kind in DEFINED:
        rows = getattr(applied, kind.field) if applied is not None else ()
        if rows:
            found[kind.name] = [plain_values(kind, one) for one in rows]
    return found


def versions_shown(heads: Iterable[Head], kept: Mapping[Key, Kept]) -> list[DefinitionVersion]:
    """The version of each definition in use."""
    return [_version(row, None) for head in heads for _, _, row in in_use(head, kept) if row is not None]


def version_shown(kept: Kept) -> DefinitionVersion:
    """One version, with what it says."""
    value = decode(_values, bytes(kept.value))
    kind = KINDS.get(kept.kind)
    return _version(kept, value if kind is None else masked(kind, value))


def _version(kept: Kept, value: dict[str, Any] | None) -> DefinitionVersion:
    return DefinitionVersion(
        kept.datamart, kept.kind, kept.id, kept.version, kept.created_ms, kept.changed_ms, kept.removed, value
    )


def _channel(channel: ChannelSettings, attached: Channel | None) -> dict[str, Any]:
    names = [name for name in ChannelSettings.__struct_fields__ if name not in ("datamart", "version")]
    found: dict[str, Any] = {name: getattr(channel, name) for name in names}
    return found | {
        "analyzers": list(attached.analyzers) if attached else [],
        "processings": list(attached.processings) if attached else [],
    }
