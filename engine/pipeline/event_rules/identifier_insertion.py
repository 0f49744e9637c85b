"""`USER_IDENTIFIER_INSERTION`: an identifier is made of a property (5.5, decision 25).

    value as text ─▶ all of it matches `validation_regexp`? ─▶ lower case ─▶ + salt ─▶ hash ─▶ identifier
      │ empty, too long, a placeholder, no match: skipped, and the property stays      (lower-case hex)

A value that names nobody (`null`, `guest`, all zeros: decision 1) is told here, since nobody can tell once it is
hashed: one such value would make one person of all who ever sent it.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from engine.definitions.declared.event_rules import UserIdentifierInsertion
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.identity.placeholders import Placeholders
from engine.model.identifiers import Identifier, account, email_hash
from engine.model.limits import MAX_IDENTIFIER_CHARS
from engine.pipeline.event_rules.md2 import md2
from engine.pipeline.event_rules.regexp import full_match
from engine.pipeline.event_rules.rule import Seen, Work

TYPE: Final = "USER_IDENTIFIER_INSERTION"

MAX_VALUE_CHARS: Final = MAX_IDENTIFIER_CHARS
"""Longer values are skipped: no address or account has so many characters, and each is matched and hashed."""

HASHES: Final[Mapping[str, Callable[[bytes], str]]] = {
    "NO_HASH": bytes.decode,
    "MD2": md2,
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA_1": lambda data: hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    "SHA_256": lambda data: hashlib.sha256(data).hexdigest(),
    "SHA_384": lambda data: hashlib.sha384(data).hexdigest(),
    "SHA_512": lambda data: hashlib.sha512(data).hexdigest(),
}
"""The platform's functions, each bytes → text."""


class IdentifierInsertion(Struct, frozen=True):
    """The rule, compiled.

    Attributes:
        about: what notes call it.
        source: the property.
        is_valid: what the value must meet; None for anything.
        compartment: of an account, or None for an e-mail hash.
        hashed: the hash function.
    """

    about: str
    source: str
    is_valid: Callable[[str], bool] | None
    lower: bool
    salt: str
    hashed: Callable[[bytes], str]
    compartment: str | None
    remove: bool
    placeholders: Placeholders

    @property
    def reads(self) -> tuple[str, ...]:
        """What it reads."""
        return (self.source,)

    def apply(self, work: Work) -> None:
        """Add an identifier for each event that has the property."""
        said = False
        for seen in work.events:
            raw = seen.raw(self.source)
            if not raw:
                continue
            made = self._identifier(seen, raw)
            said = True
            if isinstance(made, str):
                work.note(self.about, "skipped", f"{self.source} of {seen.event.name} {made}")
                continue
            work.match(TYPE, seen)
            if made not in work.activity.identifiers and made not in work.identifiers:
                work.identifiers.append(made)
            if self.remove:
                work.drop_property(seen, self.source)
            work.note(self.about, "matched", f"{made.kind.name.lower()} {made.value} of {seen.event.name}")
        if not said:
            work.note(self.about, "skipped", f"no event has a {self.source}")

    def _identifier(self, seen: Seen, raw: bytes) -> Identifier | str:
        """The identifier, or why there is none."""
        value = seen.text(self.source) if raw[:1] == b'"' else raw.decode() if raw[:1] in b"-0123456789" else ""
        if not value:
            return "is empty, or neither text nor number"
        if len(value) > MAX_VALUE_CHARS:
            return f"has more than {MAX_VALUE_CHARS} characters"
        if account("", value) in self.placeholders:
            return "is a placeholder, which names nobody"
        if self.is_valid is not None and not self.is_valid(value):
            return "does not match the expression"
        if self.lower:
            value = value.lower()
        text = self.hashed((value + self.salt).encode())
        if len(text) > MAX_IDENTIFIER_CHARS:
            return f"gives an identifier of more than {MAX_IDENTIFIER_CHARS} characters"
        return email_hash(text) if self.compartment is None else account(self.compartment, text)


def compile(rule: UserIdentifierInsertion, defined: Defined, path: str) -> IdentifierInsertion:
    """The rule.

    Raises:
        CallerError: its expression is none, or a compartment is given for an e-mail or cannot be one.
    """
    is_account = rule.identifier_creation == "USER_ACCOUNT"
    compartment = rule.compartment_id or ""
    if compartment and not is_account:
        raise CallerError(
            "only a USER_ACCOUNT is in a compartment", code="bad_definition", path=f"{path}.compartment_id"
        )
    if "\0" in compartment:
        raise CallerError("a compartment has no NUL", code="bad_definition", path=f"{path}.compartment_id")
    expression = rule.validation_regexp
    return IdentifierInsertion(
        about=f"event_rule {rule.id}",
        source=rule.property_source,
        is_valid=full_match(expression, f"{path}.validation_regexp") if expression else None,
        lower=rule.to_lower_case,
        salt=rule.salt or "",
        hashed=HASHES[rule.hash_function],
        compartment=(compartment or defined.default_compartment) if is_account else None,
        remove=rule.remove_source,
        placeholders=Placeholders(defined.identity.placeholders, zeros=defined.identity.zeros_are_placeholders),
    )
