"""What an automation must be to work, and where it says that one cannot (mediarithmics 8.2)."""

import pytest
from msgspec import structs

from engine.definitions.declared.automations import ExitCondition
from engine.errors import CallerError
from engine.pipeline.chain import build_program
from engine.scenario.storyline import MAX_NODES, MIN_CIRCLE_MS
from tests.automations import (
    HOUR,
    action,
    add,
    automation,
    defined,
    end,
    has_event,
    hook,
    if_,
    remove,
    split,
    wait,
)


def fault(*automations, **more):
    """Path and message of what is refused; None where nothing is."""
    try:
        build_program(defined(*automations, **more))
    except CallerError as error:
        return error.path, error.message
    return None


def test_a_storyline_of_all_kinds_of_nodes_works():
    nodes = (
        split("parts", "soon", "asked", "out", ""),
        wait("soon", HOUR, "join"),
        add("join", "vip", "call"),
        action("call", "tell"),
        hook("tell", "over"),
        end("over"),
        if_("asked", has_event("x"), "quit", ""),
        remove("quit", "gone"),
        end("out"),
    )
    assert fault(automation(*nodes, exits=[("out", has_event("bought"))])) is None


@pytest.mark.parametrize(
    ("nodes", "path", "says"),
    [
        ([add("a", "vip", "b")], "automations[0].node[0].next", "no node 'b'"),
        ([if_("a", has_event("x"), otherwise="b")], "automations[0].node[0].otherwise", "no node 'b'"),
        ([split("a", "", "b")], "automations[0].node[0].branches[1]", "no node 'b'"),
        ([end("a"), end("a")], "automations[0].node[1].id", "two nodes"),
        ([structs.replace(end("a"), next="b")], "automations[0].node[0].next", "behind an end is nothing"),
        ([structs.replace(split("a", "b"), next="b"), end("b")], "automations[0].node[0].next", "with its branches"),
        ([if_("a", has_event("x"), "b", "b"), end("b")], "automations[0].node[0].otherwise", "an edge in already"),
        (
            [split("a", "b", "c"), add("b", "vip", "d"), add("c", "vip", "d"), end("d")],
            "automations[0].node[2].next",
            "",
        ),
        ([add("a", "vip"), end("b")], "automations[0].node[1].id", "nothing leads"),
        ([add("a", "vip", "b"), add("b", "vip", "a")], "automations[0].node[0].id", "b → a is a circle"),
        ([add("a", "vip", "a")], "automations[0].node[0].id", "a is a circle"),
        ([wait("a", MIN_CIRCLE_MS - 1, "b"), add("b", "vip", "a")], "automations[0].node[0].id", "circle"),
        ([split("a")], "automations[0].node[0].branches", "at least one"),
        ([split("a", "", "", weights=(1,))], "automations[0].node[0].weights", "1 weights for 2"),
        ([split("a", "", "", weights=(0, 0))], "automations[0].node[0].weights", "0"),
        ([add("a", "nobody")], "automations[0].node[0].segment", "no segment 'nobody'"),
        ([remove("a", "nobody")], "automations[0].node[0].segment", "no segment 'nobody'"),
        ([hook("a", destination="nowhere")], "automations[0].node[0].destination", "no destination 'nowhere'"),
        ([wait("a", 1, time_zone="Nowhere")], "automations[0].node[0].time_zone", "no time zone"),
        ([end(str(number)) for number in range(MAX_NODES + 1)], "automations[0].node", f"limit is {MAX_NODES}"),
    ],
)
def test_8_2_what_cannot_work_is_refused_where_it_stands(nodes, path, says):
    found, message = fault(automation(*nodes))
    assert found == path
    assert says in message


def test_8_2_the_first_node_exists_and_the_way_in_is_no_edge():
    assert fault(automation(end("a"), begin="b")) == ("automations[0].begin", "there is no node 'b' to begin with")
    circle = automation(wait("a", MIN_CIRCLE_MS, "b"), add("b", "vip", "a"))
    assert fault(circle) is None, "a circle with a wait is a plan: again and again, until an exit condition is met"


def test_a_draft_may_have_nodes_that_nothing_leads_to():
    assert fault(automation(add("a", "vip"), end("b"), status="NEW")) is None
    assert fault(automation(add("a", "vip"), end("b"), status="PAUSED")) is not None


def test_queries_are_compiled_and_named_with_their_path():
    asked = "automations[1].node[0].query"
    assert fault(automation(end("a")), automation(if_("a", "@nobody"), id="8"))[0] == asked
    assert fault(automation(end("a"), trigger="@nobody"))[0] == "automations[0].trigger"
    exits = (ExitCondition(id="x", query=has_event("x")), ExitCondition(id="y", query="@nobody"))
    assert (
        fault(structs.replace(automation(end("a")), exit_conditions=exits))[0]
        == "automations[0].exit_condition[1].query"
    )


def test_ids_are_used_once():
    twice = automation(end("a"), exits=[("x", has_event("a")), ("x", has_event("b"))])
    assert fault(twice)[0] == "automations[0].exit_condition[1].id"
    assert fault(automation(end("a")), automation(end("a")))[0] == "automations[1].id"
    assert fault(automation(end("a")), segments=("vip", "vip"))[0] == "segments[1].id"
