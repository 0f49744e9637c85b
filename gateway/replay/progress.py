"""How far a replay is: a bar on a terminal, now and then a line elsewhere. On stderr: stdout is the report's."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

BAR_EVERY_S: Final = 0.1
LINE_EVERY_S: Final = 5.0


class Display(Protocol):
    """Shows progress while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, name: str, done_bytes: int, lines: int) -> None:
        """Where it is.

        Args:
            name: of the file.
            done_bytes: of all files together.
            lines: of all files together.
        """
        ...


class Bar:
    """A progress bar that redraws itself when told something new: no thread of its own.

    Args:
        total_bytes: of all files; None where a pipe is among them.
        now_s: a clock.
    """

    def __init__(self, total_bytes: int | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[lines]:,} lines"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total_bytes, lines=0)
        self._next_at = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, name: str, done_bytes: int, lines: int) -> None:
        """See `Display`."""
        now = self._now_s()
        self._progress.update(
            self._task, description=name, completed=done_bytes, lines=lines, refresh=now >= self._next_at
        )
        if now >= self._next_at:
            self._next_at = now + BAR_EVERY_S


class Plain:
    """A line of text every few seconds.

    Args:
        total_bytes: of all files; None where a pipe is among them.
        now_s: a clock.
    """

    def __init__(self, total_bytes: int | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._total_bytes = total_bytes
        self._next_at = 0.0

    def __enter__(self) -> Self:
        self._next_at = self._now_s() + LINE_EVERY_S
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def show(self, name: str, done_bytes: int, lines: int) -> None:
        """See `Display`."""
        now = self._now_s()
        if now < self._next_at:
            return
        self._next_at = now + LINE_EVERY_S
        share = f", {100 * done_bytes / self._total_bytes:.0f} %" if self._total_bytes else ""
        print(f"{name}: {lines:,} lines{share}", file=sys.stderr, flush=True)
