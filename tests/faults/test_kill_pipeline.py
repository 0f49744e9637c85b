"""kill -9 while all steps work: effects once, the outbox at least once, nothing acknowledged lost (decision 34)."""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from uuid import UUID

import pytest
import trio

from engine import Selector, open_engine
from engine.store.keys import split_activity_key
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import check_books, gauges, letters, statistics, until
from tests.faults.pipeline_child import FAITHFUL, USERS, definitions, settings_for
from tests.faults.receiver import receiving

ROOT = Path(__file__).parent.parent.parent
TURNS = 5
DEATH_S = 5.0
"""In which a worker process finds out that its engine is gone."""


def killed(directory: Path, turn: int, port: int, chance: random.Random) -> "tuple[list[tuple[str, int]], set[int]]":
    """What an engine said was safe until it was killed, each with whose it was, and the processes it had begun."""
    command = [sys.executable, "-m", "tests.faults.pipeline_child", str(directory), str(turn), str(port)]
    safe, processes = [], set()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors) as child,
    ):

        def kill() -> None:
            processes.update(children_of(child.pid))
            child.kill()

        assert child.stdout is not None
        # One of them dies while it opens, recovers or applies; the others at work.
        death = threading.Timer(chance.uniform(0.3, 1.2), kill) if turn == 2 else None
        if death is not None:
            death.start()
        for line in child.stdout:
            if line == b"open\n" and death is None:
                death = threading.Timer(chance.choice([0.02, 0.3, 0.7, 1.3, 2.0]) * chance.uniform(0.8, 1.2), kill)
                death.start()
            elif line.startswith(b"safe ") and line.endswith(b"\n"):
                _, event_id, user = line.decode().split()
                safe.append((event_id, int(user)))
        if death is not None:
            death.join()
        errors.seek(0)
        assert child.wait(10) == -9, errors.read().decode()
    return safe, processes


def children_of(process: int) -> list[int]:
    """Processes that this one has begun, where the system tells."""
    # By thread: processes are begun in threads.
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for one in found for child in one.read_text().split()]


