"""Analyzers as people write them, for tests: imported by name, in the loop or in a process of their own."""

import os
import time


def renaming(activity, properties):
    """Renames events, adds a custom property, leaves all else."""
    for event in activity["$events"]:
        if event["$event_name"] == "page HP":
            event["$event_name"] = "hello"
    activity["processed_by"] = properties.get("processed_by", "nobody")
    return activity


def alone(activity):
    """Takes no properties."""
    return activity | {"seen": True}


def dropping(activity, properties):
    return {"status": "drop"}


def raising(activity, properties):
    raise ValueError("poison")


def forgetful(activity, properties):
    activity["lost"] = True


def leaving(activity, properties):
    raise SystemExit(3)


def by_wish(activity, properties):
    """Does what the activity wishes."""
    wish = activity.get("wish")
    if wish == "loop":
        while True:
            pass
    elif wish == "exit":
        os._exit(7)
    elif wish == "crash":
        os.abort()
    elif wish == "raise":
        raise ValueError("poison")
    elif wish == "sleep":
        time.sleep(0.05)
    elif wish == "print":
        print("something for people")
    elif wish == "large":
        return activity | {"large": "x" * 3_000_000}
    elif wish == "odd":
        return activity | {"odd": object()}
    return activity | {"pid": os.getpid()}


def growing(activity, properties):
    return activity | {"filling": "x" * 9000}


NOT_CALLABLE = 1
