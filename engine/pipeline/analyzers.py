"""Step 3, activity analyzers: user code that changes or drops an activity (decisions 27 and 28).

A channel to which no analyzer is attached: the activity goes on as it is.
"""

from engine.definitions.defined import Defined
from engine.pipeline.stage import Stage, keep

NAME = "analyzers"


def build(defined: Defined) -> Stage:
    """The step of a datamart."""
    return keep
