"""An analyzer that says which process it runs in, and ends it where it is told to. It imports nothing of the engine."""

import os


def stamp(activity: dict) -> dict:
    """The activity, with the id of the process that had it."""
    if any("crash" in (event.get("$properties") or {}) for event in activity["$events"]):
        os._exit(3)
    activity["worker"] = os.getpid()
    return activity
