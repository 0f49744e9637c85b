"""Identifiers that a rule finds, through a whole engine: attached once, with what they merge, whatever is in flight,
dropped, sent again or killed (decisions 3 and 25).
"""

import json
from contextlib import suppress
from uuid import UUID

import pytest
import trio

from engine import MemoryStore
from engine.errors import Broken
from engine.pipeline import chain
from engine.pipeline.stage import Drop, Keep
from engine.store import reads
from engine.store.keys import split_activity_key
from engine.store.port import Db
from tests.contract.harness import rows
from tests.engines import (
    GAP_MS,
    GatedStore,
    HandClock,
    MortalStore,
    check_books,
    later,
    letters,
    open_now,
    point_of,
    quiet,
    statistics,
    stored,
    take,
    taken,
)
from tests.logins import START, engine_of, install, install_noting, seen, visit
from tests.pipeline.rules import defined, identify, url_match


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    install(monkeypatch)


async def whose(engine, **who):
    """The user point that these identifiers name now; asks with an event that opens a session elsewhere."""
    event = {"$event_name": "asked", "$ts": START, "$properties": {"n": -1}}
    point = point_of(engine.accept([visit(event, status="LIVE", **who, site_id="2")]))
    await quiet(engine)
    return point


def kept(engine, point):
    return [one for one in stored(engine, point) if one != [-1]]


def identifiers_in(engine, point):
    """Values of the identifiers of each stored activity, oldest first."""
    shown = [json.loads(one) for one in reversed(engine.reader.activities(1, point, limit=1000))]
    return [[next(v for k, v in one.items() if k in ("$user_account_id", "$user_agent_id")) for one in activity[
        "$user_identifiers"]] for activity in shown]  # fmt: skip


async def test_an_unknown_identifier_is_linked_to_the_person():
    async with engine_of(MemoryStore()) as engine:
        point = await taken(engine, visit(seen(1, login="me")))
        assert identifiers_in(engine, point) == [["a", "me"]]
        await take(engine, visit(seen(2), user=None, account="me"))
        assert stored(engine, point) == [[1], [2]]
        assert await whose(engine, user=None, account="me") == point
        assert statistics(engine)["user_points"] == 1


@pytest.mark.parametrize("first", ["agent", "account"])
async def test_the_timelines_of_two_known_people_are_one_afterwards(first):
    store = MemoryStore()
    async with engine_of(store) as engine:
        known = [visit(seen(1)), visit(seen(2), user=None, account="me")]
        one = await taken(engine, *(known if first == "agent" else known[::-1]))
        other = await taken(engine, visit(seen(3), user=None, account="me") if first == "agent" else visit(seen(3)))
        assert one != other
        await take(engine, visit(seen(4, login="me")))
        for who in ({"user": "a"}, {"user": None, "account": "me"}):
            assert await whose(engine, **who) == one, "who was named first survives"
        assert kept(engine, one) == [[1], [2], [3], [4]]
        assert kept(engine, other) == kept(engine, one), "an alias reads as its survivor"
        assert statistics(engine)["user_points"] == 1
        places = {split_activity_key(key)[1] for key, value in rows(store, Db.ACTIVITIES) if b'"login"' in value}
        assert places == {UUID(one).bytes}, "the activity that told it is stored as the survivor's"
    async with engine_of(store.reopen()) as engine:
        await quiet(engine)
        assert kept(engine, one) == [[1], [2], [3], [4]]


async def test_open_sessions_move_and_go_on_as_one():
    clock = HandClock()
    async with engine_of(MemoryStore(), clock) as engine:
        account = await taken(engine, visit(seen(1), user=None, account="me", status="IN_SESSION"))
        agent = await taken(engine, visit(seen(2), status="IN_SESSION"))
        assert (open_now(engine, account), open_now(engine, agent)) == ([[1]], [[2]])
        await take(engine, visit(seen(3, login="me")))
        assert open_now(engine, account) == [[1, 2]]
        await take(engine, visit(seen(4), status="IN_SESSION"))
        assert open_now(engine, account) == [[1, 2, 4]]
        await later(engine, clock, GAP_MS + 2000)
        assert sorted(stored(engine, account)) == [[1, 2, 4], [3]]
        assert statistics(engine)["events_open"] == 0


