"""`kill -9` of a server while clients post, and a store that is full: what was acknowledged is there, exactly once."""

import json
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from engine import Engine, Selector, load_settings, open_engine
from tests.e2e.server import SITE, Server, serving, sojourn

pytestmark = pytest.mark.slow

SEED = 20_150_517
KILLS = 4
SENDERS = 3
USERS = 24
BATCH = 15
POST_S = 20

MAP_BYTES = 4 * 2**20
SMALL = {"SOJOURN_STORAGE__MAP_SIZE_BYTES": str(MAP_BYTES), "SOJOURN_STORAGE__MAX_MAP_SIZE_BYTES": str(MAP_BYTES)}
SHORT = {f"SOJOURN_ACTORS__DRAIN_{step}_S": "0.5" for step in ("REQUESTS", "CHAIN", "STORE")}


class Sender:
    """A client that sends a batch until it is acknowledged, then the next; users are shared with other senders.

    Attributes:
        sent: ids of events that ever left.
        acknowledged: ids of those that a server said were safe.
    """

    def __init__(self, number: int) -> None:
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self._chance = random.Random(SEED + number)
        self._ids = (f"{number}-{index}" for index in count())
        self._batch: list[dict[str, Any]] = []

    def post_until_it_fails(self, server: Server) -> httpx.Response | None:
        """Post to this server; the answer that was none of success, or None when the server has gone."""
        url = f"{server.collect}/v1/datamarts/1/user_activities"
        with httpx.Client(headers={"Authorization": SITE}, timeout=POST_S) as client:
            while True:
                self._batch = self._batch or [self._item() for _ in range(BATCH)]
                ids = ids_of(self._batch)
                self.sent.update(ids)
                try:
                    answer = client.post(url, content=json.dumps(self._batch))
                except httpx.TransportError:
                    return None
                if answer.status_code != 200:
                    return answer
                assert {one["status"] for one in answer.json()["data"]["results"]} <= {"accepted", "duplicate"}
                self.acknowledged.update(ids)
                self._batch = []

    def _item(self) -> dict[str, Any]:
        events = [
            {"$event_id": next(self._ids), "$event_name": "click", "$properties": {"padding": "x" * 200}}
            for _ in range(self._chance.randint(1, 3))
        ]
        return {
            "$type": "SITE_VISIT",
            "$session_status": self._chance.choice(["IN_SESSION", "IN_SESSION", "CLOSED_SESSION", "LIVE"]),
            "$site_id": "1",
            "$user_agent_id": f"user-{self._chance.randrange(USERS)}",
            "$events": events,
        }


def ids_of(items: list[dict[str, Any]]) -> list[str]:
    """The ids of all events of these activities."""
    return [event["$event_id"] for item in items for event in item["$events"]]


def check_what_is_there(data: Path, senders: list[Sender]) -> None:
    """Each acknowledged event is in one activity, stored or live; no event is in two; the counters agree."""

    async def read() -> "Counter[str]":
        found: Counter[str] = Counter()
        async with open_engine(load_settings(None, {}, {"storage.data_dir": str(data)})) as engine:
            await engine.wait_recovered()
            for number in range(USERS):
                point = engine.reader.find_user_point(1, Selector.parse(f"user_agent_id=user-{number}"))
                assert point is not None
                found.update(await ids_of_person(engine, point))
        return found

    found = trio.run(read)
    acknowledged = set().union(*(sender.acknowledged for sender in senders))
    sent = set().union(*(sender.sent for sender in senders))
    assert acknowledged, "nothing was acknowledged: this proves nothing"
    assert acknowledged - found.keys() == set(), "lost"
    assert {event_id: times for event_id, times in found.items() if times > 1} == {}
    assert found.keys() <= sent
    counts = json.loads(sojourn("stats", "--data", str(data), "--json").stdout)
    assert counts["balanced"] is True
    assert counts["events_stored"] + counts["events_open"] == len(found)
    assert counts["events_dead"] == 0


async def ids_of_person(engine: Engine, point: str) -> list[str]:
    """Of all activities of a person, stored and live, as one answer shows them."""
    shown = await engine.activities(1, point, live=True, limit=1_000_000)
    assert sum(map(len, shown)) < 4 * 2**20, "more than an answer may hold: give the events to more users"
    return ids_of([json.loads(item) for item in shown])


def test_what_a_killed_server_acknowledged_is_there_exactly_once(tmp_path: Path):
    data = tmp_path / "data"
    chance = random.Random(SEED)
    senders = [Sender(number) for number in range(SENDERS)]
    for _ in range(KILLS):
        with serving(data) as server, ThreadPoolExecutor(SENDERS) as threads:
            death = threading.Timer(chance.uniform(0.05, 0.8), server.process.kill)
            death.start()
            ends = list(threads.map(Sender.post_until_it_fails, senders, [server] * SENDERS))
            death.join()
            assert ends == [None] * SENDERS, "only the kill ends them"
            assert server.process.wait(POST_S) == -signal.SIGKILL
    check_what_is_there(data, senders)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_full_store_is_said_to_the_sender_and_loses_nothing(tmp_path: Path, end: signal.Signals):
    data = tmp_path / "data"
    sender = Sender(0)
    with serving(data, env=SMALL | SHORT) as server:
        refused = sender.post_until_it_fails(server)
        assert refused is not None
        assert (refused.status_code, refused.json()["error_code"]) == (503, "storage_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        for plane in (server.collect, server.api):
            ready = httpx.get(f"{plane}/health/ready")
            assert (ready.status_code, ready.json()["error_code"]) == (503, "not_ready")
            assert int(ready.headers["retry-after"]) > 0
            assert httpx.get(f"{plane}/health/live").status_code == 200
        assert server.stop(end) in (0, 3, -signal.SIGKILL)
    # With room again, the same batch is taken once, whether or not it was kept before.
    with serving(data) as server:
        threading.Timer(0.2, server.process.kill).start()
        assert sender.post_until_it_fails(server) is None
    check_what_is_there(data, [sender])
