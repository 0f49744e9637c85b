"""From what is declared to what is kept: channels by version, tokens made once (decision 8).

A journal record is folded under the version of the channel that it was accepted under, however late that is. So a
version is never changed and never removed; a changed declaration is the next version.
"""

from collections.abc import Callable, Iterable

from msgspec import structs

from engine.definitions.datamart import Compartment, Datamart
from engine.model.channel import ChannelSettings

NewToken = Callable[[], str]
"""Makes a token, or a tracker key, that nobody has. Chance comes from outside."""


def latest_versions(channels: Iterable[ChannelSettings]) -> dict[tuple[int, str], ChannelSettings]:
    """The highest version of each channel, by datamart and key."""
    latest: dict[tuple[int, str], ChannelSettings] = {}
    for one in channels:
        before = latest.get((one.datamart, one.key))
        if before is None or before.version < one.version:
            latest[one.datamart, one.key] = one
    return latest


def reconcile(
    stored: Iterable[ChannelSettings],
    declared: Iterable[ChannelSettings],
    *,
    new_token: NewToken,
    new_tracker_key: NewToken,
) -> list[ChannelSettings]:
    """The channel versions to save, so that the latest of each declared channel is what is declared.

    Args:
        stored: every version that is kept. One without a tracker key is from before there were any: the next version
            has one, since what is kept is not written again.
        declared: the channels as they shall be, each once; their versions do not matter. One without a token or a
            tracker key keeps the one it has, or gets its first.
        new_token, new_tracker_key: make them.
    """
    latest = latest_versions(stored)
    changed: list[ChannelSettings] = []
    for one in declared:
        before = latest.get((one.datamart, one.key))
        wanted = structs.replace(
            one,
            version=before.version if before else 1,
            token=one.token or (before and before.token) or new_token(),
            tracker_key=one.tracker_key or (before and before.tracker_key) or new_tracker_key(),
        )
        if before is None:
            changed.append(wanted)
        elif wanted != before:
            changed.append(structs.replace(wanted, version=before.version + 1))
    return changed


def reconcile_datamarts(
    stored: Iterable[Datamart], declared: Iterable[Datamart], *, new_token: NewToken
) -> list[Datamart]:
    """The datamarts to save; a changed one replaces the row of its id. Tokens as in `reconcile`."""
    kept = {one.id: one for one in stored}
    changed: list[Datamart] = []
    for one in declared:
        before = kept.get(one.id)
        wanted = structs.replace(
            one,
            token=one.token or (before and before.token) or new_token(),
            compartments=_compartments(before.compartments if before else (), one.compartments, new_token),
        )
        if wanted != before:
            changed.append(wanted)
    return changed


def _compartments(
    stored: Iterable[Compartment], declared: Iterable[Compartment], new_token: NewToken
) -> tuple[Compartment, ...]:
    """Those of a datamart in the order of their ids; what is not declared any more stays, marked as removed."""
    kept = {one.id: structs.replace(one, removed=True) for one in stored}
    for one in declared:
        before = kept.get(one.id)
        kept[one.id] = structs.replace(one, token=one.token or (before and before.token) or new_token())
    return tuple(kept[one] for one in sorted(kept))
