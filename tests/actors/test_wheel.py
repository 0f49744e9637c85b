"""The wheel: nothing is lost, nothing fires early, nothing fires more than a second late."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from engine.actors.wheel import BUCKET_MS, Wheel

T0 = 1_700_000_000_000


class Entry:
    def __init__(self):
        self.bucket = None


class WheelMachine(RuleBasedStateMachine):
    """Against a dictionary of what each entry may fire at: the earliest due time it was given since it last fired.

    An entry scheduled when overdue counts as due at that moment, since the wheel cannot fire in the past.
    """

    entries = Bundle("entries")

    def __init__(self):
        super().__init__()
        self.wheel = Wheel()
        self.now_ms = T0
        self.wheel.pop_due(self.now_ms, 1)
        self.due_ms = {}
        self.woken = 0
        self.wheel.on_earlier = self.wake

    def wake(self):
        self.woken += 1

    @rule(target=entries)
    def new(self):
        return Entry()

    @rule(entry=entries, in_ms=st.integers(-5000, 20_000))
    def schedule(self, entry, in_ms):
        before_ms = self.wheel.next_due_ms()
        self.woken = 0
        due_ms = self.now_ms + in_ms
        self.wheel.schedule(entry, due_ms)
        effective_ms = max(due_ms, self.now_ms)
        self.due_ms[entry] = min(effective_ms, self.due_ms.get(entry, effective_ms))
        if before_ms is None or self.wheel.next_due_ms() < before_ms:
            assert self.woken, "who sleeps until the old time must hear of the earlier one"

    @rule(entry=entries)
    def remove(self, entry):
        self.wheel.remove(entry)
        self.due_ms.pop(entry, None)
        assert entry.bucket is None

    @rule(by_ms=st.integers(0, 3000), limit=st.integers(1, 5))
    def turn_a_bit(self, by_ms, limit):
        """One slice only; what is left fires in a later turn."""
        self.now_ms += by_ms
        popped = self.wheel.pop_due(self.now_ms, limit)
        assert len(popped) <= limit
        self.take(popped)

    @rule(by_ms=st.integers(0, 3000))
    def turn(self, by_ms):
        """Slices until nothing is due: afterwards nobody is more than a second late."""
        self.now_ms += by_ms
        while popped := self.wheel.pop_due(self.now_ms, 2):
            self.take(popped)
        assert all(due_ms > self.now_ms - BUCKET_MS for due_ms in self.due_ms.values())
        next_ms = self.wheel.next_due_ms()
        assert next_ms is None or next_ms > self.now_ms

    def take(self, popped):
        for entry in popped:
            assert self.due_ms.pop(entry) <= self.now_ms, "fired early, or twice, or though it was removed"
            assert entry.bucket is None

    @invariant()
    def all_that_waits_is_on_the_wheel(self):
        assert {entry for entry in self.due_ms if entry.bucket is not None} == set(self.due_ms)
        assert self.wheel.statistics().entries == len(self.due_ms)

    def teardown(self):
        self.turn(60_000)
        assert not self.due_ms
        assert self.wheel.statistics().buckets == 0


TestWheelMachine = pytest.mark.slow(WheelMachine.TestCase)


def test_an_entry_that_waits_for_an_earlier_second_stays_there():
    wheel = Wheel()
    entry = Entry()
    wheel.schedule(entry, 5_000)
    wheel.schedule(entry, 9_000)
    assert wheel.pop_due(5_000, 10) == [entry]
    assert wheel.pop_due(9_000, 10) == []


def test_an_earlier_time_moves_the_entry():
    wheel = Wheel()
    entry = Entry()
    wheel.schedule(entry, 9_000)
    wheel.schedule(entry, 5_000)
    assert wheel.next_due_ms() == 5_000
    assert wheel.pop_due(5_000, 10) == [entry]
    assert wheel.pop_due(9_000, 10) == []


def test_an_entry_that_fired_can_wait_again():
    wheel = Wheel()
    entry = Entry()
    wheel.schedule(entry, 5_000)
    wheel.pop_due(5_000, 10)
    wheel.schedule(entry, 6_500)
    assert wheel.pop_due(6_999, 10) == []
    assert wheel.pop_due(7_000, 10) == [entry]


def test_what_is_overdue_waits_for_the_next_second():
    wheel = Wheel()
    entry = Entry()
    wheel.schedule(entry, 5_000)
    assert wheel.pop_due(5_400, 10) == [entry]
    wheel.schedule(entry, 5_000)
    assert wheel.pop_due(5_900, 10) == [], "or an expire that cannot act now would turn on the spot"
    assert wheel.pop_due(6_000, 10) == [entry]


def test_a_clock_put_back_keeps_nothing_waiting_for_the_old_time():
    wheel = Wheel()
    wheel.pop_due(T0 + 3_600_000, 10)
    wheel.pop_due(T0, 10)
    entry = Entry()
    wheel.schedule(entry, T0 + 5_000)
    assert wheel.pop_due(T0 + 5_000, 10) == [entry]


def test_the_same_calls_give_the_same_order():
    def order():
        wheel = Wheel()
        entries = [Entry() for _ in range(50)]
        for entry in entries:
            wheel.schedule(entry, 1_000)
        popped = []
        while slice_ := wheel.pop_due(1_000, 7):
            popped.extend(entries.index(entry) for entry in slice_)
        return popped

    assert order() == order()
    assert sorted(order()) == list(range(50))


def test_removing_leaves_nothing_behind():
    wheel = Wheel()
    entries = [Entry() for _ in range(100)]
    for number, entry in enumerate(entries):
        wheel.schedule(entry, number * 1_000)
    for entry in entries:
        wheel.remove(entry)
        wheel.remove(entry)
    statistics = wheel.statistics()
    assert (statistics.entries, statistics.buckets, statistics.next_due_ms) == (0, 0, None)
