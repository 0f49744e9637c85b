"""`PROPERTY_TO_ORIGIN_COPY`: an address, a referrer or a property becomes a field of `$origin` (5.4, decision 24).

With `URL` and `REFERRER` the property is a query parameter of that address, and when it has no name, the whole address
is copied. Of the events, in order, the first value found stays; it takes the place of what attribution or an earlier
rule has put there.
"""

from typing import Final

from msgspec import Struct

from engine.definitions.declared.event_rules import PropertyToOriginCopy
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.origin import ORIGIN_FIELDS
from engine.model.wire import encode
from engine.pipeline.event_rules.address import parameters_of
from engine.pipeline.event_rules.rule import REFERRER, URL, Seen, Work

TYPE: Final = "PROPERTY_TO_ORIGIN_COPY"


class OriginCopy(Struct, frozen=True):
    """The rule, compiled.

    Attributes:
        about: what notes call it.
        source: the property that is read.
        parameter: the query parameter in it, "" for all of it.
        is_address: whether the source is an address.
        destination: field of the origin.
        mark: what the bytes of an event that it finds something in contain, unless they contain an escape; b"" for
            anything. To look for it takes a tenth of the time of reading the event.
    """

    about: str
    source: str
    parameter: str
    is_address: bool
    destination: str
    mark: bytes = b""

    @property
    def reads(self) -> tuple[str, ...]:
        """What it reads."""
        return (self.source,)

    def apply(self, work: Work) -> None:
        """Copy the first value that an event has."""
        mark = self.mark
        for seen in work.events:
            body = seen.event.body
            if mark not in body and not (b"\\" in body or (self.is_address and (b"%" in body or b"+" in body))):
                continue
            value = self._value(seen)
            if value:
                work.match(TYPE, seen)
                work.set_origin(self.destination, value)
                if work.notes is not None:
                    work.note(self.about, "matched", f"{self.destination} is {value.decode()} of {seen.event.name}")
                return
        if work.notes is not None:
            what = f"parameter {self.parameter} in a {self.source}" if self.parameter else self.source
            work.note(self.about, "skipped", f"no event has a {what}")

    def _value(self, seen: Seen) -> bytes:
        if not self.is_address:
            value = seen.raw(self.source)
            if value == b'""' or (self.destination in ORIGIN_FIELDS and value[:1] not in b'"-0123456789'):
                return b""  # Documented fields are text or numbers.
            return value
        address = seen.text(self.source)
        if not self.parameter:
            return encode(address) if address else b""
        if "?" not in address:
            return b""
        query = address.partition("#")[0].partition("?")[2]
        if self.parameter not in query and "%" not in query and "+" not in query:
            return b""  # As nearly all of them; to part it takes longer than all else that is done here.
        found = next((value for name, value in parameters_of(query) if value and name == self.parameter), "")
        return encode(found) if found else b""


def compile(rule: PropertyToOriginCopy, defined: Defined, path: str) -> OriginCopy:
    """The rule.

    Raises:
        CallerError: it names no property, or its destination is the activity's own.
    """
    if rule.destination == "$ts":
        raise CallerError(
            "`$origin.$ts` is the time of the activity", code="bad_definition", path=f"{path}.destination"
        )
    about = f"event_rule {rule.id}"
    if rule.property_source == "EVENT_PROPERTY":
        if not rule.property_name:
            raise CallerError("which property is to be copied?", code="bad_definition", path=f"{path}.property_name")
        return OriginCopy(about, rule.property_name, "", False, rule.destination, _mark(rule.property_name))
    source = URL if rule.property_source == "URL" else REFERRER
    return OriginCopy(about, source, rule.property_name, True, rule.destination, _mark(rule.property_name))


def _mark(name: str) -> bytes:
    """A name that stands in JSON as it is."""
    return name.encode() if name.isascii() and name.isprintable() and not {*name} & {'"', "\\"} else b""
