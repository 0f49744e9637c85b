"""`sojourn query`: OTQL over everything that is stored."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.text import Text

from engine import CallerError, QueryError, StoredQuery, open_reader
from gateway.commands.options import Data, Datamart, Json
from gateway.commands.output import console, moment, print_json, table

TABLE_ROWS: Final = 50
"""Rows of a table when nobody says how many; a table is drawn when all of it is there."""

SHOWN_CHARS: Final = 300
"""Of a value in a table; --json has all of it."""

REDRAW_EVERY_S: Final = 0.2


def query(
    text: Annotated[str, Parameter(allow_leading_hyphen=True, help="The query, or - to read it from stdin.")],
    /,
    *,
    data: Data,
    datamart: Datamart = 1,
    limit: Annotated[
        int | None,
        Parameter(metavar="N", help=f"Rows, at most: {TABLE_ROWS} by default, with --json all.", show_default=False),
    ] = None,
    json: Json = False,
) -> int:
    """Ask all stored activities, events or persons a question, in OTQL.

    The language is the one in which goals and automations are written; JSON_OTQL is taken too:

    - SELECT { what } FROM UserActivity, UserEvent or UserPoint WHERE condition LIMIT n
    - SELECT @count{} FROM …, or { field @map(limit: 10) }, with @count, @cardinality, @sum, @avg, @min, @max, @map and
      @date_histogram(interval: "day") behind a field
    - a condition alone selects whole activities (or events)
    - @name is a query that the datamart declares; names of its own schema are known, too

    Activities and events come newest first. A condition on the time of activities (`date` of a UserActivity,
    `activity_date` of a UserEvent) reads no others. Times are UTC: "2024-03-01", "now-7d/d". Works beside a running
    server; sessions that are still open are not stored yet. With --json every row is one line.

    **Examples**

        sojourn query 'SELECT @count{} FROM UserEvent WHERE name = "$transaction_confirmed"' --data ./data
        sojourn query 'SELECT { name @map } FROM UserEvent WHERE activity_date >= "now-7d/d"' --data ./data
        sojourn query 'SELECT { id date events { name } } FROM UserActivity WHERE channel_id = 1' --data ./data --json
        sojourn query 'SELECT @count{} FROM UserPoint WHERE segments { id = "buyers" }' --data ./data
        sojourn query @buyers --data ./data
    """
    if limit is not None and limit < 1:
        raise CallerError("--limit must be at least 1")
    text = sys.stdin.read() if text == "-" else text
    with open_reader(data) as reader:
        try:
            run = reader.query(datamart, text)
        except QueryError as error:
            raise CallerError(_explained(text, error), code=error.code) from None
        with _progress(run, hidden=json and sys.stdout.isatty()) as rows:
            if json:
                for row in islice(rows, limit):
                    print_json(row)
                if run.is_aggregation:
                    print_json(run.result())
            else:
                _show(run, rows, limit or TABLE_ROWS)
    if run.cut_persons:
        message = f"{run.cut_persons:,} persons have very many activities: only the newest of theirs were looked at"
        Console(stderr=True).print(message, style="yellow")
    if run.unreadable:
        message = f"{run.unreadable:,} stored values are damaged and were passed over"
        Console(stderr=True).print(message, style="yellow")
    return 0


def _explained(text: str, error: QueryError) -> str:
    """The error, and the line it is in with a mark under the place."""
    if text.strip().startswith("@"):  # The place is in the text that the name stands for.
        return str(error) if not error.row else f"{text.strip()}: {error}"
    if not error.row or len(lines := text.split("\n")) < error.row or len(lines[error.row - 1]) > 1000:
        return str(error) if not error.path.startswith("query.") else f"{error} (at {error.path[6:]})"
    line = lines[error.row - 1].replace("\t", " ")
    return f"{error}\n  {line}\n  {' ' * (error.col - 1)}^"


@contextmanager
def _progress(run: StoredQuery, *, hidden: bool) -> Iterator[Iterator[Mapping[str, Any]]]:
    """The rows of a run; while they are waited for, a terminal's stderr shows how far it is."""
    shown = Console(stderr=True)
    if hidden or not shown.is_terminal:
        yield (row for row in run.rows() if row is not None)
        return
    bar = Progress(TextColumn("{task.description}", markup=False), console=shown, auto_refresh=False, transient=True)
    task = bar.add_task("")

    def rows() -> Iterator[Mapping[str, Any]]:
        next_at = time.monotonic() + REDRAW_EVERY_S
        for row in run.rows():
            if row is not None:
                yield row
            if (now := time.monotonic()) >= next_at:
                next_at = now + REDRAW_EVERY_S
                at = "" if run.at_ms is None else f", at {moment(run.at_ms)}"
                bar.update(task, description=f"{run.scanned:,} read, {run.matched:,} match{at}", refresh=True)

    with bar:
        yield rows()


def _show(run: StoredQuery, rows: Iterator[Mapping[str, Any]], limit: int) -> None:
    found = list(islice(rows, limit + 1))
    out = console()
    if run.is_aggregation:
        _show_result(run.result() or {})
        return
    if not found:
        out.print("Nothing matches.")
        return
    columns = run.columns or ("found",)
    shown = table(*columns)
    for row in found[:limit]:
        values = [row.get(name) for name in run.columns] if run.columns else [row]
        shown.add_row(*(Text(_cell(value)) for value in values))
    out.print(shown)
    if len(found) > limit:
        out.print(f"There are more than these {limit}: --limit N, or --json for all.")


def _show_result(result: Mapping[str, Any]) -> None:
    out = console()
    if "count" in result:
        out.print(f"{result['count']:,}")
        return
    metrics: Sequence[Mapping[str, Any]] = result["aggregations"]["metrics"]
    if metrics:
        shown = table("field", "what", "#value")
        for one in metrics:
            at_least = "at least " if one.get("exact") is False else ""
            shown.add_row(Text(one["field_name"]), Text(one["type"]), Text(at_least + _cell(one["value"])))
        out.print(shown)
    for one in result["aggregations"]["buckets"]:
        shown = table(one["field_name"], "#count")
        for bucket in one["buckets"]:
            shown.add_row(Text(_cell(bucket["key"])), f"{bucket['count']:,}")
        if other := one.get("other_count"):
            shown.add_row(Text("(others)", style="dim"), f"{other:,}")
        out.print(shown)


def _cell(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + " …"
