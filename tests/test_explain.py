"""Explanations: an activity goes through the steps, each says what it did, and nothing is stored."""

import json
import sys

import pytest
import trio
from msgspec import structs

from engine import CallerError, Explanation, MemoryStore, Settings, StepExplained, open_engine
from engine.model.event import Event
from engine.model.fact import FactKind
from engine.model.wire import encode
from engine.pipeline import chain
from engine.pipeline.stage import CountUp, Dead, Drop, Keep, KeepFact, Note, Send
from engine.settings import StorageSettings
from engine.store.port import Db
from gateway.cli import run
from gateway.commands.explain import show
from tests.contract.harness import rows
from tests.engines import check_books, dump, engine_on, event, item, letters, point_of, quiet, take, touch

NAMES = ("event_rules", "analyzers", "conversions", "automations", "user_choices")


def rules(closed, activity, context):
    """Adds an event behind each `seen`, and says so."""
    if context.notes is not None:
        context.notes.append(Note("event_rule 1", "matched", "the event is `seen`"))
        context.notes.append(Note("event_rule 2", "skipped", "no event is `bought`"))
    more = [Event(one.ts_ms, "made", encode({"$ts": one.ts_ms, "$event_name": "made"})) for one in activity.events]
    return Keep(structs.replace(activity, events=[*activity.events, *more]))


def counting(closed, activity, context):
    """Counts the activities of a person, and asks for a webhook."""
    seen = int((context.read(FactKind.SEGMENTS) or b"0").decode())
    if context.notes is not None:
        context.notes.append(Note("counter", "entered", f"{seen} before"))
    kept = KeepFact(closed.datamart, closed.user_point, FactKind.SEGMENTS, str(seen + 1).encode())
    return Keep(activity, (kept, Send(1, "crm", bytes(16), 0, "", b"{}"), CountUp(1, "goals.1")))


async def waiting(closed, activity, context):
    """A step that waits for somebody."""
    context.notes.append(Note("analyzer 1", "matched", f"after {context.read(FactKind.SEGMENTS)}"))
    return Keep(structs.replace(activity, error_analyzer_id="1"))


def deciding(closed, activity, context):
    """Drops 13, dies of 14, breaks at 15."""
    number = int(bytes(activity.events[0].properties()["n"])) if activity.events else 0
    if number == 13:
        return Drop("refused_by_choice", (CountUp(1, "drops"),))
    if number == 14:
        return Dead("too_much", "more than fits")
    if number == 15:
        raise ZeroDivisionError("fifteen")
    return Keep(activity)


@pytest.fixture
def steps(monkeypatch):
    made = (rules, counting, deciding)
    builders = tuple((name, lambda defined, step=step: step) for name, step in zip(NAMES, made, strict=False))
    monkeypatch.setattr(chain, "BUILDERS", (*builders, *chain.BUILDERS[3:]))


def outcomes(found):
    return {step.name: step.outcome for step in found.steps}


def step_of(found, name):
    return next(step for step in found.steps if step.name == name)


def content(store):
    return {db: rows(store, db) for db in Db}


async def test_each_step_says_what_it_did_and_nothing_is_stored(steps):
    store = MemoryStore()
    async with engine_on(store) as engine:
        before = content(store)
        found = await engine.explain(touch(1))
        assert content(store) == before
        assert outcomes(found) == {
            "create": "made",
            "event_rules": "changed",
            "analyzers": "kept",
            "conversions": "kept",
            "automations": "kept",
            "user_choices": "kept",
            "store": "stored",
        }
        rule = step_of(found, "event_rules")
        assert [(one.about, one.outcome) for one in rule.notes] == [
            ("event_rule 1", "matched"),
            ("event_rule 2", "skipped"),
        ]
        assert [(one.how, one.what) for one in rule.changes] == [("added", "event 1 made")]
        assert [one.split(":")[0][:14] for one in step_of(found, "analyzers").effects] == [
            "keep segments ",
            "send to crm, n",
            "raise the coun",
        ]
        assert len(found.effects) == 3
        assert found.verdict == "stored"
        assert [one["$event_name"] for one in json.loads(found.activity)["$events"]] == ["seen", "made"]
        assert any("new user point" in one for one in found.remarks)


