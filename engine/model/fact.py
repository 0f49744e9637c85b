"""Facts: what activities have made of a user point, kept beside them for the activities that follow.

A fact is written in the transaction that stores its activity, is read by the steps of later ones, moves along when its
user point is absorbed by another one, and goes away with the user point.
"""

from enum import IntEnum


class FactKind(IntEnum):
    """What a fact tells. One row a kind and user point; numbers on disk: never change one, add at the end."""

    APPS = 1
    """Which applications a person has opened, and in which versions (`engine.model.app_state`, decision 14)."""
    PROFILES = 2
    """The person's profiles, by compartment and account (`engine.model.profiles`, mediarithmics 10)."""
    CHOICES = 3
    """The newest choice about each processing (`engine.model.choices`, decision 33)."""
    SEGMENTS = 4
    """Which segments the person is in, and until when (`engine.model.segments`)."""
    SCENARIOS = 5
    """Where in which scenario the person is (`engine.model.scenarios`, decision 31)."""
    TOUCHES = 6
    """The latest touches, to which a conversion may be attributed (`engine.model.touches`, mediarithmics 7.4)."""
