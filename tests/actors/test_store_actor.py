"""The chain's end: what became of each envelope is one transaction with its records; nothing taken is forgotten."""

import json
from uuid import UUID

import pytest
import trio
from msgspec import structs

from engine.actors.facts import Facts
from engine.actors.store_actor import MAX_GROUP, Settler, StoreActor, payload_of
from engine.actors.user_actor import dead_envelope
from engine.actors.writer import Writer
from engine.model.activity import Activity
from engine.model.channel import ChannelSettings
from engine.model.fact import FactKind
from engine.model.record import RecordKind
from engine.pipeline.chain import build_chain
from engine.pipeline.stage import Dead, Drop, Effect, Envelope, Keep, KeepFact
from engine.session.closed import Closed, CloseReason, Source
from engine.session.member import member_of
from engine.store import reads
from engine.store.keys import fact_key, state_key
from engine.store.memory import MemoryStore
from engine.store.port import AddDeadLetter, Count, Db, Delete, Put, RemoveJournal, StoreActivity
from tests.actors.routers import point
from tests.contract.builders import append
from tests.engines import until
from tests.session.build import NOON, record_of

WALL = NOON + 5000
DAY_MS = 86_400_000
SITE = ChannelSettings(datamart=1, kind="SITE", id="1")
SETTLER = Settler(lambda: WALL, DAY_MS)


def member(sequence, **fields):
    return member_of(record_of(sequence, NOON + sequence, **fields), SITE)


def closed(*sequences, **fields):
    base = {
        "source": Source.SESSION,
        "datamart": 1,
        "user_point": point(1),
        "sequences": sequences,
        "members": tuple(member(sequence) for sequence in sequences),
        "reason": CloseReason.INACTIVITY,
        "channel": SITE,
        "state": b"state",
    }
    return Closed(**{**base, **fields})


def made(one):
    """The envelope as it comes out of the steps."""
    envelope = Envelope(one)
    if one.source is not Source.STATE:
        (create, *_) = build_chain(lambda datamart: "1")
        verdict = create.run(envelope)
        assert isinstance(verdict, Keep)
        envelope.activity = verdict.activity
    return envelope


def kinds(operations):
    return [type(operation) for operation in operations]


def test_what_is_kept_is_stored_counted_and_leaves_the_journal_with_its_state():
    envelope = made(closed(1, 2))
    stored, counted, removed, saved = SETTLER.operations(envelope)
    assert isinstance(stored, StoreActivity)
    assert (stored.user_point, stored.ts_ms, stored.weight, stored.expires_ms) == (point(1), NOON + 1, 2, None)
    assert (stored.unique_key, stored.counted_at_ms) == (envelope.activity.unique_key.bytes, WALL)
    assert counted == Count(1, (("sessions_closed.inactivity", 1),), WALL)
    assert removed == RemoveJournal((1, 2), (1, 1), 1)
    assert saved == Put(Db.STATES, state_key(1, point(1)), b"state")


def test_nothing_open_deletes_the_state_and_an_item_leaves_it_alone():
    assert SETTLER.operations(made(closed(1, state=None)))[-1] == Delete(Db.STATES, state_key(1, point(1)))
    item = closed(1, source=Source.ITEM, reason=None, saves_state=False)
    item = structs.replace(item, members=(structs.replace(item.members[0], event=b"[]"),))
    assert kinds(SETTLER.operations(made(item))) == [StoreActivity, RemoveJournal]


def test_a_live_window_has_counters_of_its_own():
    counted = SETTLER.operations(made(closed(1, source=Source.LIVE, reason=CloseReason.LIVE)))[1]
    assert counted.amounts == (("live_windows_closed.live", 1),)


def test_a_state_alone_stores_no_activity_and_forgets_whom_it_absorbed():
    moved = closed(3, source=Source.STATE, reason=None, members=(), absorbed=point(2))
    assert SETTLER.operations(made(moved)) == [
        RemoveJournal((3,), None, 1),
        Put(Db.STATES, state_key(1, point(1)), b"state"),
        Delete(Db.STATES, state_key(1, point(2))),
    ]