async def test_a_session_that_a_login_ends_in_is_the_account_holders():
    """The rule works when the session closes; what is open by then of either goes on together."""
    clock = HandClock()
    async with engine_of(MemoryStore(), clock) as engine:
        account = await taken(engine, visit(seen(1), user=None, account="me"))
        await take(engine, visit(seen(2, login="me"), status="IN_SESSION"))
        assert await whose(engine, user="a") != account
        await later(engine, clock, GAP_MS + 2000)
        assert await whose(engine, user="a") == account
        assert kept(engine, account)[:2] == [[1], [2]]


def refuses(closed, activity, context):
    """A step that drops what says `drop`, and raises at what says `die`."""
    if any(b'"drop"' in event.body for event in activity.events):
        return Drop("no_consent")
    assert not any(b'"die"' in event.body for event in activity.events)
    return Keep(activity)


@pytest.mark.parametrize("fate", ["drop", "die"])
async def test_what_is_not_stored_attaches_nothing(monkeypatch, fate):
    monkeypatch.setattr(chain, "BUILDERS", (*chain.BUILDERS, ("refusals", lambda defined: refuses)))
    store = MemoryStore()
    async with engine_of(store) as engine:
        await take(engine, visit(seen(1)), visit(seen(2), user=None, account="me"))
        before = rows(store, Db.IDENTIFIERS), rows(store, Db.USER_POINTS)
        await take(engine, visit(seen(3, login="me", fate=fate)), visit(seen(4, login="new", fate=fate)))
        assert (rows(store, Db.IDENTIFIERS), rows(store, Db.USER_POINTS)) == before
        totals = statistics(engine)
        assert totals["events_dropped" if fate == "drop" else "events_dead"] == 2
        assert len(letters(engine)) == (2 if fate == "die" else 0)


async def test_a_skipped_processing_attaches_nothing_and_a_placeholder_neither():
    async with engine_of(MemoryStore()) as engine:
        point = await taken(engine, visit(seen(1, login="me")), process=False)
        await take(engine, visit(seen(2, login="guest")))
        assert identifiers_in(engine, point) == [["a"], ["a"]]
        assert await whose(engine, user=None, account="me") != point


async def test_an_equal_activity_again_changes_nothing():
    store = MemoryStore()
    async with engine_of(store) as engine:
        await take(engine, visit(seen(1), user=None, account="me"))
        one = visit(seen(2, login="me"), unique_key="7d444840-9dc0-11d1-b245-5ffdce74fad2")
        await take(engine, one)
        before = [rows(store, db) for db in (Db.ACTIVITIES, Db.IDENTIFIERS, Db.USER_POINTS)]
        await take(engine, one)
        assert [rows(store, db) for db in (Db.ACTIVITIES, Db.IDENTIFIERS, Db.USER_POINTS)] == before
        totals = reads.counter_totals(store, 1)
        assert totals["events_duplicate"] == 1
        assert totals["user_points_merged"] == 1
        assert totals["events_step.EVENT_RULES"] == 1


async def test_limits_against_hyper_points_hold_for_rules_too():
    store = MemoryStore()
    async with engine_of(store) as engine:
        point = await taken(engine, *[visit(seen(number, login=f"me{number}")) for number in range(6)])
        assert reads.counter_totals(store, 1)["identifiers_left_out.accounts"] == 2
        assert len(stored(engine, point)) == 6, "the activities count for whom they were sent for"
        assert await whose(engine, user=None, account="me0") == point
        assert await whose(engine, user=None, account="me5") != point


