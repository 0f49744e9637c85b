"""Step 2, event rules: edit the events of an activity and add new ones (decisions 22 to 26).

One module a rule type lives beside this one. A channel and datamart without rules: the activity goes on as it is.
"""

from engine.model.activity import Activity
from engine.pipeline.stage import Context, Keep, Verdict
from engine.session.closed import Closed

NAME = "event_rules"


def event_rules(closed: Closed, activity: Activity, context: Context) -> Verdict:
    """Apply the rules of the datamart, then those of the channel, in creation order."""
    return Keep(activity)
