"""The command: what it refuses, what it prints, and that settings mean what they say."""

import gzip
import json
import sys

import pytest

from gateway.cli import run
from tests.replay.replays import statistics, stored, write

pytestmark = pytest.mark.slow

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"


def line(
    second: int, target: str = "/", *, address: str = "10.0.0.1", referrer: str = "-", agent: str = AGENT
) -> bytes:
    return (
        f"{address} - - [17/May/2015:10:{second // 60:02}:{second % 60:02} +0000] "
        f'"GET {target} HTTP/1.1" 200 5 "{referrer}" "{agent}"'
    ).encode()


def replay(capfd, data, *arguments) -> tuple[int, str, str]:
    code = run(["replay", "--data", str(data), *map(str, arguments)])
    out, err = capfd.readouterr()
    return code, out, err


def report(capfd, data, *arguments) -> dict:
    code, out, err = replay(capfd, data, "--json", *arguments)
    assert code == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


def test_a_first_replay_shows_a_table(capfd, tmp_path):
    log = write(tmp_path / "a.log", [line(0), line(5, "/b"), line(9, "/c.css"), b"broken"])
    code, out, err = replay(capfd, tmp_path / "data", "--domain", "example.com", log)
    assert code == 0
    rows = {" ".join(row.split()[:-1]): row.split()[-1] for row in out.splitlines() if row.strip()}
    assert rows["lines"] == "4"
    assert rows["events"] == "2"
    assert rows["sessions"] == "1"
    assert rows["closed: request"] == "1"
    assert rows["left out: static"] == "1"
    assert rows["dead letters: unreadable_line"] == "1"
    assert "sojourn dead-letters --data" in err
    assert "--domain" not in err


def test_json_is_one_line_with_all_numbers(capfd, tmp_path):
    log = tmp_path / "a.log.gz"
    log.write_bytes(gzip.compress(b"\n".join([line(0), line(0), line(1, agent="Googlebot/2.1"), b""])))
    assert report(capfd, tmp_path / "data", log) | {"seconds": 0, "events_per_s": 0} == {
        "lines": 3,
        "events": 2,
        "duplicates": 0,
        "left_out": {"static": 0, "crawler": 1},
        "refused": {},
        "users": 1,
        "sessions": 1,
        "closed": {"request": 1},
        "late": 0,
        "behind_store": False,
        "seconds": 0,
        "events_per_s": 0,
        "signal": None,
    }


def test_a_log_older_than_the_store_is_said_not_to_be_the_clock(capfd, tmp_path):
    old = write(tmp_path / "old.log", [line(0), line(5, "/b")])
    new = write(tmp_path / "new.log", [line(3000), line(3005, "/b")])
    data = tmp_path / "data"
    assert report(capfd, data, "--domain", "example.com", new)["behind_store"] is False
    # All of it is known: nothing arrives now that could be behind.
    assert report(capfd, data, "--domain", "example.com", new)["behind_store"] is False
    assert report(capfd, data, "--domain", "example.com", old)["behind_store"] is True
    older = write(tmp_path / "older.log", [line(1)])
    code, _, err = replay(capfd, data, "--domain", "example.com", older)
    assert (code, "newer records" in err) == (0, True)
    later = write(tmp_path / "later.log", [line(3500)])
    code, _, err = replay(capfd, data, "--domain", "example.com", later)
    assert (code, "newer records" in err) == (0, False)


def test_an_empty_log(capfd, tmp_path):
    found = report(capfd, tmp_path / "data", write(tmp_path / "a.log", []))
    assert (found["lines"], found["events"], found["sessions"]) == (0, 0, 0)


def test_standard_input(capfd, monkeypatch, tmp_path):
    log = write(tmp_path / "a.log", [line(0), line(1)])
    with log.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert report(capfd, tmp_path / "data", "-")["events"] == 2


