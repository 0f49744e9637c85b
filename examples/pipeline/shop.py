"""The shop of this example: what its pages send, and what sojourn has made of it."""

import json
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
from around import Unexpected

from engine import Engine, EventClock, Selector

MINUTE_MS: Final = 60_000
PARIS: Final = ZoneInfo("Europe/Paris")
COLLECT: Final = "/v1/datamarts/1/user_activities"
VISIT: Final = "SITE_VISIT"


def heading(text: str) -> None:
    """Print the heading of a step."""
    print(f"\n\n== {text} {'=' * max(0, 96 - len(text))}\n", flush=True)


def expect(what: str, holds: bool) -> None:
    """Say that something holds.

    Raises:
        Unexpected: it does not.
    """
    if not holds:
        raise Unexpected(f"not so: {what}")
    print(f"ok: {what}", flush=True)


def only(what: str, found: list[Any]) -> Any:  # noqa: ANN401 - whatever is in it
    """The one thing that a list holds.

    Raises:
        Unexpected: it holds another number of things.
    """
    if len(found) != 1:
        raise Unexpected(f"{what}: there should be one, there are {len(found)}")
    return found[0]


def pretty(value: dict[str, Any]) -> str:
    """JSON as people read it, without what is null."""
    return json.dumps(_without_null(value), indent=2, ensure_ascii=False)


def _without_null(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _without_null(one) for name, one in value.items() if one is not None}
    return [_without_null(one) for one in value] if isinstance(value, list) else value


def event(name: str, url: str = "https://shop.example/", **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """An event as a page sends it."""
    return {"$event_name": name, "$properties": {"$url": url} | properties}


def visit(who: str, *events: dict[str, Any]) -> dict[str, Any]:
    """Some events of a visit that goes on."""
    return {
        "$type": VISIT,
        "$session_status": "IN_SESSION",
        "$site_id": "1",
        "$user_agent_id": f"browser-of-{who}",
        "$events": list(events),
    }


class Shop:
    """Asks the engine about visitors.

    Args:
        engine: with the shop's definitions.
        clock: its clock.
        web: a client of its HTTP interface, with the shop's token.
    """

    def __init__(self, engine: Engine, clock: EventClock, web: httpx.AsyncClient) -> None:
        self.engine = engine
        self.clock = clock
        self.web = web

    def time(self, ts_ms: int | None = None) -> str:
        """A time of day in Paris; the engine's by default."""
        at_ms = self.clock.now_ms() if ts_ms is None else ts_ms
        return f"{datetime.fromtimestamp(at_ms / 1000, PARIS):%H:%M:%S}"

    def minutes_pass(self, minutes: int) -> None:
        """Move the clock."""
        self.clock.advance(self.clock.now_ms() + minutes * MINUTE_MS)
        print(f"{minutes} minutes pass; it is {self.time()}", flush=True)

    async def send(self, activity: dict[str, Any]) -> None:
        """Send it as a page does, over HTTP; returns when it is safe on disk."""
        names = ", ".join(one["$event_name"] for one in activity["$events"])
        answer = await self.web.post(COLLECT, json=activity)
        print(f"{self.time()}  POST {COLLECT}  {activity['$user_agent_id']}: {names}")
        expect(f"the answer is {answer.status_code}", answer.status_code == 200)

    def user_point(self, who: str) -> str:
        """Whom sojourn knows a visitor as."""
        found = self.engine.reader.find_user_point(1, Selector.parse(f"user_agent_id=browser-of-{who}"))
        if found is None:
            raise Unexpected(f"nobody is known as {who}")
        return found

    def visits(self, who: str) -> list[dict[str, Any]]:
        """The stored visits of a visitor, oldest first."""
        return [one for one in self._stored(who) if one["$type"] == VISIT]

    def scenario(self, who: str) -> list[str]:
        """What a visitor's timeline tells of automations, oldest first: `NODE_ENTER wait`, …"""
        head = "USER_SCENARIO_"
        steps = (one for one in self._stored(who) if one["$type"].startswith(head))
        return [f"{one['$type'].removeprefix(head)} {one['$node_id']}" for one in steps]

    def print_scenario(self, who: str) -> None:
        """Print what `scenario` tells, with times and names."""
        for one in self._stored(who):
            if one["$type"] != VISIT:
                why = f" (exit condition {exit})" if (exit := one.get("$matched_exit_condition_id")) else ""
                print(f"{self.time(one['$ts'])}  {one['$type']:<26} {one['$node_name']}{why}")

    async def waiting(self) -> list[dict[str, Any]]:
        """Who waits in an automation, and until when."""
        found = await self.engine.query("SELECT { id scenarios { scenario_id node_id callback_ts } } FROM UserPoint")
        return [{"user_point": row["id"], **one} for row in found.rows for one in row["scenarios"] or ()]

    def counted(self, name: str) -> int:
        """One of sojourn's counters."""
        return self.engine.reader.counters()[1].get(name, 0)

    def _stored(self, who: str) -> list[dict[str, Any]]:
        found = self.engine.reader.activities(1, self.user_point(who), limit=1000)
        return [json.loads(one) for one in reversed(found)]
