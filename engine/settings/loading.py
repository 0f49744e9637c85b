"""Reading the settings from a file and the environment; what is wrong is named with its place."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.errors import BadSettings
from engine.model.described import as_toml, from_data, is_text, keys_of
from engine.settings.root import Settings

ENV_PREFIX: Final = "SOJOURN_"
ADMIN_TOKEN_VARIABLE: Final = "SOJOURN_ADMIN_TOKEN"
SITE_TOKEN_VARIABLE: Final = "SOJOURN_SITE_TOKEN"


def load_settings(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Settings:
    """Read the settings.

    Args:
        path: a TOML file, or None for the defaults.
        environ: the process environment. An empty variable counts as not set.
        overrides: what the command line says, by dotted key, such as `{"storage.data_dir": "data"}`.

    Raises:
        BadSettings: the file cannot be read, or a key is unknown, of the wrong type or out of range.
    """
    return _Loader(path).load(environ, overrides or {})


def settings_reference() -> str:
    """A TOML file with every key, its default, what is allowed and the reason."""
    return as_toml(Settings())


_VARIABLES: Final = (
    ADMIN_TOKEN_VARIABLE,
    SITE_TOKEN_VARIABLE,
    *(ENV_PREFIX + key.replace(".", "__").upper() for key in keys_of(Settings)),
)
"""What the environment may set."""


class _Loader:
    """One reading of the settings. `_from` remembers what did not come from the file, so that errors name the place."""

    def __init__(self, path: Path | None) -> None:
        self._file = str(path) if path else "settings"
        self._data: dict[str, Any] = self._read(path) if path else {}
        self._from: dict[str, str] = {}

    def load(self, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
        site_token = ""
        for name, text in sorted(environ.items()):
            if not name.startswith(ENV_PREFIX) or not text:
                continue
            if name == SITE_TOKEN_VARIABLE:
                site_token = text
            elif name == ADMIN_TOKEN_VARIABLE:
                self._set("api.admin_token", text, name)
            elif "__" in name:
                key = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
                self._set(key, self._parse(key, text), name)
            elif near := get_close_matches(name, _VARIABLES, n=1, cutoff=0.9):
                # Others without "__" are not ours to refuse: scripts have variables of their own.
                raise BadSettings(f"environment: unknown variable {name}; did you mean {near[0]}?")
        for key, value in overrides.items():
            self._set(key, value, "command line")
        settings = from_data(Settings, self._data, place=self._place)
        return _with_site_token(settings, site_token) if site_token else settings

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadSettings(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSettings(f"{path}: not a TOML file: {error}") from error

    def _set(self, key: str, value: object, place: str) -> None:
        self._from[key] = place
        *tables, last = key.split(".")
        table = self._data
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise BadSettings(f"{place}: cannot set {key}: {name} is no table")
        table[last] = value

    def _parse(self, key: str, text: str) -> object:
        """Text of the environment as the key's type wants it: as it is, or as TOML would have it."""
        if is_text(Settings, key):
            return text
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text  # Of the wrong type, as the error will say with what is allowed.

    def _place(self, key: str) -> str:
        place = next((place for one, place in self._from.items() if f"{one}.".startswith(f"{key}.")), self._file)
        return f"{place}: {key}" if key else self._file


def _with_site_token(settings: Settings, token: str) -> Settings:
    data = msgspec.to_builtins(settings)
    site = next((one for one in data["datamart"][0]["channel"] if one["kind"] == "SITE"), None)
    if site is None:
        raise BadSettings(f"{SITE_TOKEN_VARIABLE}: the first datamart has no site")
    site["token"] = token
    return from_data(Settings, data, place=lambda key: f"{SITE_TOKEN_VARIABLE}: {key}" if key else SITE_TOKEN_VARIABLE)
