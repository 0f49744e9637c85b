"""`sojourn serve` as a child process, and the other commands beside it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent.parent
ADMIN = "admin-token-of-these-tests"
SITE = "site-token-of-these-tests"
COMMAND = [sys.executable, "-m", "gateway"]
FREE_PORTS = ["--collect", "127.0.0.1:0", "--api", "127.0.0.1:0"]
EXIT_S = 30


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: this one's, none of its settings, and known tokens."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
    known = {"SOJOURN_ADMIN_TOKEN": ADMIN, "SOJOURN_SITE_TOKEN": SITE, "PYTHONWARNINGS": "error::ResourceWarning"}
    return {**own, **known, **(extra or {})}


@dataclass
class Server:
    """A running `sojourn serve`."""

    process: "subprocess.Popen[str]"
    collect: str
    api: str

    def post(self, body: Any, **params: str) -> httpx.Response:
        """Send activities: a JSON value, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self.collect}/v1/datamarts/1/user_activities"
        return httpx.post(url, content=content, params=params, headers={"Authorization": SITE})

    def get(self, path: str, **params: str) -> httpx.Response:
        """Ask the API plane, below the datamart."""
        url = f"{self.api}/v1/datamarts/1/{path}"
        return httpx.get(url, params=params, headers={"Authorization": f"Bearer {ADMIN}"})

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(EXIT_S)


@contextmanager
def serving(data: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server on free ports, ready when the block begins, killed if it still runs when the block ends."""
    log = data.with_suffix(".log")
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--data", str(data), *FREE_PORTS, "--json", *arguments],
            cwd=ROOT,
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"no line on stdout; stderr:\n{log.read_text()}"
        addresses = json.loads(line)
        yield Server(process, addresses["collect"], addresses["api"])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def sojourn(*arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=environment(env), capture_output=True, text=True, timeout=EXIT_S
    )


def visit(user: str, *names: str, status: str = "CLOSED_SESSION", **more: Any) -> dict[str, Any]:
    """A visit of site 1 with events of these names."""
    return {
        "$type": "SITE_VISIT",
        "$session_status": status,
        "$site_id": "1",
        "$user_agent_id": user,
        "$events": [{"$event_name": name, "$properties": {}} for name in names],
        **more,
    }
