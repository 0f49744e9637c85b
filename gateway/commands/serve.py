"""`sojourn serve`: the engine behind its two planes."""

import os
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import trio
from cyclopts import Parameter

from engine import Engine, configure_logging, load_settings
from gateway.commands.options import Config, Data, Json
from gateway.commands.output import print_json
from gateway.listen import host_and_port
from gateway.server import run

Address = Annotated[str | None, Parameter(metavar="HOST:PORT")]


def serve(
    *,
    data: Data,
    config: Config = None,
    collect: Annotated[Address, Parameter(help="Where events come in.")] = None,
    api: Annotated[Address, Parameter(help="Where activities are read; health and metrics.")] = None,
    definitions: Annotated[
        Path | None, Parameter(metavar="FILE", help="A TOML file of definitions, applied now and at SIGHUP.")
    ] = None,
    json: Annotated[Json, Parameter(help="Print one line of JSON when ready.")] = False,
) -> int:
    """Take events over HTTP, store activities, and answer questions about them.

    Listens on 127.0.0.1:8080 (collect) and 127.0.0.1:8081 (API) unless told otherwise; port 0 picks a free one. The
    store is made where there is none, with a datamart 1 and a site 1; the admin token is printed once, then.

    With --json one line is printed when both addresses answer: {"collect": "http://…", "api": "http://…"}, and
    the tokens with it when they are new.

    With --definitions what the file declares is applied before anything is accepted, and once more at SIGHUP; the log
    says what was different, or why it was refused. At the start a file that is refused ends the command.

    SIGTERM or Ctrl-C stops: requests in flight finish, the engine drains; a second one hurries.

    **Examples**

        sojourn serve --data ./data
        sojourn serve --data /var/lib/sojourn --config sojourn.toml --collect 0.0.0.0:8080
        sojourn serve --data ./data --definitions shop.toml
        SOJOURN_ADMIN_TOKEN=… sojourn serve --data ./data --collect 127.0.0.1:0 --api 127.0.0.1:0 --json
    """
    overrides: dict[str, object] = {"storage.data_dir": str(data)}
    for plane, address in (("collect", collect), ("api", api)):
        if address is not None:
            overrides[f"{plane}.host"], overrides[f"{plane}.port"] = host_and_port(address)
    if definitions is not None:
        overrides["definitions.file"] = str(definitions)
    settings = load_settings(config, os.environ, overrides)
    configure_logging(settings.log.format, settings.log.level)
    return trio.run(run, settings, _say_json if json else partial(_say, data))


def _say_json(engine: Engine, collect_url: str, api_url: str) -> None:
    line = {"collect": collect_url, "api": api_url}
    if engine.new_admin_token is not None:
        line |= {"admin_token": engine.new_admin_token}
        line |= {"site_token": token} if (token := _site_token(engine)) else {}
    print_json(line)


def _say(data: Path, engine: Engine, collect_url: str, api_url: str) -> None:
    token = _site_token(engine)
    lines = [f"collect      {collect_url}", f"api          {api_url}"]
    if token is not None:
        lines.append(f"site token   {token}")
    if engine.new_admin_token is not None:
        lines.append(f"admin token  {engine.new_admin_token}   (this once: only its hash is kept)")
    lines += _first_steps(data, collect_url, token) if token is not None else [""]
    print("\n".join(lines), flush=True)


def _site_token(engine: Engine) -> str | None:
    """Of the first site; None where applications are all that there is."""
    try:
        return engine.site(1).token
    except LookupError:
        return None


def _first_steps(data: Path, collect_url: str, token: str) -> list[str]:
    return [
        "",
        "Send a first visit:",
        "",
        f"  {first_visit(collect_url, token)}",
        "",
        "and look at it:",
        "",
        f"  {_command()} activities user_agent_id=browser-1 --data {shlex.quote(str(data))}",
        "",
    ]


def _command() -> str:
    """How this command is called: by its name where that is found, else by its path, as from `scripts/serve`."""
    return "sojourn" if shutil.which("sojourn") else shlex.quote(sys.argv[0])


def first_visit(collect_url: str, token: str) -> str:
    """A shell command that sends a visit and returns when it is stored."""
    visit = {
        "$type": "SITE_VISIT",
        "$session_status": "CLOSED_SESSION",
        "$site_id": "1",
        "$user_agent_id": "browser-1",
        "$events": [{"$event_name": "hello", "$properties": {"$url": "https://example.com/?utm_source=curl"}}],
    }
    address = f"{collect_url}/v1/datamarts/1/user_activities?async=false"
    body = msgspec.json.encode(visit).decode()
    return f"curl {shlex.quote(address)} -H {shlex.quote(f'Authorization: {token}')} -d {shlex.quote(body)}"
