"""An activity analyzer in Python: it adds up what is in a basket.

sojourn calls it with the activity as plain JSON. What it returns is stored instead; `{"status": "drop"}` would drop the
activity, and an exception makes sojourn go on without its changes.
"""

from typing import Any


def worth_of_basket(activity: dict[str, Any]) -> dict[str, Any]:
    """Say in each `$basket_view` what its items are worth together."""
    for event in activity["$events"]:
        if event["$event_name"] == "$basket_view":
            properties = event["$properties"]
            properties["worth"] = sum(item["$price"] * item.get("$qty", 1) for item in properties.get("$items", []))
    return activity
