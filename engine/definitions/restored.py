"""What was applied, read back from what is kept. A row that this version cannot read is set aside, not the rest."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.definitions.declared.datamarts import Channel, DatamartDefinition
from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.kept import Head, Kept, Key, in_use, value_of
from engine.definitions.kinds import CHANNEL, COMPARTMENT, DEFINED, HEAD, KINDS, SCHEMA, DatamartHead


class SetAside(Struct, frozen=True):
    """A definition that is kept and cannot be used.

    Attributes:
        datamart, kind, id: which one; kind and id are "" for all of the datamart.
        why: what is wrong with it.
    """

    datamart: int
    kind: str
    id: str
    why: str


class Restored(Struct, frozen=True):
    """What was applied in a datamart.

    Attributes:
        definition: what of it can be used.
        version: of all of it.
        aside: what cannot.
    """

    definition: DatamartDefinition
    version: int
    aside: tuple[SetAside, ...] = ()


def restored(head: Head, kept: Mapping[Key, Kept]) -> Restored:
    """What was applied in a datamart, as far as it can be read."""
    values: dict[str, list[Any]] = {name: [] for name in KINDS}
    aside: list[SetAside] = []
    for kind, name, row in in_use(head, kept):
        try:
            if row is None:
                raise ValueError("its row is not there")
            values[kind].append(value_of(row))
        except (ValueError, KeyError) as error:
            aside.append(SetAside(head.datamart, kind, name, str(error)))
    own = next(iter(values[HEAD.name]), DatamartHead(id=str(head.datamart)))
    fields: dict[str, Any] = {kind.field: tuple(values[kind.name]) for kind in DEFINED}
    for one in (CHANNEL, COMPARTMENT):
        fields[one.field] = tuple(values[one.name]) if one.name in own.says else None
    fields["schema"] = next(iter(values[SCHEMA.name]), SchemaMapping())
    definition = DatamartDefinition(
        id=head.datamart,
        name=own.name,
        default_compartment=own.default_compartment,
        token=own.token,
        redirect_hosts=own.redirect_hosts,
        **fields,
    )
    return Restored(definition, head.version, tuple(aside))


def without(definition: DatamartDefinition, kind: str, index: int) -> DatamartDefinition:
    """The same without one definition, and without its attachment to channels."""
    field = KINDS[kind].field
    rows = getattr(definition, field)
    gone = rows[index]
    changed: dict[str, Any] = {field: (*rows[:index], *rows[index + 1 :])}
    attached = {"analyzer": "analyzers", "processing": "processings"}.get(kind)
    if attached and definition.channels:
        changed["channels"] = tuple(_detached(one, attached, gone.id) for one in definition.channels)
    fields = {name: getattr(definition, name) for name in definition.__struct_fields__}
    return DatamartDefinition(**(fields | changed))


def _detached(channel: Channel, field: str, gone: str) -> Channel:
    fields = {name: getattr(channel, name) for name in channel.__struct_fields__}
    return Channel(**(fields | {field: tuple(one for one in fields[field] if one != gone)}))
