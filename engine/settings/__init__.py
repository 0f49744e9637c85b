"""Settings: one frozen Struct a section, read from a TOML file and the environment. What is not known is refused.

Each key's type carries its range and its reason. `settings_reference` prints them, errors quote them, and a test reads
the reference back. A key comes from, the later winning: its default, the file, `SOJOURN_<SECTION>__<KEY>` in the
environment (two underscores between the parts), what the command line overrides.
"""

from engine.model.declarations import ChannelDeclaration, CompartmentDeclaration
from engine.settings.collect import CollectSettings, RateSettings, VisitorSettings
from engine.settings.declarations import DatamartSettings, SigningKeyDeclaration
from engine.settings.loading import (
    ADMIN_TOKEN_VARIABLE,
    ENV_PREFIX,
    SITE_TOKEN_VARIABLE,
    load_settings,
    settings_reference,
)
from engine.settings.outbox import OutboxSettings
from engine.settings.root import Settings
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

__all__ = [
    "ADMIN_TOKEN_VARIABLE",
    "ENV_PREFIX",
    "SITE_TOKEN_VARIABLE",
    "ActorsSettings",
    "AnalyzersSettings",
    "ApiSettings",
    "ChannelDeclaration",
    "CollectSettings",
    "CompartmentDeclaration",
    "DatamartSettings",
    "DefinitionsSettings",
    "LimitsSettings",
    "LogSettings",
    "OutboxSettings",
    "RateSettings",
    "SessionSettings",
    "Settings",
    "SigningKeyDeclaration",
    "StorageSettings",
    "VisitorSettings",
    "load_settings",
    "settings_reference",
]
