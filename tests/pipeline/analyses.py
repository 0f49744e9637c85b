"""The analyzers' step with its answers given: a channel's analyzers, an activity, what each of them says."""

import json

from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.defined import Defined
from engine.model.channel import ChannelSettings
from engine.pipeline import analyzers
from engine.pipeline.create import create
from engine.pipeline.stage import Answer, NothingKnown, Verdict
from engine.session.closed import Closed, Source
from engine.session.member import item_member
from tests.session.build import NOON, USER, record_of

SITE = ChannelSettings(datamart=1, kind="SITE", id="1", max_activity_chars=2000)

EVENTS = (
    '[{"$ts":NOON,"$event_name":"page HP",'
    '"$properties":{"price":1.50,"n":1.0,"big":12345678901234567890,"$odd":[1e3]}},'
    '{"$event_name":"$item_view","$ts":NOON,"$properties":{"b":true,"a":null}}]'
).replace("NOON", str(NOON))
ROOT = (
    '{"$type":"SITE_VISIT","$session_status":"CLOSED_SESSION","$site_id":"1","$user_agent_id":"vec:1","$ts":NOON,'
    '"$ttl":60,"$origin":{"$source":"shop","weight":2.50,"$channel":"email"},'
    '"$location":{"$country":"FR","$latlon":[48.0,2.50]},'
    '"$session_duration":3,"amount":7.10,"$unheard_of":{"10":1.0,"9":2},"last":null}'
).replace("NOON", str(NOON))


def closed_of(root=ROOT, events=EVENTS, channel=SITE):
    record = record_of(1, NOON, root=root.encode(), event=events.encode())
    return Closed(Source.ITEM, 1, USER, (1,), channel=channel, members=(item_member(record, SITE),))


def analyzer(id, **fields):
    return Analyzer(id=id, **({"callable": "some.module:function"} | fields))


def defined(*found, channel="site:1", attached=None):
    ids = tuple(one.id for one in found) if attached is None else attached
    return Defined(datamart=1, analyzers=found, analyzers_of={channel: ids})


def ok(activity):
    """An answer with this activity: a dict, or text as it is."""
    text = activity if isinstance(activity, bytes) else json.dumps(activity).encode()
    return Answer("ok", text, took_ms=1.0)


def failed(reason="it has died"):
    return Answer("failed", reason=reason, took_ms=1.0)


class Analysis:
    """One run of the step.

    Attributes:
        asked: whom, in order, and `shown` what.
        verdict: what came of it.
        notes: what was explained.
    """

    def __init__(self, definitions, *answers, closed=None):
        self.asked, self.shown, self.questions = [], [], []
        context = NothingKnown()
        context.notes = []
        self.closed = closed or closed_of()
        self.before = create(self.closed, "1")
        left = list(answers)
        asking = analyzers.build(definitions)(self.closed, self.before, context)
        if isinstance(asking, Verdict):
            self.verdict = asking
        else:
            try:
                question = next(asking)
                while True:
                    self.questions.append(question)
                    self.asked.append(question.analyzer.id)
                    self.shown.append(json.loads(question.activity))
                    answer = left.pop(0)
                    if callable(answer):
                        answer = ok(answer(json.loads(question.activity)))
                    question = asking.send(answer)
            except StopIteration as end:
                self.verdict = end.value
        assert not left, "somebody was not asked"
        self.notes = context.notes

    @property
    def counts(self):
        return {one.name: one.amount for one in self.verdict.effects}
