"""Automations for tests: queries, nodes, definitions, and engines on which they hold."""

import json
from contextlib import contextmanager
from unittest import mock
from uuid import UUID

import trio

from engine.definitions.declared.automations import (
    AddToSegment,
    Automation,
    CustomAction,
    DeleteFromSegment,
    End,
    ExitCondition,
    If,
    Split,
    Wait,
    Webhook,
)
from engine.definitions.declared.destinations import Destination
from engine.definitions.declared.segments import Segment
from engine.definitions.defined import Defined
from engine.engine import Definitions
from engine.model.fact import FactKind
from engine.model.scenarios import decode_scenarios
from engine.model.segments import decode_segments
from engine.pipeline.chain import build_program
from engine.store.keys import fact_key, split_outbox_key, split_timer_key
from engine.store.layout import decode_outbox
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import HandClock, check_books, dump, point_of, quiet

START = HandClock().now_ms()
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def has_event(*names, **properties):
    """JSON_OTQL as the platform's editor makes it (8.1): an event of one of these names, with these properties."""
    name = {"type": "FIELD", "field": "nature", "comparison": _equal(*names)}
    inner = [
        {
            "type": "OBJECT",
            "field": "properties",
            "boolean_operator": "AND",
            "expressions": [{"type": "FIELD", "field": key, "comparison": _equal(value)}],
        }
        for key, value in properties.items()
    ]
    expressions = [name, *inner]
    return _query({"type": "OBJECT", "field": "activity_events", "boolean_operator": "AND", "expressions": expressions})


def in_segment(*ids, negation=False):
    return of_person("segments", "id", *ids, negation=negation)


def of_person(link, field, *values, negation=False):
    """JSON_OTQL about what is known of the person."""
    expression = {"type": "FIELD", "field": field, "comparison": _equal(*values)}
    found = {"type": "OBJECT", "field": link, "boolean_operator": "AND", "expressions": [expression]}
    return _query(found | ({"negation": True} if negation else {}))


def _equal(*values):
    return {"type": "STRING", "operator": "EQ", "values": list(values)}


def _query(where):
    return {
        "from": "UserPoint",
        "operations": [{"directives": [], "selections": [{"name": "id"}]}],
        "where": where,
    }


def wait(id, delay_ms, next="", **more):
    return Wait(id=id, delay_ms=delay_ms, next=next, **more)


def if_(id, query, next="", otherwise=""):
    return If(id=id, query=query, next=next, otherwise=otherwise)


def split(id, *branches, weights=()):
    return Split(id=id, branches=branches, weights=weights)


def add(id, segment, next="", expires_ms=None):
    return AddToSegment(id=id, segment=segment, next=next, expires_ms=expires_ms)


def remove(id, segment, next=""):
    return DeleteFromSegment(id=id, segment=segment, next=next)


def hook(id, next="", destination="crm", **payload):
    return Webhook(id=id, destination=destination, payload=payload, next=next)


def action(id, next="", custom_action_id="42"):
    return CustomAction(id=id, destination="plugin", custom_action_id=custom_action_id, next=next)


def end(id):
    return End(id=id)


def automation(*nodes, id="7", trigger=None, exits=(), **more):
    """An automation that begins at its first node; `exits` are (id, query)."""
    return Automation(
        id=id,
        trigger=trigger or has_event("start"),
        begin=more.pop("begin", nodes[0].id),
        nodes=nodes,
        exit_conditions=tuple(ExitCondition(id=name, query=query) for name, query in exits),
        **more,
    )


def defined(*automations, segments=("vip", "gone"), **more):
    """Definitions of datamart 1 with these automations."""
    return Defined(
        datamart=1,
        automations=automations,
        segments=tuple(Segment(id=one) if isinstance(one, str) else one for one in segments),
        destinations=(
            Destination(id="crm", url="http://crm.test/"),
            Destination(id="plugin", url="http://plugin.test/"),
        ),
        **more,
    )


class Holding:
    """What is defined while a test runs; `hold` changes it, for the next activity."""

    def __init__(self, definitions):
        self.hold(definitions)
        self.nothing = build_program(Defined(datamart=2))

    def hold(self, definitions):
        self.program = build_program(definitions)

    def of(self, datamart):
        return self.program if datamart == 1 else self.nothing


@contextmanager
def holding(*automations, **more):
    """In the block, engines have these automations in datamart 1."""
    held = Holding(defined(*automations, **more))
    with mock.patch.object(Definitions, "program_of", lambda self, datamart: held.of(datamart)):
        yield held


def touch(*names, user="vec:1", ts=None, also=None, key=None, **properties):
    """A touch with events of these names."""
    base = {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": user}
    if also:
        base["$user_identifiers"] = [{"$type": "USER_AGENT", "$user_agent_id": also}]
    if key:
        base["$unique_key"] = key
    head = {} if ts is None else {"$ts": ts}
    return dump(base | head | {"$events": [{"$event_name": name, **head, "$properties": properties} for name in names]})


SHORT = {
    "USER_SCENARIO_START": "start",
    "USER_SCENARIO_NODE_ENTER": "enter",
    "USER_SCENARIO_NODE_EXIT": "exit",
    "USER_SCENARIO_STOP": "stop",
}


def told(engine, point, scenario=None):
    """What the timeline tells of scenarios, in its order: `enter hello` …"""
    found = []
    for shown in reversed(engine.reader.activities(1, point, limit=100_000)):
        fields = json.loads(shown)
        if fields["$type"] in SHORT and scenario in (None, str(fields["$scenario_id"])):
            what = f"{SHORT[fields['$type']]} {fields['$node_id']}"
            found.append(what + (f" by {why}" if (why := fields.get("$matched_exit_condition_id")) else ""))
    return found


def timers(store):
    """The rows of TIMERS, as (due, scenario)."""
    return [(key.due_ms, key.scenario) for key in (split_timer_key(row) for row, _ in rows(store, Db.TIMERS))]


CART = automation(
    wait("w", HOUR, "ask", name="An hour"),
    if_("ask", in_segment("vip"), "call", "bye"),
    hook("call", color="red"),
    end("bye"),
    id="7",
    name="Forgotten cart",
    trigger=has_event("$basket_view"),
    exits=[("3", has_event("$transaction_confirmed"))],
)


def fact(store, point, kind=FactKind.SCENARIOS):
    return store.get(Db.FACTS, fact_key(1, UUID(point).bytes, kind))


def inside(store, point):
    return decode_scenarios(fact(store, point))


def segments(store, point, now_ms=START):
    return decode_segments(fact(store, point, FactKind.SEGMENTS), now_ms)


def outbox(store):
    return [(split_outbox_key(key).id, decode_outbox(value)) for key, value in rows(store, Db.OUTBOX)]


def scenario_activities(engine, point):
    found = [json.loads(shown) for shown in reversed(engine.reader.activities(1, point, limit=1000))]
    return [one for one in found if one["$type"].startswith("USER_SCENARIO")]


def counted(engine, prefix):
    counters = engine.reader.counters()[1]
    return {name: number for name, number in counters.items() if name.startswith(prefix)}


async def gated(engine, store, *items):
    """Take all of it while nothing is committed, so that all of it is in flight together."""
    store.gate.clear()
    receipts = []
    for one in items:
        receipts.append(engine.accept([one]))
        await trio.testing.wait_all_tasks_blocked()
    store.gate.set()
    await quiet(engine)
    check_books(engine)
    return point_of(receipts[0])
