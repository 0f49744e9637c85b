"""What is defined now, as everybody who asks gets it: swapped as a whole, in one step of the loop.

Whoever keeps a reference keeps it to this object, never to what is in it; `rules` and `programs` are changed in place,
so that asking them stays a look-up in a dict.
"""

from collections.abc import Callable

from msgspec import Struct, field

from engine.actors.examine import Rules
from engine.definitions.access import ApiToken, Keyring
from engine.definitions.declared.destinations import Destination
from engine.definitions.defined import Defined
from engine.definitions.registry import Registry
from engine.model.channel import ChannelSettings
from engine.pipeline.chain import build_program
from engine.pipeline.stage import Program
from engine.planning import Holding
from engine.settings import Settings


class Definitions(Struct):
    """What is defined now.

    Attributes:
        settings: of this start.
        holding: what holds: registry, programs, what is set aside.
        registry: datamarts and channels.
        tokens, keyring: who may call.
        new_admin_token: when this start made one.
        rules: what items are checked against, by datamart; of those that take events.
        programs: the steps, by datamart.
        revision: goes up with each swap: who remembers what follows from definitions asks for it first.
    """

    settings: Settings
    holding: Holding
    registry: Registry
    tokens: tuple[ApiToken, ...]
    keyring: Keyring
    new_admin_token: str | None = None
    rules: dict[int, Rules] = field(default_factory=dict)
    programs: dict[int, Program] = field(default_factory=dict)
    revision: int = 0

    def default_compartment(self, datamart: int) -> str:
        """The compartment of accounts that name none; also of a datamart that has been removed."""
        return self.registry.default_compartment(datamart)

    def channel_at(self, datamart: int, key: str, version: int) -> ChannelSettings:
        """As `Registry.channel_at`."""
        return self.registry.channel_at(datamart, key, version)

    def program_of(self, datamart: int) -> Program:
        """The steps of a datamart for an activity that enters the chain now."""
        found = self.programs.get(datamart)
        if found is None:  # Records of a datamart that nobody knows any more.
            found = self.programs[datamart] = build_program(Defined(datamart=datamart, identity=self.settings.identity))
        return found

    def destination(self, datamart: int, destination: str) -> Destination | None:
        """Where the outbox sends to; None where it is not declared."""
        declared = self.program_of(datamart).defined.destinations
        return next((one for one in declared if one.id == destination), None)

    def defined(self) -> list[Defined]:
        """What the steps of each datamart are made from."""
        return [program.defined for program in self.programs.values()]

    def is_set_aside(self, datamart: int, automation: str) -> bool:
        """Whether an automation is kept and cannot be used: it is not gone, and nobody is to leave it."""
        aside = self.holding.aside.get(datamart, ())
        return any(one.kind == "" or (one.kind == "automation" and one.id == automation) for one in aside)

    def swap(self, holding: Holding) -> None:
        """From now on this holds."""
        self.revision += 1
        self.holding = holding
        self.registry = holding.registry
        self.keyring = Keyring(self.tokens, holding.registry)
        for kept, found in ((self.rules, _rules(holding.registry, self.settings)), (self.programs, holding.programs)):
            kept.clear()
            kept.update(found)  # type: ignore[arg-type]  # Each of its own kind, which a loop over both cannot say.


def definitions_of(
    settings: Settings, holding: Holding, tokens: tuple[ApiToken, ...], new_admin_token: str | None
) -> Definitions:
    """What is defined at a start."""
    found = Definitions(
        settings=settings,
        holding=holding,
        registry=holding.registry,
        tokens=tokens,
        keyring=Keyring(tokens, holding.registry),
        new_admin_token=new_admin_token,
    )
    found.swap(holding)
    return found


def rules_of(definitions: Definitions, settings: Settings) -> Callable[[int], Rules | None]:
    """What items are checked against, by datamart; None for one that takes no events."""
    return _rules(definitions.registry, settings).get


def _rules(registry: Registry, settings: Settings) -> dict[int, Rules]:
    session = settings.session
    return {
        one.id: Rules(
            channel={channel.key: channel for channel in registry.channels(one.id)}.get,
            default_compartment=one.default_compartment,
            max_future_ms=session.max_future_ms,
            max_activity_chars=session.max_activity_chars,
        )
        for one in registry.datamarts()
        if registry.accepts(one.id)
    }
