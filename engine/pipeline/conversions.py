"""Step 4, conversions: goals whose query the activity meets (decisions 29 and 30).

A datamart without active query goals: the activity goes on as it is. Conversions sent by a pixel skip this step.
"""

from engine.definitions.defined import Defined
from engine.pipeline.stage import Stage, keep

NAME = "conversions"


def build(defined: Defined) -> Stage:
    """The step of a datamart."""
    return keep