def is_running(process: int) -> bool:
    """Whether it runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_whole_pipeline_that_is_killed_again_and_again_has_each_effect_once(tmp_path):
    seed = int.from_bytes(os.urandom(4))
    chance = random.Random(seed)
    safe: dict[str, int] = {}
    processes: set[int] = set()
    with receiving(random.Random(seed)) as receiver:
        for turn in range(TURNS):
            said, begun = killed(tmp_path, turn, receiver.port, chance)
            for event_id, user in said:
                safe.setdefault(event_id, user)
            processes |= begun
        trio.run(check, tmp_path, receiver, safe)
    assert len(safe) > 50, "nothing was acknowledged: this proves nothing"
    if Path("/proc/self/task").exists():
        assert processes, "no worker process was seen: this proves nothing"
    deadline = time.monotonic() + DEATH_S
    while (left := [one for one in processes if is_running(one)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == [], "workers of killed engines are still there"


async def check(directory, receiver, safe):
    """One more engine, until nothing is left to do; then all that was stored is looked at."""
    async with open_engine(settings_for(str(directory))) as engine:
        await engine.apply(definitions(receiver.port))
        await engine.wait_recovered()
        await engine.close_sessions()
        store = engine.reader._store
        with trio.fail_after(30):
            for db in (Db.JOURNAL, Db.TIMERS, Db.OUTBOX, Db.JOURNAL):
                await until(lambda db=db: not store.page(db, limit=1))
        check_books(engine)
        totals = statistics(engine)
        assert (letters(engine), totals["events_dead"], totals["events_open"]) == ([], 0, 0)
        assert rows(store, Db.STATES) == []
        assert gauges(engine)["recovery_orphans"] == gauges(engine)["recovery_damaged_states"] == 0
        Look(engine, store, receiver, safe).all()


class Look:
    """What was stored, and what it must come to."""

    def __init__(self, engine, store, receiver, safe):
        self.engine, self.store, self.receiver, self.safe = engine, store, receiver, safe
        self.totals = statistics(engine)
        self.counters = engine.reader.counters()[1]
        self.activities = defaultdict(list)
        for key, value in rows(store, Db.ACTIVITIES):
            self.activities[split_activity_key(key).user_point].append(json.loads(value[9:]))
        self.all_activities = [one for some in self.activities.values() for one in some]
        self.visits = [one for one in self.all_activities if one["$type"] == "SITE_VISIT"]
        self.events = [event for one in self.visits for event in one["$events"]]

    def all(self):
        self.events_once()
        self.choices_once()
        self.conversions_are_counted()
        self.scenarios_once()
        self.webhooks_at_least_once()
        self.profiles_as_last_told()
        self.people_are_who_they_said()
        assert all("worker" in one or one.get("$error_analyzer_id") for one in self.visits), "each was analyzed"

    def count(self, name):
        return self.counters.get(name, 0)

    def events_once(self):
        found = Counter(event["$event_id"] for event in self.events if "$event_id" in event)
        assert set(found.values()) <= {1}, "stored twice"
        faithful = {event_id for event_id, user in self.safe.items() if user < FAITHFUL}
        told = {one["told_by"] for one in self.choices()}
        # Page views leave the activity when rules have made another event of them (decision 35).
        missing = {one for one in self.safe if one not in found}
        products = sum(event["$event_name"] == "product" for event in self.events)
        views = self.totals["events_stored"] - len(found)
        assert views == products, "each page view that is gone has left the event that the rule made"
        assert len(missing) <= views + self.totals["events_dropped"]
        assert len(missing & faithful) <= views, "nothing of those who always agree is dropped"
        assert not {one for one in missing & faithful if "-yes-" in one}
        assert {one for one in self.safe if "-yes-" in one} <= told
        fates = ("stored", "dropped", "duplicate")
        assert self.totals["events_received"] == sum(self.totals[f"events_{fate}"] for fate in fates)

    def choices(self):
        points = {
            self.engine.reader.find_user_point(1, Selector.parse(f"user_agent_id=v{user}")) for user in range(USERS)
        }
        return [one for point in points - {None} for one in self.engine.reader.choice_history(1, point, limit=1000)]

    def choices_once(self):
        choices = self.choices()
        assert len(choices) == len(rows(self.store, Db.HISTORY))
        rows_of = Counter(one["told_by"] for one in choices)
        assert set(rows_of.values()) == {1}, "a row for each choice"
        stored = {event["$event_id"] for event in self.events if event["$event_name"] == "$set_user_choice"}
        assert stored <= rows_of.keys(), "each choice that is stored is in the history"

    def conversions_are_counted(self):
        found = Counter(
            event["$properties"]["$goal_id"] for event in self.events if event["$event_name"] == "$conversion"
        )
        assert found
        assert {goal: self.count(f"conversions.{goal}") for goal in found} == dict(found)
        for goal, name in (("sale", "buy"), ("seen", "product")):
            assert found[goal] == sum(
                any(event["$event_name"] == name for event in one["$events"]) for one in self.visits
            ), "one for each activity that meets the goal"

    def scenarios_once(self):
        kinds = Counter(one["$type"] for one in self.all_activities)
        assert kinds["USER_SCENARIO_START"] == self.count("scenario_entries.7") > 0
        assert kinds["USER_SCENARIO_STOP"] == self.count("scenario_exits.7") == kinds["USER_SCENARIO_START"]
        assert kinds["USER_SCENARIO_NODE_ENTER"] == self.count("scenario_moves.7") == kinds["USER_SCENARIO_NODE_EXIT"]
        assert kinds["USER_SCENARIO_START"] <= sum(
            any(event["$event_name"] == "buy" for event in one["$events"]) for one in self.visits
        )
        for point, activities in self.activities.items():
            told = sorted(one["$type"] for one in activities if one["$type"].startswith("USER_SCENARIO"))
            bought = any(event["$event_name"] == "buy" for one in activities for event in one.get("$events", ()))
            assert bought == ("USER_SCENARIO_START" in told) or str(UUID(bytes=point)) != self.survivor(point)

    def survivor(self, point):
        return str(self.engine.reader.resolve(1, str(UUID(bytes=point))))

    def webhooks_at_least_once(self):
        # By who they have become: what was on its way when its person was absorbed is stored with the survivor.
        expected = Counter(
            self.survivor(point)
            for point, activities in self.activities.items()
            for one in activities
            if one["$type"] == "USER_SCENARIO_NODE_ENTER" and one["$node_id"] == "tell"
        )
        came = Counter()
        for key, bodies in self.receiver.bodies.items():
            assert len(set(bodies)) == 1, f"{key} was not the same each time"
            came[self.survivor(UUID(json.loads(bodies[0])["user_point_id"]).bytes)] += 1
        assert came == expected
        assert sum(came.values()) == self.count("outbox_sent") > 0

    def profiles_as_last_told(self):
        said = defaultdict(dict)
        for event in self.events:
            if event["$event_name"] == "$set_user_profile_properties":
                properties = event["$properties"]
                said[properties["$user_account_id"]].setdefault(event["$ts"], set()).add(properties["last"])
        assert said
        points = {self.survivor(point) for point in self.activities}
        profiles = [json.loads(one) for point in points for one in self.engine.reader.profiles(1, point)]
        last = {one["$user_account_id"]: one["last"] for one in profiles}
        assert last.keys() == said.keys()
        assert len(profiles) == len(last)
        for owner, told in said.items():
            assert last[owner] in told[max(told)], owner

    def people_are_who_they_said(self):
        find = self.engine.reader.find_user_point
        logged_in = [one for one in self.visits if any(event["$event_name"] == "login" for event in one["$events"])]
        assert logged_in
        for one in logged_in:
            names = json.dumps(one)
            for event in one["$events"]:
                if event["$event_name"] == "login":
                    account = find(
                        1, Selector.parse(f"compartment_id=1,user_account_id={event['$properties']['login']}")
                    )
                    agents = [f"v{user}" for user in range(USERS) if f'"v{user}"' in names]
                    assert agents
                    assert {find(1, Selector.parse(f"user_agent_id={agent}")) for agent in agents} == {account}
        assert self.count("user_points_merged") == len(set(self.aliases()))

    def aliases(self):
        points = [f"user_agent_id=v{user}" for user in range(USERS)]
        found = {self.engine.reader.find_user_point(1, Selector.parse(one)) for one in points} - {None}
        return [alias for point in found for alias in self.engine.reader.family(1, point)[1:]]
