"""Profiles of a person, by whose they are, and what an update makes of one (mediarithmics 4.6 and 10).

    replace          the profile is what the update says
    merge            fields of the same name are overridden, the others stay
    deep merge       as merge, but objects on both sides become one, all the way down

Each field knows when it was said. An update that comes in late changes no field that something later has said: it fills
in what nobody has, and objects of a late deep merge are put beneath those that are there. What a later replacement has
swept away stays away. So merges and replacements end the same in whatever order they come in; of two at the same
time the one that comes in last counts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from engine.model.identifiers import Identifier, IdentifierKind
from engine.model.wire import Fields, decode_fields, decode_values, encode_fields

FORMAT: Final = 1
"""First byte of every stored value. A change of the fields below or of their order needs another number."""

MAX_PROFILE_BYTES: Final = 16_384
"""Names and values of one profile: twice the largest activity. All of a person's are read and written together."""

MAX_PROFILES: Final = 32
"""Profiles of one person, who has a few accounts; an update that would make one more is refused."""


class Field(Struct, array_like=True, frozen=True, gc=False):
    """A field: its name, when it was last said (ms), and its value as compact JSON."""

    name: str
    ts_ms: int
    value: bytes


class Profile(Struct, array_like=True, frozen=True):
    """One profile.

    Attributes:
        kind, namespace, value: whose it is, as in `Identifier`.
        created_ms, modified_ms: the first and the latest update.
        replaced_ms: the latest update that replaced it; -1 for none.
        fields: in the order in which they were first said.
    """

    kind: int
    namespace: str
    value: str
    created_ms: int
    modified_ms: int
    replaced_ms: int = -1
    fields: tuple[Field, ...] = ()

    @property
    def owner(self) -> "Owner":
        """Whose it is."""
        return self.kind, self.namespace, self.value

    @property
    def size_bytes(self) -> int:
        """What `MAX_PROFILE_BYTES` bounds."""
        return sum([len(one.name.encode()) + len(one.value) for one in self.fields])


Owner = tuple[int, str, str]
"""Kind, compartment of an account or "", and value of the identifier whose profile it is."""

Profiles = Mapping[Owner, Profile]
"""All of a person."""


class Update(Struct, frozen=True):
    """What an event says of a profile.

    Attributes:
        owner: whose profile.
        ts_ms: when.
        fields: what it says.
        replaces: nothing else stays.
        merges_objects: objects on both sides become one.
    """

    owner: Identifier
    ts_ms: int
    fields: Fields
    replaces: bool = False
    merges_objects: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Profile])
_PREFIX = bytes((FORMAT,))


def owner_of(identifier: Identifier) -> Owner:
    """The key of the identifier's profile."""
    return int(identifier.kind), identifier.namespace, identifier.value


def updated(known: Profile | None, update: Update) -> Profile:
    """What an update makes of a profile. It may be larger than a profile may be: the caller looks.

    Raises:
        CallerError: an object to merge is nested too deeply.
    """
    kind, namespace, value = owner_of(update.owner)
    ts_ms = update.ts_ms
    if known is None:
        known = Profile(kind, namespace, value, ts_ms, ts_ms)
    fields = {one.name: one for one in known.fields}
    replaced_ms = known.replaced_ms
    if update.replaces:
        fields = {name: one for name, one in fields.items() if one.ts_ms > ts_ms}
        replaced_ms = max(replaced_ms, ts_ms)
    if ts_ms >= known.replaced_ms:
        for name, said in update.fields.items():
            fields[name] = _said(fields.get(name), Field(name, ts_ms, bytes(said)), deep=update.merges_objects)
    return Profile(
        kind,
        namespace,
        value,
        min(known.created_ms, ts_ms),
        max(known.modified_ms, ts_ms),
        replaced_ms,
        tuple(fields.values()),
    )


def _said(known: Field | None, said: Field, *, deep: bool) -> Field:
    if known is None:
        return said
    later, earlier = (known, said) if known.ts_ms > said.ts_ms else (said, known)
    if deep and _is_object(later.value) and _is_object(earlier.value):
        return Field(said.name, later.ts_ms, _merged(earlier.value, later.value))
    return later


