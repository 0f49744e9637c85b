"""What tests of steps share: a context that keeps what it is told at once, activities, and the way through a step."""

import json
from uuid import UUID

from engine.definitions.defined import Defined
from engine.model.activity import Activity
from engine.model.channel import ChannelSettings
from engine.model.event import event_from
from engine.pipeline.stage import CountUp, KeepFact, KeepHistory
from engine.session.closed import Closed, Source
from tests.session.build import NOON, OTHER, USER, dump

SITE = ChannelSettings(datamart=1, kind="SITE", id="1")


class Known:
    """A context that keeps facts, histories and counters as soon as it is told them."""

    def __init__(self, explains: bool = False):
        self.facts = {}
        self.history = {}
        self.counts = {}
        self.now_ms = NOON
        self.notes = [] if explains else None

    def read(self, kind, user_point=None):
        return self.facts.get((1, user_point or USER, kind))

    def expect(self, effects):
        for effect in effects:
            match effect:
                case KeepFact():
                    self.facts[effect.key] = effect.value
                case KeepHistory():
                    self.history[effect.user_point, effect.at_ms, effect.id] = effect.value
                case CountUp():
                    self.counts[effect.name] = self.counts.get(effect.name, 0) + effect.amount

    def holds(self):
        return True

    def told(self):
        """The notes so far, as (about, outcome)."""
        return [(note.about, note.outcome) for note in self.notes]


def event(at=0, name="e", /, **properties):
    """An event so many ms after noon; keyword `a` is `$a` where it begins with `_`, else itself."""
    said = {("$" + key[1:] if key.startswith("_") else key): value for key, value in properties.items()}
    return event_from(dump({"$ts": NOON + at, "$event_name": name, "$properties": said}))


def activity(*events, key=1, at=None, type="SITE_VISIT", **fields):
    """An activity of these events; `origin` is a dict."""
    if isinstance(fields.get("origin"), dict):
        fields["origin"] = dump(fields["origin"])
    ts_ms = min((one.ts_ms for one in events), default=NOON) if at is None else NOON + at
    return Activity(ts_ms=ts_ms, unique_key=UUID(int=key), type=type, status="NO_SESSION", events=[*events], **fields)


def closed(channel=SITE, **fields):
    return Closed(Source.SESSION, 1, USER, (1,), channel=channel, **fields)


def defined(**fields):
    return Defined(datamart=1, **fields)


def through(step, known, made, **fields):
    """The verdict of a step, whose effects the context keeps."""
    verdict = step(closed(**fields), made, known)
    known.expect(verdict.effects)
    return verdict


def properties(one):
    return json.loads(one.body)["$properties"]


__all__ = ["NOON", "OTHER", "SITE", "USER", "Known", "activity", "closed", "defined", "event", "properties", "through"]
