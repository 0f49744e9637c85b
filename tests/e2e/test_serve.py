"""A server as its users meet it: events in by one address, activities out by the other, commands beside it."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ADMIN, COMMAND, FREE_PORTS, ROOT, SITE, Server, environment, serving, sojourn, visit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared server keeps its store."""
    return tmp_path_factory.mktemp("serve") / "data"


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Server]:
    """One server for all tests here; each has users of its own."""
    with serving(data) as running:
        yield running


def test_what_is_sent_is_read_back_by_any_selector(server: Server):
    account = {"$type": "USER_ACCOUNT", "$compartment_id": "1000", "$user_account_id": "a/b,c"}
    email = {"$type": "USER_EMAIL", "$hash": "ABCDEF"}
    sent = visit("all-1", "hello", amount=1.50, **{"$user_identifiers": [account, email]})
    answer = server.post(sent, **{"async": "false"})
    assert answer.status_code == 200
    taken = answer.json()["data"]
    assert taken == {"status": "accepted", "user_point_id": taken["user_point_id"], "events": 1, "stored": True}

    point = taken["user_point_id"]
    for below, selector in [
        ("user_timelines", point),
        ("user_timelines", f"user_point_id={point}"),
        ("user_timelines", "user_agent_id=all-1"),
        ("user_timelines", "compartment_id=1000,user_account_id=a%2Fb,c"),
        ("user_timelines", "compartment_id=1000/user_account_id=a%2Fb,c"),
        ("user_timelines", "email_hash=abcdef"),
        ("user_points", "user_agent_id=all-1"),
    ]:
        found = server.get(f"{below}/{selector}/user_activities")
        assert found.status_code == 200, (selector, found.text)
        body = found.json()
        assert {name: body[name] for name in ("status", "count", "first_result", "max_results")} == {
            "status": "ok",
            "count": 1,
            "first_result": 0,
            "max_results": 50,
        }
        assert body["data"][0]["$events"][0]["$event_name"] == "hello"
        assert body["data"][0]["$topics"] is None
        assert '"amount":1.5' in found.text

    known = server.get("user_points/user_agent_id=all-1/user_identifiers").json()
    assert {one["$type"] for one in known["data"]} == {"USER_ACCOUNT", "USER_EMAIL", "USER_AGENT"}
    assert known["count"] == 3


def test_an_open_session_is_seen_live_only(server: Server):
    assert server.post(visit("live-1", "one", "two", status="IN_SESSION")).status_code == 200
    path = "user_timelines/user_agent_id=live-1/user_activities"
    stored = server.get(path)
    assert (stored.status_code, stored.json()["data"]) == (200, [])
    (snapshot,) = server.get(path, live="true").json()["data"]
    assert snapshot["$session_status"] == "SESSION_SNAPSHOT"
    assert [event["$event_name"] for event in snapshot["$events"]] == ["one", "two"]


def test_a_page_of_a_timeline(server: Server):
    day_ms = 86_400_000
    times = [1_700_000_000_000 + day * day_ms for day in range(5)]  # The first is 2023-11-14, 22:13:20 UTC.
    batch = [visit("page-1", "hello", level=f"{index}", **{"$ts": ts}) for index, ts in enumerate(times)]
    answer = server.post(batch, **{"async": "false"})
    assert answer.json()["count"] == 5
    assert all(one["status"] == "accepted" for one in answer.json()["data"]["results"])

    def levels(**params: str) -> str:
        found = server.get("user_timelines/user_agent_id=page-1/user_activities", **params)
        assert found.status_code == 200, found.text
        return "".join(one["level"] for one in found.json()["data"])

    assert levels() == "43210"
    assert levels(limit="2") == "43"
    assert levels(max_results="1") == "4"
    assert levels(limit="99999999999999999999") == "43210"
    assert levels(to="2023-11-16") == "10"
    assert levels(to="1969-01-01") == levels(to="2023-11-14") == ""
    assert levels(to="9999-12-31") == "43210"
    assert levels(filters="level==1|3,$channel_id==1") == "31"
    assert levels(filters=f"start_ts=={times[1]},end_ts=={times[2]}") == "21"
    assert levels(filters="$type==APP_VISIT") == ""


@pytest.mark.parametrize(
    "params",
    [
        *({"limit": text} for text in ("0", "-1", "x", "", "1.5", "00")),
        *({"to": text} for text in ("", "2023", "2023-13-01", "14.11.2023", "0000-00-00")),
        *({"filters": "nonsense"}, {"live": "1"}, {"first_result": "10"}),
    ],
)
def test_a_parameter_that_is_none_is_refused(server: Server, params: dict[str, str]):
    server.post(visit("refused-1", "hello"))
    found = server.get("user_timelines/user_agent_id=refused-1/user_activities", **params)
    assert (found.status_code, found.json()["path"]) == (400, next(iter(params)))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("user_timelines/user_agent_id=nobody/user_activities", 404, "not_found"),
        ("user_timelines/00000000-0000-0000-0000-000000000000/user_activities", 404, "not_found"),
        ("user_timelines/nonsense/user_activities", 400, "bad_selector"),
        ("user_points/user_agent_id=/user_identifiers", 400, "bad_selector"),
        ("user_points//user_identifiers", 404, "not_found"),
        ("nothing/here", 404, "not_found"),
    ],
)
def test_who_is_not_there(server: Server, path: str, status: int, code: str):
    found = server.get(path)
    assert (found.status_code, found.json()["error_code"]) == (status, code)


