"""`sojourn replay`: logs and NDJSON files through the engine, in the time of their events."""

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import msgspec
import trio
from cyclopts import Parameter
from rich.console import Console

from engine import CallerError, Settings, configure_logging, load_settings
from gateway.commands.options import Data
from gateway.commands.output import console, print_line, table
from gateway.replay.lines import Format
from gateway.replay.progress import Bar, Plain
from gateway.replay.report import Report
from gateway.replay.run import GRACE_MS, NO_DOMAIN, Plan, run, target_of
from gateway.replay.source import STDIN, Source
from gateway.replay.traffic import load_traffic

SIGNAL_EXIT: Final = 128
"""Added to a signal's number: how a shell says that a program ended by it."""

_GRACE: Final = "session.grace_ms"
_GRACE_VARIABLE: Final = "SOJOURN_SESSION__GRACE_MS"


def replay(
    *files: Annotated[
        str,
        Parameter(
            name="FILE",
            allow_leading_hyphen=True,
            help="Logs or NDJSON files, in the order of time; - is standard input.",
        ),
    ],
    data: Data,
    config: Annotated[Path | None, Parameter(help="A TOML file with settings.")] = None,
    format: Annotated[Format | None, Parameter(help="What the lines are; by default the first one tells.")] = None,
    site: Annotated[str | None, Parameter(help="Id of the site the log is from; by default the first site.")] = None,
    domain: Annotated[
        str | None, Parameter(help="The site's host: its pages are there, and coming from there is no new visit.")
    ] = None,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="Static files and crawlers too.")] = False,
    json: Annotated[bool, Parameter(negative="", help="Print the report as one line of JSON.")] = False,
) -> int:
    """Read web server logs, or activities as NDJSON, as if they happened now.

    The log's clock is the clock: sessions close when the log's time has passed, and those still open at the end close
    then. Lines may be out of order by 60 seconds (session.grace_ms in the configuration says otherwise).

    The clock never goes back. In a store that has newer records, as where a server ran today, an older log cannot be
    the clock: its sessions end by the gaps between their events, and at the end. A note says so, and "behind_store" in
    the report; a directory of its own serves a log better.

    Logs may be in Apache's common or combined format, which is nginx's too, plain or gzip. A visitor is an address
    with a user agent, or the account that the log names; a line is an event page_view with $url (on --domain),
    $referrer, method, status and bytes. Static files and known crawlers are left out and counted. A line that cannot be
    read is kept as a dead letter.

    NDJSON has one activity a line, as the API takes them.

    A replay may be stopped (Ctrl-C) and repeated: a line's event id is a hash of the line and of how many equal ones
    came before it in its file, so what is known counts as duplicate and is not stored again.

    **Examples**

        sojourn replay --data ./data --domain example.com /var/log/nginx/access.log.1 /var/log/nginx/access.log
        zcat access.log.*.gz | sojourn replay --data ./data --domain example.com -
        sojourn replay --data ./data --json activities.ndjson.gz
    """
    if not files:
        raise CallerError("which FILE? `-` is standard input")
    # A lone hyphen is a file, so that the parser lets every hyphen through.
    if unknown := next((name for name in files if name.startswith("-") and name != STDIN), None):
        raise CallerError(f"unknown option {unknown}; a file of this name is ./{unknown}")
    target = target_of(_settings(config, data, os.environ), site, domain)
    configure_logging(target.settings.log.format, target.settings.log.level)
    with ExitStack() as stack:
        plan = Plan(
            files=_open(stack, files),
            form=format,
            site=target.site,
            domain=target.domain,
            datamart=target.datamart,
            traffic=None if all_ else load_traffic(),
        )
        on_terminal = sys.stderr.isatty() and not json
        display = Bar(plan.total_bytes) if on_terminal else Plain(plan.total_bytes)
        report = trio.run(run, target.settings, plan, display)
    if json:
        print_line(msgspec.json.encode(report))
    else:
        _show(report, has_domain=target.domain != NO_DOMAIN, data=data)
    return 0 if report.signal is None else SIGNAL_EXIT + report.signal


def _settings(config: Path | None, data: Path, environ: Mapping[str, str]) -> Settings:
    overrides: dict[str, object] = {"storage.data_dir": str(data)}
    settings = load_settings(config, environ, overrides)
    # Read again, because a default that is written down is meant: only then does it hold for logs too.
    table = tomllib.loads(config.read_text(encoding="utf-8")) if config is not None else {}
    if "grace_ms" in table.get("session", {}) or environ.get(_GRACE_VARIABLE):
        return settings
    return load_settings(config, environ, {**overrides, _GRACE: GRACE_MS})


def _open(stack: ExitStack, names: Sequence[str]) -> list[Source]:
    opened: list[Source] = []
    for name in names:
        try:
            opened.append(stack.enter_context(Source(name)))
        except OSError as error:
            raise CallerError(f"{name}: {error.strerror or error}", code="no_file") from None
    return opened


def _show(report: Report, *, has_domain: bool, data: Path) -> None:
    shown = table("replay", "#number")
    rows = [
        ("lines", report.lines),
        ("events", report.events),
        ("users", report.users),
        ("sessions", report.sessions),
        *((f"  closed: {reason}", number) for reason, number in sorted(report.closed.items())),
        ("duplicates", report.duplicates),
        *((f"left out: {reason}", number) for reason, number in sorted(report.left_out.items())),
        *((f"dead letters: {reason}", number) for reason, number in sorted(report.refused.items())),
        ("late events", report.late),
        ("seconds", report.seconds),
        ("events/s", report.events_per_s),
    ]
    for name, number in rows:
        shown.add_row(name, f"{number:,}")
    out = console()
    out.print(shown)
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    if report.signal is not None:
        notes.print("Stopped. Sessions that were open stay open; the same command goes on where this one stopped.")
    if report.behind_store:
        notes.print(
            "The store has newer records than this log, and time never goes back there: the log's clock was not the"
            " clock.\nSessions ended by the gaps between their events, and at the end of the replay."
        )
    if not has_domain:
        notes.print("Without --domain, referrers from the site's own pages count as foreign: sessions end at them.")
    if report.refused:
        notes.print(f"The lines refused are kept: sojourn dead-letters --data {data}", markup=False)
