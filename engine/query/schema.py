"""What queries may speak of: object types with their fields and links, and where each is found (mediarithmics 7.6).

A name is looked up in an object type. A dotted name goes through links: `$properties.$items.$price`. Behind a link, or
in a list, there may be several objects or values: a comparison holds when it holds of one of them.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from typing import Final, Literal

from msgspec import Struct

from engine.query.ast import Kind
from engine.query.lexer import parts_of

Path = tuple[str, ...]
"""Keys, from the object down."""


class FieldType(StrEnum):
    """What the values of a field are."""

    ID = "ID"
    """A text or a number, compared as text."""
    STRING = "STRING"
    NUMBER = "NUMBER"
    """Also a number in a text: prices often are (1.7)."""
    TIME = "TIME"
    """Milliseconds since the epoch, or an ISO 8601 text."""
    BOOLEAN = "BOOLEAN"
    ENUM = "ENUM"
    ANY = "ANY"
    """A custom field: what it is compared with says what it is."""


KINDS: Final[Mapping[FieldType, tuple[Kind, ...]]] = {
    FieldType.ID: (Kind.STRING, Kind.ENUM, Kind.NUMERIC),
    FieldType.STRING: (Kind.STRING, Kind.ENUM),
    FieldType.ENUM: (Kind.ENUM, Kind.STRING),
    FieldType.NUMBER: (Kind.NUMERIC, Kind.NUMERIC_INTERVAL),
    FieldType.TIME: (Kind.TIME, Kind.TIME_INTERVAL),
    FieldType.BOOLEAN: (Kind.BOOLEAN,),
    FieldType.ANY: tuple(Kind),
}
"""What each may be compared as; first, what a text without a type means."""

Scope = Literal["SELF", "ACTIVITY"]


class Field(Struct, frozen=True):
    """A field.

    Attributes:
        type: of its values.
        paths: where it is; of several, the first that has a value.
        scope: SELF: paths start at the object itself; ACTIVITY: at the activity that an event is of.
    """

    type: FieldType
    paths: tuple[Path, ...]
    scope: Scope = "SELF"


Source = Literal["PATH", "ACTIVITIES", "EVENTS", "PERSON"]


class Link(Struct, frozen=True):
    """A way from an object to others.

    Attributes:
        to: their type.
        path: where they are in the object, for source PATH.
        source: ACTIVITIES and EVENTS: those that the query looks at; PERSON: what is known of the person under `path`.
    """

    to: str
    path: Path = ()
    source: Source = "PATH"


class ObjectType(Struct, frozen=True):
    """A type.

    Attributes:
        fields, links: by name.
        open: whether any other name is a custom field of type ANY.
    """

    fields: Mapping[str, Field]
    links: Mapping[str, Link] = {}
    open: bool = False


class Found(Struct, frozen=True):
    """What a name means: a field, and the links that lead to it from where it was looked up."""

    field: Field
    links: tuple[Link, ...] = ()


class NotFound(LookupError):
    """A name means nothing; the message says what is near."""


class Schema:
    """Object types by name.

    Args:
        types: the types.
        mirrors: other names of types: `ActivityEvent` is a `UserEvent`.
    """

    def __init__(self, types: Mapping[str, ObjectType], mirrors: Mapping[str, str] | None = None) -> None:
        self.types = types
        self.mirrors = mirrors or {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names of types."""
        return (*self.types, *self.mirrors)

    def canonical(self, name: str) -> str:
        """The type that a name means.

        Raises:
            NotFound: none.
        """
        found = self.mirrors.get(name, name)
        if found not in self.types:
            raise NotFound(f"there is no object type `{name}`{_near(name, self.names)}")
        return found

    def type(self, name: str) -> ObjectType:
        """A type by a name that is known."""
        return self.types[self.canonical(name)]

    def field(self, type_name: str, name: str) -> Found:
        """The field that a dotted name means, seen from an object of the type.

        Raises:
            NotFound: none.
        """
        *before, last = _parts(name)
        links: list[Link] = []
        here = type_name
        for part in before:
            link = self._link(here, part)
            links.append(link)
            here = link.to
        kind = self.type(here)
        if last in kind.fields:
            return Found(kind.fields[last], tuple(links))
        if last in kind.links:
            raise NotFound(f"`{name}` of {type_name} is an object; ask for its fields: `{name} {{ … }}`")
        if kind.open:
            return Found(Field(FieldType.ANY, ((last,),)), tuple(links))
        raise NotFound(f"{here} has no field `{last}`{_near(last, kind.fields)}")

    def link(self, type_name: str, name: str) -> tuple[Link, ...]:
        """The links that a dotted name means, one for each part.

        Raises:
            NotFound: one of them is not there.
        """
        links: list[Link] = []
        here = type_name
        for part in _parts(name):
            links.append(self._link(here, part))
            here = links[-1].to
        return tuple(links)

    def _link(self, type_name: str, name: str) -> Link:
        kind = self.type(type_name)
        if name in kind.links:
            return kind.links[name]
        if name in kind.fields and kind.fields[name].type is not FieldType.ANY:
            raise NotFound(f"`{name}` of {type_name} is a field, not an object")
        if kind.open or name in kind.fields:
            return Link(ANYTHING, kind.fields[name].paths[0] if name in kind.fields else (name,))
        raise NotFound(f"{type_name} has no objects `{name}`{_near(name, (*kind.links, *kind.fields))}")

    def with_names(
        self, fields: Iterable[tuple[str, str, Field]], links: Iterable[tuple[str, str, Link]] = ()
    ) -> "Schema":
        """A schema with more names: each is a type's name, the name, and what it means.

        Raises:
            NotFound: there is no such type.
        """
        types = dict(self.types)
        for type_name, name, field in fields:
            here = self.canonical(type_name)
            old = types[here]
            types[here] = ObjectType({**old.fields, name: field}, old.links, old.open)
        for type_name, name, link in links:
            here = self.canonical(type_name)
            old = types[here]
            types[here] = ObjectType(old.fields, {**old.links, name: link}, old.open)
        return Schema(types, self.mirrors)


ANYTHING: Final = "Anything"
"""The type of objects of which nothing is known: all their fields are custom."""


def _parts(name: str) -> tuple[str, ...]:
    parts = parts_of(name)
    if not all(parts):
        raise NotFound(f"`{name[:60]}` is no name of a field")
    return parts


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 3, 0.6)
    return "; did you mean " + " or ".join(f"`{one}`" for one in near) + "?" if near else ""
