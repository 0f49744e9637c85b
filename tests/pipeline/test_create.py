"""From what left a visitor to an activity (decisions 10 to 13 and 21)."""

import json
from uuid import UUID

import pytest

from engine.model.activity import Activity, public
from engine.model.record import RecordKind
from engine.pipeline.create import create, session_snapshot
from engine.session.closed import Closed, Source
from tests.session.build import NOON, Feed, dump, event_of, root_of, settings

CENTURY_1582_100NS = 0x01B21DD213814000


def session(*events: dict, **rules: object) -> Closed:
    """One session of events given by `ts` and the other arguments of `Feed.event`."""
    feed = Feed(grace_ms=10**9, max_session_ms=10**9, **rules)
    for event in events:
        fields = {key: value for key, value in event.items() if key != "ts"}
        assert feed.event(event["ts"], arrival=0, **fields) == []
    return feed.closed(0, arrival=0, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}")[0]


def live(*times: int, **fields: object) -> Closed:
    feed = Feed()
    for ts in times:
        feed.live(ts, arrival=0, **fields)
    return feed.visitor.expire(NOON + 60_000)[0]


def item(root: bytes, events: bytes = b"[]", channel: str = "site:1", ts: int = 0, before: int = 0) -> Closed:
    feed = Feed()
    feed.records = dict.fromkeys(range(before))
    return feed.closed(ts, kind=RecordKind.ITEM, root=root, event=events, channel=channel)[0]


def shown(activity: Activity) -> dict:
    return json.loads(public(activity.encode()))