async def test_it_is_what_becomes_of_the_activity_when_it_is_sent(steps):
    store = MemoryStore()
    async with engine_on(store) as engine:
        sent = [
            touch(1, 1_699_999_000_000),
            item(event(2, 1_699_999_500_000), status="CLOSED_SESSION", ts=1_699_999_500_000),
        ]
        for one in sent:
            found = await engine.explain(one)
            point = point_of(await take(engine, one))
            stored = json.loads(engine.reader.activities(1, point)[0])
            told = json.loads(found.activity)
            assert found.user_point == point
            assert {**told, "$unique_key": 0} == {**stored, "$unique_key": 0}


async def test_what_is_known_is_seen_and_seen_by_later_steps(steps):
    store = MemoryStore()
    async with engine_on(store) as engine:
        for number in range(3):
            found = await engine.explain(touch(number))
            assert step_of(found, "analyzers").notes[0].detail == f"{number} before"
            await take(engine, touch(number))
        check_books(engine)


async def test_a_step_that_waits_is_waited_for(monkeypatch):
    async with engine_on(MemoryStore()) as engine:
        original = engine.explainer._chain_of

        def chain_of(context_of):
            ask = chain.ChainStep("analyzers", lambda one: waiting(one.view, one.activity, context_of(one)))
            return (original(context_of)[0], ask)

        monkeypatch.setattr(engine.explainer, "_chain_of", chain_of)
        found = await engine.explain(touch(1))
        assert step_of(found, "analyzers").notes[0].detail == "after None"
        assert step_of(found, "analyzers").changes[0].what == "$error_analyzer_id"


async def test_each_step_says_of_each_definition_why():
    """The real steps, with definitions behind each of them."""
    store = MemoryStore()
    page = {"$event_name": "$page_view", "$ts": 1_699_999_000_000}
    page["$properties"] = {"$url": "https://shop.example/search?q=shoe&utm_source=x"}
    async with engine_on(store) as engine:
        await engine.apply(DEFINITIONS)
        before = content(store)
        found = await engine.explain(item(page, event(1, 1_699_999_000_500)))
        assert content(store) == before
        told = {step.name: [(note.about, note.outcome) for note in step.notes] for step in found.steps}
        assert told["event_rules"] == [("event_rule search", "matched"), ("event_rule other", "skipped")]
        assert ("goal g1", "matched") in told["conversions"]
        assert ("automation a1", "entered") in told["automations"]
        assert told["user_choices"] == [("processing ads", "allowed")]
        assert [(one.how, one.what) for one in step_of(found, "event_rules").changes] == [("added", "event 1 $search")]
        assert any(one.startswith("send to crm") for one in found.effects)
        # What is explained is what happens.
        point = point_of(await take(engine, item(page, event(1, 1_699_999_000_500))))
        await engine.close_sessions()
        await quiet(engine)
        stored = {one["$type"]: one for one in map(json.loads, engine.reader.activities(1, point))}
        assert stored["SITE_VISIT"] == json.loads(found.activity)
        again = await engine.explainer.stored(point, ts_ms=1_699_999_000_000)
        assert ("automation a1", "entered") in [(n.about, n.outcome) for n in step_of(again, "automations").notes]


DEFINITIONS = r"""
[[datamart]]
id = 1

[[datamart.channel]]
id = "1"
domain = "shop.example"
processings = ["ads"]

[[datamart.event_rule]]
id = "search"
type = "URL_MATCH"
pattern = "shop.example/search?q=:terms"
event_template = { "$event_name" = "$search", "$properties" = { terms = ":terms" } }

[[datamart.event_rule]]
id = "other"
type = "URL_MATCH"
pattern = "shop.example/other"
event_template = { "$event_name" = "other" }

[[datamart.goal]]
id = "g1"
name = "Found"
query = "events { name = \"$search\" }"

[[datamart.processing]]
id = "ads"
legal_basis = "LEGITIMATE_INTEREST"

[[datamart.destination]]
id = "crm"
url = "http://127.0.0.1:9/hook"

[[datamart.automation]]
id = "a1"
trigger = "events { name = \"$search\" }"
begin = "call"
[[datamart.automation.node]]
id = "call"
type = "WEBHOOK_NODE"
destination = "crm"
"""


