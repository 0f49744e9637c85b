"""The house test: who imports whom, what has a docstring, how long a file may be. And that the reader sees breaches."""

from pathlib import Path

import pytest

from tests.house import MAX_LINES, TABLE, breaches

ROOT = Path(__file__).parent.parent
FOLDERS = ("engine", "gateway", "tests", "bench", "examples", "fuzz")


def read_house() -> dict[str, str]:
    """Path → text of every Python file of the project."""
    files = (file.relative_to(ROOT) for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
    # Some packages of npm bring Python files: they are not ours.
    own = (file for file in files if "node_modules" not in file.parts)
    return {file.as_posix(): (ROOT / file).read_text(encoding="utf-8") for file in own}


def check(path: str, *lines: str, beside: tuple[str, ...] = ()) -> list[str]:
    """Breaches of a module made of `lines`, with empty modules `beside` it."""
    source = '"""A module."""\n' + "\n".join(lines)
    return breaches({path: source} | {other: '"""Another."""' for other in beside if other != path})


def test_the_house_keeps_its_laws():
    house = read_house()
    assert {path.split("/")[0] for path in house} >= {"engine", "gateway", "tests"}, "a package has no Python file"
    found = breaches(house)
    assert not found, f"{len(found)} breaches of the house:\n" + "\n".join(found)


BESIDE = (
    "engine/__init__.py",
    "engine/errors.py",
    "engine/model/__init__.py",
    "engine/model/wire.py",
    "engine/session/visitor.py",
    "engine/query/ast.py",
    "engine/pipeline/stage.py",
    "engine/pipeline/chain.py",
    "engine/pipeline/create.py",
    "engine/pipeline/event_rules/url_match.py",
    "engine/store/port.py",
    "engine/store/environment.py",
    "engine/actors/router.py",
    "engine/engine.py",
    "gateway/cli.py",
)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("engine/model/event.py", "import trio"),
        ("engine/model/event.py", "from engine.session.visitor import Visitor"),
        ("engine/model/event.py", "from engine.session import visitor"),
        ("engine/model/event.py", "from ..session import visitor"),
        ("engine/model/event.py", "from ..session.visitor import Visitor"),
        ("engine/model/__init__.py", "from ..query import ast"),
        ("engine/model/event.py", "import json"),
        ("engine/model/wire.py", "import time"),
        ("engine/identity/attach.py", "import msgspec"),
        ("engine/identity/attach.py", "from msgspec import json"),
        ("engine/identity/attach.py", "from random import random"),
        ("engine/identity/attach.py", "from publicsuffixlist import PublicSuffixList"),
        ("engine/session/visitor.py", "import logging.handlers"),
        ("engine/session/visitor.py", "def _now():\n    import time"),
        ("engine/session/visitor.py", "if TYPE_CHECKING:\n    from engine.actors.router import Router"),
        ("engine/session/visitor.py", "try:\n    import lmdb\nexcept ImportError:\n    pass"),
        ("engine/session/visitor.py", "from uuid import uuid4"),
        ("engine/session/visitor.py", "_ID = uuid.uuid4()"),
        ("engine/session/visitor.py", "_NOW = datetime.now(UTC)"),
        ("engine/session/visitor.py", "_NOW = datetime.datetime.now(UTC)"),
        ("engine/query/compile.py", "import httpx"),
        ("engine/definitions/rules.py", "from engine.session.visitor import Visitor"),
        ("engine/pipeline/create.py", "from engine.store.port import Store"),
        ("engine/pipeline/create.py", "from engine.pipeline.event_rules import url_match"),
        ("engine/pipeline/create.py", "from .event_rules.url_match import match"),
        ("engine/pipeline/event_rules/url_match.py", "from engine.pipeline.create import Create"),
        ("engine/pipeline/create.py", "from engine.pipeline.chain import Chain"),
        ("engine/store/port.py", "import lmdb"),
        ("engine/store/port.py", "from engine.store.environment import Environment"),
        ("engine/store/memory.py", "from engine.observe import Metrics"),
        ("engine/store/environment.py", "import trio"),
        ("engine/store/environment.py", "from engine.actors.router import Router"),
        ("engine/actors/writer.py", "import lmdb"),
        ("engine/actors/writer.py", "from engine.store.environment import Environment"),
        ("engine/actors/writer.py", "import engine.engine"),
        ("engine/actors/writer.py", "import asyncio"),
        ("engine/errors.py", "from engine.clock import Clock"),
        ("engine/observe.py", "from engine.store.port import Store"),
        ("engine/engine.py", "import lmdb"),
        ("engine/engine.py", "from gateway.cli import main"),
        ("engine/__init__.py", "import gateway.cli"),
        ("engine/attic.py", ""),
        ("engine/attic/junk.py", ""),
        ("gateway/server.py", "from engine.model.wire import encode"),
        ("gateway/server.py", "from engine import model"),
        ("gateway/server.py", "from engine.errors import Overloaded"),
        ("gateway/server.py", "import engine.engine"),
        ("gateway/server.py", "import lmdb"),
        ("gateway/server.py", "import requests"),
    ],
)
def test_a_forbidden_import_is_seen(path: str, line: str):
    (found,) = check(path, line, beside=BESIDE)
    assert found.startswith(f"{path}:")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("engine/model/event.py", "import msgspec"),
        ("engine/model/event.py", "from engine.model.wire import encode"),
        ("engine/model/event.py", "from . import wire"),
        ("engine/model/event.py", "from engine.errors import CallerError"),
        ("engine/session/visitor.py", "from msgspec import Struct"),
        ("engine/session/boundary.py", "import publicsuffixlist"),
        ("engine/session/visitor.py", "from datetime import datetime\n_at = datetime.fromtimestamp"),
        ("engine/pipeline/create.py", "from engine.pipeline.stage import Verdict"),
        ("engine/pipeline/create.py", "from engine.session.visitor import Visitor"),
        ("engine/pipeline/chain.py", "from engine.pipeline.create import Create"),
        ("engine/pipeline/event_rules/__init__.py", "from engine.pipeline.event_rules.url_match import match"),
        ("engine/store/memory.py", "from engine.store.port import Store"),
        ("engine/store/environment.py", "import lmdb\nfrom engine.store.port import Store"),
        ("engine/actors/writer.py", "import trio\nfrom engine.store.port import Store"),
        ("engine/engine.py", "from engine.store.environment import Environment\nimport trio"),
        ("engine/__init__.py", "from engine.engine import open_engine"),
        ("gateway/server.py", "from engine import open_engine\nimport time, json, quart\nfrom gateway import cli"),
    ],
)
def test_an_allowed_import_is_no_breach(path: str, line: str):
    assert check(path, line, beside=BESIDE) == []


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("from engine.clock import Clock", True),
        ("from engine.clock import SystemClock", False),
        ("import engine.clock", False),
        ("from engine import clock", False),
    ],
)
def test_a_room_sees_the_protocols_of_the_clock_only(line: str, allowed: bool):
    clock = '"""Time."""\nclass Clock(Protocol):\n    """Tells."""\nclass SystemClock:\n    """The wall."""\n'
    room = {"engine/actors/reaper.py": f'"""Reaps."""\n{line}\n', "engine/clock.py": clock}
    assert (breaches(room) == []) is allowed
    root = {"engine/engine.py": f'"""Builds."""\n{line}\n', "engine/clock.py": clock}
    assert breaches(root) == []


