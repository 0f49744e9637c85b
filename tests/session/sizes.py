"""How large an activity is as it is stored, from its bytes alone (decisions 15 and 16); no code of the meter."""

import json
from collections.abc import Sequence

from engine.pipeline.create import create
from engine.session.closed import Closed, Member, Source
from tests.session.build import USER, dump, settings

DERIVED = ("$unique_key", "$session_duration", "$origin", "$ts", "$session_status")


def stored_chars(closed: Closed, default_compartment: str = "main") -> int:
    """Code points of the stored activity without null fields and without what the engine derives."""
    stored = json.loads(create(closed, default_compartment).encode())
    root = {key: value for key, value in stored.items() if key not in DERIVED and value is not None}
    root["$events"] = [_without_nulls(event) for event in stored["$events"]]
    return len(dump(root).decode())


def closed_of(members: Sequence[Member]) -> Closed:
    """The session of these members, in their order."""
    return Closed(Source.SESSION, 1, USER, (), channel=settings(), members=tuple(members))


def _without_nulls(event: dict[str, object]) -> dict[str, object]:
    found = {key: value for key, value in event.items() if value is not None}
    properties = found.get("$properties")
    if isinstance(properties, dict):
        found["$properties"] = {key: value for key, value in properties.items() if value is not None}
    return found
