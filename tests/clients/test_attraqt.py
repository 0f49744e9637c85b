"""The unmodified library of Crownpeak XO, @attraqt/activity 1.7.1, against a running server.

It sends an array, chunked, and hands what it is answered to its caller; it never sends anything again. So what it sends
while the server refuses is lost unless the caller looks at the status: that is how it is, and these tests say so.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.server import ROOT, Server, serving, visit
from tests.tools import missing, need

pytestmark = pytest.mark.slow

NODE_MODULES = ROOT / "tests" / "js" / "node_modules"
DRIVER = Path(__file__).parent / "drivers" / "attraqt_node.cjs"
CLIENT_S = 30

SITE_KEY, APP_KEY = "1b4e28ba-2fa1-41d2-883f-0016d3cca427", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
CONFIG = f"""
[[datamart]]
id = 1
[[datamart.channel]]
id = "1"
tracker_key = "{SITE_KEY}"
[[datamart.channel]]
id = "2"
kind = "MOBILE_APPLICATION"
tracker_key = "{APP_KEY}"
"""

Call = list[Any]

VIEW = {"action": "view", "target": {"product": "p1"}, "sourceId": "response-1"}
CART = {"action": "add-to-cart", "target": {"product": "p1"}, "metadata": {"quantity": 2, "variant": "red"}}
BOUGHT = {
    "action": "purchase",
    "target": {"product": "p1"},
    "metadata": {"orderId": "o1", "price": 3250, "quantity": 2, "currency": "EUR"},
    "segments": ["mobile"],
}
ALSO_BOUGHT = {**BOUGHT, "target": {"product": "p2"}}


def config_in(folder: Path, more: str = "") -> list[str]:
    """Arguments of a server with known tracker keys."""
    path = folder / "sojourn.toml"
    path.write_text(more + CONFIG)
    return ["--config", str(path)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here that break nothing."""
    folder = tmp_path_factory.mktemp("attraqt")
    with serving(folder / "data", *config_in(folder)) as running:
        yield running


@pytest.fixture
def session() -> str:
    """The session id of a visitor whom no other test knows."""
    return str(uuid4())


