"""`sojourn explain`: what each step does with an activity, and why."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import trio
from cyclopts import Parameter
from rich.text import Text
from rich.tree import Tree

from engine import CallerError, Explainer, Explanation, StepExplained, load_settings, open_explainer, split_items
from gateway.commands.options import Config, Data, Datamart, Json
from gateway.commands.output import console, print_json

STDIN: Final = "-"

SHOWN_CHARS: Final = 300
"""Of a value in the tree; --json has more of it."""

_IDENTITY: Final = re.compile(r"(?P<user>.+?)(?:/(?P<ts>\d{1,16})(?:/(?P<key>[0-9A-Fa-f-]{4,36}))?)?", re.DOTALL)

_STYLES: Final = {
    "matched": "green",
    "made": "green",
    "stored": "green",
    "changed": "yellow",
    "replaces": "yellow",
    "duplicate": "yellow",
    "dropped": "red",
    "dead": "red",
    "refused": "red",
    "failed": "red",
    "skipped": "dim",
    "kept": "dim",
    "not reached": "dim",
}
_SIGNS: Final = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def explain(
    activity: Annotated[
        str | None, Parameter(help="A file, - for stdin, or a stored activity.", allow_leading_hyphen=True)
    ] = None,
    /,
    *,
    data: Data,
    datamart: Datamart = 1,
    dead_letter: Annotated[
        int | None, Parameter(metavar="N", help="The Nth dead letter instead, as `dead-letters` lists them.")
    ] = None,
    process: Annotated[
        bool, Parameter(negative="--no-process", help="Run the steps; else as with processing_pipeline=false.")
    ] = True,
    config: Config = None,
    json: Json = False,
) -> int:
    """Show what each step would do with an activity, and why. Nothing is stored, nothing leaves the outbox;
    analyzers are asked as ever.

    ACTIVITY is one of these:

    - a JSON file, or - for stdin, with an activity as one would send it, or a list of them, each explained by itself;
      events of a session as if it closed now
    - a stored activity: USER, USER/TS or USER/TS/KEY, where USER is as for `activities`, TS is its $ts, and KEY its
      $unique_key or how that begins; of several the newest

    What is known of the person and what is defined are read from the store as they are now. Works beside a running
    server; --config is the file that server has. With --json each explanation is one line, and values are cut later.

    **Examples**

        sojourn explain visit.json --data ./data
        sojourn explain user_agent_id=browser-1 --data ./data
        sojourn explain --dead-letter 1 --data ./data --json | jq '.steps[] | select(.outcome != "skipped")'
    """
    if (activity is None) == (dead_letter is None):
        raise CallerError("explain what? Name an activity, or --dead-letter N")
    # A lone hyphen is a file, so that the parser lets every hyphen through.
    if activity is not None and activity.startswith("-") and activity != STDIN:
        raise CallerError(f"unknown option {activity}; a file of this name is ./{activity}")
    items = _items(activity) if activity is not None else None

    async def explain_all() -> list[Explanation]:
        async with open_explainer(data, load_settings(config, os.environ)) as explainer:
            if dead_letter is not None:
                return [await explainer.dead_letter(dead_letter, datamart=datamart)]
            if items is not None:
                return [await explainer.item(one, datamart=datamart, process=process) for one in items]
            return [await _stored(explainer, activity or "", datamart)]

    found = trio.run(explain_all)
    for one in found:
        if json:
            print_json(as_json(one))
        else:
            show(one)
    return 0


def as_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation as a JSON object; its activity as an object, or null."""
    fields: dict[str, Any] = msgspec.to_builtins({**msgspec.structs.asdict(explanation), "activity": None})
    fields["user_point_id"] = fields.pop("user_point") or None
    return {**fields, "activity": msgspec.Raw(explanation.activity or b"null")}


def show(explanation: Explanation) -> None:
    """Print an explanation as a tree."""
    head = Text.assemble(
        (explanation.verdict, f"bold {_STYLES.get(explanation.verdict, '')}".strip()),
        f": {explanation.reason}" if explanation.reason else "",
        (f"  datamart {explanation.datamart}", "dim"),
        (f", user point {explanation.user_point}" if explanation.user_point else "", "dim"),
    )
    tree = Tree(head, guide_style="dim")
    for remark in explanation.remarks:
        tree.add(Text(remark, style="italic"))
    for step in explanation.steps:
        _add_step(tree, step, _would(explanation, step))
    console().print(tree)


def _would(explanation: Explanation, step: StepExplained) -> str:
    """What stands in front of an effect: one that is lost with its activity is not told as if it came."""
    if step.outcome != "dropped" and explanation.verdict in ("dropped", "dead"):
        return "if it were kept, would"
    if any(one.outcome == "duplicate" for one in explanation.steps):
        return "if it were new, would"
    return "would"


def _add_step(tree: Tree, step: StepExplained, would: str) -> None:
    style = _STYLES.get(step.outcome, "")
    head = Text.assemble((step.name, "bold"), ": ", (step.outcome, style), f" – {step.detail}" if step.detail else "")
    branch = tree.add(head)
    for note in step.notes:
        told = f" – {note.detail}" if note.detail else ""
        branch.add(Text.assemble(note.about, ": ", (note.outcome, _STYLES.get(note.outcome, "")), told))
    for change in step.changes:
        sign, colour = _SIGNS[change.how]
        leaf = branch.add(Text(f"{sign} {change.what}", style=colour))
        if change.before and change.after:
            leaf.add(Text(f"was {_cut(change.before)}"))
            leaf.add(Text(f"is  {_cut(change.after)}"))
        else:
            leaf.add(Text(_cut(change.before or change.after)))
    for effect in step.effects:
        branch.add(Text(_cut(f"{would} {effect}"), style="cyan"))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + " …"


def _items(named: str) -> list[bytes] | None:
    """The activities in a file or on stdin; None where what is named is neither."""
    if named == STDIN:
        text = sys.stdin.buffer.read()
    elif Path(named).is_file():
        text = Path(named).read_bytes()
    elif named.endswith(".json"):
        raise CallerError(f"{named}: there is no such file")
    else:
        return None
    return split_items(text) if text.lstrip().startswith(b"[") else [text]


async def _stored(explainer: Explainer, named: str, datamart: int) -> Explanation:
    found = _IDENTITY.fullmatch(named)
    if found is None:
        raise CallerError(f"{named!r} is no activity: a file, or USER, USER/TS, USER/TS/KEY")
    ts_ms = int(found["ts"]) if found["ts"] else None
    return await explainer.stored(found["user"], datamart=datamart, ts_ms=ts_ms, unique_key=found["key"] or "")
