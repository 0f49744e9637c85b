"""Logins while all is in flight: what is known of people is as if each had come when all was at rest.

A rule makes an account of what events tell, so people meet at the chain's end, while their activities are behind them.
"""

import random

import pytest
from trio.testing import wait_all_tasks_blocked

from engine.model.app_state import decode_apps
from engine.model.fact import FactKind
from engine.model.scenarios import decode_scenarios
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import GatedStore, HandClock, check_books, dump, engine_on, letters, quiet

START = HandClock().now_ms()
WAIT = {"type": "WAIT_NODE", "id": "w", "delay_ms": 3_600_000, "next": "h"}
LOGINS = ["me", "you"]
CHANNELS = [{"id": "1", "processings": ["p"]}, {"id": "1", "kind": "MOBILE_APPLICATION"}]
DEFINED = {
    "id": 1,
    "channel": CHANNELS,
    "event_rule": [
        {"type": "USER_IDENTIFIER_INSERTION", "id": "r", "property_source": "login", "hash_function": "NO_HASH"}
    ],
    "goal": [{"id": "g", "query": 'events { name = "buy" }'}],
    "segment": [{"id": "vip"}, {"id": "two"}],
    "destination": [{"id": "crm", "url": "http://127.0.0.1:9/"}],
    "processing": [{"id": "p", "legal_basis": "LEGITIMATE_INTEREST", "token": "tp"}],
    "automation": [
        {
            "id": "7",
            "trigger": 'events { name = "start" }',
            "begin": "w",
            "node": [WAIT, {"type": "WEBHOOK_NODE", "id": "h", "destination": "crm"}],
        }
    ],
}
PROFILE, START_IT, CLICK = "$set_user_profile_properties", "start", "$email_click"
SAYS = {
    "buy": lambda number, detail: {},
    "plain": lambda number, detail: {},
    START_IT: lambda number, detail: {},
    CLICK: lambda number, detail: {},
    "$app_open": lambda number, detail: {"$app_version": str(detail)},
    "$add_to_segment": lambda number, detail: {"$segtn": "vip" if detail == 1 else "two"},
    PROFILE: lambda number, detail: {"$user_agent_id": "vec:9", f"k{detail}": number},
    "$set_user_choice": lambda number, detail: {"$processing_token": "tp", "$choice_acceptance_value": detail < 3},
}


def activity(number, user, name, detail, login):
    """One with one event, known by its number."""
    said = SAYS[name](number, detail) | ({} if login is None else {"login": login})
    where = {"$type": "SITE_VISIT", "$site_id": "1"}
    if name == "$app_open":
        where = {"$type": "APP_VISIT", "$app_id": "1"}
    head = where | {"$session_status": "NO_SESSION", "$user_agent_id": f"vec:{user}", "$ts": START + number}
    head["$unique_key"] = f"{number:08d}-0000-4000-8000-000000000000"
    return dump(head | {"$events": [{"$event_name": name, "$ts": START + number, "$properties": said}]})


async def known_after(script, *, in_flight):
    """All facts in the end, by user point and kind."""
    store = GatedStore()
    async with engine_on(store) as engine:
        await engine.apply({"datamart": [DEFINED]})
        await engine.wait_recovered()
        if in_flight:
            store.gate.clear()
        for number, one in enumerate(script):
            receipt = engine.accept([activity(number, *one)])
            if in_flight:
                await wait_all_tasks_blocked()
            else:
                await receipt.durable()
                await quiet(engine)
        store.gate.set()
        await quiet(engine)
        check_books(engine)
        assert letters(engine) == []
        assert rows(store, Db.JOURNAL) == []
        return {key: told(key, value) for key, value in rows(store, Db.FACTS)}


def told(key, value):
    """A fact. Of scenarios and applications, which: who opened one or started, met, and did it again when that was on
    its way may have done so as two people, and what they have become by then tells of both."""
    match key[-1]:
        case FactKind.SCENARIOS:
            return sorted(decode_scenarios(value))
        case FactKind.APPS:
            return sorted(decode_apps(value))
    return value


def script_of(seed):
    """Some activities: agent, event, detail and login of each."""
    chance = random.Random(seed)
    return [
        (chance.randint(1, 3), chance.choice(sorted(SAYS)), chance.randint(1, 3), chance.choice([None, None, *LOGINS]))
        for _ in range(chance.randint(3, 9))
    ]


WHO_IS_WHO_IS_FOUND_OUT_TWICE = [
    (1, PROFILE, 1, None),
    (1, PROFILE, 2, None),
    (3, CLICK, 1, "you"),
    (2, START_IT, 1, "you"),
    (1, PROFILE, 3, None),
    (2, PROFILE, 2, "you"),
    (1, "plain", 1, "you"),
    (1, PROFILE, 1, None),
]
"""The sixth meets the first person only on its way through the steps again, when the last one is stored."""


@pytest.mark.slow
@pytest.mark.parametrize("script", [WHO_IS_WHO_IS_FOUND_OUT_TWICE, *map(script_of, range(30))])
async def test_nothing_known_is_lost_when_people_meet_while_their_activities_are_on_their_way(script):
    assert await known_after(script, in_flight=True) == await known_after(script, in_flight=False)
