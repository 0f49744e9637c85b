"""`sojourn stats`: what was received and what became of it."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from engine import open_reader
from gateway.commands.options import Data, Json
from gateway.commands.output import console, print_json, table

FATES = ("events_stored", "events_duplicate", "events_refused", "events_dead", "events_dropped", "events_open")
"""Every received event is in exactly one of these (decision 17)."""


def stats(
    *,
    data: Data,
    datamart: Annotated[int | None, Parameter(metavar="ID", help="Of this datamart alone; of all by default.")] = None,
    json: Json = False,
) -> int:
    """Show the counters, and whether every received event is accounted for.

    received = stored + duplicate + refused + dead + dropped + open

    Works beside a running server. With --json: one object with events_received, events_stored, events_duplicate,
    events_refused, events_dead, events_dropped, events_open, events_late, activities_stored, user_points,
    sessions_closed (reason → number) and more, and "balanced": whether the line above holds.

    **Example**

        sojourn stats --data ./data
    """
    with open_reader(data) as reader:
        counts = reader.statistics(datamart)
    missing = unaccounted(counts)
    if json:
        print_json({**counts, "balanced": missing == 0})
    else:
        _show(counts, missing)
    return 0


def unaccounted(counts: Mapping[str, Any]) -> int:
    """Received events that are in none of the `FATES`; negative when some are in two."""
    return int(counts["events_received"]) - sum(int(counts[name]) for name in FATES)


def _show(counts: Mapping[str, Any], missing: int) -> None:
    shown = table("what", "#number")
    grouped: dict[str, Mapping[str, int]] = {}
    for name, value in counts.items():
        if isinstance(value, Mapping):
            grouped[name] = value
        else:
            shown.add_row(name.replace("_", " "), f"{value:,}")
    for name, by_reason in grouped.items():
        for reason, value in sorted(by_reason.items()):
            shown.add_row(f"{name.replace('_', ' ')}: {reason}", f"{value:,}")
    out = console()
    out.print(shown)
    out.print()
    if missing:
        out.print(f"{missing:,} received events are not accounted for", style="red")
    else:
        out.print("received = stored + duplicate + refused + dead + dropped + open", style="green")
