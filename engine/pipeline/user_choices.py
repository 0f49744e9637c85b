"""Step 6, user choices: may this activity be kept, and which of its events are shown (decisions 33 to 35).

A channel with no processing attached keeps its activities. After the choice, `$page_view` events have served their
purpose, aggregation and URL rules, and leave the activity.
"""

from msgspec import structs

from engine.definitions.defined import Defined
from engine.model.activity import Activity
from engine.model.event import PAGE_VIEW
from engine.pipeline.stage import Context, Keep, Stage, Verdict
from engine.session.closed import Closed

NAME = "user_choices"


def build(defined: Defined) -> Stage:
    """The step of a datamart: whether an activity may be kept, then its page views leave it.

    A visit without events left is stored all the same (decision 35).
    """

    def user_choices(closed: Closed, activity: Activity, context: Context) -> Verdict:
        return Keep(without_page_views(activity))

    return user_choices


def without_page_views(activity: Activity) -> Activity:
    """The activity without its `$page_view` events; the custom name `page_view` is not one of them."""
    kept = [event for event in activity.events if event.name != PAGE_VIEW]
    return activity if len(kept) == len(activity.events) else structs.replace(activity, events=kept)