@pytest.mark.parametrize(
    ("number", "verdict", "reason", "detail"),
    [
        (13, "dropped", "refused_by_choice", "refused_by_choice"),
        (14, "dead", "too_much", "too_much: more than fits"),
        (15, "dead", "stage_error", "stage_error: ZeroDivisionError('fifteen')"),
    ],
)
async def test_the_step_that_decided(steps, number, verdict, reason, detail):
    async with engine_on(MemoryStore()) as engine:
        found = await engine.explain(touch(number))
    assert (found.verdict, found.reason) == (verdict, reason)
    assert (step_of(found, "conversions").outcome, step_of(found, "conversions").detail) == (verdict, detail)
    assert outcomes(found)["automations"] == outcomes(found)["user_choices"] == "not reached"
    assert found.effects == (("raise the counter drops by 1",) if number == 13 else ())
    assert found.activity, "as it was then"


async def test_events_of_a_session_as_if_it_closed_now(steps):
    async with engine_on(MemoryStore()) as engine:
        found = await engine.explain(item(event(2, 1_699_999_002_000), event(1, 1_699_999_000_000)))
        told = json.loads(found.activity)
        assert (told["$session_status"], told["$session_duration"]) == ("CLOSED_SESSION", 2)
        assert [one["$properties"]["n"] for one in told["$events"][:2]] == [1, 2]
        live = json.loads((await engine.explain(item(event(1), status="LIVE"))).activity)
        assert live["$session_status"] == "NO_SESSION"


async def test_what_the_door_refuses_is_part_of_the_explanation():
    async with engine_on(MemoryStore()) as engine:
        for sent, reason in [
            (b"nonsense", "bad_json"),
            (item(event(1), site_id="nowhere"), "unknown_channel"),
            (dump({"$type": "TOUCH", "$session_status": "NO_SESSION", "$events": []}), "no_user_identifier"),
            (item(), "no_events"),
        ]:
            found = await engine.explain(sent)
            assert found.verdict == "refused"
            assert (found.reason, found.steps[0].name) == (reason, "accept")
            assert found.activity == b""
        with pytest.raises(CallerError, match="datamart 9"):
            await engine.explain(touch(1), datamart=9)


async def test_without_processing_the_steps_between_are_skipped(steps):
    async with engine_on(MemoryStore()) as engine:
        found = await engine.explain(touch(13), process=False)
    assert set(outcomes(found).values()) == {"made", "skipped", "stored"}
    assert "asked to skip" in step_of(found, "event_rules").detail


async def test_a_stored_activity_by_user_time_and_key():
    store = MemoryStore()
    async with engine_on(store) as engine:
        point = point_of(await take(engine, touch(1, 1_699_999_000_000), touch(2, 1_699_999_000_500)))
        newest, oldest = (json.loads(one) for one in engine.reader.activities(1, point))
        stored = engine.explainer.stored
        for found in (
            await stored(point),
            await stored("user_agent_id=vec:1"),
            await stored(point, ts_ms=1_699_999_000_500),
            await stored(point, unique_key=newest["$unique_key"]),
        ):
            assert json.loads(found.activity) == newest
            assert outcomes(found)["store"] == "duplicate"
            assert any("known of the person now" in one for one in found.remarks)
        assert json.loads((await stored(point, ts_ms=oldest["$ts"])).activity) == oldest
        for wrong in ({"ts_ms": 5}, {"unique_key": "ffffffff"}):
            with pytest.raises(CallerError, match="no such stored activity"):
                await stored(point, **wrong)
        with pytest.raises(CallerError, match="nobody"):
            await stored("user_agent_id=nobody")


