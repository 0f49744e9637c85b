"""What stands around the engine in this example: who receives webhooks, the analyzer in Node.js, the API over HTTP."""

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import httpx
import trio
from hypercorn.trio import serve

from engine import Engine, Settings
from gateway.api.app import api_app
from gateway.collect.collect import Collect
from gateway.listen import Listener

HERE: Final = Path(__file__).resolve().parent
PATIENCE_S: Final = 30.0
"""For anything that takes milliseconds on a machine with nothing else to do."""

OLDEST_NODE: Final = (20, 19)

_SDK: Final = "require.resolve('@mediarithmics/plugins-nodejs-sdk')"

_ENDS_WITH_US: Final = "data:text/javascript,process.stdin.on('end',()=>process.exit()).resume()"
"""Loaded by Node.js in front of the analyzer: it ends when we do, also where nobody could tell it."""


class Unexpected(Exception):
    """Something did not happen as this example tells it."""


async def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until it holds.

    Raises:
        Unexpected: that takes too long.
    """
    end = time.monotonic() + PATIENCE_S
    while not await trio.to_thread.run_sync(holds):
        if time.monotonic() > end:
            raise Unexpected(f"waited {PATIENCE_S:.0f} s in vain: {what}")
        await trio.sleep(0.02)


# ---- webhooks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Received:
    """A webhook as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def is_signed_with(self, secret: str) -> bool:
        """Whether the sender knows the secret, as Standard Webhooks has it. Any library for these does the same."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        told, at_s = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = f"{told}.{at_s}.".encode() + self.body
        wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        is_fresh = abs(time.time() - int(at_s)) < 300
        return is_fresh and hmac.compare_digest(wanted, self.headers["webhook-signature"])


@contextmanager
def webhook_receiver() -> Iterator[tuple[str, list[Received]]]:
    """A tiny CRM: its address, and what it has received so far."""
    received: list[Received] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what comes is shown by the story."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hooks/sojourn", received
        finally:
            server.shutdown()
            thread.join()


# ---- sojourn's own HTTP ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def http_api(engine: Engine, settings: Settings) -> AsyncIterator[str]:
    """The engine behind HTTP, as `sojourn serve` has it, on a free port: its address."""
    listener = Listener("127.0.0.1", 0)
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        app = api_app(Collect(engine, settings))
        await nursery.start(
            lambda task_status: serve(
                app, listener.config(1.0), shutdown_trigger=stopping.wait, task_status=task_status
            )
        )
        try:
            yield listener.url
        finally:
            stopping.set()


# ---- the analyzer in Node.js -----------------------------------------------------------------------------------------


def why_no_node() -> str:
    """Why the analyzer in Node.js cannot run here; "" where it can."""
    node = shutil.which("node")
    if node is None:
        return "Node.js is not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=PATIENCE_S).stdout.strip()
    numbers = version.removeprefix("v").split(".")[:2]
    if not all(part.isdecimal() for part in numbers) or tuple(map(int, numbers)) < OLDEST_NODE:
        return f"Node.js is {version}, older than {'.'.join(map(str, OLDEST_NODE))}"
    found = subprocess.run([node, "-e", _SDK], cwd=HERE, capture_output=True, timeout=PATIENCE_S)
    return "" if found.returncode == 0 else "its SDK is not installed: `npm ci --ignore-scripts` in this folder"


def free_port() -> int:
    """A port of this machine on which nobody listens now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def node_analyzer(port: int, api: str, declared: dict[str, Any], log: Path) -> AsyncIterator[int]:
    """analyzer.cjs, listening: its process id. It ends with the block.

    Args:
        port: where it shall listen.
        api: address of the API that it asks for its properties.
        declared: its definition; worker_id and token are in it.
        log: a file for what it says.
    """
    gateway = httpx.URL(api)
    env = os.environ | {
        "PLUGIN_PORT": str(port),
        "GATEWAY_HOST": gateway.host,
        "GATEWAY_PORT": str(gateway.port),
        "PLUGIN_WORKER_ID": declared["worker_id"],
        "PLUGIN_AUTHENTICATION_TOKEN": declared["token"],
    }
    command = [shutil.which("node") or "node", "--import", _ENDS_WITH_US, str(HERE / "analyzer.cjs")]
    with log.open("w") as out:
        process = await trio.lowlevel.open_process(command, env=env, stdin=subprocess.PIPE, stdout=out, stderr=out)

    def listens() -> bool:
        if process.returncode is not None:
            raise Unexpected(f"the analyzer in Node.js has ended:\n{log.read_text()}")
        try:
            return httpx.get(f"http://127.0.0.1:{port}/v1/status", trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        await until("the analyzer in Node.js listens", listens)
        yield process.pid
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
