"""Which datamarts and channels there are, which of them take events, and whose a public token is."""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from engine.definitions.datamart import Datamart
from engine.definitions.versions import NewToken, latest_versions, reconcile, reconcile_datamarts
from engine.errors import BadSettings
from engine.model.channel import ChannelSettings


class PublicToken(Struct, frozen=True):
    """What a public token stands for: a datamart, or one channel of it."""

    datamart: int
    channel: ChannelSettings | None = None


class Registry:
    """Datamarts, and every version of every channel.

    Args:
        datamarts: all that are known, removed ones included: their data can still be read.
        channels: every version of every known channel.
        open_datamarts: ids of those that take events.
        open_channels: (datamart, key) of those that take events, in the order they were declared.

    Raises:
        BadSettings: two of the open ones have the same token.
    """

    def __init__(
        self,
        datamarts: Iterable[Datamart] = (),
        channels: Iterable[ChannelSettings] = (),
        *,
        open_datamarts: Collection[int] = (),
        open_channels: Sequence[tuple[int, str]] = (),
    ) -> None:
        self._datamarts = {one.id: one for one in datamarts}
        self._versions = {(one.datamart, one.key, one.version): one for one in channels}
        self._open_datamarts = frozenset(open_datamarts) & self._datamarts.keys()
        latest = latest_versions(self._versions.values())
        self._open_channels = {
            name: latest[name] for name in open_channels if name in latest and name[0] in self._open_datamarts
        }
        self._tokens: dict[str, PublicToken] = {}
        for datamart in self._open_datamarts:
            self._add_token(self._datamarts[datamart].token, PublicToken(datamart))
        for one in self._open_channels.values():
            self._add_token(one.token, PublicToken(one.datamart, one))

    def datamart(self, datamart: int) -> Datamart | None:
        """The datamart, also one that has been removed and can only be read."""
        return self._datamarts.get(datamart)

    def accepts(self, datamart: int) -> bool:
        """Whether the datamart takes events."""
        return datamart in self._open_datamarts

    def channel(self, datamart: int, key: str) -> ChannelSettings | None:
        """The latest version of a channel that takes events; None for an unknown or removed one (decision 5)."""
        return self._open_channels.get((datamart, key))

    def channel_at(self, datamart: int, key: str, version: int) -> ChannelSettings:
        """The channel as it was when a record was accepted, removed or not (decision 8).

        Raises:
            LookupError: there is no such version; the store that has the record should have it.
        """
        try:
            return self._versions[datamart, key, version]
        except KeyError:
            raise LookupError(f"datamart {datamart} has no version {version} of channel {key}") from None

    def by_token(self, token: str) -> PublicToken | None:
        """Whose public token this is."""
        return self._tokens.get(token)

    def datamarts(self) -> tuple[Datamart, ...]:
        """All known datamarts, by id."""
        return tuple(self._datamarts[one] for one in sorted(self._datamarts))

    def channels(self, datamart: int) -> tuple[ChannelSettings, ...]:
        """The channels of a datamart that take events, as they were declared."""
        return tuple(one for (owner, _), one in self._open_channels.items() if owner == datamart)

    def first_site(self, datamart: int) -> ChannelSettings:
        """The first declared site of a datamart.

        Raises:
            LookupError: it has none.
        """
        for one in self.channels(datamart):
            if one.kind == "SITE":
                return one
        raise LookupError(f"datamart {datamart} has no site")

    def default_compartment(self, datamart: int) -> str:
        """Namespace of accounts sent without one (decision 1).

        Raises:
            LookupError: there is no such datamart.
        """
        try:
            return self._datamarts[datamart].default_compartment
        except KeyError:
            raise LookupError(f"there is no datamart {datamart}") from None

    def _add_token(self, token: str, owner: PublicToken) -> None:
        if not token:
            return
        if token in self._tokens:
            names = sorted(
                f"channel {one.channel.key} of datamart {one.datamart}" if one.channel else f"datamart {one.datamart}"
                for one in (self._tokens[token], owner)
            )
            raise BadSettings(f"{names[0]} and {names[1]} have the same token")
        self._tokens[token] = owner


class Settled(Struct, frozen=True):
    """A registry, and what is to be saved before anything is accepted under it."""

    registry: Registry
    datamarts: tuple[Datamart, ...]
    channels: tuple[ChannelSettings, ...]


def settle(
    *,
    stored_datamarts: Collection[Datamart],
    stored_channels: Collection[ChannelSettings],
    declared_datamarts: Collection[Datamart],
    declared_channels: Collection[ChannelSettings],
    new_token: NewToken,
) -> Settled:
    """Bring what is kept in line with what is declared; only what is declared takes events.

    Raises:
        BadSettings: two of the declared have the same token.
    """
    datamarts = reconcile_datamarts(stored_datamarts, declared_datamarts, new_token=new_token)
    channels = reconcile(stored_channels, declared_channels, new_token=new_token)
    registry = Registry(
        [*stored_datamarts, *datamarts],
        [*stored_channels, *channels],
        open_datamarts={one.id for one in declared_datamarts},
        open_channels=[(one.datamart, one.key) for one in declared_channels],
    )
    return Settled(registry, tuple(datamarts), tuple(channels))