class TestSession:
    """Decision 10."""

    def test_all_of_it(self):
        closed = session({"ts": 1500}, {"ts": 500, "n": 1}, {"ts": 3499})
        assert shown(create(closed, "main")) == {
            "$ts": NOON + 500,
            "$type": "SITE_VISIT",
            "$session_status": "CLOSED_SESSION",
            "$ttl": None,
            "$user_agent_id": None,
            "$user_account_id": None,
            "$compartment_id": None,
            "$email_hash": None,
            "$user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": "vec:1"}],
            "$origin": None,
            "$location": None,
            "$events": [
                {"$ts": NOON + 500, "$event_name": "e", "$properties": {"n": 1}},
                {"$ts": NOON + 1500, "$event_name": "e", "$properties": {}},
                {"$ts": NOON + 3499, "$event_name": "e", "$properties": {}},
            ],
            "$unique_key": str(create(closed, "main").unique_key),
            "$error_analyzer_id": None,
            "$site_id": "1",
            "$session_duration": 2,
            "$topics": None,
        }

    def test_events_are_ordered_by_time_and_equal_times_by_arrival(self):
        closed = session({"ts": 5, "n": 1}, {"ts": 1, "n": 2}, {"ts": 5, "n": 3})
        assert [json.loads(event.body)["$properties"]["n"] for event in create(closed, "main").events] == [2, 1, 3]

    @pytest.mark.parametrize(("last", "seconds"), [(0, 0), (999, 0), (1000, 1), (1999, 1)])
    def test_duration_in_whole_seconds(self, last: int, seconds: int):
        assert create(session({"ts": 0}, {"ts": last}), "main").duration_s == seconds

    def test_type_and_id_come_from_the_channel(self):
        """Whatever the item called itself."""
        closed = session({"ts": 0, "channel": "app:7"})
        activity = create(closed, "main")
        assert (activity.type, activity.channel_field, activity.channel_id) == ("APP_VISIT", "$app_id", "7")

    def test_root_fields_the_last_in_order_wins(self):
        """Custom properties, `$location` and `$ttl`, per key; the order of events, not of arrival."""
        closed = session(
            {"ts": 2, "root": root_of(a="late", c=[1, 1.50], **{"$ttl": 9, "$location": {"$city": "Ö"}})},
            {"ts": 1, "root": root_of(a="early", b=None, **{"$ttl": 5, "$mine": {}, "$topics": {}})},
            {"ts": 3, "root": root_of(**{"$location": None, "$ttl": None})},
        )
        activity = create(closed, "main")
        assert activity.ttl_minutes == 9
        assert json.loads(bytes(activity.location)) == {"$city": "Ö"}
        assert {key: json.loads(bytes(value)) for key, value in activity.extras.items()} == {
            "a": "late",
            "b": None,
            "$mine": {},
            "$topics": {},
            "c": [1, 1.5],
        }
        assert list(activity.extras) == ["a", "b", "$mine", "$topics", "c"]

    def test_number_text_stays(self):
        """Decision 37."""
        root = b'{"$user_agent_id":"a","n":1.50,"big":123456789012345678901234567890}'
        activity = create(session({"ts": 0, "root": root}), "main")
        assert b'"n":1.50,"big":123456789012345678901234567890' in activity.encode()

    def test_identifiers_of_all_events_each_once(self):
        """Decision 1: both forms, merged; in order."""
        email = {"$type": "USER_EMAIL", "$hash": "ABC"}
        closed = session(
            {"ts": 1, "root": root_of(**{"$user_account_id": "u", "$user_agent_id": None})},
            {"ts": 2, "root": root_of(**{"$user_identifiers": [email], "$user_agent_id": "vec:1"})},
            {"ts": 3, "root": root_of(**{"$user_identifiers": [email | {"$hash": "abc", "$email": "a@b.test"}]})},
        )
        assert [one.as_json() for one in create(closed, "main").identifiers] == [
            {"$type": "USER_ACCOUNT", "$compartment_id": "main", "$user_account_id": "u"},
            {"$type": "USER_EMAIL", "$hash": "abc", "$email": "a@b.test"},
            {"$type": "USER_AGENT", "$user_agent_id": "vec:1"},
        ]

    def test_more_identifiers_than_one_item_may_have(self):
        """The limit is one item's; a session over a shared device keeps all it saw."""
        events = ({"ts": ts, "root": root_of(**{"$user_account_id": str(ts)})} for ts in range(50))
        closed = session(*events, max_activity_chars=10**6)
        assert len(create(closed, "main").identifiers) == 51

    def test_origin_is_the_first_events(self):
        """Decision 21."""
        activity = create(session({"ts": 1, "$source": "a", "$referral_path": "1"}, {"ts": 2, "$source": "a"}), "main")
        assert json.loads(activity.origin) == {"$source": "a", "$referral_path": "1"}
        assert shown(activity)["$origin"]["$ts"] == activity.ts_ms
        assert create(session({"ts": 1}), "main").origin is None

    def test_what_the_sender_cannot_set(self):
        """Decisions 10 and 13: key, duration, time and status of a session are the engine's."""
        key = "c0ffee00-0000-1000-8000-000000000000"
        root = root_of(**{"$unique_key": key, "$session_duration": 99, "$ts": 5})
        activity = create(session({"ts": 0, "root": root}), "main")
        assert activity.unique_key != UUID(key)
        assert (activity.duration_s, activity.ts_ms, activity.status) == (0, NOON, "CLOSED_SESSION")
        assert activity.extras == {}


