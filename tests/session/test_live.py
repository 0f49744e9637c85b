"""Live windows (decision 11)."""

from engine.model.record import RecordKind
from engine.session.closed import Source
from tests.session.build import MINUTE, NOON, Feed, settings


def test_one_minute_from_the_arrival_of_the_first():
    """Gathered per user and channel; at the full minute they leave, by the timer or by any record."""
    feed = Feed()
    feed.live(500, arrival=0)
    feed.live(100, arrival=MINUTE - 1)
    assert feed.visitor.due_at() == NOON + MINUTE
    assert feed.expire(MINUTE - 1) == []
    assert feed.expire(MINUTE) == [("live", (100, 500))]
    assert feed.visitor.is_empty


def test_a_record_at_the_full_minute_opens_the_next():
    feed = Feed()
    feed.live(0, arrival=0)
    assert feed.live(1, arrival=MINUTE) == [("live", (0,))]
    assert feed.visitor.due_at() == NOON + 2 * MINUTE


def test_it_opens_no_session_and_joins_none():
    """Also beside an open session of the same channel, and far apart in event time."""
    feed = Feed()
    feed.event(0)
    feed.live(1, arrival=0)
    feed.live(10**9, arrival=0)
    assert feed.visitor.open_sessions == 1
    assert feed.expire(MINUTE) == [("live", (1, 10**9))]


def test_channels_stay_apart():
    feed = Feed()
    feed.live(0)
    feed.live(1, channel="site:2")
    assert feed.expire(2 * MINUTE) == [("live", (0,)), ("live", (1,))]


def test_no_origin_cuts_it():
    feed = Feed()
    feed.live(0, **{"$source": "a"})
    assert feed.live(1, **{"$source": "b"}) == []


def test_size_cuts_it_like_a_session():
    """Before the event that does not fit, in the order of event time; the rest has its own minute."""
    feed = Feed(max_activity_chars=10)
    feed.live(0, arrival=0)
    assert feed.live(5, arrival=10) == [("size", (0,))]
    assert feed.visitor.due_at() == NOON + 10 + MINUTE
    (closed,) = feed.closed(3, arrival=20, kind=RecordKind.LIVE)
    assert (closed.source, closed.sequences) == (Source.LIVE, (3,))


def test_within_grace_size_waits_for_the_order():
    feed = Feed(max_activity_chars=10, grace_ms=100)
    assert feed.live(5, arrival=0) == []
    assert feed.live(0, arrival=1) == []
    assert feed.expire(MINUTE) == [("size", (0,)), ("live", (5,))]


def test_settings_of_the_newest_member():
    """Decision 8."""
    feed = Feed(settings(1), settings(2, live_window_ms=5))
    feed.live(0, arrival=0)
    feed.live(1, arrival=1, version=2)
    assert feed.visitor.due_at() == NOON + 5