async def test_dead_letters(steps):
    store = MemoryStore()
    async with engine_on(store) as engine:
        await take(engine, touch(14))
        await take(engine, item(event(15, 1_699_999_000_000), status="IN_SESSION"))
        await engine.close_sessions()
        engine.reject(b"not an activity", reason="bad_line", stage="replay")
        await take(engine, touch(1))
        assert letters(engine)[0] == ("too_much", "conversions")
        number = len(letters(engine))
        found = await engine.explainer.dead_letter(number)
        assert (found.verdict, found.reason) == ("dead", "too_much")
        assert "Dead letter: too_much at conversions: more than fits." in found.remarks
        with pytest.raises(CallerError, match="no activity"):
            await engine.explainer.dead_letter(1 + [one[0] for one in reversed(letters(engine))].index("bad_line"))
        with pytest.raises(CallerError, match="dead letters"):
            await engine.explainer.dead_letter(99)
        with pytest.raises(CallerError, match="from 1"):
            await engine.explainer.dead_letter(0)


def made_in(directory):
    async def make():
        settings = structs.replace(Settings(), storage=StorageSettings(data_dir=str(directory), map_size_bytes=1 << 24))
        async with open_engine(settings) as engine:
            return point_of(await take(engine, touch(7, 1_699_999_000_000, user="browser-1")))

    return trio.run(make)


def test_the_command(tmp_path, capsys, steps):
    point = made_in(tmp_path / "d")
    data = ["--data", str(tmp_path / "d")]
    (tmp_path / "one.json").write_bytes(touch(13, user="browser-2"))
    (tmp_path / "two.json").write_bytes(b"[" + touch(1) + b"," + touch(2) + b"]")
    assert run(["explain", str(tmp_path / "one.json"), *data]) == 0
    text = capsys.readouterr().out
    for part in ("dropped: refused_by_choice", "event_rule 1: matched", "+ event 1 made", "automations: not reached"):
        assert part in text
    assert "── if it were kept, would raise the counter goals.1 by 1" in text, "a drop takes effects of others with it"
    assert "── would raise the counter drops by 1" in text, "its own stay"
    assert run(["explain", str(tmp_path / "two.json"), *data, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["activity"]["$events"][0]["$properties"]["n"] for one in lines] == [1, 2]
    assert lines[0]["steps"][1]["notes"][0] == {
        "about": "event_rule 1",
        "outcome": "matched",
        "detail": "the event is `seen`",
    }
    for name in ("user_agent_id=browser-1", point, f"{point}/1699999000000", "user_agent_id=browser-1/1699999000000"):
        assert run(["explain", name, *data, "--json"]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line)["user_point_id"] == point
    key = json.loads(line)["activity"]["$unique_key"]
    assert run(["explain", f"{point}/1699999000000/{key[:8]}", *data]) == 0
    assert "TOUCH NO_SESSION" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcome", "words"), [("stored", "would"), ("replaces", "would"), ("duplicate", "if it were new, would")]
)
def test_effects_that_would_not_come_are_not_told_as_if_they_did(capsys, outcome, words):
    steps = (StepExplained("conversions", "kept", effects=("ring a bell",)), StepExplained("store", outcome))
    show(Explanation(1, "", steps, "stored"))
    assert f"── {words} ring a bell" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "Name an activity"),
        (["x.json", "--dead-letter", "1"], "Name an activity"),
        (["no-such.json"], "no such file"),
        (["nobody"], "is no user"),
        (["--nonsense"], "unknown option --nonsense"),
        (["user_agent_id=nobody"], "nobody is known"),
        (["--dead-letter", "1"], "0 dead letters"),
    ],
)
def test_what_cannot_be_explained(tmp_path, capsys, arguments, named):
    made_in(tmp_path / "d")
    capsys.readouterr()
    assert run(["explain", *arguments, "--data", str(tmp_path / "d")]) == 2
    err = capsys.readouterr().err
    assert named in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
async def test_beside_a_running_engine(tmp_path):
    settings = structs.replace(Settings(), storage=StorageSettings(data_dir=str(tmp_path), map_size_bytes=1 << 24))
    async with open_engine(settings) as engine:
        point = point_of(await take(engine, touch(1)))
        command = [sys.executable, "-m", "gateway", "explain", "-", "--data", str(tmp_path), "--json"]
        found = await trio.run_process(command, stdin=touch(2), capture_stdout=True)
        told = json.loads(found.stdout)
        assert (told["verdict"], told["user_point_id"]) == ("stored", point)
        assert len(engine.reader.activities(1, point)) == 1
