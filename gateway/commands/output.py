"""How commands print: JSON lines on stdout for scripts, rich tables for people."""

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value is meant
    """One line of JSON."""
    print_line(msgspec.json.encode(value))


def print_line(line: bytes) -> None:
    """One line of JSON that is encoded already; bytes, so that no locale touches it."""
    sys.stdout.flush()
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def console() -> Console:
    """The terminal, or what stands for it."""
    return Console(highlight=False)


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table; columns whose name begins with `#` are numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in columns:
        if name.startswith("#"):
            made.add_column(name[1:], justify="right")
        else:
            made.add_column(name, overflow="fold")
    return made


def moment(ts_ms: int) -> str:
    """A time as people read it, UTC; one that no calendar holds as its number."""
    try:
        return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(ts_ms)
