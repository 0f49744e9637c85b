"""A real web server's log, where it lies beside the project, against sessions computed independently."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.replay.made_log import shuffled
from tests.replay.reference import events_of, sessions_of
from tests.replay.replays import comparable, expected, replay, statistics, stored, write

LOG = Path(__file__).parents[2].parent / "shared" / "data" / "apache_combined.log"
DOMAIN = "semicomplete.com"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LOG.exists(), reason=f"no sample log beside the project ({LOG.parent.name}/{LOG.name})"),
]


@pytest.fixture(scope="module")
def events():
    return events_of(LOG.read_bytes().splitlines(), DOMAIN)[0]


@pytest.fixture(scope="module")
def sessions(events):
    return sessions_of(events)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    data = tmp_path_factory.mktemp("sample") / "data"
    return data, replay(data, LOG, domain=DOMAIN)


def test_the_numbers(whole, events, sessions):
    data, report = whole
    assert (len(events), len({event.user for event in events})) == (9999, 1861)
    assert sum(not session.cut for session in sessions) == 3223  # By the gap alone.
    assert (report.lines, report.events, report.refused, report.users) == (10_000, 9999, {"unreadable_line": 1}, 1861)
    assert report.sessions == len(sessions)
    counts = statistics(data)
    assert (counts["events_stored"], counts["events_dead"], counts["user_points"]) == (9999, 1, 1861)
    assert (counts["events_late"], counts["events_open"]) == (0, 0)


def test_the_cuts(whole, sessions):
    _, report = whole
    cuts = Counter(session.cut for session in sessions if session.cut)
    assert {reason: report.closed.get(reason, 0) for reason in ("origin", "referrer", "duration", "size")} == {
        reason: cuts[reason] for reason in ("origin", "referrer", "duration", "size")
    }


def test_the_sessions(whole, events, sessions):
    data, _ = whole
    found = stored(data, {event.user for event in events})
    ids = sorted(tuple(event["$event_id"] for event in item["$events"]) for theirs in found.values() for item in theirs)
    assert ids == sorted(session.ids for session in sessions)
    assert comparable(found) == comparable(expected(sessions))


def test_another_order_within_the_grace_changes_nothing(whole, events, tmp_path):
    def place_of(line: bytes) -> tuple[int, str] | None:
        found, _ = events_of([line], DOMAIN)
        return (found[0].ts_ms // 1000, json.dumps(found[0].user)) if found else None

    data, _ = whole
    users = {event.user for event in events}
    lines = shuffled(LOG.read_bytes().splitlines(), place_of, 5)
    replay(tmp_path / "data", write(tmp_path / "access.log", lines), domain=DOMAIN)
    assert stored(tmp_path / "data", users) == stored(data, users)


def test_again_is_nothing_new(whole, sessions, events):
    data, _ = whole
    before = stored(data, {event.user for event in events})
    report = replay(data, LOG, domain=DOMAIN)
    assert (report.events, report.duplicates, report.sessions) == (0, 10_000, 0)
    assert stored(data, {event.user for event in events}) == before
    assert statistics(data)["activities_stored"] == len(sessions)
