"""The step `automations` by itself: what it asks at all, what it explains, and what the activity's effects are."""

from uuid import UUID

from msgspec import structs

from engine.model.activity import Activity
from engine.model.event import Event
from engine.model.fact import FactKind
from engine.model.scenarios import Inside, encode_scenarios
from engine.pipeline.automations import ADD_TO_SEGMENT, build
from engine.pipeline.automations.compiled import Index
from engine.pipeline.automations.telling import Passage, Telling, activity_of
from engine.pipeline.documents import person_of
from engine.pipeline.stage import CountUp, KeepFact, Note, NothingKnown, Send, SetTimer, StoreBeside, keep
from engine.scenario.moves import Told, What
from engine.session.closed import Closed, Source
from engine.store.keys import MAX_COUNTER_NAME_BYTES
from tests.automations import HOUR, add, automation, defined, end, has_event, hook, if_, in_segment, wait
from tests.engines import dump

USER = UUID(int=1).bytes
CLOSED = Closed(Source.ITEM, 1, USER, (1,))


def activity(*names):
    body = [{"$ts": 5, "$event_name": name, "$properties": {}} for name in names]
    events = [Event(5, name, dump(one)) for name, one in zip(names, body, strict=True)]
    return Activity(ts_ms=5, unique_key=UUID(int=9), type="TOUCH", status="NO_SESSION", events=events)


class Known(NothingKnown):
    """A context where this is known, and which writes down what was asked."""

    def __init__(self, *, notes=False, **facts):
        super().__init__(1000)
        self.notes = [] if notes else None
        self.asked = []
        self.facts = facts

    def read(self, kind, user_point=None):
        self.asked.append(kind)
        return self.facts.get(kind.name.lower())


def inside(*scenarios, due_ms=2000):
    return encode_scenarios({one: Inside(one, bytes(16), "w", "", 1, 1, due_ms) for one in scenarios})


def test_where_nothing_is_defined_the_step_costs_nothing():
    assert build(defined(segments=())) is keep
    assert build(defined(automation(end("a")))) is not keep
    assert build(defined()) is not keep, "events may name its segments"


def test_automations_whose_event_is_not_there_are_not_asked():
    class Counting:
        asked = 0

        def __init__(self, *names):
            self.event_names = frozenset(names) if names else None

        def match(self, document):
            Counting.asked += 1

    conditions = [Counting("a"), Counting("b"), Counting(), Counting("a", "c"), Counting("d", "e")]
    index = Index([(condition, place) for place, condition in enumerate(conditions)])
    assert index.of({"a"}) == [0, 2, 3]
    assert index.of({"e", "d", "b"}) == [1, 2, 4], "in their order, each once"
    assert index.of({"x"}) == index.of(()) == [2]
    assert Index([(Counting("a"), 0)]).of({"x"}) == []


def test_nothing_is_read_and_nothing_made_where_no_event_fits():
    step = build(defined(*[automation(wait("w", HOUR), id=str(number)) for number in range(300)]))
    context, sent = Known(), activity("seen")
    verdict = step(CLOSED, sent, context)
    assert (verdict.activity, verdict.effects, context.asked) == (sent, (), [])


def test_an_exit_condition_is_asked_only_of_who_is_inside():
    step = build(defined(automation(wait("w", HOUR), exits=[("3", has_event("out"))])))
    assert step(CLOSED, activity("out"), Known()).effects == ()
    effects = step(CLOSED, activity("out"), Known(scenarios=inside("7"))).effects
    assert [type(one) for one in effects] == [StoreBeside, StoreBeside, SetTimer, KeepFact, CountUp]
    assert [one.activity.type for one in effects[:2]] == ["USER_SCENARIO_NODE_EXIT", "USER_SCENARIO_STOP"]
    assert effects[2] == SetTimer(1, USER, "7", None, 2000)
    assert effects[3] == KeepFact(1, USER, FactKind.SCENARIOS, None)


def test_the_same_again_is_the_same_byte_for_byte():
    step = build(defined(automation(add("a", "vip", "h"), hook("h", "w"), wait("w", HOUR))))
    first, second = (step(CLOSED, activity("start"), Known()).effects for _ in range(2))
    assert [one for one in first if not isinstance(one, StoreBeside)] == [
        one for one in second if not isinstance(one, StoreBeside)
    ]
    assert [one.activity.encode() for one in first if isinstance(one, StoreBeside)] == [
        one.activity.encode() for one in second if isinstance(one, StoreBeside)
    ]


