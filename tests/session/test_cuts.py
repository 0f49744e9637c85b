"""What cuts a session (decisions 6 and 16): by event time, once grace is over."""

import pytest

from engine.model.activity import measure
from engine.session.closed import CloseReason
from engine.session.root import merge_roots
from tests.session.build import GAP, MINUTE, NOON, Feed, root_of, settings
from tests.session.sizes import closed_of, stored_chars

A = {"$source": "a"}
B = {"$source": "b"}
FR = {"$referrer": "https://www.google.fr/"}
FR_NEWS = {"$referrer": "https://news.google.fr/x"}
BING = {"$referrer": "https://www.bing.com/"}
OWN = {"$referrer": "https://www.shop.test/x"}
SAME_ORIGIN = {"$source": "mail"}
"""Put beside a referrer, it makes the origin the same, so that only the referrer differs."""


class TestOrigin:
    """Decision 6a."""

    @pytest.mark.parametrize(
        ("first", "second", "cuts"),
        [
            (A, B, True),
            (A, A, False),
            (A, {}, False),
            ({}, A, True),
            ({}, {}, False),
            (A, A | {"$referral_path": "https://x.test/"}, False),
            (A, A | {"$campaign_id": "1"}, True),
            (A, A | {"$gclid": "1"}, True),
        ],
    )
    def test_an_origin_that_differs(self, first: dict, second: dict, cuts: bool):
        """Not empty and different; an empty origin of the session differs from any; compared by the listed fields."""
        feed = Feed()
        feed.event(0, **first)
        assert feed.event(1, **second) == ([("origin", (0,))] if cuts else [])

    def test_it_is_compared_with_the_first_event_not_with_the_one_before(self):
        """Decision 21: a session's origin is its first event's."""
        feed = Feed()
        feed.event(0, **A)
        feed.event(1)
        assert feed.event(2, **A) == []

    def test_the_rest_goes_on_with_the_new_origin(self):
        feed = Feed()
        feed.event(0, **A)
        assert feed.event(1, **B) == [("origin", (0,))]
        assert feed.event(2, **B) == []
        assert feed.event(3, **A) == [("origin", (1, 2))]

    def test_an_origin_by_api(self):
        """Decision 19: `$origin` sent with each event's item."""
        feed = Feed()
        feed.event(0, root=root_of(**{"$origin": {"$channel": "x", "mine": 1}}))
        assert feed.event(1, root=root_of(**{"$origin": {"$channel": "x", "mine": 2}})) == []
        assert feed.event(2, root=root_of(**{"$origin": {"$channel": "y"}})) == [("origin", (0, 1))]


class TestReferrer:
    """Decision 6b."""

    @pytest.mark.parametrize(
        ("first", "second", "cuts"),
        [
            (FR, BING, True),
            (FR, FR_NEWS, False),
            (FR, OWN, False),
            (FR, {}, False),
            ({}, FR, False),
            (OWN, FR, False),
            (FR, {"$referrer": "no address"}, False),
        ],
    )
    def test_another_foreign_domain(self, first: dict, second: dict, cuts: bool):
        """Another registrable domain than the foreign one last seen; none seen, no cut; no referrer, no change."""
        feed = Feed()
        feed.event(0, **SAME_ORIGIN | first)
        assert feed.event(1, **SAME_ORIGIN | second) == ([("referrer", (0,))] if cuts else [])

    def test_last_seen_anywhere_in_the_session(self):
        feed = Feed()
        for ts, more in enumerate(({}, FR, {}, OWN)):
            feed.event(ts, **SAME_ORIGIN | more)
        assert feed.event(5, **SAME_ORIGIN | BING) == [("referrer", (0, 1, 2, 3))]
        assert feed.event(6, **SAME_ORIGIN | FR) == [("referrer", (5,))]

    def test_a_site_without_domain_goes_by_the_url(self):
        """Decision 6: own is then the same registrable domain as `$url`."""
        feed = Feed(domain="")
        feed.event(0, **SAME_ORIGIN | FR)
        assert feed.event(1, **SAME_ORIGIN | OWN | {"$url": "https://shop.test/"}) == []
        assert feed.event(2, **SAME_ORIGIN | OWN | {"$url": "https://other.test/"}) == [("referrer", (0, 1))]

    def test_a_referral_of_another_host_is_another_origin(self):
        """Decisions 2.2 of the reference and 6a: `$source` is the host, so `www` and `news` are two origins."""
        feed = Feed()
        feed.event(0, **FR)
        assert feed.event(1, **FR_NEWS) == [("origin", (0,))]