def run(server: Server, key: str, *calls: Call) -> list[Any]:
    """What each `send` among the library's calls came to: an answer, or None when it did not send."""
    node = need("node", "https://nodejs.org")
    if not (NODE_MODULES / "@attraqt" / "activity").is_dir():
        missing("@attraqt/activity is not installed: run `npm ci` in tests/js")
    done = subprocess.run(
        [node, str(DRIVER), str(NODE_MODULES), server.collect, key, json.dumps(calls)],
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return [{**one, "body": json.loads(one["body"])} if one else None for one in found]


def as_visitor(session: str) -> Call:
    return ["setUserIdentities", {"sessionid": session}]


def activities(server: Server, selector: str) -> list[dict[str, Any]]:
    found = server.get(f"user_timelines/{selector}/user_activities", live="true")
    return found.json()["data"] if found.status_code == 200 else []


def answered(server: Server) -> dict[str, float]:
    """How many requests of the protocol were answered, by status."""
    lines = httpx.get(f"{server.api}/metrics").text.splitlines()
    begin = 'sojourn_requests_total{protocol="xo",status="'
    return {line.removeprefix(begin)[:3]: float(line.split()[-1]) for line in lines if line.startswith(begin)}


def test_each_activity_is_stored_once_with_its_type_and_its_user(server: Server, session: str):
    customer = f"customer-{session}"
    results = run(
        server,
        SITE_KEY,
        as_visitor(session),
        ["send", VIEW],
        ["send", CART],
        ["addUserIdentity", "ecommerceId", customer],
        ["setUserTraits", {"tier": "gold"}],
        ["addUserSegment", "vip"],
        ["send", [BOUGHT, ALSO_BOUGHT]],
    )
    assert results == [{"status": 200, "body": {"profiles": {}}}] * 3
    (found,) = activities(server, f"user_agent_id={session}")
    assert (found["$type"], found["$site_id"], found["$session_status"]) == ("SITE_VISIT", "1", "SESSION_SNAPSHOT")
    assert [event["$event_name"] for event in found["$events"]] == [
        *("$item_view", "add-to-cart", "$transaction_confirmed", "$transaction_confirmed")
    ]
    assert found["$user_identifiers"] == [
        {"$type": "USER_AGENT", "$user_agent_id": session},
        {"$type": "USER_ACCOUNT", "$compartment_id": "1", "$user_account_id": customer},
    ]
    view, cart, bought, also = [event["$properties"] for event in found["$events"]]
    assert (view["sourceId"], view["target"]) == ("response-1", {"product": "p1"})
    assert (cart["metadata"], cart["$items"]) == (CART["metadata"], [{"$id": "p1", "$qty": 2}])
    assert (bought["metadata"], bought["segments"]) == (BOUGHT["metadata"], ["mobile"])
    assert [one["$items"] for one in (bought, also)] == [
        [{"$id": "p1", "$price": 32.5, "$qty": 2}],
        [{"$id": "p2", "$price": 32.5, "$qty": 2}],
    ]
    assert bought["user"] == {
        "identities": {"sessionid": session, "ecommerceid": customer},
        "segments": ["vip"],
        "traits": {"tier": "gold"},
    }
    assert activities(server, f"compartment_id=1,user_account_id={customer}") == [found]


def test_the_library_makes_a_session_of_its_own(server: Server):
    (result,) = run(server, SITE_KEY, ["addUserIdentity", "crmNumber", (number := str(uuid4()))], ["send", VIEW])
    assert result["status"] == 200
    (found,) = activities(server, f"compartment_id=crmnumber,user_account_id={number}")
    assert {one["$type"] for one in found["$user_identifiers"]} == {"USER_AGENT", "USER_ACCOUNT"}


def test_the_key_of_an_app_makes_a_visit_of_the_app(server: Server, session: str):
    run(server, APP_KEY, as_visitor(session), ["send", VIEW])
    (found,) = activities(server, f"user_agent_id={session}")
    assert (found["$type"], found["$app_id"]) == ("APP_VISIT", "2")


@pytest.mark.parametrize(
    ("key", "status", "error", "message"),
    [
        ("9d5e0a6c-2f1d-4b11-8c1f-0a526f4e4a4b", 401, "Unauthorized", "Unknown tracker key"),
        ("nonsense", 422, "Unprocessable Entity", "Tracker key not valid"),
    ],
)
def test_a_bad_key_is_handed_to_the_caller(
    server: Server, session: str, key: str, status: int, error: str, message: str
):
    before = answered(server).get(str(status), 0)
    (result,) = run(server, key, as_visitor(session), ["send", VIEW])
    assert result == {"status": status, "body": {"error": error, "message": message}}
    assert answered(server)[str(status)] == before + 1
    assert activities(server, f"user_agent_id={session}") == []


def test_a_fault_that_the_library_lets_through_is_told(server: Server, session: str):
    odd = {**VIEW, "timestamp": "yesterday"}
    (alone, beside) = run(server, SITE_KEY, as_visitor(session), ["send", odd], ["send", [odd, VIEW]])
    assert (alone["status"], alone["body"]["path"]) == (400, "$[0].timestamp")
    assert beside == {"status": 200, "body": {"profiles": {}}}
    (found,) = activities(server, f"user_agent_id={session}")
    assert len(found["$events"]) == 1


def test_who_has_opted_out_sends_nothing(server: Server, session: str):
    before = answered(server)
    assert run(server, SITE_KEY, as_visitor(session), ["optOut"], ["send", VIEW]) == [None]
    assert answered(server) == before


def test_it_does_not_send_again_what_was_too_fast(tmp_path: Path, session: str):
    limits = "[rates]\nrequests_per_s_of_token = 0.001\nburst_of_token = 1\n"
    with serving(tmp_path / "data", *config_in(tmp_path, limits)) as server:
        first, second = run(server, SITE_KEY, as_visitor(session), ["send", VIEW], ["send", CART])
        assert (first["status"], second["status"]) == (200, 429)
        assert second["body"]["error"] == "Too Many Requests"
        assert answered(server) == {"200": 1, "429": 1}, "the library does not obey `Retry-After`"
        (found,) = activities(server, f"user_agent_id={session}")
        assert [event["$event_name"] for event in found["$events"]] == ["$item_view"]


def test_it_does_not_send_again_what_there_was_no_room_for(tmp_path: Path, session: str):
    with serving(tmp_path / "data", *config_in(tmp_path, "[limits]\nmax_journal_bytes = 65536\n")) as server:
        visits = [visit(f"u{number}", "x", status="IN_SESSION", filling="x" * 4000) for number in range(20)]
        assert server.post(visits).status_code == 200
        (result,) = run(server, SITE_KEY, as_visitor(session), ["send", VIEW])
        assert (result["status"], result["body"]["error"]) == (503, "Service Unavailable")
        assert answered(server) == {"503": 1}
        assert activities(server, f"user_agent_id={session}") == []