@pytest.mark.parametrize(("ttl", "expires_ms"), [(None, None), (0, None), (5, NOON + 1 + 5 * 60_000)])
def test_how_long_an_activity_is_kept_counts_from_its_own_time(ttl, expires_ms):
    envelope = made(closed(1))
    envelope.activity = structs.replace(envelope.activity, ttl_minutes=ttl)
    assert SETTLER.operations(envelope)[0].expires_ms == expires_ms


def test_a_drop_is_a_counter_and_nothing_of_it_is_stored():
    envelope = made(closed(1, 2))
    envelope.verdict = Drop("no_consent")
    assert kinds(SETTLER.operations(envelope)) == [Count, Count, RemoveJournal, Put]
    assert SETTLER.operations(envelope)[0].amounts == (("events_dropped", 2), ("events_dropped.no_consent", 2))


def test_a_dead_letter_says_what_why_where_when_and_whose():
    store = MemoryStore()
    envelope = made(closed(1, 2))
    envelope.verdict, envelope.stage = Dead("stage_error", "it raised"), "analyzers"
    store.commit([append(1, 2)])
    store.commit(SETTLER.operations(envelope))
    (found,) = reads.dead_letters(store, 1)
    letter = found.letter
    assert (letter.reason, letter.detail, letter.stage) == ("stage_error", "it raised", "analyzers")
    assert (letter.at_ms, letter.user_point, letter.weight) == (WALL, str(UUID(bytes=point(1))), 2)
    assert letter.sequences == (1, 2)
    assert letter.payload == envelope.activity.encode()
    totals = reads.counter_totals(store, 1)
    assert (totals["events_dead"], totals["events_dead.stage_error"], totals["events_open"]) == (2, 2, 0)


@pytest.mark.parametrize(
    ("root", "event", "payload"),
    [
        (b'{"a":1}', b'{"b":2}', {"a": 1, "$events": [{"b": 2}]}),
        (b"{}", b"[]", {"$events": []}),
        (b'{"a":1}', b'[{"b":2},{"c":3}]', {"a": 1, "$events": [{"b": 2}, {"c": 3}]}),
    ],
)
def test_what_no_step_has_seen_is_kept_as_it_was_sent(root, event, payload):
    assert json.loads(payload_of(dead_envelope(record_of(1, NOON, root=root, event=event), "x", ""))) == payload


def test_of_several_events_each_is_kept_with_its_root():
    found = json.loads(payload_of(Envelope(closed(1, 2))))
    assert [sorted(one) for one in found] == [["event", "root"]] * 2


def test_a_dead_record_leaves_its_users_state_alone():
    envelope = dead_envelope(record_of(1, NOON, weight=3), "actor_failed", "why")
    assert kinds(SETTLER.operations(envelope)) == [AddDeadLetter, Count, RemoveJournal]
    assert envelope.closed.weight == 3


def test_a_dead_merge_is_kept_too():
    record = record_of(1, NOON, kind=RecordKind.MERGE, channel="", root=b"{}", event=point(2), weight=0)
    letter, _, removed = SETTLER.operations(dead_envelope(record, "actor_failed", ""))
    assert (letter.weight, removed.sequences) == (0, (1,))


# Effects (decisions 13 and 34).

KEPT = KeepFact(1, point(1), FactKind.APPS, b"known")
FACT = fact_key(1, point(1), FactKind.APPS)
WRITTEN = Put(Db.FACTS, FACT, b"known")


def test_effects_are_part_of_storing_their_activity():
    envelope = made(closed(1))
    envelope.effects = (KEPT, structs.replace(KEPT, value=None))
    (stored, *rest) = SETTLER.operations(envelope)
    assert stored.effects == (WRITTEN, Delete(Db.FACTS, FACT))
    assert kinds(rest) == [Count, RemoveJournal, Put]


def test_effects_of_a_drop_and_of_a_merge_happen_without_an_activity():
    dropped = made(closed(1))
    dropped.verdict, dropped.effects = Drop("no_consent"), (KEPT,)
    assert SETTLER.operations(dropped)[1] == WRITTEN
    moved = made(closed(3, source=Source.STATE, reason=None, members=(), absorbed=point(2)))
    moved.effects = (KEPT,)
    assert SETTLER.operations(moved)[0] == WRITTEN


