"""The distribution: one version, what is declared is there, what is installed is pinned."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
REQUIREMENTS = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
PIN = re.compile(r"([a-z0-9][a-z0-9-]*)==(\S+)( ; .+)?")


def normal(requirement: str) -> str:
    """The name a requirement begins with, as package indexes compare names."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, f"no name in {requirement!r}"
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def pins() -> dict[str, str]:
    """Name → version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [(line, PIN.fullmatch(line)) for line in lines if line and not line.startswith("#")]
    assert [line for line, match in found if not match] == [], "constraints.txt has lines that pin no version"
    return {match[1]: match[2] for _, match in found if match}


def test_the_version_is_the_same_everywhere():
    assert metadata.version("sojourn") == PROJECT["version"], "run scripts/install: the installed version is another"
    command = [sys.executable, "-c", "from gateway.cli import main; main()", "--version"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert PROJECT["version"] in run.stdout, f"`sojourn --version` says {run.stdout!r} {run.stderr}"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## (Unreleased|{re.escape(PROJECT['version'])})\b", changes, re.MULTILINE)


def test_the_command_is_declared_and_can_be_loaded():
    (entry,) = metadata.distribution("sojourn").entry_points.select(group="console_scripts", name="sojourn")
    assert entry.value == PROJECT["scripts"]["sojourn"] == "gateway.cli:main"
    assert callable(entry.load())


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=normal)
def test_a_requirement_has_a_lower_bound_and_a_reason(requirement: str):
    assert re.search(r">=|==", requirement), f"{requirement} has no lower bound"
    assert re.search(rf'^\s*"{re.escape(requirement)}",\s+# \S+ \S+', TEXT, re.MULTILINE), (
        f"{requirement}: say in a comment on its line what it is for and why not an older one"
    )


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=normal)
def test_a_requirement_is_pinned_and_that_version_is_installed(requirement: str):
    name = normal(requirement)
    assert name in pins(), "run scripts/lock: constraints.txt has no pin for it"
    assert metadata.version(name) == pins()[name], "run scripts/install: another version is installed"


def test_what_is_imported_is_required():
    """Each library that a row of the house's table allows is one that we declare.

    Werkzeug comes with quart; `backports` is `backports.zstd`, and `compression` the same in newer standard libraries;
    `re2` is `google-re2`.
    """
    from tests.house import TABLE

    declared = {normal(requirement).replace("-", "_") for requirement in PROJECT["dependencies"]}
    allowed = {library.split(".")[0] for row in TABLE.values() for library in row.libraries}
    assert {"backports_zstd", "google_re2"} <= declared
    assert allowed - declared <= {"werkzeug", "backports", "compression", "re2"}


@pytest.mark.parametrize(
    "script", [".ci/run", *sorted(f"scripts/{file.name}" for file in (ROOT / "scripts").iterdir())]
)
def test_a_script_can_be_run_and_says_how(script: str):
    file = ROOT / script
    assert os.access(file, os.X_OK), f"chmod +x {script}"
    text = file.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# Usage: " + script)
    assert "\nset -euo pipefail\n" in text
    subprocess.run(["bash", "-n", file], check=True)


@pytest.mark.slow
def test_the_wheel_has_every_file_of_both_packages(tmp_path: Path):
    """Tables, pages and py.typed too: a pattern in .gitignore that names a folder of a package would drop it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = {
        file.relative_to(ROOT).as_posix()
        for package in ("engine", "gateway")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }
    assert {"engine/py.typed", "gateway/py.typed"} <= files
    assert files - packed == set()
