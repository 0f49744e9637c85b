"""The chain: its order, what steps do without definitions, who is left out of them (mediarithmics 3.2, decision 42)."""

import json

import pytest
from msgspec import structs

from engine.errors import CallerError
from engine.model.channel import ChannelSettings
from engine.model.record import RecordKind
from engine.pipeline import chain
from engine.pipeline.chain import BUILDERS, STORE, build_chain, skips_processing
from engine.pipeline.stage import Drop, Envelope, Keep
from engine.pipeline.user_choices import without_page_views
from engine.session.closed import Closed, CloseReason, Source
from engine.session.member import item_member, member_of
from tests.session.build import NOON, USER, dump, record_of, root_of

SITE = ChannelSettings(datamart=1, kind="SITE", id="1")


def session(*names, process=True):
    records = [
        record_of(number, NOON + number, event=dump({"$ts": NOON + number, "$event_name": name, "n": number}))
        for number, name in enumerate(names, 1)
    ]
    members = tuple(structs.replace(member_of(record, SITE), process=process) for record in records)
    sequences = tuple(record.sequence for record in records)
    return Envelope(Closed(Source.SESSION, 1, USER, sequences, CloseReason.GAP, SITE, members))


def touch(*names, process=True):
    events = dump([{"$ts": NOON, "$event_name": name} for name in names])
    root = root_of(**{"$type": "TOUCH", "$session_status": "NO_SESSION"})
    record = structs.replace(record_of(1, NOON, kind=RecordKind.ITEM, root=root, event=events), process=process)
    return Envelope(Closed(Source.ITEM, 1, USER, (1,), channel=SITE, members=(item_member(record, SITE),)))


def through(envelope, steps=None):
    """The activity as it leaves the last step."""
    for step in steps or build_chain(lambda datamart: "1"):
        verdict = step.run(envelope)
        assert isinstance(verdict, Keep)
        envelope.activity = verdict.activity
    return envelope.activity


def names_of(activity):
    return [event.name for event in activity.events]


def test_the_order_is_the_platforms():
    assert [step.name for step in build_chain(lambda datamart: "1")] + [STORE] == [
        "create",
        "event_rules",
        "analyzers",
        "conversions",
        "automations",
        "user_choices",
        "store",
    ]


@pytest.mark.parametrize("made", [session("buy", "pay"), touch("buy", "pay"), touch()])
def test_an_activity_without_definitions_goes_through_as_create_made_it(made):
    create, *_ = build_chain(lambda datamart: "1")
    expected = create.run(made).activity.encode()
    assert through(made).encode() == expected


def test_page_views_leave_the_activity_at_the_last_step_and_custom_ones_stay():
    """Decision 35: they have served their purpose; a visit without events left is stored all the same."""
    steps = build_chain(lambda datamart: "1")
    made = session("$page_view", "page_view", "$page_view", "buy")
    assert names_of(through(made, steps[:-1])) == ["$page_view", "page_view", "$page_view", "buy"]
    assert names_of(through(made)) == ["page_view", "buy"]
    assert names_of(through(session("$page_view"))) == []
    assert json.loads(through(session("$page_view")).encode())["$events"] == []


def test_nothing_is_copied_where_there_is_no_page_view():
    activity = through(session("buy"))
    assert without_page_views(activity) is activity


def test_what_skips_processing_is_created_and_stored_and_nothing_in_between(monkeypatch):
    def refuse(closed, activity, context):
        return Drop("refused")

    monkeypatch.setattr(chain, "BUILDERS", tuple((name, lambda defined: refuse) for name, _ in BUILDERS))
    steps = build_chain(lambda datamart: "1")
    skipping = touch("$page_view", process=False)
    assert skips_processing(skipping)
    assert names_of(through(skipping, steps)) == ["$page_view"]
    for made in (touch("buy"), session("buy", process=False)):
        assert not skips_processing(made)
        made.activity = steps[0].run(made).activity
        assert [step.run(made) for step in steps[1:]] == [Drop("refused")] * 5


def test_steps_are_told_what_they_may_read():
    context = object()
    seen = []

    def look(closed, activity, given):
        seen.append(given)
        return Keep(activity)

    chain_of = build_chain(lambda datamart: "1", lambda envelope: context)
    assert len(chain_of) == 6
    steps = tuple((name, lambda defined: look) for name, _ in BUILDERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "BUILDERS", steps)
        through(session("buy"), build_chain(lambda datamart: "1", lambda envelope: context))
    assert seen == [context] * 5


def test_accounts_without_compartment_are_of_the_datamarts_default_one():
    root = root_of(**{"$user_account_id": "ann"})
    record = record_of(1, NOON, root=root)
    closed = Closed(Source.SESSION, 7, USER, (1,), CloseReason.GAP, SITE, (member_of(record, SITE),))
    activity = through(Envelope(closed), build_chain(lambda datamart: f"of {datamart}"))
    assert [one.namespace for one in activity.identifiers] == ["of 7", ""]


def test_a_step_before_create_is_a_mistake_of_ours():
    _, rules, *_ = build_chain(lambda datamart: "1")
    with pytest.raises(TypeError):
        rules.run(session("buy"))


def test_a_state_never_becomes_an_activity():
    create, *_ = build_chain(lambda datamart: "1")
    with pytest.raises(ValueError, match="state"):
        create.run(Envelope(Closed(Source.STATE, 1, USER, (1,))))
    assert not issubclass(ValueError, CallerError)


def test_who_the_person_is_too_is_forgotten_when_an_activity_is_made_again():
    envelope = session("a")
    envelope.met = structs.replace(envelope.closed, user_point=bytes(16))
    assert envelope.view.user_point == bytes(16)
    build_chain(lambda datamart: "1")[0].run(envelope)
    assert envelope.view is envelope.closed
