"""`sojourn apply`: a file of definitions, applied to a server or to a store at rest."""

import os
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
from cyclopts import Parameter
from rich.text import Text

from engine import CallerError, Difference, StoreLocked, Unavailable, apply_to_directory, file_tables, load_settings
from gateway.commands.options import Config, Json
from gateway.commands.output import console, print_json

EXIT_DIFFERENT = 4
"""Of a dry run: something would change."""

TIMEOUT_S = 120.0
"""For a server that has a large catalog to compile."""

_SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red"), "ordered": ("~", "yellow")}


def apply(
    file: Annotated[Path, Parameter(help="TOML, or JSON, with `[[datamart]]` tables.")],
    /,
    *,
    data: Annotated[
        Path | None, Parameter(name="--data", metavar="DIR", help="A store on which no server runs.")
    ] = None,
    server: Annotated[str | None, Parameter(metavar="URL", help="The API of a running server.")] = None,
    token: Annotated[
        str | None, Parameter(metavar="TOKEN", help="An admin token; else that of SOJOURN_ADMIN_TOKEN.")
    ] = None,
    config: Config = None,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Only tell what would be different.")
    ] = False,
    json: Json = False,
) -> int:
    """Make what a file declares the definitions: rules, analyzers, goals, automations and the like.

    For the datamarts that the file names it is all there is: what it leaves out is not in use any more. Of a datamart's
    own keys, its channels and its compartments, what it does not say is as in the settings. All of it is applied, or
    nothing: what cannot work is refused with the path of each fault. `sojourn config --definitions` prints what a file
    may say.

    With --server it holds from the next activity on. With --data it holds from the next start on; --config FILE are
    the settings of that server. Prints what is different; with --json as one object, the answer of the API.

    Exit code 0: applied, or nothing is different. 2: refused, or not possible. With --dry-run nothing is written; 0:
    nothing would change, 4: something would.

    **Examples**

        sojourn apply shop.toml --server http://127.0.0.1:8081 --dry-run
        SOJOURN_ADMIN_TOKEN=… sojourn apply shop.toml --server http://127.0.0.1:8081
        sojourn apply shop.toml --data ./data --config sojourn.toml
    """
    if (data is None) == (server is None):
        raise CallerError("one of --data and --server is needed")
    if server is not None:
        secret = token or os.environ.get("SOJOURN_ADMIN_TOKEN", "")
        found = _ask(server, secret, msgspec.json.encode(file_tables(file)), dry_run)
    else:
        assert data is not None
        settings = load_settings(config, os.environ, {"storage.data_dir": str(data)})
        try:
            found = apply_to_directory(data, settings, file_tables(file), dry_run=dry_run)
        except StoreLocked as error:
            raise CallerError(f"{error}; or ask the server there: --server URL") from None
    if json:
        print_json(found)
    else:
        _show(found, dry_run=dry_run, later=data is not None)
    return EXIT_DIFFERENT if dry_run and found else 0


def _ask(server: str, token: str, body: bytes, dry_run: bool) -> Difference:
    url = f"{server.rstrip('/')}/v1/definitions"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        answer = httpx.put(
            url, params={"dry_run": str(dry_run).lower()}, content=body, headers=headers, timeout=TIMEOUT_S
        )
        said: Any = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unavailable(f"{url} cannot be asked: {error or type(error).__name__}") from None
    if not isinstance(said, dict) or answer.status_code != 200:
        what = said.get("error") if isinstance(said, dict) else ""
        message = str(what or f"{url} answered {answer.status_code}")
        raise CallerError(message) if answer.status_code < 500 else Unavailable(message)
    return msgspec.convert(said.get("data"), Difference)


def _show(found: Difference, *, dry_run: bool, later: bool) -> None:
    out = console()
    several = len({one.datamart for one in found.changes}) > 1
    for one in found.changes:
        sign, style = _SIGNS[one.what]
        line = Text(f"{sign} {one.kind} {one.id}".rstrip(), style=style)
        line.append(f"  datamart {one.datamart}" if several else "", style="dim")
        line.append("  in another order" if one.what == "ordered" else "", style="dim")
        out.print(line)
        for field in one.fields:
            out.print(Text(f"    {field.path}: {_text(field.old)} → {_text(field.new)}"))
        if one.more_fields:
            out.print(Text(f"    and {one.more_fields} more", style="dim"))
    for made in found.made:
        out.print(Text(f"{made.field} of {made.kind} {made.id}: {made.value}", style="cyan"))
    if not found:
        out.print("Nothing is different.")
        return
    counts = ", ".join(f"{number} {what}" for what, number in found.counts().items() if number)
    when = "would change; nothing was written" if dry_run else "applied" + ("; holds from the next start" * later)
    out.print(f"{counts}: {when}.")


def _text(value: object) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()
