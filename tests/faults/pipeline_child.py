"""An engine with everything defined, in a process of its own, to be killed: all steps work on what it sends itself.

    python -m tests.faults.pipeline_child DIRECTORY TURN PORT

It applies `definitions`, has each of the `FAITHFUL` people consent, prints `open`, and then `safe ID` for every event
for which `durable()` has returned, each on a line of its own, until it is killed. Log lines come in between.

Two people of a pair may log in with the same account, which makes them one. The first ones always consent, so nothing
of theirs may ever be dropped; the others change their minds.
"""

import os
import random
import sys
from pathlib import Path

import trio

from engine import Engine, Overloaded, Settings, open_engine
from engine.settings import AnalyzersSettings, OutboxSettings, SessionSettings, StorageSettings
from tests.engines import dump

FAITHFUL = 6
USERS = 10
SENDERS = 3
GAP_MS = 60
"""Shorter than most silences of a person: sessions close all the time."""

CHARS = 100_000
"""So that no session is cut where the analyzer or a rule would then make it too large, which is a dead letter."""

WAIT_MS = 150
PAUSE_S = 0.02
"""Between two requests of a sender: what is open at a kill must be through again within seconds."""

ROOT = str(Path(__file__).parent.parent.parent)


def settings_for(directory: str) -> Settings:
    """A store that must grow, sessions of moments, and an outbox that is quick to try again."""
    return Settings(
        storage=StorageSettings(data_dir=directory, map_size_bytes=1 << 18),
        session=SessionSettings(gap_ms=GAP_MS, live_window_ms=100, max_activity_chars=CHARS),
        analyzers=AnalyzersSettings(workers=1, python_path=(ROOT,)),
        outbox=OutboxSettings(first_backoff_ms=50, max_backoff_ms=200, pause_after_failures=1000, drain_s=1.0),
    )


def definitions(port: int) -> dict:
    """Something for each step to do."""
    nodes = [
        {"id": "wait", "type": "WAIT_NODE", "delay_ms": WAIT_MS, "next": "tell"},
        {"id": "tell", "type": "WEBHOOK_NODE", "destination": "crm", "payload": {"from": "a test"}, "next": "again"},
        {"id": "again", "type": "WAIT_NODE", "delay_ms": WAIT_MS, "next": "add"},
        {"id": "add", "type": "ADD_TO_SEGMENT_NODE", "segment": "buyers"},
    ]
    product = {"$event_name": "product", "$properties": {"id": ":id"}}
    datamart = {
        "id": 1,
        "channel": [{"id": "1", "analyzers": ["stamp"], "processings": ["ads"]}],
        "event_rule": [
            {"id": "p", "type": "URL_MATCH", "pattern": "https://shop.test/p/:id", "event_template": product},
            {
                "id": "login",
                "type": "USER_IDENTIFIER_INSERTION",
                "property_source": "login",
                "hash_function": "NO_HASH",
            },
        ],
        "analyzer": [{"id": "stamp", "callable": "tests.faults.stamping:stamp"}],
        "processing": [{"id": "ads", "legal_basis": "CONSENT"}],
        "goal": [
            {"id": "sale", "query": 'events { name = "buy" }'},
            {"id": "seen", "query": 'events { name = "product" }', "post_click_window_ms": 86_400_000},
        ],
        "segment": [{"id": "buyers"}],
        "destination": [{"id": "crm", "url": f"http://127.0.0.1:{port}/hook", "timeout_ms": 2000}],
        "automation": [
            {
                "id": "7",
                "trigger": 'events { name = "buy" }',
                "begin": "wait",
                "node": nodes,
                "exit_condition": [{"id": "bye", "query": 'events { name = "quit" }'}],
            }
        ],
    }
    return {"datamart": [datamart]}


def choice(user: int, event_id: str, accepted: bool) -> dict:
    """What a person chose; the choice keeps the id of its event."""
    said = {"$processing_id": "ads", "$choice_acceptance_value": accepted, "told_by": event_id}
    return {"$event_id": event_id, "$event_name": "$set_user_choice", "$properties": said}


def item(user: int, status: str, events: list[dict]) -> bytes:
    base = {"$type": "SITE_VISIT", "$session_status": status, "$site_id": "1", "$user_agent_id": f"v{user}"}
    return dump(base | {"$events": events})


def event_of(chance: random.Random, user: int, event_id: str) -> dict:
    """Something that one of the steps cares for."""
    kind = chance.choices(
        ["click", "view", "buy", "quit", "login", "profile", "choice", "crash"], [20, 20, 12, 3, 6, 12, 10, 0.5]
    )[0]
    if kind == "choice":
        return choice(user, event_id, user < FAITHFUL or chance.random() < 0.5)
    properties: dict[str, object] = {}
    if kind == "view":
        properties = {"$url": f"https://shop.test/p/{chance.randrange(9)}"}
    elif kind == "login":
        properties = {"login": f"account {user // 2}"}
    elif kind == "profile":
        properties = {"$user_account_id": f"owner {user}", "last": event_id, "$force_replace": chance.random() < 0.3}
    elif kind == "crash":
        properties = {"crash": 1}
    name = {"view": "$page_view", "profile": "$set_user_profile_properties"}.get(kind, kind)
    return {"$event_id": event_id, "$event_name": name, "$properties": properties}


async def send(engine: Engine, turn: int, sender: int) -> None:
    """Send requests one after the other, and name what is safe."""
    chance = random.Random(f"{turn} {sender}")
    number = 0
    while True:
        items, ids = [], []
        for _ in range(chance.randint(1, 3)):
            user, events = chance.randrange(USERS), []
            for _ in range(chance.randint(1, 3)):
                event_id = f"{turn}-{sender}-{number}"
                number += 1
                if chance.random() < 0.1:  # Sent before, perhaps by another person.
                    event_id = f"{chance.randint(0, turn)}-{sender}-{chance.randint(0, number)}"
                events.append(event_of(chance, user, event_id))
                ids.append((event_id, user))
            status = chance.choice(["IN_SESSION"] * 4 + ["LIVE", "NO_SESSION", "CLOSED_SESSION"])
            items.append(item(user, status, events))
        try:
            receipt = engine.accept(items)
        except Overloaded:
            await trio.sleep(PAUSE_S)
            continue
        await receipt.durable()
        os.write(1, "".join(f"safe {event_id} {user}\n" for event_id, user in ids).encode())
        await trio.sleep(PAUSE_S)


async def main(directory: str, turn: int, port: int) -> None:
    async with open_engine(settings_for(directory)) as engine:
        await engine.apply(definitions(port))
        await engine.wait_recovered()
        consents = [item(user, "NO_SESSION", [choice(user, f"{turn}-yes-{user}", True)]) for user in range(FAITHFUL)]
        await engine.accept(consents).stored()
        os.write(1, b"open\n")
        async with trio.open_nursery() as nursery:
            for sender in range(SENDERS):
                nursery.start_soon(send, engine, turn, sender)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
