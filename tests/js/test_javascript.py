"""Our JavaScript: linted, and its unit tests run against the tag as browsers get it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from gateway.collect.protocols.tag import served
from tests.tools import missing, need

HERE = Path(__file__).parent
HOW = "Node.js 20.19 or newer and npm, then scripts/install dev"
OLDEST_NODE = (20, 19)

pytestmark = pytest.mark.slow


@pytest.fixture
def node() -> str:
    """A Node.js that is new enough, with what package-lock.json names installed beside these tests."""
    program = need("node", HOW)
    found = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if version < OLDEST_NODE:
        missing(f"Node.js is {found.strip()}: {HOW}")
    if not (HERE / "node_modules" / "eslint").is_dir():
        missing(f"tests/js/node_modules is not there: {HOW}")
    return program


def run(program: str, *arguments: str, cwd: Path, **env: str) -> None:
    """Run it; its output is what the failure says."""
    done = subprocess.run(
        [program, *arguments], cwd=cwd, env=os.environ | env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_javascript_is_linted(node: str):
    eslint = "tests/js/node_modules/eslint/bin/eslint.js"
    options = ("--max-warnings", "0", "--config", "tests/js/eslint.config.js")
    run(node, eslint, *options, "gateway", "tests/js", "examples", cwd=HERE.parent.parent)


def test_the_unit_tests_of_the_tag_pass_on_what_is_served(node: str, tmp_path: Path):
    tag = tmp_path / "tag.js"
    tag.write_bytes(served()[0])
    run(node, "--test", "unit/", cwd=HERE, TAG_SERVED=str(tag))


def test_the_lock_file_names_no_registry():
    lock = (HERE / "package-lock.json").read_text(encoding="utf-8")
    assert '"integrity"' in lock
    assert '"resolved"' not in lock, "tests/js/.npmrc keeps addresses out: write it with npm in that folder"
    assert "https://registry" not in lock
