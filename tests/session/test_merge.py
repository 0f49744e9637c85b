"""Two user points become one (decision 3)."""

from engine.model.record import RecordKind
from engine.session.closed import CloseReason, Source
from engine.session.visitor import Visitor
from tests.session.build import GAP, NOON, OTHER, USER, Feed, record_of, seen, settings


class TestMerge:
    """Decision 3: open sessions move to the surviving user point."""

    def merge(self, mine: Feed, theirs: Feed, at: int = 1000, sequence: int = 99) -> list:
        theirs.visitor.user_point = OTHER
        record = record_of(sequence, NOON + at, kind=RecordKind.MERGE, channel="", root=b"{}", event=OTHER, weight=0)
        closed = mine.visitor.absorb(theirs.visitor, record)
        assert theirs.visitor.is_empty
        return list(closed)

    def theirs(self, first_sequence: int, **changed: object) -> Feed:
        feed = Feed(**changed)
        feed.records = dict.fromkeys(range(first_sequence - 1))
        return feed

    def test_disjoint_sessions_move(self):
        mine, theirs = Feed(grace_ms=10 * GAP), self.theirs(10, grace_ms=10 * GAP)
        mine.event(0, arrival=0)
        theirs.event(2 * GAP, arrival=0)
        (state,) = self.merge(mine, theirs)
        assert (state.source, state.sequences, state.absorbed, state.weight) == (Source.STATE, (99,), OTHER, 0)
        assert state.state == mine.visitor.snapshot()
        assert Visitor.state_sequences(state.state) == (99, (1, 10))
        mine.records = dict.fromkeys(range(99))
        assert mine.close() == [("request", (0,)), ("request", (2 * GAP,))]

    def test_sessions_within_the_gap_become_one(self):
        mine, theirs = Feed(), self.theirs(10)
        mine.event(GAP, arrival=0)
        theirs.event(0, arrival=0)
        theirs.event(5, arrival=0)
        self.merge(mine, theirs)
        mine.records = dict.fromkeys(range(99))
        assert mine.close() == [("request", (0, 5, GAP))]

    def test_one_of_theirs_may_join_two_of_mine(self):
        mine, theirs = Feed(grace_ms=10 * GAP), self.theirs(10, grace_ms=10 * GAP)
        mine.event(0, arrival=0)
        mine.event(2 * GAP, arrival=0)
        theirs.event(GAP, arrival=0)
        self.merge(mine, theirs)
        assert mine.visitor.open_sessions == 1

    def test_channels_stay_apart(self):
        mine, theirs = Feed(), self.theirs(10)
        mine.event(0)
        theirs.event(0, channel="site:2")
        self.merge(mine, theirs)
        assert mine.visitor.open_sessions == 2

    def test_cut_tests_run_again(self):
        """And what they cut carries the end of the absorbed state, whichever of them is stored first."""
        mine, theirs = Feed(), self.theirs(10)
        mine.event(5, **{"$source": "mine"})
        theirs.event(0, **{"$source": "theirs"})
        cut, state = self.merge(mine, theirs)
        assert seen((cut,)) == [("origin", (0,))]
        assert (cut.user_point, cut.absorbed, cut.sequences) == (USER, OTHER, (10,))
        assert (state.absorbed, state.sequences) == (OTHER, (99,))
        assert Visitor.state_sequences(cut.state) == (99, (1, 99))
        assert Visitor.state_sequences(state.state) == (99, (1,))

    def test_parts_are_counted_on_from_the_larger_number(self):
        """No part that left either session has the number of one that leaves the merged one."""
        mine, theirs = Feed(), self.theirs(10)
        for ts, source in enumerate("abc"):
            mine.event(ts, **{"$source": source})
        theirs.event(3, **{"$source": "c"})
        self.merge(mine, theirs)
        assert [one.part for one in mine.visitor.snapshots()] == [2]
        mine, theirs = Feed(), self.theirs(10)
        for ts, source in enumerate("abc"):
            theirs.event(ts, **{"$source": source})
        mine.event(1, **{"$source": "c"})
        self.merge(mine, theirs)
        assert [one.part for one in mine.visitor.snapshots()] == [2], "also where the other session begins later"

    def test_live_windows_become_one(self):
        """Decision 11: one per user and channel, due by the first arrival."""
        mine, theirs = Feed(), self.theirs(10)
        mine.live(0, arrival=50)
        theirs.live(1, arrival=20)
        self.merge(mine, theirs)
        assert mine.visitor.due_at() == NOON + 20 + 60_000
        assert mine.expire(60_020) == [("live", (0, 1))]

    def test_what_is_due_of_either_closes_first_under_its_own_name(self):
        """Decision 7: any record of the user first closes all that is due; a timer would have done the same."""
        mine, theirs = Feed(), self.theirs(10)
        mine.event(0)
        theirs.event(1)
        closed = self.merge(mine, theirs, at=10 * GAP)
        assert [(one.user_point, one.reason) for one in closed[:2]] == [
            (OTHER, CloseReason.INACTIVITY),
            (USER, CloseReason.INACTIVITY),
        ]
        assert [one.absorbed for one in closed] == [b"", b"", OTHER]

    def test_without_another_visitor(self):
        """Nothing of the absorbed one is open: the record leaves, its saved state goes."""
        feed = Feed()
        feed.event(0)
        record = record_of(5, NOON, kind=RecordKind.MERGE, channel="", root=b"{}", event=OTHER, weight=0)
        (state,) = feed.visitor.apply(record)
        assert (state.sequences, state.absorbed) == ((5,), OTHER)
        assert feed.visitor.absorb(None, record) == ()

    def test_a_merge_applied_before_is_ignored(self):
        mine, theirs = Feed(), self.theirs(10)
        mine.event(0)
        self.merge(mine, theirs, sequence=99)
        late = self.theirs(10)
        late.event(0)
        record = record_of(99, NOON, kind=RecordKind.MERGE, channel="", root=b"{}", event=OTHER, weight=0)
        assert mine.visitor.absorb(late.visitor, record) == ()
        assert late.visitor.open_sessions == 1

    def test_settings_of_the_newest_member_hold(self):
        """Decision 8: of the two, those of the highest sequence; a wider gap may reach a third session."""
        narrow, wide = settings(1, gap_ms=10, grace_ms=10_000), settings(2, gap_ms=1000, grace_ms=10_000)
        mine, theirs = Feed(narrow, wide), self.theirs(10)
        theirs.channels = mine.channels
        mine.event(0, arrival=0)
        mine.event(500, arrival=0)
        theirs.event(505, arrival=0, version=2)
        self.merge(mine, theirs, at=0)
        assert mine.visitor.open_sessions == 1
        assert mine.visitor.due_at() == NOON + 11_001

    def test_other_settings_have_all_tested_again(self):
        mine, theirs = Feed(settings(1), settings(2, max_session_ms=5)), self.theirs(10)
        theirs.channels = mine.channels
        for ts in (0, 4, 8):
            mine.event(ts)
        theirs.event(9, version=2)
        cut, _ = self.merge(mine, theirs)
        assert seen((cut,)) == [("duration", (0, 4))]

    def test_the_absorbed_state_goes_with_the_first_part_that_is_stored(self):
        """Else a crash behind that part would find its members in two saved states."""
        mine, theirs = Feed(grace_ms=5), self.theirs(10, grace_ms=5)
        for ts in (0, 7):
            mine.event(ts, **{"$source": "mine"})
        for ts in (1, 8):
            theirs.event(ts, **{"$source": "theirs"})
        parts = self.merge(mine, theirs)
        assert [len(one.sequences) for one in parts] == [1, 1]
        assert all(one.absorbed == OTHER for one in parts)