def test_duration():
    """Decision 6c: `ts − S.first > 24 h`, strictly."""
    day = 24 * 60 * MINUTE
    feed = Feed()
    for ts in range(0, day + 1, GAP):
        assert feed.event(ts) == []
    assert feed.event(day + 1) == [("duration", tuple(range(0, day + 1, GAP)))]


def test_duration_setting():
    feed = Feed(max_session_ms=10)
    feed.event(0)
    feed.event(10)
    assert feed.event(11) == [("duration", (0, 10))]
    assert feed.event(21) == []


class TestSize:
    """Decision 16."""

    def fill(self, limit: int, **fields: object) -> tuple[Feed, list]:
        feed = Feed(max_activity_chars=limit)
        left: list = []
        for ts in range(100, 120):
            left += feed.event(ts, **fields)
        return feed, left

    @pytest.mark.parametrize("text", ["x", "ü", "𝕏"])
    def test_greedily_before_the_event_that_does_not_fit(self, text: str):
        """Code points of the activity's compact JSON: one character more or less decides."""
        feed = Feed(grace_ms=10_000)
        for ts in range(100, 120):
            feed.event(ts, arrival=0, text=text * 20)
        members = feed.visitor.snapshots()[0].members
        size_of_five = measure(merge_roots(members[:5]), [member.event for member in members[:5]])
        _, left = self.fill(size_of_five, text=text * 20)
        assert left == [("size", tuple(range(start, start + 5))) for start in (100, 105, 110)]
        _, left = self.fill(size_of_five - 1, text=text * 20)
        assert left == [("size", tuple(range(start, start + 4))) for start in (100, 104, 108, 112)]

    def test_null_fields_do_not_count(self):
        """Decision 15: without null fields, at root and in the event."""
        roots = [root_of(), root_of(custom=None, **{"$location": None})]
        feeds = [Feed(max_activity_chars=400) for _ in roots]
        counts = []
        for feed, root, more in zip(feeds, roots, ({}, {"nothing": None}), strict=True):
            left: list = []
            for ts in range(100, 130):
                left += feed.event(ts, root=root, **more)
            counts.append([len(part) for _, part in left])
        assert counts[0] == counts[1]
        assert counts[0]

    def test_root_fields_count_once_and_as_the_last_set_them(self):
        """Decision 10: last wins per key, and the cut counts what the activity will have."""
        feed = Feed(max_activity_chars=400)
        left: list = []
        for ts in range(100, 130):
            left += feed.event(ts, root=root_of(page=ts, **{"$unique_key": "ignored" * 9}))
        first = left[0][1]
        assert left[0][0] == "size"
        other = Feed(grace_ms=10_000)
        for ts in range(100, 130):
            other.event(ts, arrival=0, root=root_of(page=ts))
        (shown,) = other.visitor.snapshots()
        status = len('"$session_status":"IN_SESSION",')
        sizes = [stored_chars(closed_of(shown.members[:n])) + status for n in (len(first), len(first) + 1)]
        assert sizes[0] <= 400 < sizes[1]

    def test_identifiers_of_all_events_count(self):
        """A shared device: the activity carries those of every event, so they count as they are stored."""
        feed = Feed()
        parts = [
            part
            for ts in range(90)
            for part in feed.closed(ts, root=root_of(**{"$user_account_id": "kiosk", "$user_agent_id": f"{ts:040}"}))
        ]
        parts += feed.visitor.expire(NOON + 10 * GAP)
        assert [one.reason for one in parts] == [CloseReason.SIZE] * (len(parts) - 1) + [CloseReason.INACTIVITY]
        sizes = [stored_chars(part) for part in parts]
        assert max(sizes) <= 8000
        assert min(sizes[:-1]) > 7500, "it is cut where it is full, not before"

    def test_one_event_is_never_too_large(self):
        """What is alone too large was refused when it was sent (decision 15)."""
        feed = Feed(max_activity_chars=10)
        assert feed.event(0) == []
        assert feed.event(1) == [("size", (0,))]
        assert feed.close() == [("request", (1,))]

    def test_size_is_the_last_reason(self):
        feed = Feed(max_activity_chars=10, max_session_ms=0)
        feed.event(0, **A)
        assert feed.event(1, **B) == [("origin", (0,))]
        assert feed.event(2) == [("duration", (1,))]


