"""`sojourn apply` on a store at rest: what it prints, its exit codes, and what it refuses."""

import json
import tomllib
from pathlib import Path

import pytest

from gateway.cli import run
from tests.definitions.files import FULL


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which no line is broken, and no settings but those of the test."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SOJOURN_ADMIN_TOKEN", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(tmp_path / "data")


def file_of(folder: Path, text: str) -> str:
    file = folder / "shop.toml"
    file.write_text(f"[[datamart]]\nid = 1\n{text}")
    return str(file)


def test_a_dry_run_tells_whether_something_would_change(data: str, capsys: pytest.CaptureFixture[str]):
    assert run(["apply", str(FULL), "--data", data, "--dry-run"]) == 4
    out = capsys.readouterr().out
    assert "+ event_rule search  datamart 1" in out
    assert "would change; nothing was written." in out
    assert not Path(data).exists()
    assert run(["apply", str(FULL), "--data", data]) == 0
    assert "added: applied; holds from the next start." in capsys.readouterr().out
    assert run(["apply", str(FULL), "--data", data, "--dry-run"]) == 0
    assert capsys.readouterr().out == "Nothing is different.\n"


def test_what_is_different_is_shown_field_by_field(tmp_path: Path, data: str, capsys: pytest.CaptureFixture[str]):
    run(["apply", file_of(tmp_path, "[[datamart.goal]]\nid = 'a'\n[[datamart.goal]]\nid = 'b'"), "--data", data])
    capsys.readouterr()
    text = "[[datamart.goal]]\nid = 'c'\n[[datamart.goal]]\nid = 'b'\ndefault_goal_value = 3\n"
    assert run(["apply", file_of(tmp_path, text), "--data", data]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "+ goal c",
        "~ goal b",
        "    default_goal_value: nothing → 3.0",
        "- goal a",
        "1 added, 1 changed, 1 removed: applied; holds from the next start.",
    ]


def test_json_is_the_difference(tmp_path: Path, data: str, capsys: pytest.CaptureFixture[str]):
    assert run(["apply", file_of(tmp_path, "[[datamart.goal]]\nid = 'a'"), "--data", data, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["applied"]
    assert [(one["what"], one["kind"], one["id"]) for one in found["changes"]] == [
        ("added", "datamart", "1"),
        ("added", "goal", "a"),
    ]


def test_a_refused_file_is_told_by_its_places(tmp_path: Path, data: str, capsys: pytest.CaptureFixture[str]):
    file = file_of(tmp_path, "nam = 1\n[[datamart.goal]]\nid = ''")
    assert run(["apply", file, "--data", data]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "datamart[0].nam: unknown key; did you mean name?" in err
    assert "datamart[0].goal[0].id: " in err
    assert run(["apply", str(tmp_path / "none.toml"), "--data", data]) == 2
    assert "none.toml: No such file" in capsys.readouterr().err


def test_the_settings_of_the_server_count(tmp_path: Path, data: str, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "sojourn.toml"
    config.write_text("[[datamart]]\nid = 1\n[[datamart.channel]]\nid = 'app'\nkind = 'MOBILE_APPLICATION'\n")
    rule = "[[datamart.event_rule]]\nid = 'r'\ntype = 'CATALOG_AUTO_MATCH'\nchannel = 'app:app'\n"
    file = file_of(tmp_path, rule + "[[datamart.catalog]]\nid = 'c'\n")
    assert run(["apply", file, "--data", data]) == 2
    assert "there is no channel app:app; there are site:1" in capsys.readouterr().err
    assert run(["apply", file, "--data", data, "--config", str(config)]) == 0


@pytest.mark.parametrize("arguments", [[], ["--data", "x", "--server", "http://x"]])
def test_one_place_is_needed(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(["apply", str(FULL), *arguments]) == 2
    assert "one of --data and --server" in capsys.readouterr().err


@pytest.mark.parametrize("server", ["http://127.0.0.1:1", "no address"])
def test_a_server_that_is_not_there_is_told(server: str, capsys: pytest.CaptureFixture[str]):
    assert run(["apply", str(FULL), "--server", server, "--token", "t"]) == 2
    assert "cannot be asked" in capsys.readouterr().err


def test_the_reference_can_be_applied(tmp_path: Path, data: str, capsys: pytest.CaptureFixture[str]):
    assert run(["config", "--definitions"]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text) == {"datamart": [{"id": 1, "schema": {}}]}
    file = tmp_path / "reference.toml"
    file.write_text(text)
    assert run(["apply", str(file), "--data", data]) == 0