def test_an_effect_that_nobody_writes_is_a_mistake_of_ours():
    class Unknown(Effect, frozen=True):
        pass

    envelope = made(closed(1))
    envelope.effects = (Unknown(),)
    with pytest.raises(TypeError, match="Unknown"):
        SETTLER.operations(envelope)


class Unwritable(Activity):
    """An activity that cannot be encoded."""

    def encode(self):
        raise ValueError("not today")


class Far(Activity):
    """An activity whose time no key can have."""


def spoiled(envelope, kind, **fields):
    values = {name: getattr(envelope.activity, name) for name in Activity.__struct_fields__}
    envelope.activity = kind(**values | fields)
    return envelope


class Chain:
    """A store actor with its writer, and what it said was settled."""

    def __init__(self, store, again=None):
        self.store = store
        self.send, inbox = trio.open_memory_channel(1000)
        self.writer = Writer(store, report=lambda name, what: None)
        self.settled = []
        self.actor = StoreActor(inbox, self.writer, SETTLER, self.settled.extend, again)


async def through(store, *lists, again=None):
    chain = Chain(store, again)
    for envelopes in lists:
        chain.send.send_nowait(envelopes)
    chain.send.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.writer.run)
        await chain.actor.run()
        chain.writer.close()
    return chain


async def test_all_lists_are_stored_in_groups_and_told_in_order():
    store = MemoryStore()
    count = 2 * MAX_GROUP + 7
    store.commit([append(*range(1, count + 1))])
    envelopes = [made(closed(number)) for number in range(1, count + 1)]
    chain = await through(store, envelopes[:3], [], envelopes[3:])
    assert [one.closed.sequences for one in chain.settled] == [(number,) for number in range(1, count + 1)]
    totals = reads.counter_totals(store, 1)
    assert (totals["events_stored"], totals["activities_stored"], totals["events_open"]) == (count, count, 0)
    assert chain.writer.statistics().batches == 3


@pytest.mark.parametrize("kind", [Unwritable, Far])
async def test_an_activity_that_cannot_be_stored_is_a_dead_letter_and_its_neighbours_are_stored(kind):
    store = MemoryStore()
    store.commit([append(1, 2, 3)])
    bad = spoiled(made(closed(2)), kind, **({"ts_ms": 2**70} if kind is Far else {}))
    chain = await through(store, [made(closed(1)), bad, made(closed(3))])
    assert len(chain.settled) == 3
    (found,) = reads.dead_letters(store, 1)
    assert (found.letter.reason, found.letter.stage, found.letter.sequences) == ("store_error", "store", (2,))
    assert b'"$ts":%d' % (NOON + 2) in found.letter.payload
    totals = reads.counter_totals(store, 1)
    assert (totals["events_stored"], totals["events_dead"], totals["events_open"]) == (2, 1, 0)
    assert store.page(Db.JOURNAL) == []


async def test_an_actor_started_again_goes_on_with_what_it_had_taken():
    store = MemoryStore()
    store.commit([append(1, 2)])
    chain = Chain(store)
    chain.send.send_nowait([made(closed(1)), made(closed(2))])
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chain.actor.run)  # Without a writer nothing is ever committed.
            await until(lambda: chain.writer.pending_bytes)
            scope.cancel()
    chain.send.send_nowait([made(closed(2))])
    chain.send.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.writer.run)
        await chain.actor.run()
        chain.writer.close()
    assert store.page(Db.JOURNAL) == []
    assert reads.counter_totals(store, 1)["events_stored"] == 2


