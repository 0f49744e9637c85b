"""A walk: from a node to the next wait or the end; and the way at a split."""

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule

from engine.definitions.declared.automations import End, If, Split, Wait
from engine.scenario import moves
from engine.scenario.moves import What, branch_of
from engine.scenario.storyline import Known, compile_storyline, edges_of
from tests.automations import DAY, HOUR, MINUTE, add, automation, end, has_event, if_, split, wait

USER = UUID(int=7).bytes


class Yes:
    """A condition that is never asked: who walks says what holds."""

    event_names = None

    def match(self, document):
        raise AssertionError


def line_of(*nodes, **more):
    known = Known(segments={"vip"}, destinations=set(), compile=lambda query, path: Yes())
    return compile_storyline(automation(*nodes, **more), "automations[0]", known)


class Walker:
    """Writes down what happens."""

    def __init__(self, answers=()):
        self.answers = list(answers)
        self.seen = []

    def tell(self, told):
        self.seen.append((told.what.name.lower(), told.node, told.previous, told.exit_condition))

    def act(self, node):
        self.seen.append(("act", node.id))

    def holds(self, node):
        self.seen.append(("ask", node.id))
        return self.answers.pop(0)


def test_8_3_in_at_once_to_the_first_wait():
    walker = Walker([True])
    line = line_of(add("a", "vip", "b"), if_("b", has_event("x"), "c", ""), wait("c", HOUR, "d"), end("d"))
    place = moves.begin(line, walker, USER, 1000)
    assert walker.seen == [
        ("start", "a", "", ""),
        ("enter", "a", "", ""),
        ("act", "a"),
        ("exit", "a", "", ""),
        ("enter", "b", "a", ""),
        ("ask", "b"),
        ("exit", "b", "a", ""),
        ("enter", "c", "b", ""),
    ]
    assert (place.node, place.previous, place.due_ms) == ("c", "b", 1000 + HOUR)
    walker = Walker()
    assert moves.go_on(line, walker, USER, 1000 + HOUR, "c", "b") is None
    assert walker.seen == [
        ("exit", "c", "b", ""),
        ("enter", "d", "c", ""),
        ("exit", "d", "c", ""),
        ("stop", "d", "c", ""),
    ]


@pytest.mark.parametrize("nodes", [[end("a")], [add("a", "vip")], [if_("a", has_event("x"), "b"), end("b")]])
def test_8_3_a_scenario_may_be_over_at_once(nodes):
    walker = Walker([False])
    assert moves.begin(line_of(*nodes), walker, USER, 0) is None
    assert walker.seen[-2:] == [("exit", "a", "", ""), ("stop", "a", "", "")]


def test_8_4_leaving_says_where_and_why():
    walker = Walker()
    moves.leave(walker, "c", "b", "bought")
    assert walker.seen == [("exit", "c", "b", ""), ("stop", "c", "b", "bought")]


def test_a_node_that_has_changed_while_somebody_waited():
    walker = Walker()
    assert moves.go_on(line_of(end("a")), walker, USER, 0, "gone", "before") is None
    assert walker.seen == [("exit", "gone", "before", ""), ("stop", "gone", "before", "")]
    walker = Walker()
    moves.go_on(line_of(add("a", "vip")), walker, USER, 0, "a", "")
    assert walker.seen == [("act", "a"), ("exit", "a", "", ""), ("stop", "a", "", "")], "it does what it does now"


def test_8_2_a_split_is_stable_and_equal_in_its_parts():
    node = split("half", "", "", "")
    people = [UUID(int=number).bytes for number in range(6000)]
    ways = [branch_of(node, "7", person) for person in people]
    assert ways == [branch_of(node, "7", person) for person in people]
    assert all(abs(number - 2000) < 150 for number in Counter(ways).values())
    assert ways != [branch_of(node, "8", person) for person in people], "another automation splits otherwise"
    assert ways != [branch_of(split("other", "", "", ""), "7", person) for person in people]


def test_8_2_a_split_by_weights():
    node = split("some", "", "", "", weights=(8, 0, 2))
    ways = Counter(branch_of(node, "7", UUID(int=number).bytes) for number in range(5000))
    assert ways.keys() == {0, 2}
    assert abs(ways[0] - 4000) < 150


@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=8).filter(any), st.binary(min_size=16, max_size=16))
def test_a_branch_of_weight_0_is_never_taken(weights, person):
    node = split("some", *[""] * len(weights), weights=tuple(weights))
    assert weights[branch_of(node, "7", person)] > 0


