"""`sojourn query`: what it prints, for people and for scripts."""

import io
import json

import pytest

from engine.settings import StorageSettings
from engine.store.environment import LmdbStore
from gateway.cli import run
from tests.contract.builders import activity, point, put_point

TS_MS = 1_700_000_000_000


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    store = LmdbStore.open(StorageSettings(data_dir=str(tmp_path / "data")))
    store.commit([put_point(point(1))])
    for number in range(60):
        names = ["$page_view"] * (number % 2) + ["buy"]
        events = [{"$ts": TS_MS + number, "$event_name": name, "$properties": {"price": number}} for name in names]
        body = {"$ts": TS_MS + number, "$type": "TOUCH", "$site_id": "1", "$events": events}
        store.commit([activity(json.dumps(body).encode(), ts_ms=TS_MS + number, key=number)])
    store.close()
    return str(tmp_path / "data")


def ask(capsys, data, text, *options):
    code = run(["query", text, "--data", data, *options])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_table_has_the_selected_columns_and_says_that_there_is_more(capsys, data):
    code, out, err = ask(capsys, data, "SELECT { ts events { name } } FROM UserActivity")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["ts", "events"]
    assert lines[2].split()[0] == str(TS_MS + 59) or lines[1].split()[0] == str(TS_MS + 59)
    assert "more than these 50" in out
    assert ask(capsys, data, "SELECT { ts } FROM UserActivity LIMIT 2")[1].count("17000") == 2
    assert ask(capsys, data, "SELECT { ts } FROM UserActivity", "--limit", "3")[1].count("17000") == 3
    assert "Nothing matches" in ask(capsys, data, 'type = "EMAIL"')[1]


def test_json_is_a_line_for_each_row(capsys, data):
    code, out, _ = ask(capsys, data, 'SELECT { name properties.price } FROM UserEvent WHERE name = "buy"', "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert rows == [{"name": "buy", "properties.price": number} for number in reversed(range(60))]
    whole = json.loads(ask(capsys, data, 'name = "buy"', "--json", "--limit", "1")[1])
    assert whole["$event_name"] == "buy"


def test_aggregations(capsys, data):
    assert ask(capsys, data, "SELECT @count{} FROM UserEvent")[1] == "90\n"
    assert json.loads(ask(capsys, data, "SELECT @count{} FROM UserEvent", "--json")[1]) == {"count": 90}
    out = ask(capsys, data, "SELECT { name @map(limit: 1) properties { price @max } } FROM UserEvent")[1]
    assert "59" in out
    assert "buy" in out
    assert "(others)" in out
    found = json.loads(ask(capsys, data, "SELECT { name @map } FROM UserEvent", "--json")[1])
    assert found["aggregations"]["buckets"][0]["buckets"][0] == {"key": "buy", "count": 60}
    assert json.loads(ask(capsys, data, "SELECT @count{} FROM UserPoint", "--json")[1]) == {"count": 1}


def test_json_otql_and_stdin(capsys, data, monkeypatch):
    query = '{"from": "UserActivity", "operations": [{"directives": [{"name": "count"}]}]}'
    assert ask(capsys, data, query)[1] == "60\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(query))
    assert ask(capsys, data, "-")[1] == "60\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'events {\n  nam = "x" }',
            'row 2, column 3: UserEvent has no field `nam`; did you mean `name`?\n    nam = "x" }\n    ^',
        ),
        ("name =", "row 1, column 7"),
        ('{"from": "UserEvent", "where": {"type": "X"}}', "where.type"),
    ],
)
def test_a_fault_is_shown_where_it_is(capsys, data, text, said):
    code, out, err = ask(capsys, data, text)
    assert (code, out) == (2, "")
    assert said in err


def test_what_cannot_be_done(capsys, data, tmp_path):
    assert ask(capsys, data, "type IS NULL", "--limit", "0")[0] == 2
    assert ask(capsys, str(tmp_path / "none"), "type IS NULL")[0] == 2


def test_a_terminal_shows_how_far_it_is(capsys, data, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("gateway.commands.query.REDRAW_EVERY_S", 0)
    code, out, err = ask(capsys, data, "SELECT { ts } FROM UserActivity", "--json")
    assert code == 0
    assert len(out.splitlines()) == 60
    assert "read" in err
    assert "2023-11-14" in err


def test_a_query_that_is_defined_is_asked_by_its_name(capsys, data, tmp_path):
    field = '[[datamart.schema.field]]\nobject_type = "UserEvent"\nname = "cost"\npaths = ["$properties.price"]\n'
    query = "[[datamart.query]]\nid = \"dear\"\nquery = 'SELECT @count{} FROM UserEvent WHERE cost >= 50'\n"
    (tmp_path / "shop.toml").write_text(f"[[datamart]]\nid = 1\n{query}{field}type = 'NUMBER'\n")
    assert run(["apply", str(tmp_path / "shop.toml"), "--data", data]) == 0
    capsys.readouterr()
    assert ask(capsys, data, "@dear") == (0, "15\n", "")
    code, _, err = ask(capsys, data, "@cheap")
    assert (code, "there is no query `cheap`" in err) == (2, True)
