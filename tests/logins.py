"""Visits whose events may tell a login, which a rule makes an identifier of; and a step that keeps what it is shown."""

import json

from msgspec import structs

from engine import Settings
from engine.live import Definitions
from engine.model.fact import FactKind
from engine.pipeline import chain, user_choices
from engine.pipeline.stage import Drop, Keep, KeepFact
from engine.settings import ChannelDeclaration, DatamartSettings
from tests.engines import HandClock, dump, engine_on
from tests.pipeline.rules import defined, identify, url_match

SITES = tuple(ChannelDeclaration(id=id) for id in "12")
SETTINGS = structs.replace(Settings(), datamarts=(DatamartSettings(id=1, channels=SITES),))
RULES = defined(identify("login", hash_function="NO_HASH"), url_match("a.b/login/:name", "in", login=":name"))
START = HandClock().now_ms()


def seen(number, at=None, login=None, **properties):
    """An event, at so many ms after the start, that may tell a login."""
    said = {"n": number} | ({} if login is None else {"login": login}) | properties
    return {"$event_name": "seen", "$ts": START + (number if at is None else at), "$properties": said}


def visit(*events, user="a", account=None, status="CLOSED_SESSION", **fields):
    """An activity of an agent, of an account, or of both."""
    who = {} if user is None else {"$user_agent_id": user}
    who |= {} if account is None else {"$user_account_id": account}
    base = {"$type": "SITE_VISIT", "$session_status": status, "$site_id": "1", "$ts": events[0]["$ts"]}
    return dump(base | who | {f"${name}": value for name, value in fields.items()} | {"$events": list(events)})


def engine_of(store, clock=None, settings=SETTINGS):
    return engine_on(store, clock, settings)


def note_of(closed, activity, context):
    """A step that keeps who was seen, as of all it knows: the numbers of the events of a person."""
    known = set(context.read(FactKind.CHOICES) or b"")
    if closed.absorbed:
        known |= set(context.read(FactKind.CHOICES, closed.absorbed) or b"")
    known |= {json.loads(event.body)["$properties"].get("n", 99) & 255 for event in activity.events}
    effect = KeepFact(closed.datamart, closed.user_point, FactKind.CHOICES, bytes(sorted(known)))
    if any(b'"drop"' in event.body for event in activity.events):
        return Drop("no_consent", (effect,))
    return Keep(activity, (effect,))


def moved(closed, context):
    gone = context.read(FactKind.CHOICES, closed.absorbed)
    if gone is None:
        return ()
    both = bytes(sorted({*gone, *(context.read(FactKind.CHOICES) or b"")}))
    return (
        KeepFact(closed.datamart, closed.user_point, FactKind.CHOICES, both),
        KeepFact(closed.datamart, closed.absorbed, FactKind.CHOICES, None),
    )


def install(monkeypatch, rules=RULES):
    """The rules, in every engine that is opened from now on."""
    made = []

    def program_of(self, datamart):
        if not made:
            made.append(chain.build_program(rules))
        return made[0]

    monkeypatch.setattr(Definitions, "program_of", program_of)


def install_noting(monkeypatch):
    """The step that keeps what it is shown, behind all others, in the place of choices."""
    monkeypatch.setattr(chain, "BUILDERS", (*chain.BUILDERS, ("noting", lambda defined: note_of)))
    monkeypatch.setattr(chain, "MERGES", (*(merge for merge in chain.MERGES if merge is not user_choices.moved), moved))
