"""Which datamarts and channels there are, which of them take events, and whose a public token is."""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from engine.definitions.datamart import Datamart
from engine.definitions.signing import SigningKey
from engine.definitions.versions import NewToken, latest_versions, reconcile, reconcile_datamarts
from engine.errors import BadSettings
from engine.model.channel import ChannelSettings, canonical_uuid


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
        signing_keys: those that are valid.

    Raises:
        BadSettings: two of the open ones have the same token or tracker key, or two signing keys the same id.
    """

    def __init__(
        self,
        datamarts: Iterable[Datamart] = (),
        channels: Iterable[ChannelSettings] = (),
        *,
        open_datamarts: Collection[int] = (),
        open_channels: Sequence[tuple[int, str]] = (),
        signing_keys: Iterable[SigningKey] = (),
    ) -> None:
        self._datamarts = {one.id: one for one in datamarts}
        self._versions = {(one.datamart, one.key, one.version): one for one in channels}
        self._open_datamarts = frozenset(open_datamarts) & self._datamarts.keys()
        latest = latest_versions(self._versions.values())
        self._open_channels = {
            name: latest[name] for name in open_channels if name in latest and name[0] in self._open_datamarts
        }
        self._hosts = frozenset(host for one in self._open_channels.values() for host in _hosts(one))
        self._redirect_hosts = {one: self._hosts_to_lead_to(one) for one in self._open_datamarts}
        self._tokens: dict[str, PublicToken] = {}
        for datamart in self._open_datamarts:
            self._add_token(self._datamarts[datamart].token, PublicToken(datamart))
        self._tracked: dict[str, ChannelSettings] = {}
        for one in self._open_channels.values():
            self._add_token(one.token, PublicToken(one.datamart, one))
            self._add_tracker_key(one)
        self._compartments: dict[tuple[int, str], str] = {}
        for datamart in self._open_datamarts:
            self._add_compartments(self._datamarts[datamart])
        self._signing_keys: dict[str, SigningKey] = {}
        for key in signing_keys:
            if self._signing_keys.setdefault(key.id, key) is not key:
                raise BadSettings(f"two signing keys have the id {key.id}")

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

    def by_tracker_key(self, text: str) -> ChannelSettings | None:
        """The channel with this tracker key, which may be written in any of a UUID's ways."""
        found = self._tracked.get(text)
        if found is not None:
            return found
        try:
            return self._tracked.get(canonical_uuid(text))
        except ValueError:
            return None

    def compartment_by_token(self, datamart: int, token: str) -> str | None:
        """Id of the datamart's compartment whose public token this is."""
        return self._compartments.get((datamart, token))

    def signing_key(self, key_id: str) -> SigningKey | None:
        """The signing key with this id."""
        return self._signing_keys.get(key_id)

    def hosts(self) -> frozenset[str]:
        """Domains and aliases of all sites that take events, lower-case."""
        return self._hosts

    def redirect_hosts(self, datamart: int) -> frozenset[str]:
        """Hosts, lower-case, that the datamart's clicks may lead to, and to all below them: the declared ones, and
        those of its own sites (decision 40). None for a datamart that takes no events."""
        return self._redirect_hosts.get(datamart, frozenset())

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

    def _hosts_to_lead_to(self, datamart: int) -> frozenset[str]:
        sites = (host for one in self.channels(datamart) for host in _hosts(one))
        return frozenset((*self._datamarts[datamart].redirect_hosts, *sites))

    def _add_tracker_key(self, channel: ChannelSettings) -> None:
        if not channel.tracker_key:
            return
        other = self._tracked.setdefault(channel.tracker_key, channel)
        if other is not channel:
            names = sorted(f"channel {one.key} of datamart {one.datamart}" for one in (other, channel))
            raise BadSettings(f"{names[0]} and {names[1]} have the same tracker key")

    def _add_compartments(self, datamart: Datamart) -> None:
        for one in datamart.compartments:
            if not one.token or one.removed:
                continue
            other = self._compartments.setdefault((datamart.id, one.token), one.id)
            if other != one.id:
                names = sorted((other, one.id))
                raise BadSettings(
                    f"compartments {names[0]} and {names[1]} of datamart {datamart.id} have the same token"
                )

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


def _hosts(channel: ChannelSettings) -> list[str]:
    return [host.lower() for host in (channel.domain, *channel.aliases) if host]


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
    signing_keys: Collection[SigningKey] = (),
    new_token: NewToken,
    new_tracker_key: NewToken,
) -> Settled:
    """Bring what is kept in line with what is declared; only what is declared takes events.

    Signing keys are declared each time and never kept: no backup of a store holds a secret.

    Raises:
        BadSettings: two of the declared have the same token or tracker key, or two signing keys the same id.
    """
    datamarts = reconcile_datamarts(stored_datamarts, declared_datamarts, new_token=new_token)
    channels = reconcile(stored_channels, declared_channels, new_token=new_token, new_tracker_key=new_tracker_key)
    registry = Registry(
        [*stored_datamarts, *datamarts],
        [*stored_channels, *channels],
        open_datamarts={one.id for one in declared_datamarts},
        open_channels=[(one.datamart, one.key) for one in declared_channels],
        signing_keys=signing_keys,
    )
    return Settled(registry, tuple(datamarts), tuple(channels))