@pytest.mark.parametrize("kind", ["def", "async def", "class"])
def test_a_public_name_without_docstring_is_seen(kind: str):
    path = "engine/model/event.py"
    assert check(path, f"{kind} run(): ...") == [f"{path}:2: run has no docstring"]
    assert check(path, f"{kind} _run(): ...") == []
    assert check(path, f'{kind} run():\n    """Runs."""') == []


@pytest.mark.parametrize("path", ["engine/model/event.py", "gateway/__init__.py", "tests/model/test_event.py"])
def test_a_module_without_docstring_is_seen(path: str):
    assert breaches({path: "import re\n"}) == [f"{path}:1: the module has no docstring"]


@pytest.mark.parametrize("path", ["engine/model/event.py", "gateway/api.py", "bench/load.py"])
def test_a_long_file_needs_a_reason(path: str):
    filling = ["x = 1"] * (MAX_LINES - 1)
    assert check(path, *filling) == []
    (found,) = check(path, *filling, "x = 1")
    assert f"{MAX_LINES + 1} lines" in found
    reason = '"""One table.\n\nLong because: the grammar is one idea.\n"""\n'
    assert breaches({path: reason + "x = 1\n" * MAX_LINES}) == []


def test_no_row_lets_lmdb_in_but_the_store():
    assert [room for room, row in TABLE.items() if "lmdb" in row.libraries] == ["engine.store"]