def test_tokens(server: Server):
    collect = f"{server.collect}/v1/datamarts/1/user_activities"
    read = f"{server.api}/v1/datamarts/1/user_timelines/user_agent_id=x/user_activities"
    body = json.dumps(visit("token-1", "hello"))
    assert httpx.post(collect, content=body).status_code == 401
    assert httpx.post(collect, content=body, headers={"Authorization": "wrong"}).status_code == 401
    assert httpx.post(collect, content=body, headers={"Authorization": f"api:{ADMIN}"}).status_code == 200
    elsewhere = httpx.post(collect.replace("/1/", "/2/"), content=body, headers={"Authorization": SITE})
    assert elsewhere.status_code == 401
    assert httpx.get(read, headers={"Authorization": SITE}).status_code == 403
    assert httpx.get(read, headers={"Authorization": ADMIN}).status_code == 404


def test_the_api_plane_collects_too_and_keeps_the_same_bounds(server: Server):
    url = f"{server.api}/v1/datamarts/1/user_activities"
    headers = {"Authorization": SITE}
    assert httpx.post(url, content=json.dumps(visit("both-1", "hello")), headers=headers).status_code == 200
    large = httpx.post(url, content=b" " * (4 * 2**20 + 1), headers=headers)
    assert (large.status_code, large.json()["error_code"]) == (413, "body_too_large")
    wrong = httpx.delete(url, headers=headers)
    assert (wrong.status_code, wrong.json()["error_code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"]


def test_health_and_metrics(server: Server):
    for plane in (server.collect, server.api):
        for path in ("/health/live", "/health/ready"):
            assert httpx.get(plane + path).status_code == 200
            assert httpx.head(plane + path).status_code == 200
    metrics = httpx.get(f"{server.api}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert re.search(r'^sojourn_events_received_total\{datamart="1"\} \d', metrics.text, re.MULTILINE)
    assert httpx.get(f"{server.collect}/metrics").status_code == 404


def test_the_reading_commands_beside_the_server(server: Server, data: Path):
    server.post(visit("cli-1", "hello", "hello", note="[bold]as it is[/bold]"), **{"async": "false"})
    server.post(b'{"$type": 1}')

    listed = sojourn("activities", "user_agent_id=cli-1", "--data", str(data), "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    (line,) = listed.stdout.splitlines()
    api = server.get("user_timelines/user_agent_id=cli-1/user_activities").json()["data"]
    assert json.loads(line) == api[0]
    shown = sojourn("activities", "user_agent_id=cli-1", "--data", str(data))
    assert (shown.returncode, "hello ×2" in shown.stdout) == (0, True)

    counted = sojourn("stats", "--data", str(data), "--json")
    counts = json.loads(counted.stdout)
    assert counts["balanced"] is True
    assert counts["events_refused"] >= 1
    assert isinstance(counts["sessions_closed"], dict)
    assert "received = stored" in sojourn("stats", "--data", str(data)).stdout

    assert sojourn("dead-letters", "--data", str(data), "--json").returncode == 0
    assert "No dead letters" in sojourn("dead-letters", "--data", str(data)).stdout

    unknown = sojourn("activities", "user_agent_id=nobody", "--data", str(data))
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert len(unknown.stderr.splitlines()) == 1


def test_a_second_engine_on_the_directory_is_refused(server: Server, data: Path):
    second = sojourn("serve", "--data", str(data), *FREE_PORTS, "--json")
    assert (second.returncode, second.stdout) == (2, "")
    assert str(data) in second.stderr
    assert "Traceback" not in second.stderr
    assert server.post(visit("still-1", "hello")).status_code == 200


def test_a_port_that_is_taken_is_found_out_before_the_store_is_made(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        failed = sojourn("serve", "--data", str(tmp_path / "a"), "--collect", address, "--api", "127.0.0.1:0")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert address in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_first_start_prints_works_as_it_is(tmp_path: Path):
    data = tmp_path / "new store"
    # As if it were installed, whether it is or not.
    installed = tmp_path / "bin" / "sojourn"
    installed.parent.mkdir()
    installed.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    installed.chmod(0o755)
    path = f"{installed.parent}{os.pathsep}{os.environ['PATH']}"
    env = {"SOJOURN_ADMIN_TOKEN": "", "SOJOURN_SITE_TOKEN": "", "PATH": path}
    command = [*COMMAND, "serve", "--data", str(data), *FREE_PORTS]
    for start in (1, 2):
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert process.stdout is not None
            printed = ""
            while not re.search("sojourn activities .*\n", printed):
                line = process.stdout.readline()
                assert line, printed
                printed += line
            assert ("admin token" in printed) is (start == 1)
            curl = next(line for line in printed.splitlines() if line.strip().startswith("curl "))
            answer = subprocess.run(["sh", "-c", f"{curl} -s"], capture_output=True, text=True, timeout=20)
            assert json.loads(answer.stdout)["data"]["stored"] is True
        finally:
            process.terminate()
            process.communicate()
        assert process.returncode == 0
    look = next(line for line in printed.splitlines() if "sojourn activities" in line)
    shown = subprocess.run(
        ["sh", "-c", f"{look} --json"],
        cwd=ROOT,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert [json.loads(line)["$events"][0]["$event_name"] for line in shown.stdout.splitlines()] == ["hello"] * 2
