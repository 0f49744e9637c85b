"""Which sessions there are, and when they close (decisions 3, 5, 7, 8, 12)."""

import pytest

from engine.model.record import RecordKind
from engine.session.closed import Source
from engine.session.visitor import MAX_OPEN
from tests.session.build import GAP, NOON, OTHER, Feed, record_of, root_of, seen, settings


def test_events_within_the_gap_are_one_session():
    """Decision 5: exactly the gap still joins, before the first and behind the last."""
    feed = Feed()
    assert feed.event(0) == []
    assert feed.event(GAP, arrival=0) == []
    assert feed.event(-GAP, arrival=0) == []
    assert feed.close() == [("request", (-GAP, 0, GAP))]


@pytest.mark.parametrize("ts", [GAP + 1, -GAP - 1])
def test_an_event_beyond_the_gap_opens_a_session(ts: int):
    """Decision 5: one millisecond more is another session. Within grace neither closes the other."""
    feed = Feed(grace_ms=1)
    feed.event(0)
    assert feed.event(ts, arrival=0) == []
    assert feed.visitor.open_sessions == 2
    assert feed.close() == [("request", (min(0, ts),)), ("request", (max(0, ts),))]


def test_an_event_between_two_sessions_joins_them():
    """Decision 5: an event that bridges two open sessions merges them."""
    feed = Feed(grace_ms=GAP)
    feed.event(0)
    feed.event(2 * GAP, arrival=0)
    assert feed.visitor.open_sessions == 2
    feed.event(GAP, arrival=0)
    assert feed.visitor.open_sessions == 1
    assert feed.close() == [("request", (0, GAP, 2 * GAP))]


def test_a_bridge_needs_both_sides():
    """Decision 5: an event that reaches one only joins that one."""
    feed = Feed(grace_ms=GAP)
    feed.event(0)
    feed.event(2 * GAP, arrival=0)
    feed.event(GAP - 1, arrival=0)
    assert feed.close() == [("request", (0, GAP - 1)), ("request", (2 * GAP,))]


def test_a_wider_gap_joins_more_than_two():
    """Decisions 5 and 8: membership by the settings the record was accepted under."""
    feed = Feed(settings(1, gap_ms=10, grace_ms=1000), settings(2, gap_ms=100, grace_ms=1000))
    for ts in (0, 50, 100):
        feed.event(ts, arrival=0)
    assert feed.visitor.open_sessions == 3
    feed.event(60, arrival=0, version=2)
    assert feed.close() == [("request", (0, 50, 60, 100))]


def test_each_channel_has_its_sessions():
    """Decision 5: per user point and channel."""
    feed = Feed()
    feed.event(0)
    feed.event(1, channel="site:2")
    feed.event(2, channel="app:1")
    assert feed.visitor.open_sessions == 3
    assert feed.close(channel="site:2") == [("request", (1,))]
    assert feed.close() == [("request", (0,)), ("request", (2,))]
    assert feed.visitor.is_empty


def test_equal_times_keep_the_order_of_arrival():
    """Decision 10: by `(ts, sequence)`."""
    feed = Feed(grace_ms=10)
    for ts in (5, 3, 5, 3):
        feed.event(ts, arrival=5)
    (closed, state) = feed.closed(0, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}")
    assert closed.sequences == (2, 4, 1, 3)
    assert state.sequences == (5,)


class TestClosingByTheClock:
    """Decision 7a."""

    @pytest.mark.parametrize("grace", [0, 7])
    def test_strictly_more_than_gap_and_grace(self, grace: int):
        feed = Feed(grace_ms=grace)
        feed.event(-50, arrival=0)
        due = GAP + grace + 1
        assert feed.visitor.due_at() == NOON + due
        assert feed.expire(due - 1) == []
        assert feed.expire(due) == [("inactivity", (-50,))]
        assert feed.visitor.is_empty
        assert feed.visitor.due_at() is None

    def test_it_counts_from_the_last_arrival_not_the_last_event(self):
        feed = Feed()
        feed.event(0, arrival=0)
        feed.event(-5, arrival=1000)
        assert feed.visitor.due_at() == NOON + 1000 + GAP + 1

    @pytest.mark.parametrize("kind", [RecordKind.ITEM, RecordKind.LIVE, RecordKind.CLOSE, RecordKind.EVENT])
    def test_any_record_first_closes_what_is_due(self, kind: RecordKind):
        """The same strict test for a record as for a timer, on every channel, and in the state of the record before."""
        feed = Feed()
        feed.event(0, channel="site:2")
        other = feed.closed(
            GAP + 1, kind=kind, event=b"[]" if kind == RecordKind.ITEM else b'{"$ts":1,"$event_name":"e"}'
        )
        assert seen(other)[0] == ("inactivity", (0,))
        assert other[0].state is None
        assert other[0].sequences == (1,)

    def test_not_by_a_record_at_exactly_gap_and_grace(self):
        feed = Feed(grace_ms=3)
        feed.event(0)
        assert feed.event(0, arrival=GAP + 3) == []

    def test_what_is_due_leaves_in_the_order_in_which_it_fell_due(self):
        feed = Feed(grace_ms=10 * GAP)
        feed.event(5 * GAP, arrival=0)
        feed.event(0, arrival=1)
        feed.event(0, arrival=1, channel="site:2")
        assert feed.expire(100 * GAP) == [("inactivity", (5 * GAP,)), ("inactivity", (0,)), ("inactivity", (0,))]

    def test_last_arrival_is_that_of_the_events_still_in_it(self):
        """Decision 5: a cut takes arrivals with it."""
        feed = Feed(grace_ms=0)
        feed.event(100, arrival=0, **{"$source": "b"})
        feed.event(0, arrival=50)
        assert feed.visitor.due_at() == NOON + 0 + GAP + 1


