"""Unmodified clients of Segment and RudderStack: each event is stored once, also after a refusal or a lost answer."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.clients.drivers.calls import BEFORE
from tests.clients.front import Fault, Front, standing_before
from tests.e2e.server import ROOT, SITE, Server, serving

pytestmark = pytest.mark.slow

DRIVERS = Path(__file__).parent / "drivers"
NODE_MODULES = ROOT / "tests" / "js" / "node_modules"
CLIENT_S = 30

CLIENTS = ("segment_python", "rudder_python", "segment_node")
CALLS = 6

EVENTS = [
    "$transaction_confirmed",
    "$set_user_profile_properties",
    "$page_view",
    "page",
    "screen",
    "group",
    "alias",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here; each has a user of its own."""
    with serving(tmp_path_factory.mktemp("clients") / "data") as running:
        yield running


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """One of the clients, if it is here."""
    name: str = request.param
    missing = _missing(name)
    if missing:
        if os.environ.get("SOJOURN_REQUIRE_ALL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return name


@pytest.fixture
def user() -> str:
    """A user whom no other test knows."""
    return f"user-{uuid4()}"


def _missing(name: str) -> str:
    if name == "segment_node":
        if shutil.which("node") is None:
            return "there is no node"
        return "" if (NODE_MODULES / "@segment" / "analytics-node").is_dir() else "run `npm ci` in tests/js"
    module = {"segment_python": "segment", "rudder_python": "rudderstack"}[name]
    return "" if importlib.util.find_spec(module) else f"there is no package {module}"


def run(client: str, url: str, key: str, user: str) -> list[tuple[str, int]]:
    """Make a client send its calls; what it reports as lost, and of how many messages."""
    if client == "segment_node":
        command = ["node", str(DRIVERS / "segment_node.cjs")]
    else:
        command = [sys.executable, "-m", f"tests.clients.drivers.{client}"]
    done = subprocess.run(
        [*command, url, key, user],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def activities(server: Server, user: str) -> list[dict[str, Any]]:
    """What is known of a user: nothing, of one whom nobody has named."""
    found = server.get(f"user_timelines/compartment_id=1,user_account_id={user}/user_activities", live="true")
    return found.json()["data"] if found.status_code == 200 else []


def assert_stored_once(server: Server, user: str) -> None:
    (visit,) = activities(server, user)
    assert [event["$event_name"] for event in visit["$events"]] == EVENTS
    assert (visit["$type"], visit["$site_id"]) == ("SITE_VISIT", "1")
    origin = visit["$origin"]
    assert (origin["$channel"], origin["$source"], origin["$campaign_name"]) == ("email", "newsletter", "spring")
    email = f"{user}@Shop.test"
    assert {
        "$type": "USER_EMAIL",
        "$hash": hashlib.sha256(email.lower().encode()).hexdigest(),
        "$email": email,
    } in visit["$user_identifiers"]
    order, profile, view, page, screen, group, alias = [event["$properties"] for event in visit["$events"]]
    assert (order["revenue"], order["event"]) == (12.5, "Order Completed")
    assert order["$items"] == [{"$id": "p1", "$qty": 2, "$price": 6.25}]
    assert (profile["$user_account_id"], profile["$compartment_id"], profile["plan"]) == (user, "1", "pro")
    assert view == {"$url": "https://shop.test/"}
    assert (page["name"], page["category"], page["title"]) == ("Home", "Shop", "Home")
    assert (screen["name"], group["groupId"], group["traits"]) == ("Start", "g1", {"seats": 5})
    assert alias["previousId"] == user + BEFORE
    assert activities(server, user + BEFORE) == [visit]


def test_every_call_is_stored_once(server: Server, client: str, user: str):
    assert run(client, server.collect, SITE, user) == []
    assert_stored_once(server, user)


@pytest.mark.parametrize("fault", ["429", "503", "answer lost"])
def test_a_client_that_is_refused_comes_again(server: Server, client: str, user: str, fault: Fault):
    with standing_before(Front(server.collect, fault, faults=1)) as front:
        assert run(client, front.url, SITE, user) == []
    assert front.statuses[0] in (429, 503)
    assert front.statuses[-1] == 200
    assert (len(front.seen), max(front.seen.values())) == (CALLS, 2)
    assert_stored_once(server, user)


def test_a_bad_key_is_told_and_not_tried_again(server: Server, client: str, user: str):
    with standing_before(Front(server.collect)) as front:
        lost = run(client, front.url, "nobody's key", user)
    assert set(front.statuses) == {401}
    assert (len(front.seen), set(front.seen.values())) == (CALLS, {1})
    assert sum(count for _, count in lost) == CALLS
    assert activities(server, user) == []
