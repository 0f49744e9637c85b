"""Step 6, user choices: may this activity be kept, and which of its events are shown (decisions 33 to 35).

A channel with no processing attached keeps its activities. After the choice, `$page_view` events have served their
purpose, aggregation and URL rules, and leave the activity.
"""

from msgspec import structs

from engine.model.activity import Activity
from engine.model.event import PAGE_VIEW
from engine.pipeline.stage import Context, Keep, Verdict
from engine.session.closed import Closed

NAME = "user_choices"


def user_choices(closed: Closed, activity: Activity, context: Context) -> Verdict:
    """Decide whether the activity may be kept, then take its page views out.

    A visit without events left is stored all the same (decision 35).
    """
    return Keep(without_page_views(activity))


def without_page_views(activity: Activity) -> Activity:
    """The activity without its `$page_view` events; the custom name `page_view` is not one of them."""
    kept = [event for event in activity.events if event.name != PAGE_VIEW]
    return activity if len(kept) == len(activity.events) else structs.replace(activity, events=kept)