class TestClosingByALaterEvent:
    """Decision 7b."""

    @pytest.mark.parametrize("grace", [0, 7])
    def test_strictly_more_than_gap_and_grace(self, grace: int):
        feed = Feed(grace_ms=grace)
        feed.event(0)
        assert feed.event(GAP + grace, arrival=0) == []
        feed = Feed(grace_ms=grace)
        feed.event(0)
        assert feed.event(GAP + grace + 1, arrival=0) == [("gap", (0,))]

    def test_a_session_opened_behind_such_an_event_stays(self):
        feed = Feed()
        feed.event(10 * GAP, arrival=0)
        assert feed.event(0, arrival=0) == []
        assert feed.visitor.open_sessions == 2
        assert feed.event(10 * GAP + 1, arrival=0) == [("gap", (0,))]

    def test_other_channels_are_not_asked(self):
        feed = Feed()
        feed.event(0)
        assert feed.event(5 * GAP, arrival=0, channel="site:2") == []

    def test_items_and_live_events_are_not_events_of_a_session(self):
        feed = Feed()
        feed.event(0)
        assert feed.live(5 * GAP, arrival=0) == []
        assert [source for source, _ in seen(feed.closed(5 * GAP, arrival=0, kind=RecordKind.ITEM, event=b"[]"))] == [
            "item"
        ]
        assert feed.visitor.open_sessions == 1

    def test_the_sessions_own_settings_decide(self):
        """Decision 8: those of its member with the highest sequence."""
        feed = Feed(settings(1, gap_ms=10), settings(2, gap_ms=100))
        feed.event(0)
        assert feed.event(11, arrival=0, version=2) == [("gap", (0,))]
        assert feed.event(111, arrival=0, version=1) == []
        assert feed.visitor.open_sessions == 2, "membership goes by the record's own version"
        assert feed.event(121, arrival=0, version=2) == [("gap", (11,))]
        assert feed.close() == [("request", (111, 121))]


def test_a_closed_session_is_forgotten():
    """Decision 7: a later event joins what is open by 5, else starts its own."""
    feed = Feed()
    feed.event(0)
    feed.event(2 * GAP, arrival=0)
    assert feed.event(5, arrival=0) == []
    assert feed.close() == [("request", (5,)), ("request", (2 * GAP,))]


def test_a_request_closes_everything_and_leaves_the_journal():
    """Decisions 7d and 8: sessions, live windows, and the request's own record in a state behind them."""
    feed = Feed()
    feed.event(5)
    feed.live(6)
    closed = feed.closed(10, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}", weight=0)
    assert seen(closed) == [("request", (5,)), ("request", (6,))]
    assert closed[-1].source is Source.STATE
    assert (closed[-1].sequences, closed[-1].state, closed[-1].saves_state) == ((3,), None, True)


def test_a_request_with_nothing_open_leaves_a_state_alone():
    """Decision 8: its record must leave the journal all the same."""
    (only,) = Feed().closed(0, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}", weight=0)
    assert (only.source, only.sequences, only.weight, only.state) == (Source.STATE, (1,), 0, None)


def test_an_item_leaves_as_it_is():
    """Decision 12: behind what the same user sent before, and the saved state stays as it was."""
    feed = Feed()
    feed.event(0)
    (item,) = feed.closed(5, kind=RecordKind.ITEM, channel="", event=b"[]", weight=4)
    assert (item.source, item.reason, item.channel, item.sequences) == (Source.ITEM, None, None, (2,))
    assert (item.saves_state, item.state, item.weight) == (False, None, 4)
    (item,) = feed.closed(6, kind=RecordKind.ITEM, event=b"[]")
    assert item.channel == settings()
    assert feed.visitor.open_sessions == 1


def test_a_record_applied_twice_is_ignored():
    """Decision 8: what is replayed may have been seen."""
    feed = Feed()
    feed.event(0)
    feed.event(5)
    assert feed.visitor.apply(feed.records[1]) == ()
    assert feed.visitor.apply(feed.records[2]) == ()
    assert feed.close() == [("request", (0, 5))]


