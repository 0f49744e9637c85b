"""All that is defined in one datamart beside its channels' session rules: what the steps of the chain are made from."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct, field

from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.declared.automations import Automation
from engine.definitions.declared.campaigns import Campaign
from engine.definitions.declared.catalogs import Catalog
from engine.definitions.declared.destinations import Destination
from engine.definitions.declared.event_rules import EventRule
from engine.definitions.declared.goals import Goal, NamedQuery
from engine.definitions.declared.processings import Processing
from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.declared.segments import Segment
from engine.model.identity_rules import IdentityRules

Made = TypeVar("Made")


class Derived:
    """What follows from a datamart's definitions and takes long to make: made once, by whoever needs it first."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[object, Any]] = {}

    def once(self, name: Hashable, source: object, make: Callable[[], Made]) -> Made:
        """What was made under this name of this very source, or what `make` makes of it now.

        Args:
            name: of what is made.
            source: what it is made of; another object, as in a changed copy, makes it anew.
            make: raises what it likes: then nothing is kept.
        """
        held = self._made.get(name)
        if held is None or held[0] is not source:
            held = self._made[name] = source, make()
        made: Made = held[1]
        return made

    def __eq__(self, other: object) -> bool:
        """What follows from equal definitions is no difference between them."""
        return isinstance(other, Derived)

    __hash__ = None  # type: ignore[assignment]  # How Python says that equal ones have no hash.


class Defined(Struct, frozen=True, kw_only=True):
    """One version of it; never changed, a change is the next version.

    Attributes:
        datamart: whose.
        version: rises with each change.
        default_compartment: of accounts that name none (decision 1).
        identity: what the settings say of identifiers, such as their placeholders (decision 1); nothing that is
            declared in the datamart, but steps that make identifiers go by it.
        event_rules: in the order of creation; those without a channel run first (decision 22).
        analyzers_of, processings_of: by channel key, the ids of the analyzers attached to it, in their order, and of
            the processings it is subject to.
        schema: names that its queries may use beside those of the default schema.
        derived: kept beside it for as long as it is.
    """

    datamart: int
    version: int = 0
    default_compartment: str = "1"
    identity: IdentityRules = IdentityRules()
    catalogs: tuple[Catalog, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    event_rules: tuple[EventRule, ...] = ()
    analyzers: tuple[Analyzer, ...] = ()
    queries: tuple[NamedQuery, ...] = ()
    goals: tuple[Goal, ...] = ()
    automations: tuple[Automation, ...] = ()
    segments: tuple[Segment, ...] = ()
    processings: tuple[Processing, ...] = ()
    destinations: tuple[Destination, ...] = ()
    schema: SchemaMapping = SchemaMapping()
    analyzers_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    processings_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    derived: Derived = field(default_factory=Derived)


NOTHING: Final = Defined(datamart=0)
"""What a datamart without definitions has."""
