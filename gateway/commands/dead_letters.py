"""`sojourn dead-letters`: what could not be processed, and why."""

import base64
from typing import Any

from rich.text import Text

from engine import CallerError, DeadLetter, open_reader
from gateway.commands.options import Data, Datamart, Json, Limit
from gateway.commands.output import console, moment, print_json, table

SHOWN_CHARS = 300
"""Of a payload in the table; --json has all of it."""


def dead_letters(
    *,
    data: Data,
    datamart: Datamart = 1,
    limit: Limit = 20,
    json: Json = False,
) -> int:
    """Show what could not be processed, and why.

    Each with its time, the step that gave up, and the payload as it was. The newest come first.

    Works beside a running server. With --json every dead letter is one line; a payload that is not UTF-8 is in
    payload_base64 instead of payload.

    **Example**

        sojourn dead-letters --data ./data --limit 5
    """
    if limit < 1:
        raise CallerError("--limit must be at least 1")
    with open_reader(data) as reader:
        found = reader.dead_letters(datamart, limit)
    if json:
        for letter in found:
            print_json(as_json(letter))
    else:
        _show(found)
    return 0


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as a JSON object."""
    fields: dict[str, Any] = {
        "ts": letter.ts_ms,
        "reason": letter.reason,
        "stage": letter.stage,
        "detail": letter.detail,
        "user_point_id": letter.user_point or None,
        "events": letter.events,
    }
    try:
        return {**fields, "payload": letter.payload.decode()}
    except UnicodeDecodeError:
        return {**fields, "payload_base64": base64.b64encode(letter.payload).decode()}


def _show(found: list[DeadLetter]) -> None:
    out = console()
    if not found:
        out.print("No dead letters.")
        return
    shown = table("time (UTC)", "reason", "step", "why", "payload")
    for letter in found:
        text = letter.payload.decode(errors="replace")
        cut = text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + " …"
        shown.add_row(moment(letter.ts_ms), Text(letter.reason), Text(letter.stage), Text(letter.detail), Text(cut))
    out.print(shown)
