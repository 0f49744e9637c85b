"""`sojourn activities`: what is stored of one person."""

from collections import Counter
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from engine import CallerError, Selector, decode_values, open_reader
from gateway.commands.options import Data, Datamart, Json, Limit
from gateway.commands.output import console, moment, print_line, table


def activities(
    user: Annotated[str, Parameter(help="Whose activities.")],
    /,
    *,
    data: Data,
    datamart: Datamart = 1,
    limit: Limit = 20,
    json: Json = False,
) -> int:
    """Show the stored activities of one person, newest first.

    USER names the person in any of these ways:

    - a user point: 0f8f3c1a-5a7e-5d0c-9a53-6f2a8a1f3b10, or user_point_id=…
    - a device: user_agent_id=vec:89090939434
    - an account: compartment_id=1000,user_account_id=42
    - an e-mail: email_hash=9f86d081884c7d65…

    Works beside a running server. Sessions that are still open are not stored yet; the API shows them with live=true.
    With --json every activity is one line, as the API gives it.

    **Examples**

        sojourn activities user_agent_id=browser-1 --data ./data
        sojourn activities user_agent_id=browser-1 --data ./data --json | jq '."$events"[]."$event_name"'
    """
    if limit < 1:
        raise CallerError("--limit must be at least 1")
    with open_reader(data) as reader:
        user_point = reader.find_user_point(datamart, Selector.parse(user))
        if user_point is None:
            raise CallerError(f"nobody is known by {user!r} in datamart {datamart}", code="not_found")
        found = reader.activities(datamart, user_point, limit=limit)
    if json:
        for item in found:
            print_line(item)
    else:
        _show(user_point, [decode_values(item) for item in found])
    return 0


def _show(user_point: str, found: list[dict[str, Any]]) -> None:
    shown = table("time (UTC)", "type", "channel", "#seconds", "#events", "what", "from")
    for one in found:
        names = Counter(str(event.get("$event_name")) for event in one["$events"] or ())
        shown.add_row(
            moment(one["$ts"]),
            Text(one["$type"]),
            Text(str(one.get("$site_id") or one.get("$app_id") or "")),
            str(one.get("$session_duration") or ""),
            str(names.total()),
            Text(", ".join(name if count == 1 else f"{name} ×{count}" for name, count in names.most_common())),
            Text(_origin(one["$origin"])),
        )
    out = console()
    out.print(f"user point {user_point}", style="bold")
    out.print(shown if found else "No activities are stored. Sessions that are still open come when they close.")


def _origin(origin: dict[str, Any] | None) -> str:
    parts = [(origin or {}).get(name) for name in ("$channel", "$source", "$campaign_name")]
    return " / ".join(str(part) for part in parts if part)
