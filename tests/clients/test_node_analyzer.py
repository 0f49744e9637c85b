"""An analyzer made with the platform's own SDK, @mediarithmics/plugins-nodejs-sdk, unmodified, and a real server."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.server import ROOT, Server, serving, visit
from tests.tools import missing, need

pytestmark = pytest.mark.slow

NODE_MODULES = ROOT / "tests" / "js" / "node_modules"
DRIVER = Path(__file__).parent / "drivers" / "analyzer_node.cjs"
START_S = 30

WORKER, TOKEN = "worker-1", "a-token-of-the-plugin"

DEFINITIONS = """
[[datamart]]
id = 1

[[datamart.channel]]
id = "1"
token = "site-token-of-these-tests"
analyzers = ["42"]

[[datamart.analyzer]]
id = "42"
name = "in Node.js"
url = "http://127.0.0.1:{port}"
worker_id = "worker-1"
token = "a-token-of-the-plugin"

[[datamart.analyzer.property]]
technical_name = "processed_by"
value = {{ value = "com.example:default v.1" }}

[[datamart.analyzer.property]]
technical_name = "labels"
property_type = "DATA_FILE"
value = {{ uri = "mics://data_file/shop/labels.json" }}

[[datamart.analyzer.property]]
technical_name = "configuration"
value = {{ value = "greeting" }}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def plugin(server: Server, port: int, log: Path) -> Iterator[None]:
    """The analyzer, listening."""
    node = need("node", "https://nodejs.org")
    if not (NODE_MODULES / "@mediarithmics" / "plugins-nodejs-sdk").is_dir():
        missing("@mediarithmics/plugins-nodejs-sdk is not installed: run `npm ci` in tests/js")
    host, _, api_port = server.api.removeprefix("http://").rpartition(":")
    env = {
        "GATEWAY_HOST": host,
        "GATEWAY_PORT": api_port,
        "PLUGIN_PORT": str(port),
        "PLUGIN_WORKER_ID": WORKER,
        "PLUGIN_AUTHENTICATION_TOKEN": TOKEN,
    }
    with log.open("w") as out:
        process = subprocess.Popen([node, str(DRIVER), str(NODE_MODULES)], env=os.environ | env, stdout=out, stderr=out)
    try:
        until(lambda: status_of(port) == 200, process)
        yield
    finally:
        process.kill()
        process.wait()


def status_of(port: int) -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/status", trust_env=False).status_code
    except httpx.TransportError:
        return 0


def until(condition: Any, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Another program tells nobody when it is ready."""
    end = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        assert process is None or process.poll() is None, "the plugin has ended"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server, and the analyzer it calls."""
    folder = tmp_path_factory.mktemp("analyzer")
    port = free_port()
    (folder / "definitions.toml").write_text(DEFINITIONS.format(port=port))
    (folder / "files" / "shop").mkdir(parents=True)
    (folder / "files" / "shop" / "labels.json").write_text('{"hello": "the front page"}')
    config = folder / "sojourn.toml"
    config.write_text(
        f'[definitions]\nfile = "{folder}/definitions.toml"\n[analyzers]\ndata_files = "{folder}/files"\nretries = 0\n'
    )
    with serving(folder / "data", "--config", str(config)) as server:
        kept = httpx.put(
            f"{server.api}/v1/configuration/technical_name=greeting", content=b"good day", auth=(WORKER, TOKEN)
        )
        assert kept.status_code == 200, kept.text
        with plugin(server, port, folder / "plugin.log"):
            yield server


def stored(server: Server, user: str) -> list[dict[str, Any]]:
    found = server.get(f"user_timelines/user_agent_id={user}/user_activities")
    return found.json()["data"] if found.status_code == 200 else []


def counter(server: Server, name: str) -> float:
    lines = httpx.get(f"{server.api}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"sojourn_{name}"))


def test_its_changes_are_stored_and_all_else_is_as_it_was_sent(world: Server):
    body = visit("vec:1", "page HP", "other", price=0)
    text = json.dumps(body).replace('"price": 0', '"price":1.50,"big":12345678901234567890,"10":1,"9":2')
    assert world.post(text.encode()).status_code == 200
    until(lambda: stored(world, "vec:1"))
    (found,) = stored(world, "vec:1")
    assert [one["$event_name"] for one in found["$events"]] == ["hello", "other"]
    assert found["processed_by"] == "com.example:default v.1"
    assert found["label"] == "the front page"
    assert found["configuration"] == "good day"
    assert found["$error_analyzer_id"] is None
    assert found["$user_identifiers"] == [{"$type": "USER_AGENT", "$user_agent_id": "vec:1"}]
    shown = world.get("user_timelines/user_agent_id=vec:1/user_activities").text
    assert '"price":1.50,"big":12345678901234567890,"10":1,"9":2' in shown, "JavaScript has one kind of number"


def test_identifiers_are_not_its_to_change(world: Server):
    world.post(visit("vec:2", "page HP", wish="ids"))
    until(lambda: stored(world, "vec:2"))
    (found,) = stored(world, "vec:2")
    assert found["$user_identifiers"] == [{"$type": "USER_AGENT", "$user_agent_id": "vec:2"}]


def test_its_drop_is_no_failure(world: Server):
    world.post(visit("vec:3", "page HP", wish="drop"))
    until(lambda: counter(world, 'events_dropped_by_reason_total{datamart="1",reason="analyzer"}') == 1)
    assert stored(world, "vec:3") == []
    assert counter(world, 'analyzer_dropped_total{datamart="1",reason="42"}') == 1


def test_what_it_throws_is_a_failure_and_the_activity_is_stored_without_its_changes(world: Server):
    world.post(visit("vec:4", "page HP", wish="throw"))
    until(lambda: stored(world, "vec:4"))
    (found,) = stored(world, "vec:4")
    assert (found["$error_analyzer_id"], found["$events"][0]["$event_name"]) == ("42", "page HP")
    assert "processed_by" not in found
