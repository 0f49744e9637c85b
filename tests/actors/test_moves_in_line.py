"""A move in a scenario stands in the chain where it came in: what is behind it sees it, what is ahead it sees."""

from uuid import UUID

import trio
from msgspec import structs

from engine.actors.facts import Facts
from engine.actors.stage_actor import StageActor
from engine.model.fact import FactKind
from engine.model.record import RecordKind
from engine.model.scenarios import Inside, encode_scenarios
from engine.pipeline.chain import build_chain, build_program
from engine.pipeline.stage import Envelope, StoreBeside
from engine.session.closed import Closed, Move, Source
from engine.session.member import item_member
from engine.store.keys import fact_key
from engine.store.memory import MemoryStore
from engine.store.port import Db, Put
from tests.automations import HOUR, automation, defined, has_event, wait
from tests.session.build import NOON, USER, dump, record_of, root_of

LINE = automation(wait("a", HOUR, "b"), wait("b", HOUR), exits=[("3", has_event("out"))])


class Chain:
    """The steps as stage actors run them, over a store where a person waits at the first node."""

    def __init__(self, line=LINE):
        self.store = MemoryStore()
        inside = Inside("7", UUID(int=1).bytes, "a", "", 1, 1, NOON)
        row = Put(Db.FACTS, fact_key(1, USER, FactKind.SCENARIOS), encode_scenarios({"7": inside}))
        self.store.commit([row])
        self.facts = Facts(self.store, lambda: NOON)
        program = build_program(defined(line))
        ends = trio.open_memory_channel(1)
        steps = build_chain(lambda datamart: "1", self.facts.context, lambda datamart: program)
        self.stages = [StageActor(one.name, one.run, ends[1], ends[0], one.merge, one.move) for one in steps]

    def through(self, *envelopes):
        """Each stage takes all of them at once, as it does when they are queued."""
        for stage in self.stages:
            for envelope in envelopes:
                stage.look(envelope)


def move():
    return Envelope(Closed(Source.MOVE, 1, USER, (), saves_state=False, move=Move("7", NOON)))


def touch(name):
    root = root_of(**{"$type": "TOUCH", "$session_status": "NO_SESSION"})
    record = record_of(1, NOON, kind=RecordKind.ITEM, root=root, event=dump([{"$ts": NOON, "$event_name": name}]))
    return Envelope(Closed(Source.ITEM, 1, USER, (1,), members=(item_member(record, None),)))


def told(envelope):
    found = (effect.activity for effect in envelope.effects if isinstance(effect, StoreBeside))
    return [(one.type.rpartition("_")[2], bytes(one.extras["$node_id"]).decode()) for one in found]


def test_what_is_behind_a_move_sees_where_it_led():
    chain = Chain()
    first, second = move(), touch("out")
    chain.through(first, second)
    assert told(first) == [("EXIT", '"a"'), ("ENTER", '"b"')]
    assert told(second) == [("EXIT", '"b"'), ("STOP", '"b"')]
    assert first.context.holds()
    assert second.context.holds()


def test_a_move_behind_an_exit_finds_nobody():
    chain = Chain()
    first, second = touch("out"), move()
    chain.through(first, second)
    assert told(first) == [("EXIT", '"a"'), ("STOP", '"a"')]
    assert told(second) == []
    assert second.verdict is None
    assert second.context.holds()


def test_a_move_that_was_shown_what_has_not_come_to_be_is_made_again():
    chain = Chain()
    first, second = touch("out"), move()
    chain.through(first, second)
    first.effects = ()
    assert not second.context.holds()
    second.effects = ()
    chain.through(second)
    assert told(second) == [("EXIT", '"a"'), ("ENTER", '"b"')]
    assert second.context.holds()


def test_a_move_in_an_automation_that_was_paused_meanwhile_changes_nothing():
    chain = Chain(structs.replace(LINE, status="PAUSED"))
    first = move()
    chain.through(first)
    assert (first.effects, first.verdict) == ((), None)
