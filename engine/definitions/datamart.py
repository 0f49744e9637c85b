"""Datamarts: people, and what they did, apart from all others."""

from msgspec import Struct


class Datamart(Struct, frozen=True, kw_only=True):
    """A datamart as it is kept.

    Attributes:
        id: part of every key.
        name: for people.
        default_compartment: namespace of accounts that are sent without one (decision 1).
        token: public; allows collecting on every channel of the datamart (decision 39).
    """

    id: int
    name: str = ""
    default_compartment: str = "1"
    token: str = ""
