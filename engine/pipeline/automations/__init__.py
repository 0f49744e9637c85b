"""Step 5, automations: who enters and who leaves a scenario because of this activity, and who moves on in one.

    an activity     $add_to_segment ▶ exit conditions ▶ triggers            (`step`, decision 31)
    a wait is over  the person's place ▶ on to the next wait or the end     (`step`, decision 31)
    two are one     both people's places and segments become one's          (`merging`, decision 3)

What happens in a scenario is the room `engine.scenario`; `walk` does it for one person: the activities that tell of it,
changes of segments, requests to the outside, the timer. All of that are effects: of an activity that is dropped none
happens (decision 34). A datamart in which no automation and no segment is defined: the activity goes on as it is.
"""

from engine.definitions.defined import Defined
from engine.pipeline.automations.compiled import compile_automations
from engine.pipeline.automations.merging import moved
from engine.pipeline.automations.step import ADD_TO_SEGMENT, Automations, give_up, move
from engine.pipeline.stage import Stage, keep

NAME = "automations"


def build(defined: Defined) -> Stage:
    """The step of a datamart.

    Raises:
        CallerError: an automation cannot work; its path is that of the fault.
    """
    if not defined.automations and not defined.segments:
        return keep
    return Automations(compile_automations(defined))


__all__ = ["ADD_TO_SEGMENT", "NAME", "build", "give_up", "move", "moved"]
