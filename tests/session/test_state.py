"""What a visitor leaves behind in the store, and how it comes back (decision 8). The laws are in test_crashes."""

import pytest

from engine.model.record import RecordKind
from engine.session.closed import Closed, Source
from engine.session.visitor import Visitor
from tests.session.build import GAP, NOON, USER, Feed, seen, settings


def restored(feed: Feed, state: bytes | None) -> Visitor:
    assert state is not None
    return Visitor.restore(1, USER, feed.channel, state, feed.records)


def held(state: bytes | None) -> tuple[int, tuple[int, ...]]:
    assert state is not None
    return Visitor.state_sequences(state)


def test_nothing_open_is_no_state():
    feed = Feed()
    assert feed.visitor.snapshot() is None
    feed.event(0)
    (closed,) = feed.visitor.expire(NOON + 10 * GAP)
    assert closed.state is None
    assert closed.saves_state


def test_a_snapshot_holds_sequences_and_no_payload():
    feed = Feed(grace_ms=GAP)
    for ts in (5, 0, 2 * GAP):
        feed.event(ts, arrival=0, text="payload" * 100)
    feed.live(0)
    state = feed.visitor.snapshot()
    assert held(state) == (4, (2, 1, 3, 4))
    assert state is not None
    assert len(state) < 100


def test_restored_it_goes_on():
    feed = Feed(grace_ms=100)
    feed.event(0, arrival=0)
    feed.event(5, arrival=0, **{"$source": "x"})
    feed.live(0, arrival=0)
    again = restored(feed, feed.visitor.snapshot())
    assert again.snapshot() == feed.visitor.snapshot()
    assert again.due_at() == feed.visitor.due_at()
    assert again.held_bytes == feed.visitor.held_bytes
    assert seen(again.expire(NOON + 10 * GAP)) == feed.expire(10 * GAP)


def test_what_is_due_saves_the_state_of_the_record_before():
    """The record that came too late is not in it: a recovery applies it again."""
    feed = Feed()
    feed.event(0)
    feed.event(0, channel="site:2", arrival=5)
    due, also = feed.closed(0, arrival=10 * GAP)
    assert held(due.state) == (2, (2,))
    assert also.state is None
    assert held(feed.visitor.snapshot()) == (3, (3,))


def test_a_cut_saves_the_state_with_its_record():
    feed = Feed()
    feed.event(0)
    (cut,) = feed.closed(1, **{"$source": "x"})
    assert held(cut.state) == (2, (2,))


def parts_of_a_request() -> tuple[Feed, tuple[Closed, ...]]:
    feed = Feed(grace_ms=100)
    feed.event(0, arrival=0)
    feed.event(1, arrival=0, **{"$source": "a"})
    feed.live(2, arrival=0)
    return feed, feed.closed(9, arrival=0, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}", weight=0)


def test_what_left_later_in_the_same_step_is_pending():
    """A crash between the two transactions loses nothing: the pending leave first thing, with their reasons."""
    feed, (first, second, third, state) = parts_of_a_request()
    assert held(first.state) == (4, (2, 3, 4))
    assert held(second.state) == (4, (3, 4))
    assert held(third.state) == (4, (4,))
    assert state.state is None
    again = restored(feed, first.state)
    assert again.due_at() == 0
    assert not again.is_empty
    assert again.open_sessions == 0
    assert again.snapshots() == ()
    assert again.snapshot() == first.state
    assert again.expire(0) == (second, third, state)
    assert again.is_empty
    assert again.due_at() is None


@pytest.mark.parametrize("kind", [RecordKind.EVENT, RecordKind.ITEM, RecordKind.CLOSE, RecordKind.MERGE])
def test_pending_leaves_before_the_next_record(kind: RecordKind):
    feed, (first, *pending, _) = parts_of_a_request()
    again = restored(feed, first.state)
    feed.visitor = again
    event = b"[]" if kind == RecordKind.ITEM else b'{"$ts":1,"$event_name":"e"}'
    left = feed.closed(9, arrival=0, kind=kind, event=event)
    assert [one.sequences for one in left[:2]] == [one.sequences for one in pending]
    assert left[2].source is Source.STATE
    assert left[2].sequences == (4,)


def test_pending_leaves_before_a_record_that_is_ignored():
    feed, (first, *pending) = parts_of_a_request()
    again = restored(feed, first.state)
    assert again.apply(feed.records[1]) == tuple(pending)
    assert again.apply(feed.records[1]) == ()


def test_the_number_of_the_next_part_comes_back():
    """A restart between two equal parts does not give them one key: of what is open, and of what was on its way."""
    feed = Feed(grace_ms=100)
    feed.event(0, arrival=0, **{"$source": "a"})
    feed.event(1, arrival=0, **{"$source": "b"})
    (first,) = feed.closed(101, arrival=0)
    assert (first.part, first.members[0].ts_ms) == (0, NOON)
    feed.visitor = restored(feed, feed.visitor.snapshot())
    feed.event(102, arrival=0, **{"$source": "c"})
    second, third, _ = feed.closed(9, arrival=0, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}", weight=0)
    assert [second.part, third.part] == [1, 2]
    assert restored(feed, second.state).expire(0)[0] == third


def test_a_record_that_is_missing_is_an_error():
    feed = Feed()
    feed.event(0)
    state = feed.visitor.snapshot()
    assert state is not None
    with pytest.raises(ValueError, match="no record 1"):
        Visitor.restore(1, USER, feed.channel, state, {})


def test_settings_come_back_with_the_members():
    """Decision 8: of the member with the highest sequence, wherever it stands."""
    feed = Feed(settings(1, gap_ms=100), settings(2, gap_ms=200))
    feed.event(50, arrival=0)
    feed.event(0, arrival=0, version=2)
    again = restored(feed, feed.visitor.snapshot())
    assert again.due_at() == feed.visitor.due_at() == NOON + 201
