"""Facts: what activities have made of a user point, kept beside them for the activities that follow.

A fact is written in the transaction that stores its activity, is read by the steps of later ones, moves along when its
user point is absorbed by another one, and goes away with the user point.
"""

from enum import IntEnum


class FactKind(IntEnum):
    """What a fact tells. One row a kind and user point; numbers on disk: never change one, add at the end."""

    APPS = 1
    """Which applications a person has opened, and in which versions (`engine.model.app_state`, decision 14)."""
