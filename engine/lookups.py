"""What is defined, as a program asks for it and changes it: the part of `Engine` that is about definitions."""

from engine.applying import Applier
from engine.definitions.access import Access
from engine.definitions.difference import Difference
from engine.definitions.reading import Source
from engine.definitions.registry import PublicToken
from engine.definitions.shown import DefinitionVersion, Shown
from engine.definitions.signing import SigningKey
from engine.live import Definitions
from engine.model.channel import ChannelSettings


class Lookups:
    """What is defined now; each question is answered by what holds in that moment.

    Args:
        definitions: what holds; swapped by the applier.
        applier: changes it.
    """

    def __init__(self, definitions: Definitions, applier: Applier) -> None:
        self._definitions = definitions
        self._applier = applier

    async def apply(self, declared: Source, *, dry_run: bool = False) -> Difference:
        """Make these the definitions of the datamarts that they name, for the next activity; others stay as they are.

        What is left out of such a datamart is not in use any more. All of it is applied, in one transaction, or
        nothing. One call works at a time, the others wait.

        Args:
            declared: TOML or JSON text, plain tables, or `Declared`.
            dry_run: only tell what would be different.

        Returns:
            What is different from what was applied before; nothing was written where that is nothing.

        Raises:
            BadDefinition: something cannot work; nothing was applied. All faults are named, each with its path.
            Unavailable: the store is full, or takes an earlier apply first.
            Overloaded, Closing, Broken: nothing was applied.
        """
        return await self._applier.apply(declared, dry_run=dry_run)

    async def apply_file(self) -> Difference | None:
        """Apply the file that the settings name once more, as at the start; None when they name none.

        Raises:
            BadDefinition: it cannot be read, or something in it cannot work.
            Unavailable, Overloaded, Closing, Broken: as `apply`.
        """
        return await self._applier.apply_file()

    async def definitions(self) -> Shown:
        """What is defined now, and in which versions; secrets masked."""
        return await self._applier.shown()

    async def definition_versions(self, datamart: int, kind: str, name: str) -> list[DefinitionVersion]:
        """The versions of a definition, newest first: what it says now, and up to a hundred of what it said before.

        Args:
            datamart: whose.
            kind: as a file calls it, such as `event_rule`.
            name: its id; the key of a channel.
        """
        return await self._applier.versions(datamart, kind, name)

    @property
    def revision(self) -> int:
        """Goes up with each change of the definitions, tokens and channels among them."""
        return self._definitions.revision

    def authorize(self, token: str, *, scope: str, datamart: int | None) -> Access | None:
        """What a token may do, or None when it may not do this (decision 39).

        Args:
            token: as the sender gave it, without any scheme.
            scope: `collect`, `read` or `admin`.
            datamart: on which; None is all of them.
        """
        return self._definitions.keyring.authorize(token, scope=scope, datamart=datamart)

    def public_token(self, token: str) -> PublicToken | None:
        """What a public token stands for: a datamart, or one channel of it; None for one that is not known."""
        return self._definitions.registry.by_token(token)

    def channel(self, datamart: int, key: str) -> ChannelSettings | None:
        """The channel with this key (`site:<id>`, `app:<id>`), if it takes events."""
        return self._definitions.registry.channel(datamart, key)

    def channel_by_tracker_key(self, key: str) -> ChannelSettings | None:
        """The channel that a tracker key names, if it takes events; the UUID may be written in any way."""
        return self._definitions.registry.by_tracker_key(key)

    def default_compartment(self, datamart: int) -> str:
        """Id of the compartment of accounts that name none (decision 1).

        Raises:
            LookupError: there is no such datamart.
        """
        return self._definitions.registry.default_compartment(datamart)

    def compartment_by_token(self, datamart: int, token: str) -> str | None:
        """Id of the compartment of the datamart whose public token this is; None for one that is not known."""
        return self._definitions.registry.compartment_by_token(datamart, token)

    def signing_key(self, key_id: str) -> SigningKey | None:
        """The key with which an application signs its requests (decision 39); None for one that is not known."""
        return self._definitions.registry.signing_key(key_id)

    def redirect_hosts(self, datamart: int) -> frozenset[str]:
        """Hosts, lower-case, that clicks of the datamart may lead to, and to all below them (decision 40)."""
        return self._definitions.registry.redirect_hosts(datamart)

    def site_hosts(self) -> frozenset[str]:
        """The hosts of all sites that take events: their domains and aliases, lower-case."""
        return self._definitions.registry.hosts()

    def site(self, datamart: int = 1) -> ChannelSettings:
        """The first site of a datamart, with its public token.

        Raises:
            LookupError: the datamart has no site.
        """
        return self._definitions.registry.first_site(datamart)
