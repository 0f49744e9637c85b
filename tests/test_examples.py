"""What stands under examples/ runs as its README says, and happens as it tells; it ends what it has started."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.e2e.server import sojourn
from tests.tools import missing, need

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PIPELINE = EXAMPLES / "pipeline"
NODE_MODULES = ROOT / "tests" / "js" / "node_modules"
SDK = "@mediarithmics/plugins-nodejs-sdk"
NAMES = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())
RUN_S = 120

pytestmark = pytest.mark.slow


def environment(**more: str) -> dict[str, str]:
    """This checkout's packages and, where an example has none of its own, the npm packages of tests/js."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
    venv = {"SOJOURN_VENV": os.environ["SOJOURN_VENV"]} if "SOJOURN_VENV" in os.environ else {}
    return own | venv | {"PYTHONPATH": str(ROOT), "NODE_PATH": str(NODE_MODULES)} | more


def run(*command: str | Path, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=RUN_S)


def need_node() -> None:
    need("node", "https://nodejs.org")
    if not any((folder / SDK).is_dir() for folder in (NODE_MODULES, PIPELINE / "node_modules")):
        missing(f"{SDK} is not installed: scripts/install dev")


def is_installed() -> bool:
    """Whether scripts/install made this interpreter's environment, for this checkout, and would change nothing."""
    venv = Path(os.environ.get("SOJOURN_VENV", ROOT / ".venv"))
    stamp, home = venv / ".installed-dev", venv / ".home"
    if Path(sys.prefix).resolve() != venv.resolve() or not (stamp.is_file() and home.is_file()):
        return False
    wanted = subprocess.run("cat pyproject.toml constraints.txt | cksum", shell=True, cwd=ROOT, capture_output=True)
    return home.read_text().strip().endswith(f" {ROOT}") and stamp.read_bytes() == wanted.stdout


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_how_it_is_run_and_what_it_needs(name: str):
    folder = EXAMPLES / name
    command = "scripts/example" if name == "pipeline" else f"scripts/example {name}"
    assert command in (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "run.py").is_file()
    if (folder / "package.json").is_file():
        lock = (folder / "package-lock.json").read_text(encoding="utf-8")
        assert '"integrity"' in lock
        assert '"resolved"' not in lock, "its .npmrc keeps addresses out: write it with npm in that folder"


def test_the_other_examples_run():
    for name in NAMES:
        if name != "pipeline":
            done = run(sys.executable, EXAMPLES / name / "run.py", cwd=ROOT)
            assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("definitions*.toml")), ids=lambda file: file.parent.name)
def test_its_definitions_can_be_applied_as_they_stand(file: Path, tmp_path: Path):
    env = {"SOJOURN_ANALYZERS__PYTHON_PATH": json.dumps([str(file.parent)])}
    done = sojourn("apply", str(file), "--data", str(tmp_path), env=env)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_sdk_is_the_one_of_the_other_tests():
    theirs = json.loads((ROOT / "tests" / "js" / "package.json").read_text())["devDependencies"]
    assert json.loads((PIPELINE / "package.json").read_text())["dependencies"] == {SDK: theirs[SDK]}


def told(done: "subprocess.CompletedProcess[str]", *lines: str) -> None:
    """The story was told to its end, with these lines in this order."""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    at = 0
    for line in (*lines, "== Everything happened as it is told here"):
        at = done.stdout.find(line, at)
        assert at >= 0, f"no {line!r}, or not there:\n{done.stdout}"


STORY = (
    "== Ada visits the shop",
    "event_rule product-page: matched",
    "analyzer basket: changed",
    "goal large-basket: matched",
    "automation abandoned-basket: entered",
    "processing analytics: accepted",
    "== Ada has left",
    "ok: rule product-page made a product_view of the page",
    "ok: the analyzer in Python added up the basket",
    "ok: the goal was reached",
    "ok: her choice is kept",
    "USER_SCENARIO_START ",
    "USER_SCENARIO_NODE_ENTER ",
    "she waits until 11:31:00",
    "== Ben does the same",
    "USER_SCENARIO_STOP         An hour, by day (exit condition bought)",
    "== An hour after Ada's visit",
    "webhook-signature: v1,",
    '"scenario_id": "abandoned-basket"',
    "ok: the signature is right",
    "USER_SCENARIO_STOP ",
    "== Cleo does not agree",
    "if it were kept, would raise the counter conversions.large-basket by 1",
    "user_choices: dropped",
    "── would keep choices of user point ",
    "ok: none of it is stored",
    "ok: that she refused is",
    "== Questions",
    '{"count": 2}',
)
WITH_NODE = (
    "an analyzer in Node.js at http://127.0.0.1:",
    "analyzer visitor: changed",
    "ok: the analyzer in Node.js told the kind of visitor",
    "== Ben",
)


