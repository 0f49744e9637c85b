"""Servers as child processes: `sojourn` and what it says of its store, and those that it is compared with."""

import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
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
    """A running server.

    Attributes:
        pid: of the process.
        data: folder of its store.
        host, port: where it takes events; of `sojourn serve`, the collect plane.
        token: the site's; of a peer there is none.
    """

    pid: int
    data: Path
    host: str
    port: int
    token: str


@contextmanager
def serving(folder: Path, settings: str = "", environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve from a store in `folder` for as long as the block lasts.

    Args:
        folder: for the store, the settings and what the server has to say.
        settings: the TOML of the settings that are not to be the default.
        environment: what the process has in its environment in addition.

    Raises:
        RuntimeError: it does not start, or it does not end well; with what it said.
    """
    data, config, errors = (folder / name for name in ("data", "sojourn.toml", "stderr"))
    config.write_text(settings)
    token = secrets.token_hex(12)
    tokens = {"SOJOURN_SITE_TOKEN": token, "SOJOURN_ADMIN_TOKEN": secrets.token_hex(32)}
    options = ["--data", str(data), "--config", str(config), "--json"]
    addresses = ["--collect", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    command = [*_SOJOURN, "serve", *options, *addresses]
    with _running(command, _without_settings() | tokens | dict(environment or {}), errors) as (process, told):
        url = urlsplit(str(told["collect"]))
        yield Server(process.pid, data, url.hostname or "", url.port or 0, token)


@contextmanager
def peer(name: str, folder: Path, *arguments: str) -> Iterator[Server]:
    """Run a server of `bench.peers` for as long as the block lasts.

    Args:
        name: its module there.
        folder: for what it keeps and what it has to say.
        arguments: its command line.

    Raises:
        RuntimeError: as `serving`.
    """
    command = [sys.executable, "-m", f"bench.peers.{name}", *arguments]
    with _running(command, child_environment(), folder / f"{name}.stderr") as (process, told):
        yield Server(process.pid, folder, "127.0.0.1", int(told["port"]), "")


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], errors: Path
) -> "Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]":
    """A process that says in its first line, as JSON, where it listens; stopped behind the block."""
    with open(errors, "wb") as stderr:
        process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, stderr=stderr)
    try:
        yield process, _first_line(process, errors)
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


def _first_line(process: "subprocess.Popen[bytes]", errors: Path) -> dict[str, Any]:
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
    found: dict[str, Any] = msgspec.json.decode(line)
    return found


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