def test_a_record_that_cannot_be_applied_changes_nothing():
    """House, How it fails: the message is lost to the dead letters, the session is kept."""
    feed = Feed()
    feed.event(0)
    before = feed.visitor.snapshot()
    with pytest.raises(KeyError):
        feed.visitor.apply(record_of(9, NOON + 5 * GAP, version=99))
    assert feed.visitor.snapshot() == before


class TestRoom:
    """House: everything is bounded. What a stream within grace opens stays far below."""

    def test_the_session_that_is_due_first_makes_room(self):
        feed = Feed()
        for index in range(MAX_OPEN):
            assert feed.event(-2 * GAP * index, arrival=index) == []
        assert feed.visitor.open_sessions == MAX_OPEN
        assert feed.event(-2 * GAP * MAX_OPEN, arrival=MAX_OPEN) == [("gap", (0,))]
        assert feed.event(-2 * GAP * MAX_OPEN - 1, arrival=MAX_OPEN) == [], "one that joins needs no room"
        assert feed.visitor.open_sessions == MAX_OPEN

    def test_a_saved_state_stays_small(self):
        """Each closing saves one, and one request can close a thousand sessions."""
        feed = Feed(max_activity_chars=10**6)
        for index in range(MAX_OPEN):
            for _ in range(90):
                feed.event(-2 * GAP * index, arrival=0)
        closed = feed.closed(-2 * GAP * MAX_OPEN, arrival=0)
        assert len(closed) == 1
        assert len(closed[0].state or b"") < 20_000

    def test_a_live_window_finds_room_too(self):
        feed = Feed()
        for index in range(MAX_OPEN):
            feed.event(-2 * GAP * index, arrival=0)
        assert len(feed.live(0, arrival=0)) == 1

    def test_a_merge_makes_room(self):
        mine, theirs = Feed(), Feed()
        theirs.visitor.user_point = OTHER
        theirs.records = dict.fromkeys(range(1000))
        for index in range(MAX_OPEN):
            mine.event(-4 * GAP * index, arrival=0)
            theirs.event(-4 * GAP * index + 2 * GAP, arrival=0)
        record = record_of(9999, NOON, kind=RecordKind.MERGE, channel="", root=b"{}", event=OTHER, weight=0)
        closed = mine.visitor.absorb(theirs.visitor, record)
        assert len(closed) == MAX_OPEN + 1
        assert mine.visitor.open_sessions == MAX_OPEN


def test_counts():
    """Decision 17: what is open is counted in received events."""
    feed = Feed()
    feed.event(0, weight=2)
    feed.live(0, weight=3)
    assert (feed.visitor.open_sessions, feed.visitor.open_events) == (1, 5)
    first = feed.visitor.held_bytes
    feed.event(1)
    assert feed.visitor.held_bytes > first > 0
    feed.close()
    assert (feed.visitor.open_sessions, feed.visitor.open_events, feed.visitor.held_bytes) == (0, 0, 0)


def test_snapshots_show_what_is_open_and_change_nothing():
    """Decision 11: sessions and windows as they would leave now, cuts of the untested tail included."""
    feed = Feed(grace_ms=1000)
    feed.live(-1, arrival=7)
    feed.event(0, arrival=7)
    feed.event(5, arrival=7, **{"$source": "x"})
    before = feed.visitor.snapshot()
    shown = feed.visitor.snapshots()
    assert seen(shown) == [("live", (-1,)), ("origin", (0,)), ("inactivity", (5,))]
    assert not any(one.saves_state for one in shown)
    assert feed.visitor.snapshot() == before
    assert feed.close() == [("request", (-1,)), ("origin", (0,)), ("request", (5,))]


def test_root_of_is_what_members_carry():
    """The builder of these tests makes what `accept` leaves: compact JSON."""
    assert b" " not in root_of()


def test_only_what_joined_and_left_nothing_has_put_off_what_is_due():
    """Whoever looks at a visitor when it is due need not look again at what is put off, and must at anything else."""
    feed = Feed(settings(1, grace_ms=1), settings(2, grace_ms=1, gap_ms=10))
    seen_put_off = []

    def put_off(ts: int, **options: object) -> None:
        before_ms = feed.visitor.due_at()
        feed.event(ts, **options)
        seen_put_off.append(feed.visitor.is_put_off)
        if feed.visitor.is_put_off:
            assert before_ms is not None
            assert feed.visitor.due_at() >= before_ms
            assert feed.visitor.open_sessions == 1

    put_off(0)  # It opens one.
    put_off(1)
    put_off(0)
    put_off(2, arrival=2, version=2)  # Other settings: it may be due earlier.
    put_off(3, arrival=3, version=2)
    put_off(5000, arrival=5000)  # The others close.
    assert seen_put_off == [False, True, True, False, True, False]
