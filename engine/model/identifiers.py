"""Identifiers: what a sender calls a person by (decision 1).

An account belongs to a compartment, an e-mail is known by its hash, an agent is a device or browser id.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Annotated
from uuid import UUID, uuid5

from msgspec import Meta, Struct

from engine.errors import CallerError
from engine.model.limits import MAX_IDENTIFIER_CHARS, MAX_IDENTIFIERS

IdText = Annotated[str, Meta(max_length=MAX_IDENTIFIER_CHARS)]
SentId = IdText | int
"""An id as clients send it: text, or a number that is read as text."""


class IdentifierKind(IntEnum):
    """Kinds of identifiers, strongest first (decision 2)."""

    ACCOUNT = 1
    EMAIL = 2
    AGENT = 3


class SentIdentifier(Struct, rename=lambda name: "$" + name, kw_only=True):
    """One element of `$user_identifiers` as it is sent; which fields count depends on `$type`."""

    type: str
    user_account_id: SentId | None = None
    compartment_id: SentId | None = None
    hash: IdText | None = None
    email: IdText | None = None
    user_agent_id: SentId | None = None


class SentEmailHash(Struct, rename=lambda name: "$" + name, kw_only=True):
    """The legacy root field `$email_hash`."""

    hash: IdText | None = None
    email: IdText | None = None


class Identifier(Struct, frozen=True, order=True, gc=False):
    """One identifier in its normal form; equal ones have equal `key()`.

    Attributes:
        kind: account, e-mail or agent.
        namespace: the compartment of an account, else "".
        value: account id, lower-cased e-mail hash, or agent id.
        email: the raw address where the sender gave it; no part of the identity.
    """

    kind: IdentifierKind
    namespace: str
    value: str
    email: str = ""

    def key(self) -> bytes:
        """17 bytes that stand for the identifier in store keys: the kind and half a SHA-256."""
        text = f"{self.namespace}\0{self.value}".encode()
        return bytes((self.kind,)) + hashlib.sha256(text).digest()[:16]

    def as_json(self) -> dict[str, str]:
        """The element of `$user_identifiers` it is stored as."""
        if self.kind is IdentifierKind.ACCOUNT:
            return {"$type": "USER_ACCOUNT", "$compartment_id": self.namespace, "$user_account_id": self.value}
        if self.kind is IdentifierKind.EMAIL:
            email = {"$email": self.email} if self.email else {}
            return {"$type": "USER_EMAIL", "$hash": self.value, **email}
        return {"$type": "USER_AGENT", "$user_agent_id": self.value}


def account(compartment_id: str, user_account_id: str) -> Identifier:
    """The identifier of an account in a compartment."""
    return Identifier(IdentifierKind.ACCOUNT, compartment_id, user_account_id)


def email_hash(value: str, email: str = "") -> Identifier:
    """The identifier of an e-mail known by its hash."""
    return Identifier(IdentifierKind.EMAIL, "", value.lower(), email)


def raw_email(address: str) -> Identifier:
    """The identifier of an e-mail sent raw: SHA-256 of the trimmed, lower-cased address (decision 1)."""
    return email_hash(hashlib.sha256(address.strip().lower().encode()).hexdigest(), address)


def agent(user_agent_id: str) -> Identifier:
    """The identifier of a device or browser."""
    return Identifier(IdentifierKind.AGENT, "", user_agent_id)


def normalise(
    sent: Sequence[SentIdentifier], default_compartment: str, *, path: str = "$.$user_identifiers"
) -> list[Identifier]:
    """Identifiers of `$user_identifiers`, in order, without repeats.

    Raises:
        CallerError: an unknown `$type`, or the field that the type needs is missing (`bad_identifier`).
    """
    found: list[Identifier] = []
    for index, item in enumerate(sent):
        one = _normalise_one(item, default_compartment)
        if isinstance(one, str):
            raise CallerError(one, code="bad_identifier", path=f"{path}[{index}]")
        found.append(one)
    return found


def _normalise_one(item: SentIdentifier, default_compartment: str) -> Identifier | str:
    if item.type == "USER_ACCOUNT":
        if not has_text(item.user_account_id):
            return "`USER_ACCOUNT` needs `$user_account_id`"
        compartment = default_compartment if not has_text(item.compartment_id) else str(item.compartment_id)
        return account(compartment, str(item.user_account_id))
    if item.type == "USER_EMAIL":
        if has_text(item.hash):
            return email_hash(str(item.hash), item.email or "")
        return raw_email(item.email) if item.email else "`USER_EMAIL` needs `$hash` or `$email`"
    if item.type == "USER_AGENT":
        return agent(str(item.user_agent_id)) if has_text(item.user_agent_id) else "`USER_AGENT` needs `$user_agent_id`"
    return f"unknown identifier type {item.type!r}: USER_ACCOUNT, USER_EMAIL or USER_AGENT"


def legacy(
    *,
    user_agent_id: SentId | None,
    user_account_id: SentId | None,
    compartment_id: SentId | None,
    hashed: SentEmailHash | None,
    default_compartment: str,
) -> list[Identifier]:
    """Identifiers of the four legacy root fields (decision 1)."""
    found: list[Identifier] = []
    if has_text(user_account_id):
        compartment = str(compartment_id) if has_text(compartment_id) else default_compartment
        found.append(account(compartment, str(user_account_id)))
    if hashed is not None and hashed.hash:
        found.append(email_hash(hashed.hash, hashed.email or ""))
    elif hashed is not None and hashed.email:
        found.append(raw_email(hashed.email))
    if has_text(user_agent_id):
        found.append(agent(str(user_agent_id)))
    return found


def unique(identifiers: Iterable[Identifier], *, most: int = MAX_IDENTIFIERS) -> tuple[Identifier, ...]:
    """The identifiers in order, each once; a raw address is kept from whichever copy has it.

    Raises:
        CallerError: more than `most`, or one that is too long or has a NUL in its compartment.
    """
    by_name: dict[tuple[int, str, str], Identifier] = {}
    for one in identifiers:
        if "\0" in one.namespace:  # It ends the namespace in keys: two accounts must not have the same one.
            raise CallerError("a compartment has a NUL", code="bad_identifier", path="$.$user_identifiers")
        if max(len(one.namespace), len(one.value)) > MAX_IDENTIFIER_CHARS:  # A number may have any length.
            raise CallerError(
                f"an identifier has more than {MAX_IDENTIFIER_CHARS} characters",
                code="bad_identifier",
                path="$.$user_identifiers",
            )
        name = (one.kind, one.namespace, one.value)
        if name not in by_name or (one.email and not by_name[name].email):
            by_name[name] = one
    if len(by_name) > most:
        raise CallerError(f"more than {most} identifiers", code="too_many_identifiers", path="$.$user_identifiers")
    return tuple(by_name.values())


def strongest(identifiers: Sequence[Identifier]) -> Identifier:
    """Account before e-mail before agent; the first sent among equals (decision 2)."""
    return min(identifiers, key=lambda one: one.kind)


def uuid_text(user_point: bytes) -> str:
    """The 16 bytes of a user point as people write them; four times as quick as by way of a `UUID`."""
    text = user_point.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def first_user_point(datamart: int, identifier: Identifier) -> UUID:
    """The user point of a person nobody has named before: a UUID of the identifier itself (decision 2)."""
    return uuid5(_namespace_of(datamart), f"{identifier.kind.name}\0{identifier.namespace}\0{identifier.value}")


@lru_cache(maxsize=1000)
def _namespace_of(datamart: int) -> UUID:
    return uuid5(_NAMESPACE, str(datamart))


_NAMESPACE = UUID("6a1f3f0e-6f0c-5c55-9d0a-5d8f6d1b7c11")


def has_text(value: SentId | None) -> bool:
    """Whether an id was sent at all: null and "" were not, 0 was."""
    return value is not None and value != ""