def test_the_pipeline_tells_its_story(tmp_path: Path):
    need_node()
    done = run(sys.executable, PIPELINE / "run.py", cwd=tmp_path, TMPDIR=str(tmp_path))
    told(done, *STORY)
    told(done, *WITH_NODE)
    assert "LEFT OUT" not in done.stdout
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_one_command_installs_and_runs_it(tmp_path: Path):
    if not is_installed():
        missing("this environment is not that of scripts/install: run scripts/test")
    done = run(ROOT / "scripts" / "example", cwd=tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert all(line in done.stdout for line in STORY)
    if shutil.which("npm") and shutil.which("node"):
        assert "LEFT OUT" not in done.stdout, done.stderr


def test_an_unknown_example_is_refused_with_those_there_are():
    done = run(ROOT / "scripts" / "example", "nonsense", cwd=ROOT)
    assert done.returncode == 2
    assert "pipeline" in done.stderr


def test_without_node_it_says_so_and_tells_the_rest(tmp_path: Path):
    done = run(sys.executable, PIPELINE / "run.py", cwd=tmp_path, PATH=str(tmp_path))
    told(done, "LEFT OUT: the analyzer in Node.js: Node.js is not installed", *STORY)
    assert "visitor" not in json.dumps(re.findall(r"ok: the analyzer.*", done.stdout))


def test_without_the_sdk_it_says_how_to_get_it(tmp_path: Path):
    need("node", "https://nodejs.org")
    copied = shutil.copytree(PIPELINE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("node_modules"))
    done = run(sys.executable, copied / "run.py", cwd=tmp_path, NODE_PATH="")
    told(done, "LEFT OUT: the analyzer in Node.js: its SDK is not installed: `npm ci", *STORY)


def test_what_happens_otherwise_is_a_failure_that_says_what(tmp_path: Path):
    copied = shutil.copytree(PIPELINE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("node_modules"))
    analyzer = copied / "analyzer.py"
    analyzer.write_text(analyzer.read_text().replace("sum(", "1 + sum("))
    done = run(sys.executable, copied / "run.py", cwd=tmp_path, PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.strip() == "FAILED: not so: the analyzer in Python added up the basket"
    assert "Everything happened" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_nothing_it_has_started_goes_on(number: signal.Signals, tmp_path: Path):
    need_node()
    command = [sys.executable, "-u", PIPELINE / "run.py"]
    env = environment(TMPDIR=str(tmp_path))
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        started = next(found for line in process.stdout if (found := re.search(r"Node\.js at .*, process (\d+)", line)))
        process.send_signal(number)
        process.communicate(timeout=RUN_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == (-number if number == signal.SIGKILL else 1)
    end = time.monotonic() + RUN_S
    while is_running(int(started[1])):
        assert time.monotonic() < end, "the analyzer in Node.js goes on"
        time.sleep(0.02)
    assert number == signal.SIGKILL or list(tmp_path.iterdir()) == []


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that has ended, and of which nobody has asked how, does not run."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_the_readme_names_what_is_defined():
    """Addresses and tokens of its commands are those of the definitions."""
    text = (PIPELINE / "README.md").read_text(encoding="utf-8")
    (datamart,) = tomllib.loads((PIPELINE / "definitions.toml").read_text(encoding="utf-8"))["datamart"]
    visitor = datamart["analyzer"][1]
    for wanted in (
        f"PLUGIN_PORT={visitor['url'].rpartition(':')[2]} ",
        f"PLUGIN_WORKER_ID={visitor['worker_id']} ",
        f"PLUGIN_AUTHENTICATION_TOKEN={visitor['token']} ",
        f"Authorization: {datamart['channel'][0]['token']}'",
    ):
        assert wanted in text
