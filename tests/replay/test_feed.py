"""The feeder against an engine that is busy, full or refuses: no line is lost, none is sent twice, nothing spins."""

from collections.abc import Callable

import pytest
import trio

from engine import Closing, EventClock, HotUser, ItemError, ItemResult, Overloaded, SojournError, Unavailable
from gateway.replay.feed import PATIENCE_S, SYNC_EVERY, Feeder, ReplayStalled

HOUR_MS = 3_600_000


class FakeReceipt:
    def __init__(self, result: ItemResult, error: SojournError | None = None) -> None:
        self.results = (result,)
        self.waited = 0
        self._error = error

    async def durable(self) -> None:
        self.waited += 1
        if self._error is not None:
            raise self._error


class FakeEngine:
    """Takes everything, but first raises `errors`, one a call."""

    def __init__(
        self, errors: list[SojournError] | None = None, result: Callable[[bytes], ItemResult] | None = None
    ) -> None:
        self.errors = errors or []
        self.caught_up_at = None  # With automations: a list of the times at which it was asked to catch up.
        self.result = result or (lambda item: ItemResult("accepted", 1, item.decode()))
        self.taken: list[tuple[bytes, object]] = []
        self.rejected: list[tuple[bytes, str, str | None]] = []
        self.receipts: list[FakeReceipt] = []
        self.not_durable: SojournError | None = None

    def has_automations(self, datamart):
        return self.caught_up_at is not None

    async def caught_up(self):
        await trio.lowlevel.checkpoint()
        self.caught_up_at.append(self.clock.now_ms())

    def accept(self, items, *, datamart, originals, idempotency=None, step="API"):
        self._fail()
        self.taken.append((items[0], idempotency))
        result = self.result(items[0])
        if result.error is not None:
            result = self._lost(originals[0].payload, result.error.code, originals[0].id, result)
        return self._receipt(result)

    def reject(self, payload, *, reason, stage, datamart, event_id=None):
        self._fail()
        return self._receipt(self._lost(payload, reason, event_id, ItemResult("refused", 1)))

    def _lost(self, payload, reason, event_id, refused: ItemResult) -> ItemResult:
        known = any(event_id == known for _, _, known in self.rejected)
        self.rejected.append((payload, reason, event_id))
        return ItemResult("duplicate", 1) if known else refused

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def _receipt(self, result: ItemResult) -> FakeReceipt:
        self.receipts.append(FakeReceipt(result, self.not_durable))
        return self.receipts[-1]


def feeder_on(engine: FakeEngine, clock: EventClock | None = None) -> Feeder:
    return Feeder(engine, clock or EventClock(), datamart=1, max_future_ms=HOUR_MS)


async def send(feeder: Feeder, name: str, ts_ms: int | None = 1000, **more: object) -> None:
    await feeder.send(name.encode(), ts_ms=ts_ms, line=f"line {name}".encode(), line_id=f"id {name}", **more)


@pytest.mark.parametrize("error", [Overloaded("full"), HotUser("fast"), Unavailable("disk")])
async def test_the_same_line_is_sent_until_it_is_taken(autojump_clock, error):
    engine = FakeEngine([error] * 20)
    feeder = feeder_on(engine)
    await send(feeder, "a")
    await send(feeder, "b")
    assert [item for item, _ in engine.taken] == [b"a", b"b"]
    assert (feeder.counts.events, feeder.counts.users) == (2, {"a", "b"})


async def test_a_refusal_to_refuse_is_waited_for_too(autojump_clock):
    engine = FakeEngine([Overloaded("full")] * 3)
    feeder = feeder_on(engine)
    await feeder.refuse(b"line", reason="unreadable_line", line_id="id")
    assert engine.rejected == [(b"line", "unreadable_line", "id")]


async def test_an_engine_that_takes_nothing_is_given_up(autojump_clock):
    engine = FakeEngine([Overloaded("1000000 users are active")] * 10_000)
    feeder = feeder_on(engine)
    started = trio.current_time()
    with pytest.raises(ReplayStalled, match="1000000 users are active"):
        await send(feeder, "a")
    assert PATIENCE_S <= trio.current_time() - started <= PATIENCE_S + 1
    assert len(engine.errors) > 9000, "it spins"


