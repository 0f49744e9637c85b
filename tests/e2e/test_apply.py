"""Definitions of a running server: `sojourn apply`, the file at its start, SIGHUP, and a kill in the middle."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.definitions.files import FULL
from tests.e2e.server import ADMIN, COMMAND, FREE_PORTS, ROOT, Server, environment, serving, sojourn, visit

pytestmark = pytest.mark.slow

QUERY = 'SELECT { id } FROM UserActivity WHERE events { name = "hello" }'
WAIT_S = 15


def file_of(path: Path, *goals: str, site: str = "1") -> Path:
    text = f"[[datamart]]\nid = 1\n[[datamart.channel]]\nid = '{site}'\n"
    path.write_text(text + "".join(f"[[datamart.goal]]\nid = '{name}'\nquery = '{QUERY}'\n" for name in goals))
    return path


def apply(file: Path, server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return sojourn("apply", str(file), "--server", server.api, *arguments)


def ask(server: Server) -> dict:
    answer = httpx.get(f"{server.api}/v1/definitions", headers={"Authorization": ADMIN})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def goals(server: Server) -> list[str]:
    return [one["id"] for one in ask(server)["datamart"][0].get("goal", [])]


def conversions(server: Server, user: str) -> list[str]:
    (activity,) = server.get(f"user_timelines/user_agent_id={user}/user_activities").json()["data"]
    return [event["$properties"]["$goal_id"] for event in activity["$events"] if event["$event_name"] == "$conversion"]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_is_applied_holds_for_the_next_activity(tmp_path: Path):
    data = tmp_path / "data"
    with serving(data) as server:
        server.post(visit("before", "hello"), **{"async": "false"})
        file = file_of(tmp_path / "shop.toml", "a", "b")
        dry = apply(file, server, "--dry-run", "--json")
        assert (dry.returncode, json.loads(dry.stdout)["applied"]) == (4, False)
        assert goals(server) == []
        done = apply(file, server)
        assert (done.returncode, done.stderr) == (0, "")
        assert "+ goal a" in done.stdout
        assert "4 added: applied." in done.stdout
        server.post(visit("after", "hello"), **{"async": "false"})
        assert (conversions(server, "before"), conversions(server, "after")) == ([], ["a", "b"])
        assert apply(file, server, "--dry-run").returncode == 0

        # A new site takes events at once, and the old one none.
        done = apply(file_of(file, "b", site="9"), server, "--json")
        (token, _) = json.loads(done.stdout)["made"]
        new = visit("new", "hello") | {"$site_id": "9"}
        url = f"{server.collect}/v1/datamarts/1/user_activities?async=false"
        answer = httpx.post(url, json=new, headers={"Authorization": token["value"]})
        assert answer.json()["data"]["stored"]
        assert conversions(server, "new") == ["b"]
        assert server.post(visit("old", "hello")).status_code in (400, 401)

        wrong = apply(file_of(file, "c c"), server)
        assert wrong.returncode == 2
        assert "datamart[0].goal[0].id" in wrong.stderr
        assert goals(server) == ["b"]
        busy = sojourn("apply", str(file_of(file, "d")), "--data", str(data))
        assert busy.returncode == 2
        assert "another engine" in busy.stderr
        assert "--server" in busy.stderr
        assert apply(file, server, "--token", "nobody").returncode == 2
        assert sojourn("apply", str(file), "--data", str(data), "--dry-run").returncode == 4
        assert server.stop() == 0
    with serving(data) as server:
        assert goals(server) == ["b"]


def test_a_file_of_products_goes_to_the_server_with_its_catalog(tmp_path: Path):
    with serving(tmp_path / "data") as server:
        assert apply(FULL, server).returncode == 0
        catalog = ask(server)["datamart"][0]["catalog"][0]
        assert [one["id"] for one in catalog["product"]] == ["p0", "p1", "p2"]
        health = httpx.get(f"{server.api}/health/ready").json()["data"]
        assert health == {"ready": True}
        assert "sojourn_definitions_set_aside 0.0" in httpx.get(f"{server.api}/metrics").text


def test_the_file_holds_at_the_start_and_again_at_sighup(tmp_path: Path):
    file, data = file_of(tmp_path / "shop.toml", "a"), tmp_path / "data"
    log = data.with_suffix(".log")
    with serving(data, "--definitions", str(file)) as server:
        assert goals(server) == ["a"]
        file_of(file, "b")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: goals(server) == ["b"])
        file.write_text("[[datamart]]\nid = 1\nnam = 3\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "definitions refused" in log.read_text())
        assert "did you mean name?" in log.read_text()
        assert goals(server) == ["b"]
        server.post(visit("x", "hello"), **{"async": "false"})
        assert conversions(server, "x") == ["b"]
        assert server.stop() == 0
    refused = sojourn("serve", "--data", str(data), *FREE_PORTS, "--definitions", str(file))
    assert refused.returncode == 2
    assert "datamart[0].nam" in refused.stderr


def test_without_a_file_sighup_is_told_and_ends_nothing(tmp_path: Path):
    data = tmp_path / "data"
    with serving(data) as server:
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "no file of definitions" in data.with_suffix(".log").read_text())
        assert server.stop() == 0


def test_killed_in_the_middle_of_an_apply_it_has_the_old_or_the_new(tmp_path: Path):
    data, drawn = tmp_path / "data", random.Random(7)
    names = [f"g{number}" for number in range(200)]
    last: list[str] = []
    for attempt in range(3):
        wanted = [f"{name}-{attempt}" for name in names]
        file = file_of(tmp_path / "shop.toml", *wanted)
        with serving(data) as server:
            assert goals(server) == last
            child = subprocess.Popen(
                [*COMMAND, "apply", str(file), "--server", server.api, "--json"],
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            time.sleep(drawn.uniform(0.2, 1.2))
            os.kill(server.process.pid, signal.SIGKILL)
            said = child.communicate()[0]
        with serving(data) as server:
            found = goals(server)
            assert found in (last, wanted)
            if said:
                assert found == wanted
            assert ask(server)["set_aside"] == []
            last = found
