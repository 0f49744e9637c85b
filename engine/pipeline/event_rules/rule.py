"""The contract of rule types, and what rules work on: the events of one activity, each read at most once.

A rule type is a module with `compile(rule, defined, path) -> CompiledRule`: it compiles all that can be, and raises
`CallerError` with a path below `path` for a rule that cannot work. What it gives has `apply(work)`, and does no more to
an activity than `Work` lets it: look at events, make one behind another, set a field of the origin, add an identifier,
take a property away.

    events   p ─┬▶ made of p by rule 1 ─▶ made of that by rule 2      in the activity: p, what was made of it and of
                └▶ made of p by rule 2                                that in turn, in the order of the rules; then q
             q

Each rule runs once, in order, and `Work.events` has what the rules ahead have made (decision 22). No rule sees its own:
it asks before it makes. How deep a chain goes is how many rules stand between an event and the one that was sent, and
events at `MAX_DEPTH` are nobody's source.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Raw, structs

from engine.model.activity import Activity
from engine.model.event import ABSENT, PAGE_VIEW, Event, PageValues, page_reader
from engine.model.wire import NULL, Fields, decode_fields, encode, encode_fields, text_of
from engine.pipeline.event_rules.address import Address, address_of
from engine.pipeline.stage import Note

if TYPE_CHECKING:
    from engine.model.identifiers import Identifier

MAX_DEPTH: Final = 10
"""Rules that may build on one another (decision 22)."""

BYTES_PER_CHAR: Final = 4
"""The most that a character takes in UTF-8."""

URL: Final = "$url"
REFERRER: Final = "$referrer"


class Overgrown(Exception):
    """Rules have made more of an activity than any activity may be (decision 16)."""


class CompiledRule(Protocol):
    """A rule, or several neighbours of one type, ready to run.

    Attributes:
        reads: names of the event properties that it looks at, beside `$url` and `$referrer`.
    """

    @property
    def reads(self) -> tuple[str, ...]: ...

    def apply(self, work: "Work") -> None:
        """Do to the activity what the rule says."""
        ...


class PropertyNames:
    """Reads the properties that the rules of a datamart ask for, all in one pass over an event."""

    def __init__(self, names: Iterable[str]) -> None:
        others = sorted({*names} - {URL, REFERRER})
        self.slots = {name: at for at, name in enumerate((URL, REFERRER, *others))}
        self.read = page_reader(others)


class Seen:
    """An event as rules see it.

    Attributes:
        event: as it is now.
        depth: how many rules stand between it and an event that was sent; 0 for that one itself.
        made: what rules have made of it, in order.
        matched: whether a rule has matched it.
    """

    __slots__ = ("_address", "_names", "_values", "depth", "event", "made", "matched")

    def __init__(self, event: Event, names: PropertyNames, depth: int = 0) -> None:
        self.event = event
        self.depth = depth
        self.made: Sequence[Seen] = ()
        self.matched = False
        self._names = names
        self._values: PageValues | None = None
        self._address: Address | bool | None = False  # False: nobody has asked yet.

    @property
    def is_page(self) -> bool:
        """Whether rules that look at pages look at it (5.3), and may make something of it."""
        return self.event.name == PAGE_VIEW and self.depth < MAX_DEPTH

    def raw(self, name: str) -> bytes:
        """A property, encoded; `b""` where it has none or null. `name` is among what some rule `reads`."""
        value = self._read(name)
        if value is ABSENT or value == "":
            return b""
        data = encode(value) if isinstance(value, str) else bytes(value)
        return b"" if data == NULL else data

    def text(self, name: str) -> str:
        """A property that is text; "" for any other value and for none."""
        value = self._read(name)
        return value if isinstance(value, str) else text_of(value)

    @property
    def address(self) -> Address | None:
        """Of its page; None where it says none."""
        if self._address is False:
            url = self.text(URL)
            self._address = address_of(url) if url else None
        return self._address  # type: ignore[return-value]  # Not True, either.

    def _read(self, name: str) -> str | Raw:
        values = self._values
        if values is None:
            values = self._values = self._names.read(self.event.body)
        return values[self._names.slots[name]]

    def drop_property(self, name: str) -> None:
        """The event goes on without this property."""
        fields = self.event.fields()
        properties = self.event.properties()
        properties.pop(name, None)
        fields["$properties"] = Raw(encode_fields(properties))
        self.event = structs.replace(self.event, body=encode_fields(fields))
        self._values = None


class Work:
    """One activity under the rules.

    Args:
        activity: as the step was given it.
        names: reads its events.
        max_chars: size limit of the activity.
        notes: as `Context.notes`.

    Attributes:
        origin: fields of the activity's `$origin`; None until a rule asked.
        identifiers: what rules have added, in order.
        matches: how often rules matched, by type.
    """

    __slots__ = ("_changed", "_flat", "_max_bytes", "_names", "_roots", "activity", "identifiers", "matches", "notes",
                 "origin")  # fmt: skip

    def __init__(
        self, activity: Activity, names: PropertyNames, max_chars: int, notes: list[Note] | None = None
    ) -> None:
        self.activity = activity
        self.notes = notes
        self.origin: Fields | None = None
        self.identifiers: list[Identifier] = []
        self.matches: dict[str, int] = {}
        self._names = names
        self._max_bytes = max_chars * BYTES_PER_CHAR
        self._roots = [Seen(event, names) for event in activity.events]
        self._flat: list[Seen] | None = self._roots
        self._changed = False

    @property
    def events(self) -> Sequence[Seen]:
        """All events as they stand now; what is made meanwhile is not among them."""
        if self._flat is None:
            self._flat = []
            stack = self._roots[::-1]
            while stack:
                seen = stack.pop()
                self._flat.append(seen)
                stack += reversed(seen.made)
        return self._flat

    def match(self, rule_type: str, seen: Seen) -> None:
        """Count that a rule of this type has matched an event."""
        seen.matched = True
        self.matches[rule_type] = self.matches.get(rule_type, 0) + 1

    def make(self, source: Seen, name: str, properties: Fields) -> Seen:
        """Put a new event behind its source and what was made of that before, at the same time and of the same page.

        Args:
            source: of a depth below `MAX_DEPTH`.
            name: its `$event_name`.
            properties: encoded; they go before the `$url` and the `$referrer` of the source.

        Raises:
            Overgrown: with it, the activity is certainly too large.
        """
        if source.depth >= MAX_DEPTH:
            raise ValueError(f"an event {MAX_DEPTH} rules deep is nobody's source")
        page = {at: Raw(value) for at in (URL, REFERRER) if (value := source.raw(at))}
        ts_ms = source.event.ts_ms
        body = encode({"$ts": ts_ms, "$event_name": name, "$properties": {**page, **properties}})
        self._max_bytes -= len(body)
        if self._max_bytes < 0:
            raise Overgrown
        made = Seen(Event(ts_ms, name, body), self._names, source.depth + 1)
        source.made = (*source.made, made)
        self._flat, self._changed = None, True
        return made

    def drop_property(self, seen: Seen, name: str) -> None:
        """Take a property away from an event."""
        seen.drop_property(name)
        self._changed = True

    def set_origin(self, field: str, value: bytes) -> None:
        """Set a field of the activity's `$origin` to an encoded value."""
        if self.origin is None:
            self.origin = decode_fields(self.activity.origin) if self.activity.origin is not None else {}
        self.origin[field] = Raw(value)

    def note(self, about: str, outcome: str, detail: str) -> None:
        """Say what a rule did and why, where somebody asked."""
        if self.notes is not None:
            self.notes.append(Note(about, outcome, detail))

    def result(self) -> Activity:
        """The activity as the rules leave it."""
        changes: dict[str, object] = {}
        if self._changed:
            changes["events"] = [seen.event for seen in self.events]
        if self.origin is not None:
            changes["origin"] = encode_fields(self.origin)
        if self.identifiers:
            changes["identifiers"] = (*self.activity.identifiers, *self.identifiers)
        return structs.replace(self.activity, **changes) if changes else self.activity

    @property
    def matched_events(self) -> int:
        """How many events some rule has matched."""
        return sum([seen.matched for seen in self.events])