async def test_other_errors_are_not_waited_for(autojump_clock):
    with pytest.raises(Closing):
        await send(feeder_on(FakeEngine([Closing("stopping")])), "a")


async def test_the_disk_is_waited_for_now_and_then_and_at_the_end():
    engine = FakeEngine()
    feeder = feeder_on(engine)
    for number in range(3 * SYNC_EVERY + 1):
        await send(feeder, str(number))
    waited = [number for number, receipt in enumerate(engine.receipts) if receipt.waited]
    assert waited == [SYNC_EVERY - 1, 2 * SYNC_EVERY - 1]
    await feeder.settle()
    assert engine.receipts[-1].waited == 1


async def test_a_full_disk_is_heard_at_the_end_and_not_before():
    engine = FakeEngine()
    engine.not_durable = Unavailable("no space left")
    feeder = feeder_on(engine)
    for number in range(3 * SYNC_EVERY):
        await send(feeder, str(number))
    with pytest.raises(Unavailable):
        await feeder.settle()


async def test_others_have_their_turn_while_lines_are_fed():
    feeder = feeder_on(FakeEngine())
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for number in range(SYNC_EVERY):
            await send(feeder, str(number))
        nursery.cancel_scope.cancel()
    assert turns >= 5


async def test_settling_without_a_line():
    await feeder_on(FakeEngine()).settle()


async def test_the_clock_goes_before_the_line_and_never_back():
    clock = EventClock()
    times: list[int] = []

    def look(item: bytes) -> ItemResult:
        times.append(clock.now_ms())
        return ItemResult("accepted", 1, "u")

    feeder = feeder_on(FakeEngine(result=look), clock)
    for ts_ms in (5000, 9000, 7000, 9001, None):
        await send(feeder, "a", ts_ms)
    assert times == [5000, 9000, 9000, 9001, 9001]


async def test_where_people_wait_in_scenarios_the_clock_goes_on_when_they_have():
    clock = EventClock()
    engine = FakeEngine()
    feeder = feeder_on(engine, clock)
    await send(feeder, "a", 5000)
    engine.clock, engine.caught_up_at = clock, []
    for ts_ms in (6000, 6500, 6999, 7000, 5000, 90_000):
        await send(feeder, "a", ts_ms)
    assert engine.caught_up_at == [6000, 7000, 90_000], "once for each second of the log"


async def test_a_line_from_the_future_does_not_move_the_clock():
    clock = EventClock()
    feeder = feeder_on(FakeEngine(), clock)
    await send(feeder, "a", 1000)
    await send(feeder, "b", clock.wall_ms() + 2 * HOUR_MS)
    assert clock.now_ms() == 1000
    await send(feeder, "c", soon := clock.wall_ms() + HOUR_MS // 2)
    assert clock.now_ms() == soon


async def test_a_first_item_without_time_is_refused_later_ones_are_not():
    engine = FakeEngine()
    feeder = feeder_on(engine)
    await send(feeder, "a", None)
    await send(feeder, "b", 1000)
    await send(feeder, "c", None)
    assert engine.rejected == [(b"line a", "no_event_time", "id a")]
    assert [item for item, _ in engine.taken] == [b"b", b"c"]


async def test_a_refused_item_is_kept_as_its_line():
    engine = FakeEngine(result=lambda item: ItemResult("refused", 1, error=ItemError("bad_field", "no", "$")))
    feeder = feeder_on(engine)
    await send(feeder, "a")
    await send(feeder, "a")
    assert engine.rejected == [(b"line a", "bad_field", "id a")] * 2
    assert (feeder.counts.refused, feeder.counts.duplicates) == ({"bad_field": 1}, 1)


async def test_duplicates_are_counted_by_their_events():
    engine = FakeEngine(result=lambda item: ItemResult("duplicate", 3))
    feeder = feeder_on(engine)
    await send(feeder, "a")
    assert (feeder.counts.events, feeder.counts.duplicates, feeder.counts.users) == (0, 3, set())


async def test_an_item_without_events_is_known_by_its_line():
    engine = FakeEngine()
    feeder = feeder_on(engine)
    await send(feeder, "a", has_events=False)
    await send(feeder, "b")
    (_, first), (_, second) = engine.taken
    assert first.key == "replay:id a"
    assert second is None
