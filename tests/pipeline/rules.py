"""Rules at work: one step on one activity, as the chain would run it."""

import json
from uuid import UUID

import msgspec

from engine.definitions.declared.catalogs import Catalog
from engine.definitions.declared.event_rules import EventRule
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.activity import Activity
from engine.model.channel import ChannelSettings
from engine.model.event import event_from
from engine.pipeline import event_rules
from engine.pipeline.stage import Attach, CountUp, Keep, NothingKnown
from engine.session.closed import Closed, Source
from tests.engines import dump

SITE = ChannelSettings(datamart=1, kind="SITE", id="1")
APP = ChannelSettings(datamart=1, kind="MOBILE_APPLICATION", id="1")


def defined(*rules, catalogs=(), **fields):
    """A datamart with these rules, given as they are declared."""
    named = [{"id": str(number), **rule} for number, rule in enumerate(rules)]
    converted = msgspec.convert(named, tuple[EventRule, ...])
    declared = msgspec.convert(list(catalogs), tuple[Catalog, ...])
    return Defined(datamart=1, event_rules=converted, catalogs=declared, **fields)


def url_match(pattern, name="matched", /, *, channel="", **properties):
    template = {"$event_name": name, "$properties": properties}
    return {"type": "URL_MATCH", "channel": channel, "pattern": pattern, "event_template": template}


def copy(destination, property_name="", source="URL", **fields):
    names = {"property_name": property_name, "property_source": source, "destination": destination}
    return {"type": "PROPERTY_TO_ORIGIN_COPY", **names, **fields}


def identify(source="email", **fields):
    return {"type": "USER_IDENTIFIER_INSERTION", "property_source": source, **fields}


def catalog_match(**fields):
    return {"type": "CATALOG_AUTO_MATCH", **fields}


def event(name="$page_view", ts=1, **properties):
    """An event; `url` and `referrer` are `$url` and `$referrer`."""
    named = {{"url": "$url", "referrer": "$referrer"}.get(key, key): value for key, value in properties.items()}
    return event_from(dump({"$ts": ts, "$event_name": name, "$properties": named}))


def page(url, ts=1, **properties):
    return event("$page_view", ts, url=url, **properties)


def activity(*events, **fields):
    base = {"ts_ms": 1, "unique_key": UUID(int=1), "type": "SITE_VISIT", "status": "CLOSED_SESSION"}
    return Activity(**base | {"events": list(events)} | fields)


def closed(channel=SITE):
    return Closed(Source.SESSION, 1, bytes(16), (1,), channel=channel)


def verdict_on(rules, before, channel=SITE, context=None):
    """What the step says."""
    return event_rules.build(rules)(closed(channel), before, context or NothingKnown())


def run(rules, *events, channel=SITE, **fields):
    """The activity that the step leaves; it must keep it."""
    verdict = verdict_on(rules, activity(*events, **fields), channel)
    assert isinstance(verdict, Keep), verdict
    return verdict.activity


def told(after):
    """Names and properties of an activity's events."""
    bodies = [json.loads(one.body) for one in after.events]
    return [(body["$event_name"], body["$properties"]) for body in bodies]


def names(after):
    return [one.name for one in after.events]


def counts(verdict):
    return {one.name: one.amount for one in verdict.effects if isinstance(one, CountUp)}


def attached(verdict):
    return [identifier for one in verdict.effects if isinstance(one, Attach) for identifier in one.identifiers]


def notes_of(rules, *events, channel=SITE):
    """What rules say of themselves: id, outcome and reason."""
    context = NothingKnown()
    context.notes = []
    verdict_on(rules, activity(*events), channel, context)
    return [(one.about.removeprefix("event_rule "), one.outcome, one.detail) for one in context.notes]


def fault_of(*rules, **fields):
    """Code and path of what is wrong with these rules."""
    try:
        event_rules.build(defined(*rules, **fields))
    except CallerError as error:
        return error.code, error.path
    return None
