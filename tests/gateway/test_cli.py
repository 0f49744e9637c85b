"""The manual: every command is in it, with the help that its module has, and its examples are real."""

import re
import shlex
from pathlib import Path

import pytest

from gateway.cli import COMMANDS, command_line, run


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which no line is broken."""
    monkeypatch.setenv("COLUMNS", "300")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str, capsys: pytest.CaptureFixture[str]):
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert COMMANDS[name] in shown
    assert "--data DIR" in shown
    assert "Example" in shown


def test_the_manual_lists_every_command(capsys: pytest.CaptureFixture[str]):
    assert run([]) == 0
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, line in COMMANDS.items():
        assert name in shown
        assert line in shown


def test_the_manual_lists_every_exit_code(capsys: pytest.CaptureFixture[str]):
    run(["--help"])
    # At the width of this test the list is one code a line.
    codes = re.findall(r"[•*-] (\d+(?:, \d+)*):", capsys.readouterr().out)
    assert {code for line in codes for code in line.split(", ")} == {"0", "1", "2", "3", "4", "130", "143"}


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_examples_can_be_parsed(name: str, capsys: pytest.CaptureFixture[str]):
    run([name, "--help"] if name else ["--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    examples = [line for line in lines if "sojourn " in line and "--data" in line and "Usage" not in line]
    assert examples
    for line in examples:
        arguments = shlex.split(line.partition("sojourn ")[2].partition(" | ")[0])
        command_line(arguments).parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve"], ["activities"], ["stats", "--data"], ["stats", "-x"]])
def test_wrong_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sojourn: ")
    assert "--help" in err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serve", "--collect", "nonsense"], "nonsense"),
        (["serve", "--config", "DIR/wrong.toml"], "prot"),
        (["serve", "--config", "DIR/none.toml"], "none.toml"),
        (["stats"], "DIR/none"),
        (["activities", "user_agent_id=x"], "DIR/none"),
        (["activities", "user_agent_id=x", "--limit", "0"], "--limit"),
        (["dead-letters"], "DIR/none"),
        (["dead-letters", "--limit", "-1"], "--limit"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_names_it(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "wrong.toml").write_text("[collect]\nprot = 1\n")
    placed = [argument.replace("DIR", str(tmp_path)) for argument in arguments]
    assert run([*placed, "--data", str(tmp_path / "none")]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("sojourn: ")
    assert named.replace("DIR", str(tmp_path)) in err
    assert not (tmp_path / "none").exists()


def test_the_version(capsys: pytest.CaptureFixture[str]):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sojourn")
