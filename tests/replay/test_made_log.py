"""A made-up log through the whole engine, against sessions computed independently; shuffled, repeated, in parts."""

import gzip
from collections import Counter

import pytest

from tests.replay.made_log import DOMAIN, made_lines, shuffled
from tests.replay.reference import events_of, sessions_of
from tests.replay.replays import comparable, expected, replay, statistics, stored, write

pytestmark = pytest.mark.slow

LINES = made_lines()
EVENTS, BROKEN = events_of([line for line in LINES if line.strip()], DOMAIN)
SESSIONS = sessions_of(EVENTS)
USERS = {event.user for event in EVENTS}


def place_of(line: bytes) -> tuple[int, str] | None:
    events, _ = events_of([line], DOMAIN)
    return (events[0].ts_ms // 1000, str(events[0].user)) if events else None


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The log replayed once, and the report of that."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, replay(folder / "data", write(folder / "access.log", LINES), domain=DOMAIN)


def test_the_log_has_everything_in_it():
    assert Counter(session.cut for session in SESSIONS).keys() == {"", "origin", "referrer", "duration", "size"}
    latest, behind = 0, 0
    for event in EVENTS:
        latest = max(latest, event.ts_ms)
        behind = max(behind, latest - event.ts_ms)
    assert 50_000 <= behind < 60_000
    assert len(BROKEN) == 6
    assert len({line for line in LINES if line}) < len(EVENTS) - 100, "no equal lines"


def test_sessions_are_those_of_the_reference(whole):
    folder, _ = whole
    assert comparable(stored(folder / "data", USERS)) == comparable(expected(SESSIONS))


def test_the_report_says_what_happened(whole):
    _, report = whole
    assert report.lines == len(LINES)
    assert report.events == len(EVENTS)
    assert report.refused == {"unreadable_line": 5, "activity_too_large": 1}
    assert report.users == len(USERS)
    assert report.sessions == len(SESSIONS)
    assert report.duplicates == 0
    assert report.left_out == {"static": 0, "crawler": 0}
    assert report.late == 0
    assert report.signal is None
    cuts = Counter(session.cut for session in SESSIONS)
    assert {reason: number for reason, number in report.closed.items() if reason in cuts} == {
        reason: number for reason, number in cuts.items() if reason
    }
    assert sum(report.closed.values()) == len(SESSIONS)


def test_every_event_is_accounted_for(whole):
    folder, _ = whole
    counts = statistics(folder / "data")
    assert counts["events_stored"] == len(EVENTS)
    assert counts["events_open"] == 0
    assert counts["user_points"] == len(USERS)
    assert counts["events_received"] == sum(
        counts[f"events_{fate}"] for fate in ("stored", "duplicate", "refused", "dead", "dropped", "open")
    )


@pytest.mark.parametrize("seed", range(3))
def test_another_order_within_the_grace_changes_nothing(whole, tmp_path, seed):
    folder, first = whole
    lines = shuffled(LINES, place_of, seed)
    assert sorted(lines) == sorted(LINES)
    assert lines != LINES
    report = replay(tmp_path / "data", write(tmp_path / "access.log", lines), domain=DOMAIN)
    assert stored(tmp_path / "data", USERS) == stored(folder / "data", USERS)
    assert (report.events, report.sessions, report.refused) == (first.events, first.sessions, first.refused)


def test_a_repeated_replay_stores_nothing_twice(tmp_path):
    log = write(tmp_path / "access.log", LINES)
    first = replay(tmp_path / "data", log, domain=DOMAIN)
    activities = stored(tmp_path / "data", USERS)
    packed = tmp_path / "access.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    again = replay(tmp_path / "data", packed, domain=DOMAIN)
    assert stored(tmp_path / "data", USERS) == activities
    assert (again.events, again.sessions, again.users, again.closed) == (0, 0, 0, {})
    assert again.duplicates == first.events + len(BROKEN)
    assert again.refused == {}
    assert statistics(tmp_path / "data")["activities_stored"] == first.sessions


def test_a_log_in_parts_is_one_log_when_given_together(whole, tmp_path):
    folder, first = whole
    # Equal lines are counted within a file: the cut is where there are none on both sides.
    at = next(at for at in range(1500, len(LINES)) if not {*LINES[:at]} & {*LINES[at:]} - {b""})
    parts = [write(tmp_path / "1.log", LINES[:at]), write(tmp_path / "2.log", LINES[at:])]
    report = replay(tmp_path / "data", *parts, domain=DOMAIN)
    assert stored(tmp_path / "data", USERS) == stored(folder / "data", USERS)
    assert (report.lines, report.sessions) == (first.lines, first.sessions)


def test_without_all_programs_and_files_are_left_out(tmp_path):
    programs = [line for line in LINES if b"Googlebot" in line]
    files = [line for line in LINES if b"GET /style.css" in line and line not in programs]
    kept, _ = events_of([line for line in LINES if line.strip() and line not in {*programs, *files}], DOMAIN)
    report = replay(tmp_path / "data", write(tmp_path / "access.log", LINES), domain=DOMAIN, left_out=True)
    assert report.left_out == {
        "crawler": len(events_of(programs, DOMAIN)[0]),
        "static": len(events_of(files, DOMAIN)[0]),
    }
    assert report.events == len(kept)
    users = {event.user for event in kept}
    assert report.users == len(users)
    assert comparable(stored(tmp_path / "data", users)) == comparable(expected(sessions_of(kept)))


def test_an_engine_with_little_room_makes_the_replay_wait_and_nothing_else(tmp_path):
    lines = made_lines(seed=3, users=25)
    events, _ = events_of([line for line in lines if line.strip()], DOMAIN)
    report = replay(
        tmp_path / "data",
        write(tmp_path / "access.log", lines),
        domain=DOMAIN,
        **{"limits.mailbox_messages": 1, "limits.max_unstored_activities": 10, "limits.max_pending_write_bytes": 65536},
    )
    assert report.events == len(events)
    assert comparable(stored(tmp_path / "data", {event.user for event in events})) == comparable(
        expected(sessions_of(events))
    )
