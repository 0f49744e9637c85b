"""What a replay has done, as a value: for the table at its end and for scripts."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.replay.feed import Counts


class Report(Struct, frozen=True, kw_only=True):
    """The closing report; its JSON has these names.

    Attributes:
        lines: read, blank ones too.
        events: accepted and new.
        duplicates: known from an earlier replay; nothing of them is stored again.
        left_out: lines that are no visit of a person, by reason (static, crawler).
        refused: lines kept as dead letters, by reason.
        users: persons the new events are from.
        sessions: activities stored.
        closed: sessions by what closed them; `size` is one that goes on in a new activity.
        late: events so far behind the clock that their session had closed.
        behind_store: some of the events are from before what the store had already. Arrival never goes back, so the
            log's clock was not the clock for them.
        seconds: all of it, opening and draining included.
        events_per_s: new and duplicate events by these seconds.
        signal: number of the signal that stopped it, or None when all was read.
    """

    lines: int
    events: int
    duplicates: int
    left_out: dict[str, int]
    refused: dict[str, int]
    users: int
    sessions: int
    closed: dict[str, int]
    late: int
    behind_store: bool
    seconds: float
    events_per_s: float
    signal: int | None


def make_report(
    counts: Counts,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    seconds: float,
    signal: int | None,
) -> Report:
    """The report of one replay.

    Args:
        counts: of its lines.
        before, after: the engine's statistics; what lies between is this replay's.
        seconds: how long it took.
        signal: what stopped it, or None.
    """
    closed_before = before["sessions_closed"]
    closed = {reason: number - closed_before.get(reason, 0) for reason, number in after["sessions_closed"].items()}
    return Report(
        lines=counts.lines,
        events=counts.events,
        duplicates=counts.duplicates,
        left_out={"static": 0, "crawler": 0, **counts.left_out},
        refused=dict(counts.refused),
        users=len(counts.users),
        sessions=after["activities_stored"] - before["activities_stored"],
        closed={reason: number for reason, number in closed.items() if number},
        late=after["events_late"] - before["events_late"],
        behind_store=counts.is_behind,
        seconds=round(seconds, 3),
        events_per_s=round((counts.events + counts.duplicates) / max(seconds, 0.001), 1),
        signal=signal,
    )
