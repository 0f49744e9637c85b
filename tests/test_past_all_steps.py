"""What goes past all steps, and what they make too large, in a whole engine with everything defined (16 and 42)."""

import json

import pytest

from engine import MemoryStore
from engine.store.port import Db
from tests.contract.harness import rows
from tests.definitions.files import small
from tests.engines import check_books, dump, engine_on, letters, point_of, statistics, take

SAMPLES = "tests.actors.analysts.samples"
CHARS = 1500


def definitions(**more):
    template = {"$event_name": "seen", "$properties": {"id": ":id"}}
    login = {"id": "who", "type": "USER_IDENTIFIER_INSERTION", "property_source": "login", "hash_function": "NO_HASH"}
    everything = {
        "channel": [{"id": "1", "max_activity_chars": CHARS, "processings": ["ads"]}],
        "event_rule": [
            {"id": "p", "type": "URL_MATCH", "pattern": "https://a.b/:id", "event_template": template},
            login,
        ],
        "processing": [{"id": "ads"}],
        "goal": [{"id": "g", "query": 'events { name = "buy" }'}],
        "segment": [{"id": "vip"}],
        "automation": [
            {
                "id": "7",
                "trigger": 'events { name = "buy" }',
                "begin": "w",
                "node": [{"id": "w", "type": "WAIT_NODE", "delay_ms": 1000, "next": ""}],
            }
        ],
    }
    return small(**(everything | more))


def item(*events, status="NO_SESSION"):
    base = {"$type": "SITE_VISIT", "$session_status": status, "$site_id": "1", "$user_agent_id": "a"}
    return dump(base | {"$events": [{"$event_name": name, "$properties": said} for name, said in events]})


def choice(accepted):
    return "$set_user_choice", {"$processing_id": "ads", "$choice_acceptance_value": accepted}


PAGE = ("$page_view", {"$url": "https://a.b/7"})
ALL = (
    PAGE,
    ("buy", {"login": "me"}),
    ("$set_user_profile_properties", {"$user_account_id": "me", "city": "Lyon"}),
)
KNOWN = (Db.FACTS, Db.HISTORY, Db.TIMERS, Db.OUTBOX)


def names(engine, point):
    return [
        [event["$event_name"] for event in json.loads(one)["$events"]] for one in engine.reader.activities(1, point)
    ]


@pytest.mark.parametrize("accepted", [True, False])
async def test_what_is_sent_to_be_stored_as_it_is_chooses_nothing_and_is_asked_nothing(accepted):
    """Decision 42: `processing_pipeline=false` skips the steps between create and store, choices among them."""
    store = MemoryStore()
    async with engine_on(store) as engine:
        dropping = {"id": "d", "callable": f"{SAMPLES}:dropping", "fast": True}
        everything = definitions(analyzer=[dropping])
        everything["datamart"][0]["channel"][0]["analyzers"] = ["d"]
        await engine.apply(everything)
        sent = (choice(accepted), *ALL)
        point = point_of(await take(engine, item(*sent), process=False))
        assert names(engine, point) == [[name for name, _ in sent]], "page views, too"
        assert [rows(store, db) for db in KNOWN] == [[], [], [], []]
        assert engine.reader.choices(1, point) == engine.reader.choice_history(1, point) == []
        assert len(engine.reader.identifiers(1, point)) == 1
        counters = engine.reader.counters()[1]
        steps = ("conversions", "scenario", "event_rules", "analyzer", "events_dropped.", "choices", "dropped_by")
        assert [name for name, count in counters.items() if count and name.startswith(steps)] == []
        assert statistics(engine)["events_stored"] == len(sent)
        (refused,) = engine.accept([item(PAGE, status="IN_SESSION")], process=False).results
        assert refused.error.code == "processing_required"


async def test_a_choice_that_went_past_the_steps_decides_nothing_later():
    async with engine_on(MemoryStore()) as engine:
        await engine.apply(definitions())
        point = point_of(await take(engine, item(choice(True)), process=False))
        await take(engine, item(*ALL))
        assert engine.reader.counters()[1]["events_dropped.consent_missing"] == len(ALL)
        await take(engine, item(choice(True), *ALL))
        await take(engine, item(choice(False)), process=False)
        await take(engine, item(("buy", {})))
        assert sum("$conversion" in one for one in names(engine, point)) == 2, "the refusal was only stored"
        assert [one["$choice_acceptance_value"] for one in engine.reader.choice_history(1, point)] == [True]


async def test_an_activity_that_a_rule_makes_too_large_is_a_dead_letter_with_what_was_sent():
    """Decision 16: nothing else of it is kept: no goal, no scenario, no choice."""
    store = MemoryStore()
    async with engine_on(store) as engine:
        template = {"$event_name": "seen", "$properties": {"id": ":id", "filling": "x" * CHARS}}
        rule = {"id": "p", "type": "URL_MATCH", "pattern": "https://a.b/:id", "event_template": template}
        await engine.apply(definitions(event_rule=[rule]))
        await take(engine, item(choice(True), *ALL))
        check_dead(engine, store, "event_rules", [choice(True), *ALL])


async def test_an_activity_that_an_analyzer_makes_too_large_is_a_dead_letter_with_what_it_was_shown():
    store = MemoryStore()
    async with engine_on(store) as engine:
        everything = definitions(analyzer=[{"id": "1", "callable": f"{SAMPLES}:growing", "fast": True}])
        everything["datamart"][0]["channel"][0]["analyzers"] = ["1"]
        await engine.apply(everything)
        await take(engine, item(choice(True), *ALL))
        check_dead(engine, store, "analyzers", [choice(True), PAGE, ("seen", {"id": "7"}), *ALL[1:]])


def check_dead(engine, store, step, events):
    assert letters(engine) == [("activity_too_large", step)]
    (letter,) = engine.reader.dead_letters()
    payload = json.loads(letter.payload)
    shown = [(event["$event_name"], event["$properties"]) for event in payload["$events"]]
    assert [name for name, _ in shown] == [name for name, _ in events]
    for (_, got), (_, sent) in zip(shown, events, strict=True):
        assert sent.items() <= got.items()
    assert payload["$user_identifiers"][0]["$user_agent_id"] == "a"
    assert letter.events == 1 + len(ALL)
    assert statistics(engine)["events_dead"] == 1 + len(ALL)
    assert [rows(store, db) for db in (*KNOWN, Db.ACTIVITIES)] == [[], [], [], [], []]
    check_books(engine)