async def test_a_login_in_an_event_that_another_rule_made_counts_next_time_rules_run_in_that_order(monkeypatch):
    install(monkeypatch, defined(url_match("a.b/login/:n", "in", login=":n"), identify("login")))
    store = MemoryStore()
    async with engine_of(store) as engine:
        page = {"$event_name": "$page_view", "$ts": START, "$properties": {"$url": "https://a.b/login/me", "n": 1}}
        await take(engine, visit(page))
        assert reads.counter_totals(store, 1)["event_rules_matched.USER_IDENTIFIER_INSERTION"] == 1


@pytest.fixture
def noting(monkeypatch):
    install_noting(monkeypatch)


def known_of(store):
    """What is known of anybody, by who."""
    return [list(value) for _, value in rows(store, Db.FACTS)]


async def gated(engine, store, *items):
    """Take all of it while nothing is committed, so that all of it is in flight together."""
    store.gate.clear()
    receipts = []
    for one in items:
        receipts.append(engine.accept([one]))
        await trio.testing.wait_all_tasks_blocked()
    store.gate.set()
    await quiet(engine)
    check_books(engine)
    return point_of(receipts[0])


@pytest.mark.parametrize("first", ["agent", "account"])
@pytest.mark.parametrize("in_flight", [True, False])
async def test_later_steps_run_for_the_survivor_and_know_both(noting, first, in_flight):
    store = GatedStore()
    async with engine_of(store) as engine:
        known = [visit(seen(1)), visit(seen(2), user=None, account="me")]
        if first == "account":
            known.reverse()
        rest = [
            visit(seen(3, login="me")),
            visit(seen(4)),
            visit(seen(5, login="me")),
            visit(seen(6), user=None, account="me"),
        ]
        if in_flight:
            await gated(engine, store, *known, *rest)
        else:
            for one in (*known, *rest):
                await take(engine, one)
        assert known_of(store) == [[1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("first", ["agent", "account"])
async def test_what_a_dropped_activity_says_is_about_whom_it_was_from(noting, first):
    store = MemoryStore()
    async with engine_of(store) as engine:
        known = [visit(seen(1)), visit(seen(2), user=None, account="me")]
        await take(engine, *(known if first == "agent" else known[::-1]))
        await take(engine, visit(seen(3, login="me", fate="drop")))
        assert sorted(known_of(store)) == [[1, 2, 3], [2]], "its drop keeps what it was shown and says"
        await take(engine, visit(seen(4)))
        assert sorted(known_of(store)) == [[1, 2, 3, 4], [2]]


async def test_a_merge_that_comes_while_the_activity_is_on_its_way_is_seen(noting):
    """Somebody else merges the two, by being accepted, before the store comes to what a rule has found."""
    store = GatedStore()
    async with engine_of(store) as engine:
        await take(engine, visit(seen(1)), visit(seen(2), user=None, account="me"))
        await gated(engine, store, visit(seen(3, login="me")), visit(seen(4), account="me"), visit(seen(5, login="me")))
        assert known_of(store) == [[1, 2, 3, 4, 5]]
        assert reads.counter_totals(store, 1)["user_points_merged"] == 1


async def test_who_the_person_is_is_asked_again_when_the_fate_of_all_ahead_is_known(monkeypatch):
    """A login that nobody had used is somebody else's by the time the store comes to it: the steps run again."""
    shown = []

    def show(closed, activity, context):
        shown.append((json.loads(activity.events[0].body)["$properties"]["n"], closed.user_point, closed.absorbed))
        return Keep(activity)

    monkeypatch.setattr(chain, "BUILDERS", (*chain.BUILDERS, ("show", lambda defined: show)))
    store = GatedStore()
    async with engine_of(store) as engine:
        first, agent = [
            UUID(await taken(engine, visit(seen(at), user=user))).bytes for at, user in ((1, "c"), (2, "a"))
        ]
        del shown[:]
        await gated(engine, store, visit(seen(3)), visit(seen(4, login="new")), visit(seen(5), user="c", account="new"))
        assert [one for one in shown if one[0] == 4] == [(4, agent, b""), (4, first, agent)]
        assert await whose(engine, user="a") == str(UUID(bytes=first))


async def test_sequences_rise_while_requests_come_in_between(noting):
    store = GatedStore()
    async with engine_of(store) as engine:
        await take(engine, *[visit(seen(number), user=None, account=f"me{number}") for number in range(20)])
        await take(engine, *[visit(seen(number), user=f"a{number}") for number in range(20)])
        async with trio.open_nursery() as nursery:

            async def send(number):
                for turn in range(3):
                    receipt = engine.accept([visit(seen(40 + turn, login=f"me{number}"), user=f"a{number}")])
                    await trio.lowlevel.checkpoint()
                    engine.accept([visit(seen(50 + turn), user=f"a{number}", status="IN_SESSION")])
                    await receipt.durable()

            for number in range(20):
                nursery.start_soon(send, number)
        await quiet(engine)
        await engine.close_sessions()
        await quiet(engine)
        check_books(engine)
        totals = reads.counter_totals(store, 1)
        assert totals["user_points_merged"] == 20
        assert totals["user_points"] == 20
        assert rows(store, Db.JOURNAL) == []


async def test_no_request_gets_between_a_merge_and_its_place_in_line():
    """One request in each pass of the loop, while merges are found one after the other."""
    async with engine_of(MemoryStore()) as engine:
        people = range(30)
        await take(engine, *[visit(seen(one), user=None, account=f"me{one}") for one in people])
        receipts = []
        for one in people:
            receipts.append(engine.accept([visit(seen(100 + one, login=f"me{one}"), user=f"a{one}")]))
            for turn in range(20):
                engine.accept([visit(seen(200 + turn), user="other", status="IN_SESSION")])
                await trio.lowlevel.checkpoint()
        for receipt in receipts:
            await receipt.durable()
        await quiet(engine)
        check_books(engine)
        assert statistics(engine)["user_points"] == len(people) + 1


async def test_a_merge_that_a_stop_comes_between_is_found_by_the_next_start():
    store, clock = MemoryStore(), HandClock()
    async with engine_of(store, clock) as engine:
        account = await taken(engine, visit(seen(1), user=None, account="me", status="IN_SESSION"))
        await take(engine, visit(seen(2), status="IN_SESSION"))
        engine.accept([visit(seen(3, login="me"))])
    assert engine.drained
    async with engine_of(store.reopen(), clock) as engine:
        await quiet(engine)
        assert open_now(engine, account) == [[1, 2]]
        assert stored(engine, account) == [[3]]
        await take(engine, visit(seen(4), status="IN_SESSION"))
        assert open_now(engine, account) == [[1, 2, 4]]


async def test_a_merge_found_while_the_journal_is_still_read_is_not_missed():
    """What closed before the crash goes through the chain while recovery reads on through a long journal."""
    store, clock = MortalStore(), HandClock()
    with suppress(Broken):
        async with engine_of(store, clock) as engine:
            account = await taken(engine, visit(seen(1), user=None, account="me", status="IN_SESSION"))
            await take(engine, visit(seen(2), status="IN_SESSION"))
            many = [
                visit(*[seen(10 + at) for at in range(5)], user=f"u{one}", status="IN_SESSION") for one in range(300)
            ]
            await take(engine, *many)
            store.die_after(1)
            await engine.accept([visit(seen(3, login="me"))]).durable()
            await quiet(engine)
    store = store.reopen()
    async with engine_of(store, clock) as engine:
        await quiet(engine)
        await engine.wait_recovered()
        await quiet(engine)
        assert open_now(engine, account) == [[1, 2]]
        assert stored(engine, account) == [[3]]
        check_books(engine)
