"""An engine in a process of its own, to be killed: it sends itself events and names each one that is safe.

    python -m tests.faults.child DIRECTORY ROUND

It opens the store in DIRECTORY, prints `open`, and then `safe ID` for every event for which `durable()` has returned,
accepted or known before, each on a line of its own, until it is killed. Log lines come in between.
"""

import os
import random
import sys

import trio

from engine import ChannelSettings, Engine, Overloaded, Settings, open_engine
from engine.settings import SessionSettings, StorageSettings
from tests.engines import dump, event

USERS = 12
SENDERS = 4
GAP_MS = 300
"""So short that sessions close by their timers while events come in."""


def settings_for(directory: str) -> Settings:
    """A store that must grow, and sessions of moments."""
    return Settings(
        storage=StorageSettings(data_dir=directory, map_size_bytes=1 << 18),
        session=SessionSettings(gap_ms=GAP_MS, live_window_ms=200),
    )


def request(chance: random.Random, turn: int, number: int) -> tuple[list[bytes], list[str]]:
    """Items and the ids of their events; some were sent before, in this turn or in an earlier one."""
    items, ids = [], []
    for _ in range(chance.randint(1, 4)):
        events = []
        for _ in range(chance.randint(1, 3)):
            if chance.random() < 0.1:
                event_id = f"{chance.randint(0, turn)}-{chance.randint(0, number + 1)}"
            else:
                number += 1
                event_id = f"{turn}-{number}"
            source = {"$utm_source": chance.choice("ab")} if chance.random() < 0.2 else {}
            events.append(event(number, event_id=event_id, **source))
            ids.append(event_id)
        user = chance.randrange(USERS)
        who = {"$user_agent_id": f"v{user}"}
        if chance.random() < 0.05:
            who["$user_account_id"] = f"person {user // 3}"
        status = chance.choice(["IN_SESSION"] * 5 + ["LIVE", "NO_SESSION"])
        head = {"$type": "SITE_VISIT", "$session_status": status, "$site_id": "1"}
        items.append(dump({**head, **who, "$events": events}))
    return items, ids


async def send(engine: Engine, turn: int, sender: int) -> None:
    """Send requests one after the other, and name what is safe."""
    chance = random.Random(f"{turn} {sender}")
    number = sender * 1_000_000
    while True:
        items, ids = request(chance, turn, number)
        number += len(ids)
        try:
            receipt = engine.accept(items)
        except Overloaded:
            await trio.sleep(0.01)
            continue
        await receipt.durable()
        os.write(1, "".join(f"safe {one}\n" for one in ids).encode())


async def main(directory: str, turn: int) -> None:
    async with open_engine(settings_for(directory)) as engine:
        assert isinstance(engine.site(), ChannelSettings)
        os.write(1, b"open\n")
        async with trio.open_nursery() as nursery:
            for sender in range(SENDERS):
                nursery.start_soon(send, engine, turn, sender)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
