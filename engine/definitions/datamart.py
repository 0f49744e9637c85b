"""Datamarts: people, and what they did, apart from all others."""

from msgspec import Struct


class Compartment(Struct, frozen=True, kw_only=True):
    """A namespace of user accounts.

    Attributes:
        id: what `$compartment_id` says.
        name: for people.
        token: public; names the compartment in a pixel's `$comp_token` (mediarithmics 4.2).
        removed: it is not declared any more. It is kept, so that it has its old token when it comes back.
    """

    id: str
    name: str = ""
    token: str = ""
    removed: bool = False


class Datamart(Struct, frozen=True, kw_only=True):
    """A datamart as it is kept.

    Attributes:
        id: part of every key.
        name: for people.
        default_compartment: namespace of accounts that are sent without one (decision 1).
        token: public; allows collecting on every channel of the datamart (decision 39).
        compartments: all that were ever declared, by id.
        redirect_hosts: where the click endpoint may lead, beside the sites' own hosts (decision 40); lower-case.
    """

    id: int
    name: str = ""
    default_compartment: str = "1"
    token: str = ""
    compartments: tuple[Compartment, ...] = ()
    redirect_hosts: tuple[str, ...] = ()
