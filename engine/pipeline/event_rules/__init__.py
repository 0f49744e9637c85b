"""Step 2, event rules: edit the events of an activity and add new ones (decisions 22 to 26).

One module a rule type lives beside this one. A channel and datamart without rules: the activity goes on as it is.
"""

from engine.definitions.defined import Defined
from engine.pipeline.stage import Stage, keep

NAME = "event_rules"


def build(defined: Defined) -> Stage:
    """The step of a datamart."""
    return keep
