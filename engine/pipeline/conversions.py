"""Step 4, conversions: goals whose query the activity meets (decisions 29 and 30).

A datamart without active query goals: the activity goes on as it is. Conversions sent by a pixel skip this step.
"""

from engine.model.activity import Activity
from engine.pipeline.stage import Context, Keep, Verdict
from engine.session.closed import Closed

NAME = "conversions"


def conversions(closed: Closed, activity: Activity, context: Context) -> Verdict:
    """Append a `$conversion` event for each goal that is met."""
    return Keep(activity)
