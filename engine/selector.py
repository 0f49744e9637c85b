"""How a reader names a person, and which of their activities are meant (facts: mediarithmics 4.6 and 11.1)."""

import re
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Raw, Struct

from engine.errors import CallerError
from engine.model.identifiers import Identifier, account, agent, email_hash
from engine.model.wire import Fields, decode_fields, string_decoder

if TYPE_CHECKING:
    from collections.abc import Sequence

_ACCOUNT = re.compile(r"compartment_id=([^,/]+)[,/]user_account_id=(.+)", re.DOTALL)


class Selector(Struct, frozen=True):
    """A person, by user point or by one of their identifiers; exactly one of the two is set."""

    user_point: UUID | None = None
    identifier: Identifier | None = None

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read a selector: `<uuid>`, `user_point_id=`, `user_agent_id=`, `email_hash=` or
        `compartment_id=…,user_account_id=…` (also with `/` between the two).

        Raises:
            CallerError: none of these forms (`bad_selector`).
        """
        name, _, value = text.partition("=")
        if name == "user_agent_id" and value:
            return cls(identifier=agent(value))
        if name == "email_hash" and value:
            return cls(identifier=email_hash(value))
        if found := _ACCOUNT.fullmatch(text):
            return cls(identifier=account(found[1], found[2]))
        try:
            return cls(user_point=UUID(value if name == "user_point_id" else text))
        except ValueError:
            raise CallerError(
                f"{text!r} is no user: a user point's UUID, or `user_point_id=`, `user_agent_id=`, `email_hash=`,"
                " `compartment_id=…,user_account_id=…`",
                code="bad_selector",
            ) from None


class Condition(Struct, frozen=True):
    """The value of the root field `field`, as text, is one of `values`; `$channel_id` is `$site_id` or `$app_id`."""

    field: str
    values: tuple[str, ...]


class Filters(Struct, frozen=True):
    """Which activities of a timeline are meant.

    Attributes:
        conditions: all of them hold.
        start_ms, end_ms: bounds of `$ts`, both included; None for none.
    """

    conditions: tuple[Condition, ...] = ()
    start_ms: int | None = None
    end_ms: int | None = None

    def match(self, shown: bytes) -> bool:
        """Whether an activity in public JSON is meant."""
        fields = decode_fields(shown)
        ts_ms = _ts_ms(fields)
        if (self.start_ms is not None and ts_ms < self.start_ms) or (self.end_ms is not None and ts_ms > self.end_ms):
            return False
        return all(_text(fields, condition.field) in condition.values for condition in self.conditions)


def ts_of(shown: bytes) -> int:
    """`$ts` of an activity in public JSON, ms."""
    return _ts_ms(decode_fields(shown))


def _ts_ms(fields: Fields) -> int:
    return int(bytes(fields["$ts"]))


def _text(fields: Fields, name: str) -> str | None:
    """A scalar as text: a string's content, a number as it was sent, `true`, `false`, `null`."""
    names: Sequence[str] = ("$site_id", "$app_id") if name == "$channel_id" else (name,)
    found = next((fields[one] for one in names if one in fields), None)
    return None if found is None else scalar_text(found)


def scalar_text(value: Raw) -> str | None:
    """The text that a filter compares; None for an array or an object."""
    data = bytes(value)
    if data[:1] in (b"[", b"{"):
        return None
    if data[:1] == b'"':
        return string_decoder.decode(data)
    return data.decode()
