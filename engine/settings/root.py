"""All sections together, and what must hold between them."""

from collections.abc import Iterable

from msgspec import Struct, field, structs

from engine.model.channel import ChannelSettings
from engine.model.declarations import ChannelDeclaration
from engine.model.identity_rules import IdentityRules
from engine.settings.collect import CollectSettings, RateSettings, VisitorSettings
from engine.settings.declarations import DatamartSettings
from engine.settings.outbox import OutboxSettings
from engine.settings.sections import (
    ActorsSettings,
    AnalyzersSettings,
    ApiSettings,
    DefinitionsSettings,
    LimitsSettings,
    LogSettings,
    SessionSettings,
    StorageSettings,
)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of an engine and its gateway."""

    session: SessionSettings = SessionSettings()
    identity: IdentityRules = IdentityRules()
    limits: LimitsSettings = LimitsSettings()
    storage: StorageSettings = StorageSettings()
    collect: CollectSettings = CollectSettings()
    rates: RateSettings = RateSettings()
    visitors: VisitorSettings = VisitorSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    actors: ActorsSettings = ActorsSettings()
    analyzers: AnalyzersSettings = AnalyzersSettings()
    definitions: DefinitionsSettings = DefinitionsSettings()
    outbox: OutboxSettings = OutboxSettings()
    datamarts: tuple[DatamartSettings, ...] = field(
        default=(DatamartSettings(id=1, channels=(ChannelDeclaration(id="1"),)),), name="datamart"
    )

    def __post_init__(self) -> None:
        channels = [(datamart.id, one) for datamart in self.datamarts for one in datamart.channels]
        compartments = [(datamart.id, one) for datamart in self.datamarts for one in datamart.compartments]
        signing_keys = [one.id for datamart in self.datamarts for one in datamart.signing_keys]
        tokens = [
            self.api.admin_token,
            *(one.token for one in self.datamarts),
            *(one.token for _, one in channels),
            *(one.token for _, one in compartments),
        ]
        _refuse_repeats("datamart", (datamart.id for datamart in self.datamarts))
        _refuse_repeats("channel", (f"{datamart}/{one.kind}/{one.id}" for datamart, one in channels))
        _refuse_repeats("compartment", (f"{datamart}/{one.id}" for datamart, one in compartments))
        _refuse_repeats("signing_key", signing_keys)
        _refuse_repeats("tracker_key", (one.tracker_key for _, one in channels if one.tracker_key))
        if len(given := [token for token in tokens if token]) > len(set(given)):
            raise ValueError(
                "a token is given twice: each channel, datamart, compartment and admin needs one of their own"
            )
        if not self.datamarts:
            raise ValueError("at least one datamart is needed")
        if self.collect.port and (self.collect.host, self.collect.port) == (self.api.host, self.api.port):
            raise ValueError("collect and api need different ports")

    def declared_channels(self) -> list[ChannelSettings]:
        """The declared channels with the session rules that hold for each; tokens may be missing, versions are 1."""
        return [self.channel(datamart.id, one) for datamart in self.datamarts for one in datamart.channels]

    def channel(self, datamart: int, declared: ChannelDeclaration) -> ChannelSettings:
        """A declared channel with the session rules that hold for it."""
        kept = ChannelSettings.__struct_fields__
        rules = structs.asdict(self.session) | {
            key: value for key, value in structs.asdict(declared).items() if value is not None
        }
        return ChannelSettings(datamart=datamart, **{key: value for key, value in rules.items() if key in kept})


def _refuse_repeats(what: str, ids: Iterable[int] | Iterable[str]) -> None:
    seen: set[int | str] = set()
    for one in ids:
        if one in seen:
            raise ValueError(f"{what} {one} is declared twice")
        seen.add(one)
