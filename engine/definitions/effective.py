"""What holds in a datamart: the settings are the base, what is applied goes over them key by key.

A token that the definitions do not give may come from the settings, so that tokens can stay out of a shared file.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, structs

from engine.definitions.datamart import Compartment, Datamart
from engine.definitions.declared.datamarts import Channel, DatamartDefinition
from engine.definitions.defined import Defined
from engine.definitions.kinds import DEFINED
from engine.model.declarations import ChannelDeclaration, CompartmentDeclaration
from engine.model.identity_rules import IdentityRules

OWN_KEYS: Final = ("name", "default_compartment", "token", "redirect_hosts")
"""What settings and definitions both may say of a datamart itself."""


class Base(Struct, frozen=True, kw_only=True):
    """What the settings say of a datamart.

    Attributes:
        defaults: for a datamart that they do not name.
        identity: which identifiers name nobody; the same in all datamarts of an installation.
    """

    id: int
    name: str = ""
    default_compartment: str = "1"
    token: str = ""
    redirect_hosts: tuple[str, ...] = ()
    channels: tuple[ChannelDeclaration, ...] = ()
    compartments: tuple[CompartmentDeclaration, ...] = ()
    identity: IdentityRules = IdentityRules()


class Effective(Struct, frozen=True):
    """What holds.

    Attributes:
        datamart: as it is to be kept.
        channels: as they are declared.
        defined: what the steps are made from.
    """

    datamart: Datamart
    channels: tuple[ChannelDeclaration, ...]
    defined: Defined


def effective(base: Base, applied: DatamartDefinition | None, version: int) -> Effective:
    """What holds in a datamart.

    Args:
        base: what the settings say, or nothing but the id.
        applied: what was applied, or None.
        version: of what was applied; 0 for nothing.
    """
    over = applied or DatamartDefinition(id=base.id)
    said = {name: getattr(over, name) for name in OWN_KEYS if getattr(over, name) is not None}
    own = {name: getattr(base, name) for name in OWN_KEYS} | said
    own["token"] = over.token or base.token
    own["redirect_hosts"] = tuple(host.lower() for host in own["redirect_hosts"])
    compartments = base.compartments if over.compartments is None else _with_tokens(over.compartments, base)
    channels: Sequence[ChannelDeclaration] = base.channels
    if over.channels is not None:
        channels = [_with_keys(one, base) for one in over.channels]
    kept = tuple(Compartment(id=one.id, name=one.name, token=one.token) for one in compartments)
    attached: list[Channel] = [one for one in channels if isinstance(one, Channel)]
    return Effective(
        Datamart(id=base.id, compartments=kept, **own),
        tuple(channels),
        Defined(
            datamart=base.id,
            version=version,
            default_compartment=own["default_compartment"],
            identity=base.identity,
            schema=over.schema,
            analyzers_of={one.key: one.analyzers for one in attached if one.analyzers},
            processings_of={one.key: one.processings for one in attached if one.processings},
            **{kind.field: getattr(over, kind.field) for kind in DEFINED},
        ),
    )


def disagreements(base: Base, applied: DatamartDefinition) -> list[str]:
    """Keys of which settings and definitions both say something, and not the same; the definitions hold."""
    nothing = Base(id=base.id)
    found = [
        name
        for name in OWN_KEYS
        if (said := getattr(applied, name)) not in (None, "")
        and getattr(base, name) not in (getattr(nothing, name), said)
    ]
    if base.channels and applied.channels is not None and _plain(base.channels) != _plain(applied.channels):
        found.append("channel")
    if base.compartments and applied.compartments is not None:
        before, after = ([(one.id, one.name) for one in rows] for rows in (base.compartments, applied.compartments))
        found += ["compartment"] if before != after else []
    return found


def _plain(channels: Iterable[ChannelDeclaration]) -> list[dict[str, object]]:
    """Channels without what the settings may give beside the definitions, and without what only those have."""
    left_out = ("token", "tracker_key")
    return [
        {name: getattr(one, name) for name in ChannelDeclaration.__struct_fields__ if name not in left_out}
        for one in channels
    ]


def _with_keys(channel: Channel, base: Base) -> Channel:
    same = next((one for one in base.channels if one.key == channel.key), None)
    if same is None:
        return channel
    return structs.replace(
        channel, token=channel.token or same.token, tracker_key=channel.tracker_key or same.tracker_key
    )


def _with_tokens(compartments: Iterable[CompartmentDeclaration], base: Base) -> tuple[CompartmentDeclaration, ...]:
    tokens = {one.id: one.token for one in base.compartments}
    return tuple(structs.replace(one, token=one.token or tokens.get(one.id, "")) for one in compartments)
