"""`sojourn` as child processes: a server to measure, and what the other commands say of its store."""

import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from bench.machine import child_environment

START_S: Final = 30.0
"""A start takes a second; one that takes this long has failed."""

STOP_S: Final = 60.0
"""Longer than all of a stop's budgets together."""

_SOJOURN: Final = (sys.executable, "-c", "from gateway.cli import main; main()")


@dataclass(frozen=True)
class Server:
    """A running `sojourn serve`.

    Attributes:
        pid: of the process.
        data: folder of its store.
        host, port: of the collect plane.
        token: the site's.
    """

    pid: int
    data: Path
    host: str
    port: int
    token: str


@contextmanager
def serving(folder: Path, settings: str = "") -> Iterator[Server]:
    """Serve from a store in `folder` for as long as the block lasts.

    Args:
        folder: for the store, the settings and what the server has to say.
        settings: the TOML of the settings that are not to be the default.

    Raises:
        RuntimeError: it does not start, or it does not end well; with what it said.
    """
    data, config, errors = (folder / name for name in ("data", "sojourn.toml", "stderr"))
    config.write_text(settings)
    token = secrets.token_hex(12)
    tokens = {"SOJOURN_SITE_TOKEN": token, "SOJOURN_ADMIN_TOKEN": secrets.token_hex(32)}
    options = ["--data", str(data), "--config", str(config), "--json"]
    addresses = ["--collect", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with open(errors, "wb") as stderr:
        process = subprocess.Popen(
            [*_SOJOURN, "serve", *options, *addresses],
            env=_without_settings() | tokens,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        url = urlsplit(_collect_url(process, errors))
        yield Server(process.pid, data, url.hostname or "", url.port or 0, token)
    except BaseException:
        _stop(process)
        raise
    if code := _stop(process):
        raise RuntimeError(f"the server ended with exit code {code}:\n{errors.read_text()}")


def stats_of(data: Path) -> dict[str, Any]:
    """What `sojourn stats` says of a store."""
    command = [*_SOJOURN, "stats", "--data", str(data), "--json"]
    run = subprocess.run(command, env=_without_settings(), stdout=subprocess.PIPE, check=True, timeout=START_S)
    found: dict[str, Any] = msgspec.json.decode(run.stdout)
    return found


def _without_settings() -> dict[str, str]:
    """The environment without what would set anything of the server."""
    return {name: value for name, value in child_environment().items() if not name.startswith("SOJOURN_")}


def _collect_url(process: "subprocess.Popen[bytes]", errors: Path) -> str:
    # A process that says nothing would hold up the read for ever.
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    if not line.strip():
        raise RuntimeError(f"the server did not start:\n{errors.read_text()}")
    return str(msgspec.json.decode(line)["collect"])


def _stop(process: "subprocess.Popen[bytes]") -> int:
    """End it, as it should end if it can; returns its exit code."""
    with process:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
