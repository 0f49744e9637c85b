"""Two steps in turn are one: the second sees what the first did (engine.pipeline.chain)."""

import pytest

from engine.definitions.defined import NOTHING
from engine.model.fact import FactKind
from engine.pipeline.chain import BUILDERS, MERGES, build_program, in_turn
from engine.pipeline.profiles import EVENT
from engine.pipeline.stage import CountUp, Dead, Drop, Keep, KeepFact, keep
from tests.pipeline.people import OTHER, USER, Known, activity, closed, event

FIRST = KeepFact(1, USER, FactKind.PROFILES, b"new")
SECOND = CountUp(1, "second")


def first(closed, activity, context):
    return Keep(activity, (FIRST, KeepFact(1, OTHER, FactKind.TOUCHES, None)))


def both(one, other):
    return in_turn(lambda defined: one, lambda defined: other)(NOTHING)


def test_the_second_sees_the_effects_of_the_first_and_they_add_up():
    known = Known(explains=True)
    known.facts = {
        (1, USER, FactKind.PROFILES): b"old",
        (1, USER, FactKind.CHOICES): b"mine",
        (1, OTHER, FactKind.TOUCHES): b"gone",
    }
    seen = []

    def second(closed, activity, context):
        seen.append(context.read(FactKind.PROFILES))
        seen.append(context.read(FactKind.PROFILES, USER))
        seen.append(context.read(FactKind.CHOICES))
        seen.append(context.read(FactKind.TOUCHES, OTHER))
        seen.append((context.now_ms, context.notes is known.notes, context.holds()))
        return Keep(activity, (SECOND,))

    verdict = both(first, second)(closed(), activity(event()), known)
    assert seen == [b"new", b"new", b"mine", None, (known.now_ms, True, True)]
    assert verdict.effects[0] == FIRST
    assert verdict.effects[-1] == SECOND
    assert len(verdict.effects) == 3
    assert known.facts[1, USER, FactKind.PROFILES] == b"old", "whoever runs the step says what is to be expected"


def test_where_one_has_nothing_to_do_the_other_is_all():
    assert both(keep, keep) is keep
    assert both(first, keep) is first
    assert both(keep, first) is first


@pytest.mark.parametrize("verdict", [Drop("why", (SECOND,)), Dead("why")])
def test_a_verdict_that_is_not_to_keep_is_that_of_both(verdict):
    def gives(closed, activity, context):
        return verdict

    def never(closed, activity, context):
        raise AssertionError

    assert both(gives, never)(closed(), activity(), Known()) is verdict
    assert both(first, gives)(closed(), activity(), Known()) is verdict, "a drop keeps its own effects alone"


def test_profiles_are_changed_in_front_of_automations():
    stage = build_program(NOTHING).steps["automations"]
    made = activity(event(0, EVENT, _user_account_id="u", a=1))
    (kept,) = stage(closed(), made, Known()).effects
    assert (kept.kind, kept.user_point) == (FactKind.PROFILES, USER)
    assert [name for name, _ in BUILDERS].index("analyzers") < [name for name, _ in BUILDERS].index("automations")


def test_all_kinds_of_facts_move_in_a_merge():
    known = Known()
    assert [one for moved in MERGES for one in moved(closed(absorbed=OTHER), known)] == []
    assert {moved.__module__.rpartition(".")[2] for moved in MERGES} >= {"profiles", "user_choices", "conversions"}