async def test_what_is_not_stored_has_no_effects_and_who_relied_on_it_is_made_again():
    """The second was shown what the first says, and the third what the second says; then the first cannot be stored."""
    store = MemoryStore()
    store.commit([append(1, 2, 3)])
    facts = Facts(store)
    seen = []

    def look(envelope):
        context = facts.context(envelope)
        before = context.read(FactKind.APPS) or b""
        seen.append(before)
        effects = (structs.replace(KEPT, value=before + b"%d" % envelope.closed.sequences[0]),)
        context.expect(effects)
        envelope.effects = effects

    async def again(envelope):
        assert (envelope.activity, envelope.effects, envelope.verdict) == (None, (), None)
        envelope.activity = made(envelope.closed).activity
        look(envelope)

    envelopes = [spoiled(made(closed(1)), Unwritable), made(closed(2)), made(closed(3))]
    for envelope in envelopes:
        look(envelope)
    chain = await through(store, envelopes, again=again)
    assert len(chain.settled) == 3
    assert seen == [b"", b"1", b"12", b"", b"2"]
    assert store.get(Db.FACTS, FACT) == b"23"
    assert reads.counter_totals(store, 1)["events_dead"] == 1


async def test_who_relied_on_what_holds_is_stored_as_it_is():
    store = MemoryStore()
    store.commit([append(1, 2)])
    facts = Facts(store)
    envelopes = [made(closed(1)), made(closed(2))]
    for envelope, value in zip(envelopes, (b"a", b"b"), strict=True):
        context = facts.context(envelope)
        context.read(FactKind.APPS)
        envelope.effects = (structs.replace(KEPT, value=value),)
        context.expect(envelope.effects)
    await through(store, envelopes[:1], envelopes[1:])
    assert store.get(Db.FACTS, FACT) == b"b"


async def test_who_waits_on_the_way_through_the_steps_again_holds_up_nobody_but_its_own_person():
    store = MemoryStore()
    store.commit([append(1, 2, 3, 4, 5)])
    facts, gate, order = Facts(store), trio.Event(), []

    async def again(envelope):
        await gate.wait()
        envelope.activity = made(envelope.closed).activity
        order.append(envelope.closed.sequences[0])

    envelopes = [
        spoiled(made(closed(1)), Unwritable),
        made(closed(2)),  # It relied on the first.
        made(closed(3)),
        made(closed(4, user_point=point(2))),
        made(closed(5, user_point=point(3), absorbed=point(1))),  # A merge with that person.
    ]
    for envelope, effect in zip(envelopes, (KEPT, None, None, None, None), strict=True):
        context = facts.context(envelope)
        context.read(FactKind.APPS)
        if effect:
            envelope.effects = (effect,)
            context.expect(envelope.effects)
    chain = Chain(store, again)
    chain.send.send_nowait(envelopes)
    chain.send.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.writer.run)
        nursery.start_soon(chain.actor.run)
        await until(lambda: len(chain.settled) == 2)
        assert [one.closed.sequences[0] for one in chain.settled] == [1, 4]
        gate.set()
        await until(lambda: len(chain.settled) == 5)
        chain.writer.close()
    assert [one.closed.sequences[0] for one in chain.settled[2:]] == [2, 3, 5]
    assert sorted(order) == [2, 3]
    assert store.page(Db.JOURNAL) == []


async def test_cut_short_on_the_way_through_the_steps_it_goes_again_when_the_actor_is_started_anew():
    store = MemoryStore()
    store.commit([append(1, 2)])
    facts, calls = Facts(store), []

    async def again(envelope):
        calls.append(envelope.closed.sequences[0])
        if len(calls) == 1:
            await trio.sleep_forever()
        envelope.activity = made(envelope.closed).activity

    envelopes = [spoiled(made(closed(1)), Unwritable), made(closed(2))]
    for envelope, effects in zip(envelopes, ((KEPT,), ()), strict=True):
        context = facts.context(envelope)
        context.read(FactKind.APPS)
        envelope.effects = effects
        context.expect(effects)
    chain = Chain(store, again)
    chain.send.send_nowait(envelopes)
    chain.send.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.writer.run)
        async with trio.open_nursery() as first:
            first.start_soon(chain.actor.run)
            await until(lambda: len(chain.settled) == 1 and calls)
            first.cancel_scope.cancel()
        await chain.actor.run()
        chain.writer.close()
    assert calls == [2, 2]
    assert [one.closed.sequences[0] for one in chain.settled] == [1, 2]