def _merged(beneath: bytes, above: bytes) -> bytes:
    """Two objects as one: where both have a value and one of these is no object, the second's counts."""
    fields = decode_fields(beneath)
    for name, value in decode_fields(above).items():
        there, new = bytes(fields[name]) if name in fields else b"", bytes(value)
        fields[name] = Raw(_merged(there, new)) if _is_object(there) and _is_object(new) else value
    return encode_fields(fields)


def _is_object(value: bytes) -> bool:
    return value.startswith(b"{")


class Combined(NamedTuple):
    """The profiles of two user points as one person's, and how many did not fit in."""

    profiles: Profiles
    too_many: int
    too_large: int


def combine(profiles: Profiles, others: Profiles) -> Combined:
    """Those of two user points that turn out to be one person (decision 3). Again the same changes nothing.

    Both may have one of the same owner: of each field the later one counts and, where both are too large for one
    profile, the profile that changed last. Of all of them the latest `MAX_PROFILES` stay.
    """
    found = dict(profiles)
    too_large = 0
    for owner, other in others.items():
        one = found.get(owner)
        if one is None or one == other:
            found[owner] = other
            continue
        both = _combine_one(one, other)
        if both.size_bytes > MAX_PROFILE_BYTES:
            too_large += 1
            both = max(one, other, key=lambda it: it.modified_ms)
        found[owner] = both
    latest = bounded(found.values())
    return Combined(latest, len(found) - len(latest), too_large)


def bounded(profiles: Iterable[Profile]) -> Profiles:
    """At most `MAX_PROFILES`, those that changed last."""
    latest = sorted(profiles, key=lambda one: (one.modified_ms, one.owner))[-MAX_PROFILES:]
    return {one.owner: one for one in latest}


def _combine_one(one: Profile, other: Profile) -> Profile:
    replaced_ms = max(one.replaced_ms, other.replaced_ms)
    fields: dict[str, Field] = {}
    for field in (*one.fields, *other.fields):
        known = fields.get(field.name)
        if field.ts_ms >= replaced_ms and (known is None or field.ts_ms > known.ts_ms):
            fields[field.name] = field
    return Profile(
        *one.owner,
        min(one.created_ms, other.created_ms),
        max(one.modified_ms, other.modified_ms),
        replaced_ms,
        tuple(fields.values()),
    )


def encode_profiles(profiles: Profiles) -> bytes:
    """As they are stored; the same profiles are the same bytes."""
    return _PREFIX + _encoder.encode([profiles[owner] for owner in sorted(profiles)])


def decode_profiles(stored: bytes | None) -> Profiles:
    """What `encode_profiles` made; no profiles where nothing is stored.

    Raises:
        ValueError: of another format, or damaged.
    """
    if stored is None:
        return {}
    if stored[:1] != _PREFIX:
        raise ValueError(f"profiles of unknown format {stored[:1]!r}")
    try:
        return {one.owner: one for one in _decoder.decode(memoryview(stored)[1:])}
    except msgspec.DecodeError as error:
        raise ValueError(f"damaged profiles: {error}") from error


def profile_as_json(profile: Profile) -> bytes:
    """A profile as it is shown: whose it is, its fields as they were sent, and when it was made and last changed."""
    kind = IdentifierKind(profile.kind)
    shown: dict[str, Any] = {}
    if kind is IdentifierKind.ACCOUNT:
        shown |= {"$compartment_id": profile.namespace, "$user_account_id": profile.value}
    else:
        shown["$email_hash" if kind is IdentifierKind.EMAIL else "$user_agent_id"] = profile.value
    shown |= {one.name: Raw(one.value) for one in profile.fields}
    return msgspec.json.encode(shown | {"$creation_ts": profile.created_ms, "$last_modified_ts": profile.modified_ms})


def profiles_as_values(stored: bytes | None) -> list[dict[str, Any]]:
    """The stored profiles of a person as plain values, for queries (`profiles` of `UserPoint`)."""
    return [decode_values(profile_as_json(one)) for one in decode_profiles(stored).values()]
