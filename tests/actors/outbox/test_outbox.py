"""The outbox: each destination at its own pace, nothing lost, nothing called too often (decision 32)."""

import trio
from trio.testing import wait_all_tasks_blocked

from engine.actors.outbox.calls import Answer
from engine.store.keys import outbox_key
from engine.store.port import Db, Put
from tests.actors.outbox.world import World, always, at_once, destination, never, told
from tests.clocks import START_MS
from tests.contract.harness import rows
from tests.engines import until

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def in_order(sent, number, *, calls):
    """Each once, and in order but for what was open at the same time."""
    return sorted(sent) == list(range(number)) and all(abs(at - one) <= calls for at, one in enumerate(sent))


async def test_what_was_waiting_is_sent_in_the_order_in_which_it_was_due(autojump_clock):
    world = World(destination("a", max_calls=1), destination("b"))
    for number, due in ((1, -50), (2, -70), (3, -60), (4, 500)):
        world.send("a", number, due=due)
    world.send("b", 9)
    async with world.running():
        await trio.sleep(1)
        assert world.called("a") == [2, 3, 1, 4]
        assert [at for one, _, at in world.calls if one == "a"][3] == 500, "not before it is due"
        assert world.called("b") == [9]
        assert world.waiting() == []
        assert world.outbox.statistics() == [], "lanes that have nothing left end"
    assert world.counts() == {
        "sent": 5,
        "sent.a": 4,
        "sent.b": 1,
        "answers.a.2xx": 4,
        "answers.b.2xx": 1,
    }
    assert world.writer.commits == 5, "one transaction for each outcome, grouped by the writer"


async def test_what_is_committed_later_wakes_it(autojump_clock):
    world = World(destination("a"))
    async with world.running():
        await trio.sleep(5)
        assert world.reads == 1, "nothing is polled"
        told(world, "a", 1, due=5000)
        await wait_all_tasks_blocked()
        assert world.called("a") == [1]
        await trio.sleep(1000)
        reads = world.reads
        await trio.sleep(50_000)
        assert world.reads == reads
        told(world, "a", 2, due=100_000_000)
        told(world, "a", 3, due=51_100_000)
        await trio.sleep(200)
        assert world.called("a") == [1, 3], "one due earlier goes ahead of the one that was waited for"
        await trio.sleep(60_000)
        assert world.calls[-1][1:] == (2, 100_000_000)
        assert world.waiting() == []


async def test_one_that_is_due_before_the_place_read_is_not_passed_over(autojump_clock):
    """Rows are committed in another order than they are due."""
    world = World(destination("a", max_calls=1), slice_rows=2)
    world.answers["a"] = always(200, after_s=1)
    for number in range(10, 20):
        world.send("a", number, due=-100 + number)
    async with world.running():
        await trio.sleep(2.5)
        told(world, "a", 1, due=-500)
        await trio.sleep(20)
        assert sorted(world.called("a")) == [1, *range(10, 20)], "each once"
        assert world.called("a").index(1) == 3


async def test_one_that_never_answers_delays_no_other(autojump_clock):
    world = World(destination("dead", max_calls=1000, timeout_ms=600_000), destination("fast"), max_calls=8)
    world.answers["dead"] = never
    for number in range(1000):
        world.send("dead", number, due=-1)
    async with world.running():
        await trio.sleep(1)
        assert world.open["dead"] == 8
        world.answers["fast"] = always(200, after_s=0.01)
        for number in range(40):
            told(world, "fast", number, due=1000)
        await trio.sleep(0.2)
        assert world.called("fast") == list(range(40))
        assert world.peak["fast"] == 4, "half of the calls are its share, though the other had taken all"
        assert [one for one in world.waiting() if one[1] == 1000] == []


async def test_a_hundred_destinations_have_a_call_each_where_there_are_only_eight(autojump_clock):
    names = [f"d{number}" for number in range(100)]
    world = World(*(destination(name) for name in names), max_calls=8)
    for name in names:
        world.answers[name] = never
        for number in range(3):
            world.send(name, number, due=-1)
    async with world.running():
        await trio.sleep(0.1)
        calls = [world.open[name] for name in names]
        assert min(calls) == 1
        assert sum(calls) == world.outbox.gauges()["outbox_open_calls"]
        assert sum(calls) <= 100 + 8, "those that came first had more, before the others came"


