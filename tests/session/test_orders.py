"""Decisions 5 to 8 as laws: whatever order, timer or batch brings the events, the activities are the same."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.channel import ChannelSettings
from engine.model.record import RecordKind
from engine.pipeline.create import create
from engine.session.closed import Closed
from engine.session.visitor import Visitor
from tests.session.build import NOON, USER, record_of
from tests.session.drawn import DAY, happenings, rules, some_rules
from tests.session.oracle import Happening, Held, by_definition

pytestmark = pytest.mark.slow

END = 10**6

Arrive = Callable[[list[Happening]], list[int]]


def clock_of_the_log(events: list[Happening]) -> list[int]:
    """A replay's clock: the newest time so far."""
    newest, found = 0, []
    for event in events:
        newest = max(newest, event.ts)
        found.append(newest)
    return found


def all_at_once(events: list[Happening]) -> list[int]:
    """One long request."""
    return [NOON] * len(events)


def fold(
    events: list[Happening], channel: ChannelSettings, arrivals: list[int], timers: Iterable[int] = ()
) -> list[Closed]:
    """All that leaves, the request at the end included. `timers`: before which events the timer runs."""
    visitor = Visitor(1, USER, lambda key, version: channel)
    left: list[Closed] = []
    ticks = set(timers)
    for index, (event, arrival) in enumerate(zip(events, arrivals, strict=True)):
        if index in ticks:
            left += visitor.expire(arrival)
        left += visitor.apply(event.record(index, arrival))
    left += visitor.apply(
        record_of(END, NOON, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}", arrival_ms=NOON)
    )
    assert visitor.is_empty
    return [one for one in left if one.members]


def activities(closed: Iterable[Closed]) -> list[bytes]:
    """As they would be stored, in the order of the store."""
    return sorted(create(one, "main").encode() for one in closed)


def shuffled(events: list[Happening], delays: list[int]) -> list[Happening]:
    """In an order within grace: nothing comes behind what is more than grace newer. Equal times keep their order."""
    late = dict(zip(sorted({event.ts for event in events}), delays, strict=True))
    return sorted(sorted(events, key=lambda event: event.ts), key=lambda event: event.ts + late[event.ts])


def delays(events: list[Happening], channel: ChannelSettings) -> st.SearchStrategy[list[int]]:
    """A delay within grace for each time."""
    count = len({event.ts for event in events})
    return st.lists(st.integers(0, channel.grace_ms), min_size=count, max_size=count)


times = st.integers(0, DAY)
days = st.lists(happenings(times), min_size=1, max_size=14)


@settings(max_examples=150)
@given(days, some_rules, st.data())
def test_any_order_within_grace_gives_the_sessions_of_the_definition(events, channel, data):
    """Decision 7, the last sentence, against an oracle that knows all events at once."""
    order = shuffled(events, data.draw(delays(events, channel)))
    arrive: Arrive = data.draw(st.sampled_from([clock_of_the_log, all_at_once]))
    left = fold(order, channel, arrive(order))
    held = [Held(event, index, 0, 1) for index, event in enumerate(order)]
    expected = sorted(tuple(one.sequence for one in part) for part in by_definition(held, channel))
    assert sorted(one.sequences for one in left) == expected


@settings(max_examples=100)
@given(days, some_rules, st.data())
def test_any_order_within_grace_gives_the_same_activities(events, channel, data):
    """Decision 7: byte for byte, keys included."""
    in_order = sorted(events, key=lambda event: event.ts)
    order = shuffled(events, data.draw(delays(events, channel)))
    assert activities(fold(order, channel, clock_of_the_log(order))) == activities(
        fold(in_order, channel, clock_of_the_log(in_order))
    )


@settings(max_examples=100)
@given(st.lists(happenings(st.integers(0, 3)), min_size=2, max_size=14), some_rules, st.data())
def test_no_two_activities_have_one_key(events, channel, data):
    """Decision 17: also where many events are equal, the store takes none for another (within grace)."""
    order = shuffled(events + events[: len(events) // 2], data.draw(delays(events, channel)))
    left = fold(order, channel, clock_of_the_log(order))
    made = [create(one, "main") for one in left]
    assert len({(one.ts_ms, one.unique_key) for one in made}) == len(made)


@settings(max_examples=100)
@given(days, some_rules, st.sets(st.integers(0, 13)))
def test_batches_are_as_good_as_single_events(events, channel, sent_on):
    """Decision 8: an item of n events is n records. Gathering events for no longer than grace changes nothing."""
    in_order = sorted(events, key=lambda event: event.ts)
    batches: list[list[Happening]] = []
    for index, event in enumerate(in_order):
        if not batches or index in sent_on or event.ts - batches[-1][0].ts > channel.grace_ms:
            batches.append([])
        batches[-1].append(event)
    arrivals = [batch[-1].ts for batch in batches for _ in batch]
    expected = activities(fold(in_order, channel, clock_of_the_log(in_order)))
    assert activities(fold(in_order, channel, arrivals)) == expected
    assert activities(fold(in_order, channel, all_at_once(in_order))) == expected


@settings(max_examples=100)
@given(days, st.lists(st.integers(0, 30), min_size=14, max_size=14), some_rules, st.sets(st.integers(0, 13)))
def test_timers_early_late_or_never_change_nothing(events, pauses, channel, ticks):
    """Decision 8: in any order at all, whenever timers fired."""
    now, arrivals = NOON, []
    for pause in pauses[: len(events)]:
        now += pause
        arrivals.append(now)
    never = fold(events, channel, arrivals)
    always = fold(events, channel, arrivals, range(14))
    some = fold(events, channel, arrivals, ticks)
    parts = [(one.reason, one.sequences) for one in never]
    assert [(one.reason, one.sequences) for one in some] == parts
    assert [(one.reason, one.sequences) for one in always] == parts


@settings(max_examples=100)
@given(days, some_rules)
def test_sessions_are_disjoint_and_maximal(events, channel):
    """Decision 5, in any order: what is open never overlaps, and lies more than the gap apart."""
    visitor = Visitor(1, USER, lambda key, version: channel)
    for index, event in enumerate(events):
        visitor.apply(event.record(index, NOON))
        ranges = sorted((run.first_ms, run.last_ms) for run in visitor._open)
        for (_, last), (first, _) in pairwise(ranges):
            assert first - last > channel.gap_ms


def test_the_laws_would_notice():
    """An order beyond grace does make other sessions, so the laws above say something."""
    late = [Happening(NOON), Happening(NOON + 10, source="a"), Happening(NOON + 5)]

    def parts(grace_ms: int) -> list[tuple[int, ...]]:
        left = fold(late, rules(grace_ms=grace_ms), all_at_once(late))
        return [tuple(member.ts_ms - NOON for member in one.members) for one in left]

    assert parts(5) == [(0, 5), (10,)]
    assert parts(4) == [(0, 5), (10,)], "the event that cuts is itself tested only after grace"
    assert parts(0) == [(0,), (5,), (10,)]