class TestSessionKey:
    """Decision 13: a UUIDv1 with the activity's time; the rest a hash of what was sent."""

    def test_its_time_is_the_activitys(self):
        key = create(session({"ts": 123}), "main").unique_key
        assert key.version == 1
        assert (key.time - CENTURY_1582_100NS) // 10_000 == NOON + 123

    def test_the_same_log_gives_the_same_key(self):
        events = [{"ts": 1, "n": 1}, {"ts": 2, "n": 2}]
        assert create(session(*events), "main").unique_key == create(session(*reversed(events)), "main").unique_key

    def test_whatever_the_default_compartment_is(self):
        """Identifiers count as they were sent."""
        closed = session({"ts": 0, "root": root_of(**{"$user_account_id": "u"})})
        assert create(closed, "main").unique_key == create(closed, "other").unique_key

    @pytest.mark.parametrize(
        "other",
        [
            [{"ts": 1, "n": 1}, {"ts": 2, "n": 3}],
            [{"ts": 1, "n": 1}],
            [{"ts": 1, "n": 1}, {"ts": 2, "n": 2}, {"ts": 2, "n": 2}],
            [{"ts": 1, "n": 1, "channel": "site:2"}, {"ts": 2, "n": 2, "channel": "site:2"}],
            [{"ts": 1, "n": 1, "root": root_of(**{"$user_agent_id": "vec:2"})}, {"ts": 2, "n": 2}],
            [{"ts": 1, "n": 1, "root": root_of(**{"$user_account_id": "u"})}, {"ts": 2, "n": 2}],
        ],
    )
    def test_any_difference_gives_another(self, other: list):
        """In an event, in their number, in the channel, in the first event's identifiers."""
        key = create(session({"ts": 1, "n": 1}, {"ts": 2, "n": 2}), "main").unique_key
        assert create(session(*other), "main").unique_key != key

    def test_identifiers_of_later_events_and_custom_fields_do_not_count(self):
        """Of its *first* event: a log sent again may name more of the person."""
        key = create(session({"ts": 1}, {"ts": 2}), "main").unique_key
        more = root_of(mine=1, **{"$user_account_id": "u"})
        assert create(session({"ts": 1}, {"ts": 2, "root": more}), "main").unique_key == key
        assert create(session({"ts": 1, "root": root_of(mine=1)}, {"ts": 2}), "main").unique_key == key

    def test_equal_parts_of_one_session_stay_apart(self):
        """Decision 17: a thousand equal events without ids, cut by size. The store must not take two parts for one."""
        feed = Feed()
        parts = [part for _ in range(1000) for part in feed.closed(0, arrival=0)]
        parts += feed.closed(0, arrival=0, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}")[:-1]
        assert sum(len(part.members) for part in parts) == 1000
        assert len(parts) > 3
        assert [part.part for part in parts] == list(range(len(parts)))
        assert len({create(part, "main").unique_key for part in parts}) == len(parts)

    def test_equal_parts_that_an_origin_cuts_stay_apart(self):
        """Also within one millisecond, in turns, and in what is shown of the open session."""
        feed = Feed(grace_ms=10)
        for source in "abab":
            feed.event(0, **{"$source": source})
        shown = [create(view, "main").unique_key for view in feed.visitor.snapshots()]
        closed = feed.closed(0, kind=RecordKind.CLOSE, channel="", event=b"", root=b"{}")
        keys = [create(part, "main").unique_key for part in closed[:-1]]
        assert len(set(keys)) == 4
        assert shown == keys

    def test_the_first_part_has_the_key_of_a_whole_session(self):
        """What a session loses behind its first part does not change that part's key."""
        feed = Feed()
        feed.event(0, n=1)
        (first,) = feed.closed(1, **{"$source": "x"})
        assert first.part == 0
        assert create(first, "main").unique_key == create(session({"ts": 0, "n": 1}), "main").unique_key


class TestLive:
    """Decision 11."""

    def test_one_activity_without_session(self):
        activity = create(live(5, 1), "main")
        assert (activity.status, activity.type, activity.ts_ms) == ("NO_SESSION", "SITE_VISIT", NOON + 1)
        assert activity.duration_s is None
        assert [event.ts_ms - NOON for event in activity.events] == [1, 5]

    def test_origin_is_that_of_the_first_event_that_has_one(self):
        """Nothing cuts a window at an origin, so it may come later."""
        feed = Feed()
        feed.live(0)
        feed.live(1, arrival=0, **{"$source": "a"})
        feed.live(2, arrival=0, **{"$source": "b"})
        (closed,) = feed.visitor.expire(NOON + 60_000)
        assert json.loads(create(closed, "main").origin) == {"$source": "a"}

    def test_two_equal_windows_stay_two(self):
        """Decision 13: the key is of the journal sequence."""
        feed = Feed()
        feed.live(0, arrival=0)
        (first,) = feed.visitor.expire(NOON + 60_000)
        feed.live(0, arrival=60_001)
        (second,) = feed.visitor.expire(NOON + 200_000)
        keys = [create(closed, "main").unique_key for closed in (first, second)]
        assert keys[0] != keys[1]
        assert keys[0].version == keys[1].version == 1


TOUCH = {
    "$type": "TOUCH",
    "$session_status": "NO_SESSION",
    "$user_agent_id": "vec:1",
    "$ttl": 5,
    "$location": {"$city": "X"},
    "$session_duration": 7,
    "mine": {"a": None},
    "$other": 1,
}


