"""Step 5, automations: who enters and who leaves a scenario because of this activity (decisions 31 and 32).

A datamart without active automations: the activity goes on as it is.
"""

from engine.definitions.defined import Defined
from engine.pipeline.stage import Stage, keep

NAME = "automations"


def build(defined: Defined) -> Stage:
    """The step of a datamart."""
    return keep