@st.composite
def storylines(draw):
    """A tree of nodes, perhaps with a circle back to its beginning."""
    ids = iter(range(1, 30))
    nodes, ahead = [], ["0"]
    while ahead:
        id, after = ahead.pop(0), next(ids)
        kind = draw(st.sampled_from(["wait", "act", "if", "split", "end"])) if after < 12 else "end"
        following = [str(after)] if draw(st.integers(0, 4)) else [""]
        if kind in ("if", "split"):
            following.append(str(next(ids)) if draw(st.booleans()) else "")
        if kind == "wait":
            nodes.append(wait(id, draw(st.sampled_from([0, MINUTE, HOUR])), following[0]))
        elif kind == "act":
            nodes.append(add(id, "vip", following[0]))
        elif kind == "if":
            nodes.append(if_(id, has_event("x"), *following))
        elif kind == "split":
            nodes.append(split(id, *following))
        else:
            nodes.append(end(id))
            following = []
        ahead += [one for one in following if one]
    leaves = [index for index, node in enumerate(nodes) if isinstance(node, Wait) and not node.next]
    if leaves and draw(st.booleans()):
        nodes[leaves[0]] = wait(nodes[leaves[0]].id, 2 * MINUTE, "0")
    return line_of(*nodes)


class WalkMachine(RuleBasedStateMachine):
    """A person in a storyline, beside a slow model that takes one edge at a time over the declared nodes."""

    lines = Bundle("lines")

    def __init__(self):
        super().__init__()
        self.place = None
        self.now_ms = 0

    @initialize(line=storylines())
    def choose(self, line):
        self.line = line
        self.nodes = {node.id: node for node in line.automation.nodes}

    def model(self, node, previous, answers):
        """All that happens from a node that was just entered, and where it ends: one node after the other."""
        seen = []
        while True:
            found = self.nodes[node]
            if isinstance(found, Wait):
                return seen, (node, previous, self.now_ms + found.delay_ms)
            targets = dict(edges_of(found))
            if isinstance(found, If):
                seen.append(("ask", node))
                following = targets.get("next" if answers.pop(0) else "otherwise", "")
            elif isinstance(found, Split):
                following = targets.get(f"branches[{branch_of(found, '7', USER)}]", "")
            else:
                seen += [] if isinstance(found, End) else [("act", node)]
                following = targets.get("next", "")
            seen.append(("exit", node, previous, ""))
            if not following:
                return [*seen, ("stop", node, previous, "")], None
            seen.append(("enter", following, node, ""))
            node, previous = following, node

    @precondition(lambda self: self.place is None)
    @rule(answers=st.lists(st.booleans(), min_size=30, max_size=30))
    def enter(self, answers):
        walker = Walker(answers)
        place = moves.begin(self.line, walker, USER, self.now_ms)
        seen, expected = self.model("0", "", list(answers))
        self.hold(walker, place, [("start", "0", "", ""), ("enter", "0", "", ""), *seen], expected)

    @precondition(lambda self: self.place is not None)
    @rule(answers=st.lists(st.booleans(), min_size=30, max_size=30), late=st.sampled_from([0, 1, DAY]))
    def go_on(self, answers, late):
        node, previous, due_ms = self.place
        self.now_ms = due_ms + late
        walker = Walker(answers)
        place = moves.go_on(self.line, walker, USER, self.now_ms, node, previous)
        following = self.nodes[node].next
        told = [("exit", node, previous, "")]
        if following:
            seen, expected = self.model(following, node, list(answers))
            self.hold(walker, place, [*told, ("enter", following, node, ""), *seen], expected)
        else:
            self.hold(walker, place, [*told, ("stop", node, previous, "")], None)

    @precondition(lambda self: self.place is not None)
    @rule()
    def leave(self):
        walker = Walker()
        node, previous, _ = self.place
        moves.leave(walker, node, previous, "why")
        self.hold(walker, None, [("exit", node, previous, ""), ("stop", node, previous, "why")], None)

    def hold(self, walker, place, seen, expected):
        assert walker.seen == seen
        assert (place and (place.node, place.previous, place.due_ms)) == expected
        assert len([one for one in seen if one[0] == What.ENTER.name.lower()]) <= len(self.nodes)
        self.place = expected


TestWalks = pytest.mark.slow(WalkMachine.TestCase)