async def test_calls_and_their_rate_are_bounded_by_the_destination(autojump_clock):
    world = World(destination("few", max_calls=3), destination("slow", max_per_s=2))
    world.answers["few"] = always(200, after_s=1)
    for number in range(9):
        world.send("few", number, due=-1)
        world.send("slow", number, due=-1)
    async with world.running():
        await trio.sleep(10)
    assert world.peak["few"] == 3
    assert [at for one, _, at in world.calls if one == "few"] == [0, 0, 0, 1000, 1000, 1000, 2000, 2000, 2000]
    assert [at // 100 for one, _, at in world.calls if one == "slow"] == [0, 0, 5, 10, 15, 20, 25, 30, 35]


async def test_limits_that_change_hold_for_the_next_call(autojump_clock):
    world = World(destination("a", max_calls=1))
    world.answers["a"] = always(200, after_s=1)
    for number in range(20):
        world.send("a", number, due=-1)
    async with world.running() as outbox:
        await trio.sleep(2.5)
        assert world.peak["a"] == 1
        world.defined["a"] = destination("a", max_calls=5)
        outbox.definitions_changed()
        await trio.sleep(1)
        assert world.peak["a"] == 5


async def test_a_long_queue_is_read_in_slices():
    world = World(destination("a", max_calls=50), slice_rows=100)
    world.send("a", 0)
    ((_, value),) = rows(world.store, Db.OUTBOX)
    keys = [outbox_key(1, "a", START_MS, number.to_bytes(16)) for number in range(1, 3000)]
    world.store.commit([Put(Db.OUTBOX, key, value) for key in keys])
    async with world.running():
        await until(lambda: not world.store.statistics().entries["outbox"])
    assert in_order(world.called("a"), 3000, calls=50)
    assert world.most_read <= 100
    assert world.reads < 70


async def test_a_failure_is_tried_again_later_and_later_with_the_same_id(autojump_clock):
    world = World(destination("a"), pause_after_failures=1000)
    world.answers["a"] = always(500, detail="out of order")
    world.send("a", 7)
    async with world.running():
        await trio.sleep(60)
    times = [at for _, _, at in world.calls]
    # A draw of one half: the means of the waits.
    assert times == [0, 1000, 3000, 7000, 15_000, 31_000]
    assert set(world.called("a")) == {7}
    ((number, due, attempts),) = world.waiting()
    assert (number, due, attempts) == (7, 63_000, 6)
    assert world.counts() == {
        "retried": 6,
        "retried.a": 6,
        "answers.a.5xx": 6,
        "waiting": 1,
        "waiting.a": 1,
    }


async def test_no_answer_is_a_failure_too(autojump_clock):
    world = World(destination("a", timeout_ms=2000))
    world.answers["a"] = never
    world.send("a", 7)
    async with world.running():
        await trio.sleep(4)
    assert [at for _, _, at in world.calls] == [0, 3000]
    assert world.counts()["answers.a.none"] == 1


async def test_after_a_day_it_is_a_dead_letter(autojump_clock):
    world = World(destination("a"), pause_after_failures=1_000_000)
    world.answers["a"] = always(500, detail="out of order")
    world.send("a", 7)
    async with world.running():
        await trio.sleep(2 * DAY_MS / 1000)
    assert world.calls[-1][2] == DAY_MS, "the last attempt is made when the time is over"
    gaps = [b[2] - a[2] for a, b in zip(world.calls, world.calls[1:], strict=False)]
    assert max(gaps) <= HOUR_MS
    assert world.waiting() == []
    (letter,) = world.letters()
    assert (letter.reason, letter.stage, letter.payload, letter.weight) == (
        "outbox_gave_up",
        "outbox",
        b'{"n":7}',
        0,
    )
    assert letter.at_ms == START_MS + DAY_MS
    for part in ("'a'", "'/7'", "HTTP 500: out of order", f"attempts {len(world.calls)}", "00000007"):
        assert part in letter.detail
    assert world.counts()["gave_up.a"] == 1
    assert "waiting" not in world.counts()


async def test_what_blames_the_request_is_a_dead_letter_at_once(autojump_clock):
    world = World(destination("a"))
    world.answers["a"] = always(422, detail="no such field")
    for number in range(30):
        world.send("a", number)
    async with world.running():
        await trio.sleep(1)
    assert len(world.calls) == 30, "it answers, so it is not left alone"
    assert set(world.reasons()) == {"outbox_refused"}
    assert "attempts 1, the last: HTTP 422: no such field" in world.letters()[0].detail
    assert world.counts()["refused.a"] == 30


async def test_retry_after_holds_the_whole_destination(autojump_clock):
    world = World(destination("a", max_calls=1))
    answers = iter([Answer(429, "", "20"), *[Answer(200)] * 10])

    async def answer(path, body):
        return next(answers)

    world.answers["a"] = answer
    for number in range(3):
        world.send("a", number, due=number - 10)
    async with world.running():
        await trio.sleep(100)
    assert world.called("a") == [0, 1, 2, 0]
    assert [at for _, _, at in world.calls] == [0, 20_000, 20_000, 21_000]


async def test_a_dead_destination_is_left_alone_and_tried_by_one_call(autojump_clock):
    world = World(destination("a", max_calls=4), pause_after_failures=10, pause_ms=30_000, max_pause_ms=300_000)
    world.answers["a"] = always(503, after_s=0.1)
    for number in range(1000):
        world.send("a", number, due=-1)
    async with world.running():
        await trio.sleep(10)
        assert 10 <= len(world.calls) <= 14
        (lane,) = world.outbox.statistics()
        assert lane.is_paused
        assert lane.oldest_ms > 9000
        begun = len(world.calls)
        await trio.sleep(3600)
        assert len(world.calls) - begun < 20, "a call every few minutes, whatever waits"
        assert world.peak["a"] == 4
        assert len(world.waiting()) == 1000
        world.answers["a"] = at_once
        await trio.sleep(400)
        await trio.sleep(3600)
        assert world.waiting() == []
        assert world.counts()["sent.a"] == 1000
    assert [what.split(":")[0] for _, what in world.reports] == ["left alone for a while", "answers again"]


async def test_what_waits_behind_a_dead_destination_dies_after_its_day(autojump_clock):
    world = World(destination("a"), slice_rows=7)
    world.answers["a"] = always(0)
    for number in range(50):
        world.send("a", number, due=number * 60_000)
    async with world.running():
        await trio.sleep(DAY_MS / 1000 - 1)
        assert world.letters() == []
        # Looked at every ten minutes.
        await trio.sleep(50 * 60 + 600)
        assert world.reasons() == ["outbox_gave_up"] * 50
        assert world.waiting() == []
    assert len(world.calls) < 400


async def test_without_a_definition_it_waits_for_one(autojump_clock):
    world = World()
    world.open["late"] = world.peak["late"] = 0
    world.send("late", 1)
    async with world.running() as outbox:
        await trio.sleep(3 * HOUR_MS / 1000)
        assert (world.calls, len(world.waiting())) == ([], 1)
        assert outbox.gauges()["outbox_destination_paused.1/late"] == 1
        world.defined["late"] = destination("late")
        outbox.definitions_changed()
        await wait_all_tasks_blocked()
        assert world.called("late") == [1]
        assert world.waiting() == []


async def test_without_a_definition_for_a_day_it_is_a_dead_letter(autojump_clock):
    world = World()
    world.send("gone", 1)
    async with world.running():
        await trio.sleep(DAY_MS / 1000 + 660)
        assert (world.calls, world.waiting()) == ([], [])
        assert world.reasons() == ["outbox_no_destination"]


async def test_beyond_the_bound_the_oldest_become_dead_letters(autojump_clock):
    world = World(destination("a", max_calls=1), max_rows_per_destination=10, slice_rows=4)
    world.answers["a"] = always(200, after_s=1)
    for number in range(25):
        world.send("a", number, due=-100 + number)
    async with world.running():
        await trio.sleep(0.5)
        dead = [int(one.payload[5:-1]) for one in world.letters()]
        assert set(world.reasons()) == {"outbox_full"}
        assert len(world.waiting()) == 10
        await trio.sleep(60)
    assert sorted([*dead, *world.called("a")]) == list(range(25)), "each is sent, or a dead letter"
    assert len(dead) == 15
    assert world.counts()["full.a"] == 15


async def test_a_damaged_row_is_kept_as_it_is_and_harms_no_other(autojump_clock):
    world = World(destination("a"))
    world.send("a", 2)
    world.store._tables[Db.OUTBOX].set(outbox_key(1, "a", START_MS - 5, bytes(16)), b"\x07what?")
    async with world.running():
        await trio.sleep(1)
        assert world.called("a") == [2]
        assert rows(world.store, Db.OUTBOX) == []
        assert [(one.reason, one.payload) for one in world.letters()] == [("outbox_damaged", b"\x07what?")]


async def test_what_is_of_an_erased_person_is_discarded(autojump_clock):
    """Decision 41."""
    world = World(destination("a"))
    point = b"p" * 16
    world.send("a", 1, user_point=point, sequence=4)
    world.send("a", 2, user_point=point, sequence=9)
    world.send("a", 3)
    world.erased.add((point, 4))
    async with world.running():
        await trio.sleep(1)
    assert world.called("a") == [2, 3]
    assert (world.waiting(), world.letters()) == ([], [])
    assert world.counts()["erased"] == 1


async def test_a_fault_of_ours_in_one_call_ends_no_other(autojump_clock):
    world = World(destination("a"))

    async def answer(path, body):
        if path == "/1":
            raise RuntimeError("our mistake")
        return 200

    world.answers["a"] = answer
    world.send("a", 1)
    world.send("a", 2)
    async with world.running():
        await trio.sleep(0.5)
        ((number, _, attempts),) = world.waiting()
        assert (number, attempts) == (1, 1)
        assert world.called("a") == [1, 2]


async def test_one_that_is_committed_while_later_ones_are_read_is_not_passed_over(autojump_clock):
    world = World(destination("a", max_calls=1), slice_rows=2)
    for number in range(2, 6):
        world.send("a", number, due=-10 + number)
    read = world._read

    async def slowly(**how):
        found = await read(**how)
        await trio.sleep(1)
        return found

    world._read = slowly
    async with world.running():
        await trio.sleep(2.5)
        assert world.called("a") == [2, 3]
        told(world, "a", 1, due=-500)
        await trio.sleep(30)
        assert world.called("a") == [2, 3, 1, 4, 5], "what was read meanwhile is read again, behind it"
