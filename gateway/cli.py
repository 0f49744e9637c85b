"""The `sojourn` command: its manual, its commands, and what becomes of an error."""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from cyclopts import App, CycloptsError
from rich.console import Console

from engine import Broken, SojournError

MANUAL: Final = """\
Turns a stream of user events into stored activities.

Events come in over HTTP (**serve**) or from a log (**replay**). Each active user has an actor that holds the open
sessions; a session that ends goes through the processing steps into an LMDB store in one directory, and comes back as
an activity. What was acknowledged survives a crash at any moment.

Every command takes **--data DIR**, the directory of the store. The reading commands (**activities**, **query**,
**stats**, **dead-letters**, **explain**) work beside a running server, and have **--json** for scripts.

**Try it**

    sojourn serve --data ./data

prints two addresses, the tokens, and a curl line that sends a first visit. In another terminal:

    sojourn activities user_agent_id=browser-1 --data ./data
    sojourn stats --data ./data

**Read a web server's log**

    sojourn replay --data ./data --domain example.com access.log

**Define rules, goals and automations**

    sojourn config --definitions > shop.toml
    sojourn apply shop.toml --server http://127.0.0.1:8081 --dry-run

**Environment**

- SOJOURN_ADMIN_TOKEN, SOJOURN_SITE_TOKEN: the admin token and the token of the first site; without them the first
  start makes some.
- SOJOURN_SECTION__KEY, such as SOJOURN_LOG__FORMAT=json: a setting, instead of a line in the file of `--config`.

**Exit codes**

- 0: done; for `serve`, stopped and drained.
- 1: the store is broken, or a fault of ours.
- 2: wrong usage, settings or definitions; the store is in use or cannot be read, the server cannot be asked.
- 3: `serve` was stopped before all was drained; nothing acknowledged is lost, the next start goes on with it.
- 4: `apply --dry-run` found something that would change.
- 130, 143: Ctrl-C or SIGTERM ended the command; a `replay` keeps what it took, the same command goes on with it.
"""


COMMANDS: Final = {
    "serve": "Take events over HTTP, store activities, and answer questions about them.",
    "replay": "Read web server logs, or activities as NDJSON, as if they happened now.",
    "apply": "Make what a file declares the definitions: rules, analyzers, goals, automations and the like.",
    "activities": "Show the stored activities of one person, newest first.",
    "query": "Ask all stored activities, events or persons a question, in OTQL.",
    "stats": "Show the counters, and whether every received event is accounted for.",
    "dead-letters": "Show what could not be processed, and why.",
    "explain": "Show what each step would do with an activity, and why.",
    "config": "Print every setting with its default and its reason, as a TOML file to start from.",
}
"""Each command with the first line of its help; a test compares them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code.

    Args:
        arguments: of the command line; by default those of this process.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of ours is one line on stderr.

    Args:
        arguments: of the command line; by default those of this process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = command_line(arguments)(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(f"{error}\n`sojourn --help` tells more.", 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone. Python would complain again when it flushes at exit.
        sys.stderr.close()
        return 0
    except (SojournError, ExceptionGroup) as error:
        if (ours := _ours(error)) is None:
            raise
        return _fail(str(ours) or ours.code, 1 if isinstance(ours, Broken) else 2)
    return code if isinstance(code, int) else 0


def command_line(arguments: Sequence[str]) -> App:
    """The command line for these arguments.

    Only the module of the command that runs is loaded, and it brings its help; the others are a line in a list.
    """
    app = App(name="sojourn", help=MANUAL, help_format="markdown", version=_version, result_action="return_value")
    for place, (name, line) in enumerate(COMMANDS.items()):
        module = name.replace("-", "_")
        help_text = None if name in arguments[:1] else line
        app.command(f"gateway.commands.{module}:{module}", name=name, help=help_text, sort_key=place)
    return app


def _version() -> str:
    try:
        return f"sojourn {version('sojourn')}"
    except PackageNotFoundError:
        return "sojourn, run from its sources"


def _ours(error: Exception) -> SojournError | None:
    """The error of ours that an exception is or holds; a broken engine before its consequences."""
    if isinstance(error, SojournError):
        return error
    if not isinstance(error, ExceptionGroup):
        return None
    found = [_ours(inner) for inner in error.exceptions]
    if any(one is None for one in found):
        return None
    return next((one for one in found if isinstance(one, Broken)), found[0])


def _fail(message: str, code: int) -> int:
    Console(stderr=True, soft_wrap=True).print(f"sojourn: {message}", style="red", markup=False, highlight=False)
    return code
