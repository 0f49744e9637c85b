"""What is known of a person's applications: when each was last opened, and in which versions (decision 14).

It also remembers which activities an event was derived for, and how things stood before: the same activity that is made
again (sent twice, or replaced by its sender) gets the same events again (decision 13).
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

FORMAT: Final = 1
"""First byte of every stored value. A change of the fields below or of their order needs another number."""

MAX_DERIVED: Final = 16
"""Activities with derived events that are remembered for each application: the first, which has the install, and the
latest ones. A person sees an update a few times a month, and what is sent again is days old."""


class Versions(Struct, array_like=True, frozen=True, gc=False):
    """Versions as text; "" is not known."""

    app: str = ""
    os: str = ""
    sdk: str = ""

    def then(self, told: "Versions") -> "Versions":
        """What is known after these were told too."""
        return Versions(told.app or self.app, told.os or self.os, told.sdk or self.sdk)


class Opened(Struct, array_like=True, frozen=True, gc=False):
    """The latest time an application was opened, ms, and the versions known then."""

    ts_ms: int
    versions: Versions


class Derived(Struct, array_like=True, frozen=True, gc=False):
    """An activity that an event was derived for.

    Attributes:
        ts_ms, unique_key: the activity's identity.
        was_installed: whether the application was known before it.
        before: when it had been opened before it, or None.
    """

    ts_ms: int
    unique_key: bytes
    was_installed: bool
    before: Opened | None


class AppState(Struct, array_like=True, frozen=True):
    """What is known of one application; one that nobody knows anything of has no state.

    Attributes:
        app: its id.
        opened: None as long as only its `$app_install` was sent.
        derived: in the order in which they were made.
    """

    app: str
    opened: Opened | None = None
    derived: tuple[Derived, ...] = ()


Apps = dict[str, AppState]
"""All of a person's applications, by id."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AppState])
_PREFIX = bytes((FORMAT,))


def encode_apps(apps: Apps) -> bytes:
    """As they are stored; the same applications are the same bytes."""
    return _PREFIX + _encoder.encode([apps[app] for app in sorted(apps)])


def decode_apps(stored: bytes | None) -> Apps:
    """What `encode_apps` made; no applications where nothing is stored.

    Raises:
        ValueError: of another format, or damaged.
    """
    if stored is None:
        return {}
    if stored[:1] != _PREFIX:
        raise ValueError(f"application states of unknown format {stored[:1]!r}")
    try:
        return {one.app: one for one in _decoder.decode(memoryview(stored)[1:])}
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged application states: {error}") from error


def combine(apps: Apps, others: Apps) -> Apps:
    """Those of two user points that turn out to be one person (decision 3). Again the same changes nothing."""
    combined = dict(apps)
    for app, other in others.items():
        one = combined.get(app)
        combined[app] = other if one is None else _combine_one(one, other)
    return combined


def _combine_one(one: AppState, other: AppState) -> AppState:
    opened = max(
        (found for found in (one.opened, other.opened) if found is not None),
        key=lambda found: found.ts_ms,
        default=None,
    )
    known = {(derived.ts_ms, derived.unique_key) for derived in one.derived}
    more = (derived for derived in other.derived if (derived.ts_ms, derived.unique_key) not in known)
    return AppState(one.app, opened, bounded(sorted((*one.derived, *more), key=lambda derived: derived.ts_ms)))


def bounded(derived: Iterable[Derived]) -> tuple[Derived, ...]:
    """The first and the latest ones, `MAX_DERIVED` at most."""
    found = tuple(derived)
    return found if len(found) <= MAX_DERIVED else (found[0], *found[1 - MAX_DERIVED :])
