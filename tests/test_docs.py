"""The documents say what is there: every command, room and section of the settings, and examples that run."""

import ast
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from engine import Settings, apply_to_directory, load_settings
from engine.model.webhook_signature import signature_headers

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARKER = "SESSION_SNAPSHOT"
"""What the embedding example must print: without it, the loop over the live activities ran for nothing."""
SHELL = {"sh", "bash", "shell", "console"}


def read(name: str) -> str:
    """The text of a document at the top of the project."""
    file = ROOT / name
    assert file.is_file(), f"{name} is missing"
    return file.read_text(encoding="utf-8")


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of `text` whose info string is one of `languages`."""
    return [body for info, body in BLOCK.findall(text) if info.strip() in languages]


def commands_named(text: str) -> set[str]:
    """Every x of `sojourn x` in a shell block or between backticks."""
    code = [*blocks(text, *SHELL), *re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))]
    return {name for part in code for name in re.findall(r"\bsojourn +([a-z][a-z-]*)", part)}


def commands_listed(help_text: str) -> set[str]:
    """The commands in what `sojourn --help` prints: a name, at least two spaces, what it does."""
    return set(re.findall(r"^[^\w\n-]*([a-z][a-z-]*)  +\S", help_text, re.MULTILINE))


@pytest.fixture(scope="module")
def commands() -> set[str]:
    """The commands that there are."""
    run = subprocess.run(
        [sys.executable, "-c", "from gateway.cli import main; main()", "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, f"`sojourn --help` failed:\n{run.stderr}"
    found = commands_listed(run.stdout)
    assert found, f"no command recognised in the help:\n{run.stdout}"
    return found


def test_every_command_in_the_readme_exists(commands: set[str]):
    named = commands_named(read("README.md"))
    assert named, "README.md shows no `sojourn` command"
    assert named - commands == set()


def test_every_command_is_in_the_readme(commands: set[str]):
    assert commands - commands_named(read("README.md")) == set()


def test_every_script_in_the_documents_exists():
    for name in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"\bscripts/([a-z][a-z-]*)", read(name)))
        assert named, f"{name} names no script"
        assert named - {file.name for file in (ROOT / "scripts").iterdir()} == set()


@pytest.mark.slow
def test_the_python_examples_of_the_readme_run(tmp_path: Path):
    """A block that is not to be run has another info string than `python`, such as `python no-run`."""
    examples = blocks(read("README.md"), "python")
    assert examples, "README.md has no ```python block"
    printed = ""
    for number, example in enumerate(examples, 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "example.py").write_text(example, encoding="utf-8")
        run = subprocess.run(
            [sys.executable, "-W", "error", "example.py"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == 0, f"```python block {number} of README.md failed:\n{run.stderr}"
        assert run.stdout.strip(), f"```python block {number} of README.md prints nothing"
        printed += run.stdout
    assert f'"{MARKER}"' in printed, f"no example of README.md prints a {MARKER}"


def rooms() -> list[str]:
    """The folders of engine/ and gateway/ that have a module in them."""
    folders = (folder for package in ("engine", "gateway") for folder in (ROOT / package).iterdir())
    return sorted(f"{folder.parent.name}/{folder.name}" for folder in folders if any(folder.glob("*.py")))


@pytest.mark.parametrize("room", rooms())
def test_a_room_is_in_the_architecture(room: str):
    assert re.search(rf"(?<![\w-]){room.split('/')[1]}/", read("ARCHITECTURE.md")), (
        f"ARCHITECTURE.md does not name {room}/"
    )


def sections() -> list[str]:
    """The sections of the settings: the fields of the Struct `Settings`."""
    file = ROOT / "engine" / "settings" / "root.py"
    assert file.is_file(), "engine/settings/root.py is missing"
    classes = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    fields = [
        field.target.id
        for node in classes
        if node.name == "Settings"
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    ]
    assert fields, "engine/settings.py has no class Settings with fields"
    return fields


def test_every_section_of_the_settings_is_in_the_architecture():
    text = read("ARCHITECTURE.md")
    missing = [name for name in sections() if not re.search(rf"`\[?{name}\b|^\[{name}\]", text, re.MULTILINE)]
    assert missing == [], "ARCHITECTURE.md names no `[section]` for these"


def tables(language: str) -> list[tuple[str, str]]:
    """The blocks of a language with a table of a datamart in them: document and number, text."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [
        (f"{document.name}-{number}", block)
        for document in documents
        for number, block in enumerate(blocks(document.read_text(encoding="utf-8"), language), 1)
        if "[[datamart]]" in block
    ]


@pytest.mark.parametrize("block", [block for _, block in tables("toml")], ids=[name for name, _ in tables("toml")])
def test_an_example_of_definitions_or_settings_is_accepted(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What only settings have, other tables and signing keys, makes it a file of settings; any other is applied."""
    declared = tomllib.loads(block)
    monkeypatch.syspath_prepend(tmp_path)
    for module in re.findall(r'^callable = "(\w+):', block, re.MULTILINE):
        (tmp_path / f"{module}.py").touch()  # The reader's own; that it is there is looked at.
    if set(declared) != {"datamart"} or any("signing_key" in one for one in declared["datamart"]):
        file = tmp_path / "sojourn.toml"
        file.write_text(block, encoding="utf-8")
        assert load_settings(file, {}).datamarts
    else:
        assert apply_to_directory(tmp_path / "data", Settings(), declared, dry_run=True).changes


def examples_of(document: str) -> dict[str, object]:
    """What the Python blocks of a document define."""
    found: dict[str, object] = {}
    for block in blocks(read(document), "python"):
        exec(compile(block, document, "exec"), found)
    return found


def test_the_receiver_in_the_documents_tells_our_signature_from_others():
    verify = examples_of("docs/pipeline.md")["verify"]
    assert callable(verify)
    now_s = int(time.time())
    for secret in ("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "long and random"):
        headers = signature_headers(secret, "0b7c", now_s, b"{}")
        assert verify(secret, headers, b"{}")
        assert not verify(secret, headers, b"{ }")
        assert not verify("another", headers, b"{}")
        assert not verify(secret, signature_headers(secret, "0b7c", now_s - 3600, b"{}"), b"{}")


def test_the_callable_in_the_documents_does_what_it_says():
    clean = examples_of("docs/pipeline.md")["clean"]
    assert callable(clean)
    events = [{"$event_name": "noise"}, {"$event_name": "kept"}]
    assert clean({"$events": events}, {"brand": "ACME"}) == {"$events": events[1:], "brand": "ACME"}


def test_the_readers_of_documents_see_what_they_should():
    text = "sojourn turns …\n\n`sojourn stats --json`\n```sh\nscripts/serve\n.venv/bin/sojourn replay x\n```\n"
    assert commands_named(text) == {"stats", "replay"}
    assert commands_named("```python\nsojourn nothing\n```\n") == set()
    listing = "Usage: sojourn COMMAND\n\n╭─ Commands ─╮\n│ dead-letters  What could not. │\n│ --help (-h)   Show. │\n"
    assert commands_listed(listing) == {"dead-letters"}
    assert blocks("```python\na\n```\n```python no-run\nb\n```\n", "python") == ["a\n"]
