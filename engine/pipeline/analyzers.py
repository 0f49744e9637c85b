"""Step 3, activity analyzers: user code that changes or drops an activity (decisions 27 and 28).

A channel to which no analyzer is attached: the activity goes on as it is.
"""

from engine.model.activity import Activity
from engine.pipeline.stage import Context, Keep, Verdict
from engine.session.closed import Closed

NAME = "analyzers"


def analyzers(closed: Closed, activity: Activity, context: Context) -> Verdict:
    """Run the channel's analyzers in their order."""
    return Keep(activity)