def test_several_files_in_the_order_given(capfd, tmp_path):
    logs = [write(tmp_path / f"{number}.log", [line(number * 60)]) for number in range(3)]
    found = report(capfd, tmp_path / "data", *logs)
    assert (found["events"], found["sessions"], found["late"]) == (3, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "FILE"),
        (["no such file"], "No such file"),
        (["--al", "{log}"], "--al"),
        (["--site", "no-such", "{log}"], "no site no-such"),
        (["--domain", "https://example.com/", "{log}"], "https://example.com/"),
        (["--format", "xml", "{log}"], "xml"),
        (["--config", "no.toml", "{log}"], "no.toml"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_made(capfd, tmp_path, arguments, message):
    log = write(tmp_path / "a.log", [line(0)])
    code, out, err = replay(capfd, tmp_path / "data", *(argument.format(log=log) for argument in arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "data").exists()


def test_a_damaged_file_keeps_what_is_before_the_damage(capfd, tmp_path):
    log = tmp_path / "a.log.gz"
    lines = [line(second, f"/{second * 7919}") for second in range(3000)]
    log.write_bytes(gzip.compress(b"\n".join(lines))[:-500])
    code, out, err = replay(capfd, tmp_path / "data", log)
    assert (code, out) == (2, "")
    assert "a.log.gz" in err
    counts = statistics(tmp_path / "data")
    assert counts["events_received"] > 1000
    assert counts["events_open"] > 0
    whole = write(tmp_path / "a.log", lines)
    assert report(capfd, tmp_path / "data", whole)["duplicates"] == counts["events_received"]


def test_own_pages_are_no_foreign_referrers(capfd, tmp_path):
    log = write(
        tmp_path / "a.log",
        [
            line(0),
            line(100, "/b", referrer="https://www.example.com/"),
            line(200, "/c", referrer="https://example.com/b"),
        ],
    )
    assert report(capfd, tmp_path / "own", "--domain", "example.com", log)["sessions"] == 1
    code, _, err = replay(capfd, tmp_path / "foreign", log)
    assert code == 0
    assert "--domain" in err
    assert statistics(tmp_path / "foreign")["activities_stored"] > 1


def test_the_domain_may_be_configured(capfd, tmp_path):
    config = tmp_path / "sojourn.toml"
    config.write_text('[[datamart]]\nid = 1\n[[datamart.channel]]\nid = "shop"\ndomain = "example.com"\n')
    log = write(tmp_path / "a.log", [line(0), line(100, "/b", referrer="https://www.example.com/")])
    assert report(capfd, tmp_path / "data", "--config", config, log)["sessions"] == 1
    assert report(capfd, tmp_path / "data", "--config", config, "--site", "shop", log)["duplicates"] == 2


def test_the_first_datamart_may_have_any_id(capfd, tmp_path):
    config = tmp_path / "sojourn.toml"
    config.write_text('[[datamart]]\nid = 7\n[[datamart.channel]]\nid = "shop"\n')
    log = write(tmp_path / "a.log", [line(0), b"broken"])
    found = report(capfd, tmp_path / "data", "--config", config, log)
    assert (found["events"], found["sessions"], found["refused"]) == (1, 1, {"unreadable_line": 1})


# The last line is late by 30 s, and of a session from elsewhere.
OUT_OF_ORDER = [line(0), line(100, "/c", referrer="https://a.example.org/"), line(70, "/b")]


def test_lines_may_be_out_of_order_by_a_minute_unless_told_otherwise(capfd, monkeypatch, tmp_path):
    log = write(tmp_path / "a.log", OUT_OF_ORDER)
    assert report(capfd, tmp_path / "1", "--domain", "example.com", log)["sessions"] == 2
    by_default = groups(tmp_path / "1")
    config = tmp_path / "sojourn.toml"
    config.write_text("[session]\ngrace_ms = 0\n")
    report(capfd, tmp_path / "2", "--domain", "example.com", "--config", config, log)
    by_file = groups(tmp_path / "2")
    monkeypatch.setenv("SOJOURN_SESSION__GRACE_MS", "0")
    report(capfd, tmp_path / "3", "--domain", "example.com", log)
    assert by_default == [["/", "/b"], ["/c"]]
    assert by_file == groups(tmp_path / "3") == [["/"], ["/b"], ["/c"]]


def groups(data) -> list[list[str]]:
    """The paths of each activity of the one user."""
    from tests.replay.reference import events_of

    events, _ = events_of(OUT_OF_ORDER, "example.com")
    (theirs,) = stored(data, {event.user for event in events}).values()
    return [
        [event["$properties"]["$url"].removeprefix("https://example.com") for event in item["$events"]]
        for item in theirs
    ]


def item(**fields: object) -> bytes:
    return json.dumps({"$" + name: value for name, value in fields.items()}).encode()


VISIT = {"type": "SITE_VISIT", "session_status": "IN_SESSION", "site_id": "1", "user_agent_id": "browser"}


def test_ndjson_twice(capfd, tmp_path):
    lines = [
        item(
            **VISIT,
            events=[{"$ts": 1_700_000_000_000, "$event_name": "a"}, {"$ts": 1_700_000_001_000, "$event_name": "b"}],
        ),
        item(**VISIT, events=[{"$ts": 1_700_000_100_000, "$event_name": "c"}]),
        item(**VISIT, events=[{"$ts": 1_700_000_100_000, "$event_name": "c"}]),
        item(type="TOUCH", session_status="NO_SESSION", user_agent_id="browser", ts=1_700_000_200_000, events=[]),
        item(type="TOUCH", session_status="NO_SESSION", user_agent_id="browser", ts=1_700_000_200_000),
        b"[1, 2]",
        b'{"$type": "NONSENSE"}',
        b'{"broken": ',
    ]
    log = write(tmp_path / "a.ndjson", lines)
    found = report(capfd, tmp_path / "data", log)
    assert (found["events"], found["sessions"], found["users"]) == (6, 3, 1)
    assert sum(found["refused"].values()) == 3
    assert found["refused"]["unreadable_line"] == 2
    before = stored(tmp_path / "data", [(("$user_agent_id", "browser"),)])
    again = report(capfd, tmp_path / "data", "--format", "ndjson", log)
    assert (again["events"], again["sessions"], again["refused"], again["duplicates"]) == (0, 0, {}, 9)
    assert stored(tmp_path / "data", [(("$user_agent_id", "browser"),)]) == before
    (activities,) = before.values()
    assert sorted(len(one["$events"]) for one in activities) == [0, 0, 4]


def test_a_blank_line_says_nothing(capfd, tmp_path):
    log = write(tmp_path / "a.ndjson", [b"", b" \r", item(**VISIT, events=[{"$ts": 5, "$event_name": "a"}]), b""])
    found = report(capfd, tmp_path / "data", log)
    assert (found["lines"], found["events"], found["refused"]) == (4, 1, {})


def test_the_manual(capfd):
    assert run(["replay", "--help"]) == 0
    out, _ = capfd.readouterr()
    for word in (
        "--data",
        "--config",
        "--format",
        "--site",
        "--domain",
        "--all",
        "--json",
        "gzip",
        "standard input",
        "behind_store",
    ):
        assert word in out