class TestItem:
    """Decision 12: as sent, one activity each."""

    def test_all_of_it(self):
        root = dump(TOUCH | {"$origin": {"$channel": "x", "mine": 2}, "$unique_key": ""})
        events = b"[" + event_of(NOON + 5) + b"," + event_of(NOON + 1) + b"]"
        found = shown(create(item(root, events, channel="", ts=9), "main"))
        assert UUID(found.pop("$unique_key")).version == 1
        origin = found.pop("$origin")
        assert {key: value for key, value in origin.items() if value is not None} == {
            "$ts": NOON + 9,
            "$channel": "x",
            "mine": 2,
        }
        location = found.pop("$location")
        assert location["$city"] == "X"
        assert found == {
            "$ts": NOON + 9,
            "$type": "TOUCH",
            "$session_status": "NO_SESSION",
            "$ttl": 5,
            "$user_agent_id": None,
            "$user_account_id": None,
            "$compartment_id": None,
            "$email_hash": None,
            "$user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": "vec:1"}],
            "$events": [
                {"$ts": NOON + 5, "$event_name": "e", "$properties": {}},
                {"$ts": NOON + 1, "$event_name": "e", "$properties": {}},
            ],
            "$error_analyzer_id": None,
            "$session_duration": 7,
            "mine": {"a": None},
            "$other": 1,
        }

    def test_a_closed_session_keeps_its_status_and_channel(self):
        root = dump(TOUCH | {"$type": "SITE_VISIT", "$session_status": "CLOSED_SESSION", "$site_id": 1})
        activity = create(item(root), "main")
        assert (activity.type, activity.status, activity.duration_s) == ("SITE_VISIT", "CLOSED_SESSION", 7)
        assert (activity.channel_field, activity.channel_id) == ("$site_id", "1")

    def test_documented_nulls(self):
        root = dump(dict.fromkeys(TOUCH) | {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": 1})
        activity = create(item(root, channel=""), "main")
        assert (activity.ttl_minutes, activity.location, activity.duration_s) == (None, None, None)
        assert {key: bytes(value) for key, value in activity.extras.items()} == {"mine": b"null", "$other": b"null"}

    def test_the_senders_key(self):
        """Decision 13: any UUID, in any of its spellings."""
        key = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"
        assert create(item(dump(TOUCH | {"$unique_key": key}), channel=""), "main").unique_key == UUID(key)

    def test_two_equal_touches_stay_two_and_a_replay_is_the_same(self):
        """Decision 13: else of the journal sequence."""
        root = dump(TOUCH)
        keys = [create(item(root, channel="", before=before), "main").unique_key for before in (0, 5, 5)]
        assert keys[0] != keys[1] == keys[2]

    def test_origin_of_the_first_event_that_has_one(self):
        """Decision 21."""
        sent = (event_of(NOON + 9), event_of(NOON + 5, **{"$source": "b"}), event_of(NOON + 1, **{"$source": "c"}))
        activity = create(item(dump(TOUCH), b"[" + b",".join(sent) + b"]"), "main")
        assert json.loads(activity.origin) == {"$source": "b"}, "first as they were sent, not by their times"


def test_session_snapshot():
    """Decision 11: how open sessions and live windows read with `live=true`."""
    feed = Feed()
    feed.event(0, n=1)
    feed.live(5)
    views = [session_snapshot(closed, "main") for closed in feed.visitor.snapshots()]
    assert [view.status for view in views] == ["SESSION_SNAPSHOT", "SESSION_SNAPSHOT"]
    assert [view.duration_s for view in views] == [0, None]
    assert shown(views[0])["$session_status"] == "SESSION_SNAPSHOT"


def test_what_is_no_activity():
    with pytest.raises(ValueError, match="state"):
        create(Closed(Source.STATE, 1, b"", (1,)), "main")
    with pytest.raises(ValueError, match="channel"):
        create(Closed(Source.SESSION, 1, b"", (1,)), "main")
    with pytest.raises(ValueError, match="channel"):
        create(Closed(Source.SESSION, 1, b"", (1,), channel=settings()), "main")
