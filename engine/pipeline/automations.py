"""Step 5, automations: who enters and who leaves a scenario because of this activity (decisions 31 and 32).

A datamart without active automations: the activity goes on as it is.
"""

from engine.model.activity import Activity
from engine.pipeline.stage import Context, Keep, Verdict
from engine.session.closed import Closed

NAME = "automations"


def automations(closed: Closed, activity: Activity, context: Context) -> Verdict:
    """Evaluate exit conditions, then triggers."""
    return Keep(activity)