def test_decision_32_requests_have_ids_of_their_own_but_the_same_when_made_again():
    step = build(defined(automation(hook("h", "g"), hook("g"))))
    one = [effect.id for effect in step(CLOSED, activity("start"), Known()).effects if isinstance(effect, Send)]
    again = [effect.id for effect in step(CLOSED, activity("start"), Known()).effects if isinstance(effect, Send)]
    other = structs.replace(activity("start"), unique_key=UUID(int=10))
    others = [effect.id for effect in step(CLOSED, other, Known()).effects if isinstance(effect, Send)]
    assert one == again
    assert len({*one, *others}) == 4
    assert {len(id) for id in one} == {16}


def test_keys_of_what_is_told_are_in_the_order_in_which_it_happened():
    passage = Passage(1, USER, "7", bytes(16), None)
    told = [Told(What.ENTER, str(number), "") for number in range(300)]
    keys = [activity_of(Telling(passage, one, 5, number)).unique_key.bytes for number, one in enumerate(told)]
    assert keys == sorted(keys)
    assert len(set(keys)) == 300
    assert {UUID(bytes=key).version for key in keys} == {1}


def test_8_3_ids_are_numbers_where_they_are():
    for text, shown in (("7", 7), ("0", 0), ("07", "07"), ("a7", "a7"), ("9" * 20, "9" * 20), ("٣", "٣")):
        made = activity_of(Telling(Passage(1, USER, text, bytes(16), None), Told(What.STOP, text, "", text), 5, 0))
        fields = {name: bytes(value) for name, value in made.extras.items()}
        expected = dump(shown)
        assert fields["$scenario_id"] == fields["$node_id"] == fields["$matched_exit_condition_id"] == expected


def test_counter_names_fit_the_store():
    longest = automation(end("a"), id="x" * 64)
    effects = build(defined(longest))(CLOSED, activity("start"), Known()).effects
    names = [one.name for one in effects if isinstance(one, CountUp)]
    assert len(names) == 3
    assert max(map(len, names)) <= MAX_COUNTER_NAME_BYTES


def test_explained_is_what_matched_and_what_did_not_and_why():
    lines = (
        automation(wait("w", HOUR), id="1", exits=[("x", has_event("out"))]),
        automation(wait("w", HOUR), id="2", trigger=has_event("other")),
        automation(wait("w", HOUR), id="3", trigger=has_event("start", color="red")),
        automation(if_("q", in_segment("vip"), "w"), wait("w", HOUR), id="4"),
        automation(wait("w", HOUR), id="5", status="PAUSED"),
    )
    context = Known(notes=True, scenarios=inside("1"))
    build(defined(*lines))(CLOSED, activity("start"), context)
    assert (
        Note("exit condition x of automation 1", "skipped", "the activity has no event that it asks for")
        in context.notes
    )
    assert Note("automation 1", "refused", "the person is inside already") in context.notes
    assert Note("automation 2", "skipped", "the activity has no event that it asks for") in context.notes
    assert Note("automation 3", "skipped", "the trigger does not match") in context.notes
    of_4 = [(note.outcome, note.detail) for note in context.notes if note.about == "automation 4"]
    assert of_4 == [
        ("entered", ""),
        ("start", "node q"),
        ("enter", "node q"),
        ("skipped", "condition of node q"),
        ("exit", "node q"),
        ("stop", "node q"),
    ]
    assert Note("automation 5", "skipped", "it is PAUSED") in context.notes
    context = Known(notes=True, scenarios=inside("1"))
    build(defined(*lines))(CLOSED, activity("out", ADD_TO_SEGMENT), context)
    assert Note("exit condition x of automation 1", "matched", "the person leaves at node w") in context.notes
    assert Note("segment ", "refused", "there is no such segment") in context.notes


def test_a_person_is_seen_under_the_names_of_the_links():
    context = Known(scenarios=inside("7"))
    look = person_of(context, own={"segments": lambda: [{"id": "own"}]})
    assert [one["scenario_id"] for one in look("scenarios")] == ["7"]
    assert look("segments") == [{"id": "own"}]
    assert list(look("accounts")) == list(look("nothing")) == []
    assert person_of(Known())("segments") == []


def test_profiles_and_choices_of_the_person_can_be_asked_for():
    assert list(person_of(Known())("profiles")) == list(person_of(Known())("choices")) == []
    context = Known()
    person_of(context)("profiles")
    person_of(context)("choices")
    assert context.asked == [FactKind.PROFILES, FactKind.CHOICES]