class TestGrace:
    """Decision 6: cuts follow event time, not arrival."""

    def test_a_test_waits_until_grace_is_over(self):
        """`S.last ≥ ts + grace`, to the millisecond."""
        feed = Feed(grace_ms=100)
        feed.event(0, arrival=0)
        feed.event(10, arrival=0, **A)
        assert feed.event(109, arrival=0) == []
        assert feed.event(110, arrival=0) == [("origin", (0,))]

    def test_with_no_grace_on_arrival(self):
        feed = Feed(grace_ms=0)
        feed.event(0)
        assert feed.event(1, **A) == [("origin", (0,))]

    def test_events_in_another_order_make_the_same_parts(self):
        """Decision 7, the last sentence."""
        feed = Feed(grace_ms=100)
        left: list = []
        for ts, more in ((20, B), (0, A), (10, A), (130, {}), (30, A), (120, {})):
            left += feed.event(ts, arrival=0, **more)
        assert left == [("origin", (0, 10)), ("origin", (20,))]
        assert feed.close() == [("request", (30, 120, 130))]

    def test_an_insertion_behind_others_has_those_after_it_tested_again(self):
        """A later event is late only for the clock: here it makes the next one start a session."""
        feed = Feed(grace_ms=0)
        feed.event(0)
        feed.event(10)
        feed.event(20)
        assert feed.event(5, arrival=20, **A) == [("origin", (0,))]
        assert feed.close() == [("request", (5, 10, 20))]

    def test_an_insertion_in_front_changes_whose_session_it_is(self):
        """Decision 21: the first event's origin is the session's, so the former first is tested now."""
        feed = Feed(grace_ms=0)
        feed.event(10, **A)
        feed.event(20, **A)
        assert feed.event(0, arrival=20) == [("origin", (0,))]
        assert feed.event(5, arrival=20, **A) == []
        assert feed.close() == [("request", (5, 10, 20))]

    def test_an_insertion_may_cut_several_times(self):
        feed = Feed(grace_ms=0, max_session_ms=10)
        feed.event(10)
        feed.event(20)
        assert feed.event(9, arrival=20) == [("duration", (9, 10))]
        feed = Feed(grace_ms=0, max_session_ms=10)
        feed.event(20)
        feed.event(30)
        assert feed.event(9, arrival=30) == [("duration", (9,))]

    def test_a_bridge_has_the_later_session_tested_again(self):
        feed = Feed(grace_ms=GAP, max_session_ms=2 * GAP - 5)
        feed.event(0, arrival=0)
        feed.event(2 * GAP - 5, arrival=0)
        feed.event(2 * GAP, arrival=0)
        assert feed.visitor.open_sessions == 2
        assert feed.event(GAP, arrival=0) == []
        assert feed.event(3 * GAP - 1, arrival=0) == []
        assert feed.event(3 * GAP, arrival=0) == [("duration", (0, GAP, 2 * GAP - 5))]

    @pytest.mark.parametrize("how", ["clock", "request", "gap"])
    def test_the_untested_tail_is_tested_when_the_session_closes(self, how: str):
        """As if grace were over: each part leaves, the last with the closing's reason."""
        feed = Feed(grace_ms=100)
        feed.event(0, arrival=0)
        feed.event(1, arrival=0, **A)
        feed.event(2, arrival=0, **B)
        if how == "clock":
            left = feed.expire(10 * GAP)
        elif how == "request":
            left = feed.close()
        else:
            left = feed.event(2 * GAP, arrival=0)
        reason = {"clock": "inactivity", "request": "request", "gap": "gap"}[how]
        assert left == [("origin", (0,)), ("origin", (1,)), (reason, (2,))]


class TestSettings:
    """Decision 8: a session has the settings of its member with the highest sequence."""

    def test_a_change_has_all_tested_again(self):
        """Then everything follows from the members, and a restored session cannot differ."""
        feed = Feed(settings(1), settings(2, max_session_ms=5))
        for ts in (0, 4, 8):
            feed.event(ts)
        assert feed.event(9, version=2) == [("duration", (0, 4))]
        assert feed.close() == [("request", (8, 9))]

    def test_parts_have_their_own(self):
        feed = Feed(settings(1, name="one"), settings(2, name="two"))
        feed.event(0)
        feed.event(1)
        closed = feed.closed(2, version=2, **A)
        assert [one.channel.name for one in closed] == ["one"]
        closed = feed.closed(3, version=1, **B)
        assert [one.channel.name for one in closed] == ["two"]

    def test_the_rest_of_a_cut_may_go_back_to_older_ones(self):
        """The newest event left with the part that was cut."""
        feed = Feed(settings(1, grace_ms=100, max_session_ms=50), settings(2, grace_ms=0, max_session_ms=50))
        feed.event(0, arrival=0)
        feed.event(30, arrival=0)
        feed.event(60, arrival=0)
        assert feed.event(1, arrival=0, version=2) == [("duration", (0, 1, 30))]
        assert feed.visitor.due_at() == NOON + GAP + 100 + 1
