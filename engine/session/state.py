"""Between a visitor's runs and the state that is saved of them: journal sequences out, members back in (decision 8)."""

from collections.abc import Iterable, Mapping, Sequence

from engine.model.channel import ChannelSettings
from engine.model.fold_state import FoldState, SavedLeaving, SavedRun, decode_fold_state, encode_fold_state
from engine.model.record import Record
from engine.session.closed import CloseReason, Member, Source
from engine.session.live import LiveWindow
from engine.session.member import member_of
from engine.session.session import Channels, Leaving, Run, Session

RUNS: Mapping[str, type[Run]] = {Source.SESSION: Session, Source.LIVE: LiveWindow}
"""What a source's runs are."""


def state_of(sequence: int, runs: Sequence[Run], pending: Sequence[Leaving]) -> bytes | None:
    """The state to save: what is open and what is on its way, up to a record; None when that is nothing."""
    return _state(sequence, _saved_runs(runs), _saved_leaving(pending))


def states_behind(sequence: int, runs: Sequence[Run], leaving: Sequence[Leaving]) -> list[bytes | None]:
    """For each part of what leaves the state that is left when it is stored: the parts behind it are pending."""
    # Nearly always one part leaves and nothing stays. Of many parts, each is turned into its saved form once.
    saved, pending = _saved_runs(runs), _saved_leaving(leaving[1:])
    return [_state(sequence, saved, pending[index:]) for index in range(len(leaving))]


def _state(sequence: int, runs: tuple[SavedRun, ...], pending: tuple[SavedLeaving, ...]) -> bytes | None:
    return encode_fold_state(FoldState(sequence, runs, pending)) if runs or pending else None


def _saved_runs(runs: Sequence[Run]) -> tuple[SavedRun, ...]:
    return tuple([SavedRun(run.source, run.channel, sequences_of(run.members), run.parts) for run in runs])


def _saved_leaving(leaving: Sequence[Leaving]) -> tuple[SavedLeaving, ...]:
    return tuple(
        [
            SavedLeaving(
                part.source,
                part.reason or "",
                part.channel.key if part.channel is not None else "",
                sequences_of(part.members),
                part.records,
                part.absorbed,
                part.part,
            )
            for part in leaving
        ]
    )


def from_state(
    state: bytes, records: Mapping[int, Record], channels: Channels
) -> tuple[int, tuple[Run, ...], tuple[Leaving, ...]]:
    """The record up to which, the runs and the pending that `state_of` was given.

    Args:
        state: what it gave.
        records: the journal's records, at least those that the state holds.
        channels: settings by channel key and version.

    Raises:
        ValueError: the state is damaged, or a record that it holds is missing.
    """
    saved = decode_fold_state(state)

    def members(sequences: Iterable[int], channel: str) -> list[Member]:
        found: list[Member] = []
        for sequence in sequences:
            if sequence not in records:
                raise ValueError(f"the journal has no record {sequence}, which a fold state holds")
            record = records[sequence]
            settings = channels(channel, record.channel_version)
            found.append(member_of(record, settings, found[-1] if found else None))
        return found

    def settings(channel: str, members: Sequence[Member]) -> ChannelSettings:
        return channels(channel, max(members, key=lambda member: member.sequence).channel_version)

    runs: list[Run] = []
    for run in saved.open:
        held = members(run.members, run.channel)
        runs.append(RUNS[run.source](run.channel, settings(run.channel, held), held, run.parts))
    pending: list[Leaving] = []
    for part in saved.pending:
        held = members(part.members, part.channel)
        pending.append(
            Leaving(
                Source(part.source),
                CloseReason(part.reason) if part.reason else None,
                settings(part.channel, held) if held else None,
                tuple(held),
                part.records,
                part.absorbed,
                part.part,
            )
        )
    return saved.sequence, tuple(runs), tuple(pending)


def sequences_of(members: Iterable[Member]) -> tuple[int, ...]:
    """The journal records of members, in their order."""
    return tuple(member.sequence for member in members)
